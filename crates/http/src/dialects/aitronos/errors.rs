//! Failures in Aitronos' shape.
//!
//! Never: the operator's message; `system_message` is technical, but public.

use axum::http::StatusCode;
use axum::response::Response;
use indelible_model::{Kind, Timestamp, Violation};
use serde_json::{Map, Value, json};

use super::wire;
use crate::answer;
use crate::dialects::Context;
use crate::failed::{Failed, Note};

/// The caller asked for an organization that is not theirs.
pub(super) const NOT_YOURS: Note = Note::Named("ORGANIZATION_ACCESS_DENIED");

/// How a kind is told: status, code, type, and the text for people where the dialect has a fixed one.
struct Told {
    status: StatusCode,
    code: &'static str,
    kind: &'static str,
    message: Option<&'static str>,
}

fn told(kind: Kind, note: Note) -> Told {
    let plain = |status, code, kind| Told { status, code, kind, message: None };
    match kind {
        _ if note == Note::OldProtocol => plain(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "HTTP_VERSION_NOT_SUPPORTED", "validation_error"),
        Kind::Invalid | Kind::KeyReused => plain(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_ERROR", "validation_error"),
        Kind::Malformed => plain(StatusCode::BAD_REQUEST, "BAD_REQUEST", "validation_error"),
        Kind::Unauthenticated if note == Note::NoCredential => {
            Told { message: Some("Please sign in to continue"), ..plain(StatusCode::UNAUTHORIZED, "AUTHENTICATION_REQUIRED", "authentication_error") }
        }
        Kind::Unauthenticated if note == Note::BadToken => {
            Told { message: Some("Please sign in again"), ..plain(StatusCode::UNAUTHORIZED, "TOKEN_INVALID", "authentication_error") }
        }
        Kind::Unauthenticated => Told { message: Some("Your API key is invalid"), ..plain(StatusCode::UNAUTHORIZED, "INVALID_API_KEY", "authentication_error") },
        Kind::Forbidden if note == NOT_YOURS => {
            Told { message: Some("You don't have access to this organization"), ..plain(StatusCode::FORBIDDEN, "ORGANIZATION_ACCESS_DENIED", "authorization_error") }
        }
        Kind::Forbidden => {
            Told { message: Some("You don't have permission to perform this action"), ..plain(StatusCode::FORBIDDEN, "INSUFFICIENT_PERMISSIONS", "authorization_error") }
        }
        Kind::PlanFeature | Kind::PlanLimit => plain(StatusCode::FORBIDDEN, "OPERATION_NOT_ALLOWED", "authorization_error"),
        Kind::QuotaExceeded(_) | Kind::RateLimited(_) => plain(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED", "rate_limit_error"),
        Kind::NotFound => plain(StatusCode::NOT_FOUND, "NOT_FOUND", "not_found_error"),
        Kind::Conflict | Kind::InFlight => plain(StatusCode::CONFLICT, "CONFLICT", "conflict_error"),
        Kind::TooLarge => plain(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", "validation_error"),
        Kind::MethodNotAllowed => plain(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "validation_error"),
        Kind::Unsupported => plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", "validation_error"),
        Kind::Unavailable(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", "server_error"),
        Kind::StorageFull(_) => plain(StatusCode::INSUFFICIENT_STORAGE, "STORAGE_FULL", "server_error"),
        Kind::SyncFailed | Kind::Corrupt | Kind::Gone | Kind::Internal => plain(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "server_error"),
    }
}

/// The answer to a failed request.
pub(crate) fn render(failed: &Failed, context: &Context<'_>) -> Response {
    let told = told(failed.error.kind(), failed.note);
    answer::json(told.status, body(failed, &told, &context.request.as_uuid(), context.now).to_string())
}

fn body(failed: &Failed, told: &Told, trace: &str, now: Timestamp) -> Value {
    let public = failed.error.public();
    json!({
        "success": false,
        "error": {
            "code": told.code,
            "message": told.message.unwrap_or(public),
            "system_message": public,
            "type": told.kind,
            "status": told.status.as_u16(),
            "details": details(failed.error.violations()),
            "trace_id": trace,
            "timestamp": wire::second(now),
        }
    })
}

fn details(violations: &[Violation]) -> Value {
    let mut members: Map<String, Value> = Map::new();
    for v in violations {
        if let Value::Array(messages) = members.entry(v.member.clone()).or_insert_with(|| Value::Array(Vec::new())) {
            messages.push(v.message.clone().into());
        }
    }
    if members.is_empty() { json!({}) } else { json!({ "errors": members }) }
}

#[cfg(test)]
mod tests;
