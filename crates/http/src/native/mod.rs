//! What no imitated API has: bulk ingest and API keys. In LogProof's style and error shape.
//!
//! Never: a path that one of the dialects claims for something else.

mod bulk;
mod keys;

use utoipa_axum::router::OpenApiRouter;

use crate::app::Shared;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    bulk::routes().merge(keys::routes())
}
