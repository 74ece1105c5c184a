//! Legal holds: place, list, show, release.
//!
//! Never: deletes one, or shows one of another project.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use indelible_model::time::End;
use indelible_model::{Error, EventId, HoldId, LogKind, Result};
use indelible_service::holds::{HOLD_FIELDS, Hold, HoldFilter, HoldSpec, Holding};
use indelible_service::{CanManageProject, CanReadLogs};
use serde::Serialize;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use super::input::Object;
use crate::answer;
use crate::app::Shared;
use crate::auth::Authorized;
use crate::failed::Answer;
use crate::openapi::schemas;
use crate::query::Params;

/// Bytes of a text: what is too much is said by the service.
const MAX_TEXT: usize = 16 << 10;
const SPEC: &[&str] = &["case", "reason", "events", "filter"];
const FILTER: &[&str] = &["log", "from", "to", "action", "actor_id", "target_type", "target_id", "organization_id"];
const PER_PAGE: u64 = 25;
const MAX_PER_PAGE: u64 = 100;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(list, place)).routes(route!(show)).routes(route!(release))
}

#[derive(Serialize)]
struct Shown {
    id: String,
    case: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Value>,
    placed_by: Value,
    created_at: String,
    released: Option<Released>,
}

#[derive(Serialize)]
struct Released {
    by: Value,
    reason: String,
    at: String,
}

impl From<Hold> for Shown {
    fn from(hold: Hold) -> Self {
        let (events, filter) = match hold.what {
            Holding::Events(ids) => (Some(ids.iter().map(EventId::to_string).collect()), None),
            Holding::Matching(filter) => (None, Some(filter.to_json())),
        };
        let released = hold.released.map(|end| Released { by: end.by, reason: end.reason, at: end.at.to_string() });
        Self { id: hold.id.to_string(), case: hold.case, reason: hold.reason, events, filter, placed_by: hold.placed_by, created_at: hold.created_at.to_string(), released }
    }
}

/// Place a legal hold
///
/// What it matches stays, whatever retention says, until the last hold on it is released. It matches either the `events` named, or all that pass `filter`, now and later.
/// What was gone before is not brought back: `meta.events_found` says how many events are there and match, null if they could not be counted in time.
#[utoipa::path(post, path = "/v1/holds", tag = "Retention", operation_id = "placeHold", security(("key" = ["project:manage"])),
    request_body(content = schemas::NewHold),
    responses((status = 201, description = "The hold.", body = schemas::PlacedHold)))]
async fn place(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageProject>, headers: HeaderMap, body: Body) -> Answer {
    #[derive(Serialize)]
    struct Placed {
        data: Shown,
        meta: Meta,
    }
    #[derive(Serialize)]
    struct Meta {
        events_found: Option<u64>,
    }
    let spec = spec(Object::receive(&app, query.as_deref(), &headers, body, SPEC).await?)?;
    let placed = app.service.hold_place(&who.caller, spec).await?;
    let body = Placed { data: placed.hold.into(), meta: Meta { events_found: placed.found } };
    Ok(answer::unstored(StatusCode::CREATED, &body)?)
}

/// List legal holds
///
/// Newest first, released ones too. `meta.next_cursor` leads to the next, older page.
#[utoipa::path(get, path = "/v1/holds", tag = "Retention", operation_id = "listHolds", security(("key" = ["logs:read"])),
    params(schemas::HoldListParams),
    responses((status = 200, description = "A page.", body = schemas::HoldPage)))]
async fn list(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanReadLogs>) -> Answer {
    #[derive(Serialize)]
    struct Page {
        data: Vec<Shown>,
        meta: Meta,
    }
    #[derive(Serialize)]
    struct Meta {
        next_cursor: Option<String>,
        has_more: bool,
    }
    let mut params = Params::parse(query.as_deref(), &["per_page", "cursor"], app.service.limits())?;
    let most = params.number("per_page", 1, MAX_PER_PAGE).unwrap_or(PER_PAGE);
    let cursor = params.text("cursor");
    let after = cursor.as_deref().and_then(HoldId::parse);
    if cursor.is_some() && after.is_none() {
        params.violate("cursor", "is not a cursor of this list.");
    }
    params.finish()?;
    let (holds, has_more) = app.service.holds(&who.caller, after, u32::try_from(most).map_err(Error::internal)?).await?;
    let next_cursor = holds.last().filter(|_| has_more).map(|h| h.id.to_string());
    let page = Page { data: holds.into_iter().map(Shown::from).collect(), meta: Meta { next_cursor, has_more } };
    Ok(answer::unstored(StatusCode::OK, &page)?)
}

