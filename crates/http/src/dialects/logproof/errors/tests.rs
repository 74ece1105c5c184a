use indelible_model::Error;

use super::*;

fn text(failed: &Failed) -> String {
    body(failed, status(failed.error.kind(), failed.note).1).to_string()
}

#[test]
fn kinds_have_one_status_and_type() {
    for (kind, code, name) in [
        (Kind::Invalid, 422, "validation_error"),
        (Kind::Malformed, 422, "validation_error"),
        (Kind::Unauthenticated, 401, "authentication_error"),
        (Kind::Forbidden, 403, "scope_error"),
        (Kind::PlanFeature, 403, "plan_feature_unavailable"),
        (Kind::PlanLimit, 403, "plan_limit_exceeded"),
        (Kind::QuotaExceeded(9), 429, "plan_limit_exceeded"),
        (Kind::RateLimited(9), 429, "rate_limit_exceeded"),
        (Kind::NotFound, 404, "not_found"),
        (Kind::Conflict, 409, "conflict"),
        (Kind::InFlight, 409, "conflict"),
        (Kind::KeyReused, 422, "validation_error"),
        (Kind::TooLarge, 413, "payload_too_large"),
        (Kind::MethodNotAllowed, 405, "method_not_allowed"),
        (Kind::Unsupported, 415, "unsupported_media_type"),
        (Kind::Unavailable(3), 503, "unavailable"),
        (Kind::StorageFull(3), 507, "storage_full"),
        (Kind::SyncFailed, 500, "server_error"),
        (Kind::Corrupt, 500, "server_error"),
        (Kind::Internal, 500, "server_error"),
    ] {
        let (status, found) = status(kind, Note::None);
        assert_eq!((status.as_u16(), found), (code, name));
    }
    assert_eq!(status(Kind::Unsupported, Note::OldProtocol).0.as_u16(), 505);
}

#[test]
fn violations_are_grouped_by_member() {
    let at = |index, member: &str, message: &str| Violation { index, ..Violation::new(member, message) };
    let error = Error::invalid(vec![
        at(None, "action", "is bad."),
        at(None, "action", "is worse."),
        at(None, "", "is no object."),
        at(Some(3), "actor.id", "must be a string."),
        at(Some(4), "", "x"),
    ]);
    assert_eq!(
        text(&error.into()),
        r#"{"error":{"type":"validation_error","message":"action: is bad.","errors":{"action":["is bad.","is worse."],"body":["is no object."],"events.3.actor.id":["must be a string."],"events.4":["x"]}}}"#
    );
}

#[test]
fn a_bulk_request_lists_index_and_line() {
    let error = Error::invalid(vec![Violation { index: Some(1), line: Some(3), ..Violation::new("action", "is bad.") }]);
    assert_eq!(
        text(&Failed::new(error, Note::FirstOf(250))),
        r#"{"error":{"type":"validation_error","message":"events.1.action: is bad.","errors":{"events.1.action":["is bad."]},"violation_count":250,"violations":[{"index":1,"line":3,"member":"action","message":"is bad."}]}}"#
    );
}

#[test]
fn the_operators_message_stays_inside() {
    let shown = text(&Error::internal("secret path").maybe_happened().into());
    assert!(!shown.contains("secret") && shown.contains("may have been stored"), "{shown}");
}
