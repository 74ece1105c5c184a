//! Schedules of exports: make, list, show, change, delete.
//!
//! Never: shows the secret of a destination.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use indelible_model::{Error, LogKind, Result, ScheduleId};
use indelible_service::schedules::{Destination, Every, S3Credentials, SCHEDULE_FIELDS, Schedule, ScheduleChange, ScheduleSpec, Scheduled, Timing, WEEKDAYS};
use indelible_service::{CanExport, CanManageProject, Coding, Format, Layout, S3Place};
use serde::Serialize;
use serde_json::{Map, Value};
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
const SPEC: &[&str] = &["name", "every", "at", "weekday", "day", "log", "format", "compression", "filter", "destination"];
const CHANGE: &[&str] = &["name", "every", "at", "weekday", "day", "active", "destination"];
const TIMING: &[&str] = &["every", "at", "weekday", "day"];
const FILTER: &[&str] = &["action", "actor_id", "target_type", "target_id", "organization_id", "search"];
const DESTINATION: &[&str] = &["bucket", "prefix", "region", "endpoint", "path_style", "access_key_id", "secret_access_key"];

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(list, create)).routes(route!(show, change, delete))
}

#[derive(Serialize)]
struct Shown {
    id: String,
    name: String,
    active: bool,
    #[serde(flatten)]
    what: Map<String, Value>,
    destination: Option<Value>,
    asked_by: Value,
    /// Up to where the last run went.
    position: u64,
    last_export: Option<String>,
    runs: u64,
    next_at: String,
    created_at: String,
}

impl From<Schedule> for Shown {
    fn from(schedule: Schedule) -> Self {
        Self {
            id: schedule.id.to_string(),
            name: schedule.name,
            active: schedule.active,
            what: schedule.what.to_json(),
            destination: schedule.destination.as_ref().map(Destination::to_json),
            asked_by: schedule.asked_by,
            position: schedule.position,
            last_export: schedule.last_export.map(|id| id.to_string()),
            runs: schedule.runs,
            next_at: schedule.next_at.to_string(),
            created_at: schedule.created_at.to_string(),
        }
    }
}

/// Make a schedule
///
/// An export that begins by itself, daily, weekly or monthly, each time with the events that came since the last one; the first time with all that the log has. Runs that were missed
/// are made up. A schedule has the rights of whoever makes it, so it needs the scope `export` as well, and `logs:read` for the log `activity`.
#[utoipa::path(post, path = "/v1/schedules", tag = "Exports", operation_id = "createSchedule", security(("key" = ["project:manage", "export"])),
    request_body(content = schemas::NewSchedule),
    responses((status = 201, description = "The schedule.", body = schemas::ScheduleAnswer)))]
async fn create(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageProject>, headers: HeaderMap, body: Body) -> Answer {
    let spec = spec(Object::receive(&app, query.as_deref(), &headers, body, SPEC).await?)?;
    let schedule = app.service.schedule_create(&who.caller, spec).await?;
    Ok(answer::data(StatusCode::CREATED, &Shown::from(schedule))?)
}

/// List schedules
///
/// Oldest first. `GET /v1/exports` shows what they made.
#[utoipa::path(get, path = "/v1/schedules", tag = "Exports", operation_id = "listSchedules", security(("key" = ["export"])),
    responses((status = 200, description = "All schedules that the credential sees.", body = schemas::SchedulesAnswer)))]
async fn list(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanExport>) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let schedules: Vec<Shown> = app.service.schedules(&who.caller).await?.into_iter().map(Shown::from).collect();
    Ok(answer::data(StatusCode::OK, &schedules)?)
}

/// Show a schedule
#[utoipa::path(get, path = "/v1/schedules/{id}", tag = "Exports", operation_id = "getSchedule", security(("key" = ["export"])),
    params(("id" = String, Path, description = "`sch_` and 32 hex digits.")),
    responses((status = 200, description = "The schedule.", body = schemas::ScheduleAnswer), (status = 404, description = "There is no such schedule in this project.", body = schemas::Error)))]
async fn show(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanExport>, id: Named) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let schedule = app.service.schedule(&who.caller, schedule_id(id)?).await?;
    Ok(answer::data(StatusCode::OK, &Shown::from(schedule))?)
}

/// Change a schedule
///
/// What is left out stays. With another time (`every`, `at` and the day, all together), or when it is let run again, it is next due as if it were made now; it goes on where it stands in the log.
/// Who lets it run again becomes the one with whose rights it runs.
#[utoipa::path(patch, path = "/v1/schedules/{id}", tag = "Exports", operation_id = "changeSchedule", security(("key" = ["project:manage"])),
    params(("id" = String, Path, description = "`sch_` and 32 hex digits.")),
    request_body(content = schemas::ScheduleChange),
    responses((status = 200, description = "The schedule.", body = schemas::ScheduleAnswer), (status = 404, description = "There is no such schedule in this project.", body = schemas::Error)))]
async fn change(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageProject>, id: Named, headers: HeaderMap, body: Body) -> Answer {
    let wanted = wanted(Object::receive(&app, query.as_deref(), &headers, body, CHANGE).await?)?;
    let schedule = app.service.schedule_change(&who.caller, schedule_id(id)?, wanted).await?;
    Ok(answer::data(StatusCode::OK, &Shown::from(schedule))?)
}

