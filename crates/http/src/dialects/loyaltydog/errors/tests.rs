use axum::http::{HeaderMap, HeaderValue};
use indelible_model::{Clock, Ids, Timestamp, Violation};

use super::*;
use crate::request_id::{Form, RequestId, X_REQUEST_ID};

fn shown(failed: &Failed, loyaltydog_key: bool) -> String {
    let now = Timestamp::parse("2026-02-10T14:32:15Z").expect("a time");
    let headers: HeaderMap = [(X_REQUEST_ID.parse().expect("a name"), HeaderValue::from_static("r1"))].into_iter().collect();
    let request = RequestId::of(&headers, &Clock::fixed(now), &Ids::seeded(1), Form::Uuid);
    let context = Context { request: &request, now, method: &Method::POST, path: "/v2/token", methods: &[], loyaltydog_key };
    let (_, code) = told(failed.error.kind(), failed.note);
    body(failed, code, &context)
}

#[test]
fn kinds_have_one_status_and_code() {
    for (kind, status, code) in [
        (Kind::Invalid, 422, "validation_error"),
        (Kind::Malformed, 400, "bad_request"),
        (Kind::Unauthenticated, 401, "unauthorized"),
        (Kind::PlanFeature, 402, "api_subscription_inactive"),
        (Kind::PlanLimit, 403, "forbidden"),
        (Kind::Forbidden, 403, "forbidden"),
        (Kind::NotFound, 404, "not_found"),
        (Kind::MethodNotAllowed, 405, "method_not_allowed"),
        (Kind::Conflict, 409, "conflict"),
        (Kind::InFlight, 409, "conflict"),
        (Kind::KeyReused, 409, "conflict"),
        (Kind::TooLarge, 413, "payload_too_large"),
        (Kind::Unsupported, 415, "unsupported_media_type"),
        (Kind::RateLimited(1), 429, "rate_limited"),
        (Kind::QuotaExceeded(1), 429, "monthly_quota_exceeded"),
        (Kind::Unavailable(1), 503, "unavailable"),
        (Kind::StorageFull(1), 507, "storage_full"),
        (Kind::SyncFailed, 500, "internal_error"),
        (Kind::Corrupt, 500, "internal_error"),
        (Kind::Internal, 500, "internal_error"),
    ] {
        let (found, name) = told(kind, Note::None);
        assert_eq!((found.as_u16(), name), (status, code), "{kind:?}");
    }
    assert_eq!(told(Kind::Unsupported, Note::OldProtocol).0.as_u16(), 505);
}

#[test]
fn the_credential_decides_the_shape() {
    let missing: Failed = Error::not_found("Export task").into();
    assert_eq!(shown(&missing, false), r#"{"detail":"Export task not found"}"#);
    assert_eq!(shown(&missing, true), r#"{"code":"not_found","message":"Export task not found","request_id":"r1"}"#);
    let refused: Failed = Error::new(Kind::Unauthenticated, "No such key.").into();
    assert_eq!(shown(&refused, true), r#"{"code":"unauthorized","message":"Invalid credentials","request_id":"r1"}"#);
}

#[test]
fn fastapi_words() {
    let of = |kind, note| shown(&Failed::new(Error::new(kind, "Our words."), note), false);
    assert_eq!(of(Kind::NotFound, Note::NoPath), r#"{"detail":"Not Found"}"#);
    assert_eq!(of(Kind::MethodNotAllowed, Note::None), r#"{"detail":"Method Not Allowed"}"#);
    assert_eq!(of(Kind::Unauthenticated, Note::NoCredential), r#"{"detail":"Not authenticated"}"#);
    let error = Error::invalid(vec![Violation::new("client_id", "must be one of yours."), Violation::new("", "is odd.")]);
    assert_eq!(
        shown(&error.into(), false),
        r#"{"detail":[{"type":"value_error","loc":["body","client_id"],"msg":"must be one of yours"},{"type":"value_error","loc":["body"],"msg":"is odd"}]}"#
    );
}

#[test]
fn the_operators_message_stays_inside() {
    for key in [true, false] {
        assert!(!shown(&Error::internal("secret path").into(), key).contains("secret"));
    }
}
