//! How long each log's events are kept: shown and changed.
//!
//! Never: takes an event; the service's sweep does, after what was announced.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use indelible_model::ids::hex;
use indelible_model::{Error, LogKind, Result};
use indelible_service::retention::{RETENTION_DAYS, Retention};
use indelible_service::{CanManageProject, CanReadLogs};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use super::input::Object;
use crate::answer;
use crate::app::Shared;
use crate::auth::Authorized;
use crate::failed::Answer;
use crate::openapi::schemas;
use crate::query::Params;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(show)).routes(route!(set))
}

#[derive(Serialize)]
struct Shown {
    log: &'static str,
    days: Option<u64>,
    since: String,
    announced: Option<Announced>,
    events_expired: u64,
    marker: Option<Marker>,
    kept_by_holds: Vec<Kept>,
}

#[derive(Serialize)]
struct Announced {
    days: u64,
    takes_effect_at: String,
}

#[derive(Serialize)]
struct Marker {
    position: u64,
    hash: String,
}

#[derive(Serialize)]
struct Kept {
    hold_id: String,
    segments: u64,
    events: u64,
}

impl From<Retention> for Shown {
    fn from(r: Retention) -> Self {
        Self {
            log: r.log.name(),
            days: r.days,
            since: r.since.to_string(),
            announced: r.announced.map(|(days, at)| Announced { days, takes_effect_at: at.to_string() }),
            events_expired: r.expired,
            marker: r.marker.map(|m| Marker { position: m.position, hash: hex(&m.hash) }),
            kept_by_holds: r.kept.into_iter().map(|k| Kept { hold_id: k.hold.to_string(), segments: k.segments, events: k.events }).collect(),
        }
    }
}

/// Show how long events are kept
///
/// `marker` is the last of the events that a log began with and that are gone: rows are there from the next position on, and the first of them has `marker.hash` as its `previous_hash`.
#[utoipa::path(get, path = "/v1/retention", tag = "Retention", operation_id = "getRetention", security(("key" = ["logs:read"])),
    responses((status = 200, description = "The retention of both logs.", body = schemas::RetentionsAnswer)))]
async fn show(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanReadLogs>) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let shown: Vec<Shown> = app.service.retention(&who.caller).await?.into_iter().map(Shown::from).collect();
    Ok(answer::data(StatusCode::OK, &shown)?)
}

/// Set how long events are kept
///
/// Longer takes effect at once. Shorter is announced, and takes effect after the server's `retention_delay` (7 days, unless it is set otherwise); setting the present value takes that back.
/// The log `activity` is kept for at least 184 days: fewer are for operators of the server.
#[utoipa::path(put, path = "/v1/retention/{log}", tag = "Retention", operation_id = "setRetention", security(("key" = ["project:manage"])),
    params(("log" = String, Path, description = "`events` or `activity`.")),
    request_body(content = schemas::RetentionDays),
    responses((status = 200, description = "The retention as it is now.", body = schemas::RetentionAnswer), (status = 403, description = "The caller may not, or not so few days of `activity`.", body = schemas::Error),
        (status = 404, description = "There is no such log.", body = schemas::Error)))]
async fn set(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageProject>, log: Named, headers: HeaderMap, body: Body) -> Answer {
    let days = days(Object::receive(&app, query.as_deref(), &headers, body, &["days"]).await?)?;
    let name = log.map(|Path(name)| name).unwrap_or_default();
    let log = LogKind::ALL.into_iter().find(|l| l.name() == name).ok_or_else(|| Error::not_found("Log"))?;
    let now = app.service.retention_set(&who.caller, log, days).await?;
    Ok(answer::data(StatusCode::OK, &Shown::from(now))?)
}

/// The name of the path, whatever characters it has.
type Named = Result<Path<String>, PathRejection>;

/// Reads `{"days"}`: a number, or null for ever.
fn days(mut body: Object) -> Result<Option<u64>> {
    if !body.names("days") {
        body.violate("days", "The days field is required; null means for ever.");
    }
    let days = body.whole("days", *RETENTION_DAYS.start(), *RETENTION_DAYS.end());
    body.finish()?;
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_a_number_or_null() {
        let read = |text: &str| Object::parse(text.as_bytes(), &["days"]).and_then(days);
        assert_eq!(read(r#"{"days":90}"#).ok(), Some(Some(90)));
        assert_eq!(read(r#"{"days":null}"#).ok(), Some(None));
        for bad in ["{}", r#"{"days":0}"#, r#"{"days":36501}"#, r#"{"days":1.5}"#, r#"{"days":"90"}"#, r#"{"days":90,"log":"events"}"#, "[]", ""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
