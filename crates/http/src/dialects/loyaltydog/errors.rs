//! Failures in LoyaltyDog's two shapes: `{"code","message","request_id"}` for its own keys, `{"detail"}` for everybody else.
//!
//! Never: the operator's message.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use indelible_model::{Error, Kind};
use serde_json::{Value, json};

use crate::answer;
use crate::dialects::Context;
use crate::failed::{Failed, Note};

/// The status of a kind, and the code that the keys' shape has for it.
fn told(kind: Kind, note: Note) -> (StatusCode, &'static str) {
    match kind {
        _ if note == Note::OldProtocol => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "http_version_not_supported"),
        Kind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "validation_error"),
        Kind::Malformed => (StatusCode::BAD_REQUEST, "bad_request"),
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthorized"),
        Kind::PlanFeature => (StatusCode::PAYMENT_REQUIRED, "api_subscription_inactive"),
        Kind::Forbidden | Kind::PlanLimit => (StatusCode::FORBIDDEN, "forbidden"),
        Kind::NotFound | Kind::Gone => (StatusCode::NOT_FOUND, "not_found"),
        Kind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
        Kind::Conflict | Kind::InFlight | Kind::KeyReused => (StatusCode::CONFLICT, "conflict"),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
        Kind::Unsupported => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
        Kind::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
        Kind::QuotaExceeded(_) => (StatusCode::TOO_MANY_REQUESTS, "monthly_quota_exceeded"),
        Kind::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Kind::StorageFull(_) => (StatusCode::INSUFFICIENT_STORAGE, "storage_full"),
        Kind::SyncFailed | Kind::Corrupt | Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
    }
}

/// The answer to a failed request.
pub(crate) fn render(failed: &Failed, context: &Context<'_>) -> Response {
    let (status, code) = told(failed.error.kind(), failed.note);
    answer::json(status, body(failed, code, context))
}

fn body(failed: &Failed, code: &str, context: &Context<'_>) -> String {
    match &failed.detail {
        _ if context.loyaltydog_key => of_key(failed, code, context).to_string(),
        Some(list) => format!("{{\"detail\":{list}}}"),
        None => detail(failed, context.method).to_string(),
    }
}

fn of_key(failed: &Failed, code: &str, context: &Context<'_>) -> Value {
    let message = if failed.error.kind() == Kind::Unauthenticated { "Invalid credentials" } else { text(failed) };
    json!({ "code": code, "message": message, "request_id": context.request.as_str() })
}

fn detail(failed: &Failed, method: &Method) -> Value {
    let violations = failed.error.violations();
    if violations.is_empty() { json!({ "detail": text(failed) }) } else { json!({ "detail": list(&failed.error, method) }) }
}

/// One text for people, without a full stop as FastAPI has it.
fn text(failed: &Failed) -> &str {
    match (failed.error.kind(), failed.note) {
        (Kind::NotFound, Note::NoPath) => "Not Found",
        (Kind::MethodNotAllowed, _) => "Method Not Allowed",
        (Kind::Unauthenticated, Note::NoCredential) => "Not authenticated",
        _ => failed.error.public().trim_end_matches('.'),
    }
}

/// The broken rules of the domain in the form of Pydantic's: where, what, and which rule.
fn list(error: &Error, method: &Method) -> Vec<Value> {
    let part = if matches!(*method, Method::GET | Method::HEAD | Method::DELETE) { "query" } else { "body" };
    let one = |member: &str, message: &str| {
        let place: Vec<&str> = std::iter::once(part).chain(member.split('.').filter(|m| !m.is_empty())).collect();
        json!({ "type": "value_error", "loc": place, "msg": message.trim_end_matches('.') })
    };
    error.violations().iter().map(|v| one(&v.member, &v.message)).collect()
}

#[cfg(test)]
mod tests;