/// Delete a schedule
///
/// Its exports stay, and so do the files in its bucket.
#[utoipa::path(delete, path = "/v1/schedules/{id}", tag = "Exports", operation_id = "deleteSchedule", security(("key" = ["project:manage"])),
    params(("id" = String, Path, description = "`sch_` and 32 hex digits.")),
    responses((status = 204, description = "It is gone."), (status = 404, description = "There is no such schedule in this project.", body = schemas::Error)))]
async fn delete(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageProject>, id: Named) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    app.service.schedule_delete(&who.caller, schedule_id(id)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The id of the path, whatever characters it has.
type Named = Result<Path<String>, PathRejection>;

fn schedule_id(path: Named) -> Result<ScheduleId> {
    path.ok().and_then(|Path(id)| ScheduleId::parse(&id)).ok_or_else(|| Error::not_found("Schedule"))
}

fn spec(mut body: Object) -> Result<ScheduleSpec> {
    let name = body.required("name", MAX_TEXT);
    let timing = timing(&mut body);
    let log = body.text("log", MAX_TEXT).map_or(Some(LogKind::Events), |name| LogKind::ALL.into_iter().find(|l| l.name() == name));
    if log.is_none() {
        body.violate("log", "must be events or activity.");
    }
    let format = body.text("format", MAX_TEXT).map_or(Some(Format::Csv(Layout::LogProof)), |name| Scheduled::format(&name));
    if format.is_none() {
        body.violate("format", "must be csv, json, ndjson or parquet.");
    }
    let coding = body.text("compression", MAX_TEXT).map_or(Some(Coding::Identity), |name| Scheduled::coding(&name));
    if coding.is_none() {
        body.violate("compression", "must be none, gzip or zstd.");
    }
    let (mut fields, mut search) = (Vec::new(), None);
    if let Some(mut inner) = body.object("filter", FILTER) {
        fields = SCHEDULE_FIELDS.into_iter().filter_map(|field| Some((field, inner.text(field.column(), MAX_TEXT)?))).collect();
        search = inner.text("search", MAX_TEXT);
        body.close("filter", inner);
    }
    let destination = destination(&mut body);
    body.finish()?;
    // Whatever is missing here was a violation.
    let missing = || Error::internal("a schedule that was not read whole");
    let what =
        Scheduled { timing: timing.ok_or_else(missing)?, log: log.ok_or_else(missing)?, format: format.ok_or_else(missing)?, coding: coding.ok_or_else(missing)?, fields, search };
    Ok(ScheduleSpec { name, what, destination })
}

fn wanted(mut body: Object) -> Result<ScheduleChange> {
    let name = body.text("name", MAX_TEXT);
    let timing = if TIMING.iter().any(|member| body.names(member)) { timing(&mut body) } else { None };
    let active = body.flag("active");
    let destination = body.names("destination").then(|| destination(&mut body));
    body.finish()?;
    Ok(ScheduleChange { name, timing, active, destination })
}

/// When a schedule runs; `None` only if something is wrong with that, which is noted.
fn timing(body: &mut Object) -> Option<Timing> {
    let minute = Timing::read_minute(&body.required("at", MAX_TEXT));
    if minute.is_none() {
        body.violate("at", "must be a time of the day in UTC, as HH:MM.");
    }
    let weekday = body.text("weekday", MAX_TEXT);
    let day = body.whole("day", 1, 31);
    let named = weekday.as_deref().map(|name| WEEKDAYS.iter().position(|d| *d == name).and_then(|at| u8::try_from(at).ok()));
    if named == Some(None) {
        body.violate("weekday", format!("must be one of {}.", WEEKDAYS.join(", ")));
    }
    let every = match (body.required("every", MAX_TEXT).as_str(), named.flatten(), day.and_then(|d| u8::try_from(d).ok())) {
        ("daily", None, None) => Some(Every::Day),
        ("weekly", Some(day), None) => Some(Every::Week(day)),
        ("monthly", None, Some(day)) => Some(Every::Month(day)),
        _ => None,
    };
    if every.is_none() {
        body.violate("every", "must be daily, weekly with a weekday, or monthly with a day.");
    }
    Some(Timing { every: every?, minute: minute? })
}

/// Where files go; `None` for nowhere.
fn destination(body: &mut Object) -> Option<Destination> {
    let mut inner = body.object("destination", DESTINATION)?;
    let endpoint = inner.text("endpoint", MAX_TEXT).map(|url| url.trim_end_matches('/').to_owned());
    let place = S3Place {
        bucket: inner.required("bucket", MAX_TEXT),
        prefix: inner.text("prefix", MAX_TEXT).map(|p| p.trim_matches('/').to_owned()).unwrap_or_default(),
        region: inner.text("region", MAX_TEXT).unwrap_or_else(|| "us-east-1".to_owned()),
        public_endpoint: None,
        path_style: inner.flag("path_style").unwrap_or(endpoint.is_some()),
        endpoint,
    };
    let credentials = S3Credentials { access_key_id: inner.required("access_key_id", MAX_TEXT), secret_access_key: inner.required("secret_access_key", MAX_TEXT) };
    body.close("destination", inner);
    Some(Destination { place, credentials })
}

#[cfg(test)]
mod tests;
