//! The API log: what was asked of the server and what changed in it, newest first.
//!
//! Promises: reads the log `activity` alone. Never: an event of another project, or of an organization that the credential is not bound to.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use indelible_model::fields::Field;
use indelible_model::query::{Term, Test};
use indelible_model::search::Needle;
use indelible_model::time::End;
use indelible_model::{Error, EventId, Filter, Limits, LogKind, Order, Query, Result, Timestamp};
use indelible_service::CanReadLogs;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use crate::answer;
use crate::app::Shared;
use crate::auth::Authorized;
use crate::dialects::logproof::{self, Cursor};
use crate::failed::Answer;
use crate::openapi::schemas;
use crate::query::Params;

/// What a list allows.
pub(crate) const LIST: &[&str] = &["status", "method", "endpoint", "channel", "user", "key", "request_id", "action", "body", "from", "to", "per_page", "cursor"];
const PER_PAGE: u64 = 25;
const MAX_PER_PAGE: u64 = 100;
/// How far back a list goes unless it says from when.
const DAY_MICROS: i64 = 86_400 * 1_000_000;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(list)).routes(route!(show))
}

/// List the API log
///
/// What was asked of the server in this project, and what changed in it, newest first; the last 24 hours unless `from` says otherwise.
/// `meta.next_cursor` leads to the next, older page.
#[utoipa::path(get, path = "/v1/logs", tag = "Native", operation_id = "listLogs", security(("key" = ["logs:read"])),
    params(schemas::LogParams),
    responses((status = 200, description = "A page.", body = schemas::EventPage)))]
async fn list(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanReadLogs>) -> Answer {
    let query = translate(query.as_deref(), app.service.clock().now(), app.service.limits())?;
    logproof::page(&app, &who.caller, query).await
}

/// Show one entry of the API log
#[utoipa::path(get, path = "/v1/logs/{id}", tag = "Native", operation_id = "getLog", security(("key" = ["logs:read"])),
    params(("id" = String, Path, description = "`evt_` and 32 hex digits.")),
    responses((status = 200, description = "The entry, with the bodies as far as they were kept.", body = schemas::EventAnswer),
        (status = 404, description = "There is no such entry in this project.", body = schemas::Error)))]
async fn show(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanReadLogs>, id: Result<Path<String>, PathRejection>) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let id = id.ok().and_then(|Path(id)| EventId::parse(&id)).ok_or_else(|| Error::not_found("Event"))?;
    let line = app.service.event(&who.caller, &[LogKind::Activity], id).await?;
    Ok(answer::json(StatusCode::OK, [b"{\"data\":", &line[..], b"}"].concat()))
}

/// A page of the API log.
fn translate(raw: Option<&str>, now: Timestamp, limits: &Limits) -> Result<Query> {
    let mut params = Params::parse(raw, LIST, limits)?;
    let to = params.bound("to", End::To);
    let from = params.bound("from", End::From).or_else(|| Some(Timestamp::clamped(to.unwrap_or(now).micros().saturating_sub(DAY_MICROS))));
    let mut filter = Filter { from, to, ..Filter::default() };
    if let Some(text) = params.text("status") {
        match status(&text) {
            Some(test) => filter.test(Field::HttpStatus, test),
            None => params.violate("status", "must be a status such as 404, a class such as 4xx, success or failure."),
        }
    }
    if let Some(method) = params.text("method") {
        filter.equals(Field::HttpMethod, method.to_ascii_uppercase());
    }
    for (name, field) in [("endpoint", Field::HttpEndpoint), ("action", Field::Action)] {
        if let Some(value) = params.text(name) {
            filter.test(field, Test::exact_or_wildcard(&value));
        }
    }
    for (name, field) in [("channel", Field::HttpChannel), ("request_id", Field::RequestId)] {
        if let Some(value) = params.text(name) {
            filter.equals(field, value);
        }
    }
    for (name, fields) in [("user", vec![Field::ActorEmail, Field::ActorId]), ("key", vec![Field::ActorName, Field::ActorId, Field::AppId, Field::ClientAppId])] {
        if let Some(value) = params.text(name) {
            filter.terms.push(Term { any_of: fields, test: Test::OneOf(vec![value]), not: false });
        }
    }
    if let Some(text) = params.search("body") {
        filter.terms.push(Term { any_of: vec![Field::RequestBody, Field::ResponseBody], test: Test::Contains(Needle::new(&text)), not: false });
    }
    let limit = params.number("per_page", 1, MAX_PER_PAGE).unwrap_or(PER_PAGE);
    let mut before = None;
    if let Some(text) = params.text("cursor") {
        match Cursor::decode(&text).filter(|c| c.log == LogKind::Activity) {
            Some(cursor) => before = Some(cursor.before),
            None => params.violate("cursor", "is not a cursor of this list."),
        }
    }
    params.finish()?;
    Ok(Query { filter, order: Order::Descending, before, limit: Some(limit), ..Query::all(LogKind::Activity) })
}

