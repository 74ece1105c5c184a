use indelible_model::Error;

use super::*;

fn shown(failed: &Failed) -> String {
    let told = told(failed.error.kind(), failed.note);
    body(failed, &told, "trace", Timestamp::parse("2025-01-15T10:30:00.999Z").expect("a time")).to_string()
}

#[test]
fn kinds_have_one_status_and_code() {
    for (kind, note, status, code) in [
        (Kind::Invalid, Note::None, 422, "VALIDATION_ERROR"),
        (Kind::Malformed, Note::None, 400, "BAD_REQUEST"),
        (Kind::Unauthenticated, Note::NoCredential, 401, "AUTHENTICATION_REQUIRED"),
        (Kind::Unauthenticated, Note::None, 401, "INVALID_API_KEY"),
        (Kind::Unauthenticated, Note::BadToken, 401, "TOKEN_INVALID"),
        (Kind::Forbidden, Note::None, 403, "INSUFFICIENT_PERMISSIONS"),
        (Kind::Forbidden, NOT_YOURS, 403, "ORGANIZATION_ACCESS_DENIED"),
        (Kind::PlanFeature, Note::None, 403, "OPERATION_NOT_ALLOWED"),
        (Kind::PlanLimit, Note::None, 403, "OPERATION_NOT_ALLOWED"),
        (Kind::QuotaExceeded(1), Note::None, 429, "RATE_LIMIT_EXCEEDED"),
        (Kind::RateLimited(1), Note::None, 429, "RATE_LIMIT_EXCEEDED"),
        (Kind::PlanFeature, Note::None, 403, "OPERATION_NOT_ALLOWED"),
        (Kind::PlanLimit, Note::None, 403, "OPERATION_NOT_ALLOWED"),
        (Kind::QuotaExceeded(9), Note::None, 429, "RATE_LIMIT_EXCEEDED"),
        (Kind::RateLimited(9), Note::None, 429, "RATE_LIMIT_EXCEEDED"),
        (Kind::NotFound, Note::None, 404, "NOT_FOUND"),
        (Kind::Conflict, Note::None, 409, "CONFLICT"),
        (Kind::InFlight, Note::None, 409, "CONFLICT"),
        (Kind::KeyReused, Note::None, 422, "VALIDATION_ERROR"),
        (Kind::TooLarge, Note::None, 413, "PAYLOAD_TOO_LARGE"),
        (Kind::MethodNotAllowed, Note::None, 405, "METHOD_NOT_ALLOWED"),
        (Kind::Unsupported, Note::None, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (Kind::Unsupported, Note::OldProtocol, 505, "HTTP_VERSION_NOT_SUPPORTED"),
        (Kind::Unavailable(1), Note::None, 503, "SERVICE_UNAVAILABLE"),
        (Kind::StorageFull(1), Note::None, 507, "STORAGE_FULL"),
        (Kind::SyncFailed, Note::None, 500, "INTERNAL_ERROR"),
        (Kind::Corrupt, Note::None, 500, "INTERNAL_ERROR"),
        (Kind::Internal, Note::None, 500, "INTERNAL_ERROR"),
    ] {
        let told = told(kind, note);
        assert_eq!((told.status.as_u16(), told.code), (status, code));
    }
}

#[test]
fn the_whole_shape() {
    let error = Error::invalid_member("limit", "must be a whole number from 1 to 100.");
    assert_eq!(
        shown(&error.into()),
        r#"{"success":false,"error":{"code":"VALIDATION_ERROR","message":"limit: must be a whole number from 1 to 100.","system_message":"limit: must be a whole number from 1 to 100.","type":"validation_error","status":422,"details":{"errors":{"limit":["must be a whole number from 1 to 100."]}},"trace_id":"trace","timestamp":"2025-01-15T10:30:00Z"}}"#
    );
}

#[test]
fn the_operators_message_stays_inside() {
    let shown = shown(&Error::internal("secret path").into());
    assert!(!shown.contains("secret") && shown.contains(r#""details":{}"#), "{shown}");
}