/// Show a legal hold
#[utoipa::path(get, path = "/v1/holds/{id}", tag = "Retention", operation_id = "getHold", security(("key" = ["logs:read"])),
    params(("id" = String, Path, description = "`hold_` and 32 hex digits.")),
    responses((status = 200, description = "The hold.", body = schemas::HoldAnswer), (status = 404, description = "There is no such hold in this project.", body = schemas::Error)))]
async fn show(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanReadLogs>, id: Named) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let hold = app.service.hold(&who.caller, hold_id(id)?).await?;
    Ok(answer::data(StatusCode::OK, &Shown::from(hold))?)
}

/// Release a legal hold
///
/// For ever: what no other hold matches, and is older than it is kept, goes soon after. The hold stays in the list, with who released it and why.
#[utoipa::path(post, path = "/v1/holds/{id}/release", tag = "Retention", operation_id = "releaseHold", security(("key" = ["project:manage"])),
    params(("id" = String, Path, description = "`hold_` and 32 hex digits.")),
    request_body(content = schemas::HoldRelease),
    responses((status = 200, description = "The hold.", body = schemas::HoldAnswer), (status = 404, description = "There is no such hold in this project.", body = schemas::Error),
        (status = 409, description = "It was released already.", body = schemas::Error)))]
async fn release(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageProject>, id: Named, headers: HeaderMap, body: Body) -> Answer {
    let mut body = Object::receive(&app, query.as_deref(), &headers, body, &["reason"]).await?;
    let reason = body.required("reason", MAX_TEXT);
    body.finish()?;
    let hold = app.service.hold_release(&who.caller, hold_id(id)?, &reason).await?;
    Ok(answer::data(StatusCode::OK, &Shown::from(hold))?)
}

/// The id of the path, whatever characters it has.
type Named = Result<Path<String>, PathRejection>;

fn hold_id(path: Named) -> Result<HoldId> {
    path.ok().and_then(|Path(id)| HoldId::parse(&id)).ok_or_else(|| Error::not_found("Hold"))
}

fn spec(mut body: Object) -> Result<HoldSpec> {
    let (case, reason) = (body.required("case", MAX_TEXT), body.required("reason", MAX_TEXT));
    let events = body.texts("events").map(|ids| {
        let read: Option<Vec<_>> = ids.iter().map(|id| EventId::parse(id)).collect();
        read.unwrap_or_else(|| {
            body.violate("events", "must be ids of events, `evt_` and 32 hex digits each.");
            Vec::new()
        })
    });
    let filter = body.object("filter", FILTER).map(|mut inner| {
        let log = inner.text("log", MAX_TEXT).and_then(|name| {
            let log = LogKind::ALL.into_iter().find(|l| l.name() == name);
            if log.is_none() {
                inner.violate("log", "must be events or activity; without it both are meant.");
            }
            log
        });
        let (from, to) = (inner.bound("from", End::From), inner.bound("to", End::To));
        let fields = HOLD_FIELDS.into_iter().filter_map(|field| Some((field, inner.text(field.column(), MAX_TEXT)?))).collect();
        body.close("filter", inner);
        HoldFilter { log, from, to, fields }
    });
    let what = match (events, filter) {
        (Some(ids), None) => Holding::Events(ids),
        (None, Some(filter)) => Holding::Matching(filter),
        _ => {
            body.violate("filter", "Give either events or filter; an empty filter matches everything.");
            Holding::Events(Vec::new())
        }
    };
    body.finish()?;
    Ok(HoldSpec { case, reason, what })
}

#[cfg(test)]
mod tests;