fn status(text: &str) -> Option<Test> {
    let starts = |starts: &[&str]| Some(Test::StartsWith(starts.iter().map(|&s| s.to_owned()).collect()));
    match text.to_ascii_lowercase().as_str() {
        "success" => starts(&["2", "3"]),
        "failure" => starts(&["4", "5"]),
        class if class.len() == 3 && class.ends_with("xx") && class.starts_with(|c: char| ('1'..='5').contains(&c)) => starts(&[&class[..1]]),
        code if code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()) => Some(Test::OneOf(vec![code.to_owned()])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(raw: &str) -> Result<Query> {
        translate(Some(raw), Timestamp::clamped(10 * DAY_MICROS), &Limits::default())
    }

    fn members(raw: &str) -> Vec<String> {
        of(raw).expect_err("refused").violations().iter().map(|v| v.member.clone()).collect()
    }

    #[test]
    fn a_list_is_of_the_last_day() {
        let query = of("").expect("valid");
        assert_eq!((query.log, query.order, query.limit, query.before), (LogKind::Activity, Order::Descending, Some(25), None));
        assert_eq!((query.filter.from, query.filter.to, query.filter.terms.len()), (Some(Timestamp::clamped(9 * DAY_MICROS)), None, 0));
        let from = |raw| of(raw).expect("valid").filter.from.map(Timestamp::micros);
        assert_eq!(from("to=1970-01-03T00:00:00Z"), Some(DAY_MICROS));
        assert_eq!(from("from=1970-01-01"), Some(0));
    }

    #[test]
    fn statuses() {
        for (text, yes, no) in [("404", "404", "400"), ("4xx", "404", "504"), ("5XX", "503", "200"), ("success", "302", "404"), ("Failure", "500", "200")] {
            let test = status(text).expect(text);
            assert!(test.passes(yes) && !test.passes(no), "{text}");
        }
        for wrong in ["", "40", "4000", "6xx", "xx", "ok", "4x4", "+04"] {
            assert!(status(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn every_parameter_is_a_filter_or_refused() {
        let query = of("status=4xx&method=get&endpoint=GET_v1_*&channel=API&user=a@b.c&key=k&request_id=r&action=events.*&body=x&per_page=100").expect("valid");
        assert_eq!((query.filter.terms.len(), query.limit), (9, Some(100)));
        let method = &query.filter.terms[1];
        assert!(method.any_of == [Field::HttpMethod] && method.test.passes("GET"));
        let other = Cursor { log: LogKind::Events, before: 3 }.encode();
        assert_eq!(members(&format!("status=x&per_page=0&cursor={other}&log=events&search=x")), ["log", "search", "status", "per_page", "cursor"]);
        assert_eq!(of(&format!("cursor={}", Cursor { log: LogKind::Activity, before: 3 }.encode())).expect("valid").before, Some(3));
    }
}
