use axum::http::HeaderMap;
use indelible_model::{Clock, Ids, Timestamp, Violation};

use super::*;
use crate::request_id::{Form, RequestId};

fn shown_at(failed: &Failed, method: &Method, path: &str) -> String {
    let now = Timestamp::parse("2026-02-10T14:32:15Z").expect("a time");
    let request = RequestId::of(&HeaderMap::new(), &Clock::fixed(now), &Ids::seeded(1), Form::Short);
    let context = Context { request: &request, now, method, path, methods: &["GET", "POST"], loyaltydog_key: false };
    let told = told(failed.error.kind(), failed.note, method);
    body(failed, &told, &context).to_string().replace(request.as_str(), "v-1")
}

fn shown(failed: &Failed) -> String {
    shown_at(failed, &Method::POST, "/v1/exports")
}

#[test]
fn kinds_have_one_status_and_key() {
    for (kind, status, key) in [
        (Kind::Invalid, 400, Some("invalid_payload")),
        (Kind::Malformed, 400, Some("invalid_payload")),
        (Kind::Unauthenticated, 401, Some("unauthorized")),
        (Kind::PlanFeature, 402, Some("missing_required_feature")),
        (Kind::PlanLimit, 403, Some("forbidden")),
        (Kind::Forbidden, 403, Some("forbidden")),
        (Kind::NotFound, 404, Some("not_found")),
        (Kind::MethodNotAllowed, 405, None),
        (Kind::Conflict, 409, Some("duplicate_found")),
        (Kind::InFlight, 409, Some("duplicate_found")),
        (Kind::KeyReused, 409, Some("duplicate_resource_key")),
        (Kind::TooLarge, 413, None),
        (Kind::Unsupported, 415, None),
        (Kind::RateLimited(1), 429, None),
        (Kind::QuotaExceeded(1), 429, Some("quota_exceeded")),
        (Kind::Unavailable(1), 503, None),
        (Kind::StorageFull(1), 507, None),
        (Kind::SyncFailed, 500, None),
        (Kind::Corrupt, 500, None),
        (Kind::Internal, 500, None),
    ] {
        let told = told(kind, Note::None, &Method::POST);
        assert_eq!((told.status.as_u16(), told.key), (status, key), "{kind:?}");
    }
    assert_eq!(told(Kind::Invalid, Note::None, &Method::GET).key, Some("invalid_query_params"));
    assert_eq!(told(Kind::Unsupported, Note::OldProtocol, &Method::GET).status.as_u16(), 505);
}

#[test]
fn a_missing_thing_is_named() {
    let missing: Failed = Error::not_found("Export").into();
    assert_eq!(
        shown_at(&missing, &Method::GET, "/v1/exports/exp_8fN"),
        r#"{"code":404,"key":"not_found","message":"Resource not found","details":"Cannot find export with id exp_8fN","request_id":"v-1","resource_id":"exp_8fN","resource_type":"export"}"#
    );
    let path = shown_at(&Failed::new(Error::new(Kind::NotFound, "There is nothing at this path."), Note::NoPath), &Method::GET, "/v1/exports/a/b");
    assert_eq!(path, r#"{"code":404,"key":"not_found","message":"Resource not found","details":"There is nothing at this path.","request_id":"v-1"}"#);
}

#[test]
fn fixed_shapes() {
    let of = |kind, message: &str| Error::new(kind, message).into();
    assert_eq!(shown(&of(Kind::Unauthenticated, "Which key?")), r#"{"code":401,"key":"unauthorized","message":"Unauthorized"}"#);
    assert_eq!(shown(&of(Kind::RateLimited(3), "Wait.")), r#"{"code":429,"message":"Too many requests hit the API too quickly."}"#);
    assert_eq!(
        shown_at(&of(Kind::MethodNotAllowed, "No."), &Method::PUT, "/v1/exports"),
        r#"{"code":405,"message":"HTTP Method Not Allowed","details":"PUT is not supported by this endpoint. Did you mean GET or POST?","request_id":"v-1"}"#
    );
    assert_eq!(
        shown(&Failed::new(Error::new(Kind::Malformed, "Invalid grant_type"), Note::Named("invalid_grant_type"))),
        r#"{"code":400,"key":"invalid_grant_type","message":"Invalid grant_type","request_id":"v-1"}"#
    );
    assert_eq!(
        shown_at(&of(Kind::Malformed, "Not JSON."), &Method::POST, "/management/v1/projects"),
        r#"{"statusCode":400,"error":"Bad Request","message":"Invalid request payload JSON format"}"#
    );
}

#[test]
fn all_broken_rules_are_told() {
    let error = Error::invalid(vec![Violation::new("order", "is bad."), Violation::new("", "It is no object.")]);
    assert!(shown(&error.into()).contains(r#""details":"Property .order is bad. It is no object.""#));
}

#[test]
fn the_operators_message_stays_inside() {
    let shown = shown(&Error::internal("secret path").into());
    assert!(!shown.contains("secret") && shown.contains(r#""code":500"#), "{shown}");
}
