//! What no imitated API has: bulk ingest and administration. In LogProof's style and error shape.
//!
//! Never: a path that one of the dialects claims for something else.

mod bulk;
mod holds;
mod imports;
pub(crate) mod input;
mod keys;
pub(crate) mod logs;
mod members;
mod oidc;
mod projects;
mod retention;
mod rows;
mod schedules;
mod sessions;
pub(crate) mod tasks;

use utoipa_axum::router::OpenApiRouter;

use crate::app::Shared;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    bulk::routes()
        .merge(holds::routes())
        .merge(imports::routes())
        .merge(retention::routes())
        .merge(keys::routes())
        .merge(logs::routes())
        .merge(members::routes())
        .merge(oidc::routes())
        .merge(projects::routes())
        .merge(rows::routes())
        .merge(schedules::routes())
        .merge(sessions::routes())
        .merge(tasks::routes())
}
