//! Failures in LogProof's shape: `{"error":{"type","message","errors"}}`. Native paths use it as well.
//!
//! Never: the operator's message.

use axum::http::StatusCode;
use axum::response::Response;
use indelible_model::{Kind, Violation};
use serde_json::{Map, Value, json};

use crate::answer;
use crate::failed::{Failed, Note};

/// The status and the `type` of a kind.
fn status(kind: Kind, note: Note) -> (StatusCode, &'static str) {
    match kind {
        _ if note == Note::OldProtocol => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "http_version_not_supported"),
        Kind::Invalid | Kind::Malformed | Kind::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "validation_error"),
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "authentication_error"),
        Kind::Forbidden => (StatusCode::FORBIDDEN, "scope_error"),
        Kind::PlanFeature => (StatusCode::FORBIDDEN, "plan_feature_unavailable"),
        Kind::PlanLimit => (StatusCode::FORBIDDEN, "plan_limit_exceeded"),
        Kind::QuotaExceeded(_) => (StatusCode::TOO_MANY_REQUESTS, "plan_limit_exceeded"),
        Kind::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded"),
        Kind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        Kind::Conflict | Kind::InFlight => (StatusCode::CONFLICT, "conflict"),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
        Kind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
        Kind::Unsupported => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
        Kind::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Kind::StorageFull(_) => (StatusCode::INSUFFICIENT_STORAGE, "storage_full"),
        Kind::SyncFailed | Kind::Corrupt | Kind::Gone | Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
    }
}

/// The answer to a failed request.
pub(crate) fn render(failed: &Failed) -> Response {
    let (status, name) = status(failed.error.kind(), failed.note);
    answer::json(status, body(failed, name).to_string())
}

fn body(failed: &Failed, name: &str) -> Value {
    let error = &failed.error;
    let mut message = match error.violations().first() {
        Some(v @ Violation { index: Some(_), .. }) => format!("{}: {}", place(v), v.message),
        _ => error.public().to_owned(),
    };
    if error.may_have_happened() {
        message.push_str(" It may have been stored all the same: repeat the call only with the same Idempotency-Key or external_id.");
    }
    let mut body = Map::new();
    body.insert("type".to_owned(), name.into());
    body.insert("message".to_owned(), message.into());
    if !error.violations().is_empty() {
        body.insert("errors".to_owned(), errors(error.violations()));
    }
    if let Note::FirstOf(total) = failed.note {
        body.insert("violation_count".to_owned(), total.into());
        body.insert("violations".to_owned(), error.violations().iter().map(violation).collect());
    }
    json!({ "error": body })
}

/// The member in the input; that of a batch's event is `events.<index>.<member>`.
fn place(v: &Violation) -> String {
    match (v.index, v.member.as_str()) {
        (None, "") => "body".to_owned(),
        (None, member) => member.to_owned(),
        (Some(index), "") => format!("events.{index}"),
        (Some(index), member) => format!("events.{index}.{member}"),
    }
}

/// Messages by member.
fn errors(violations: &[Violation]) -> Value {
    let mut members: Map<String, Value> = Map::new();
    for v in violations {
        if let Value::Array(messages) = members.entry(place(v)).or_insert_with(|| Value::Array(Vec::new())) {
            messages.push(v.message.clone().into());
        }
    }
    Value::Object(members)
}

fn violation(v: &Violation) -> Value {
    let mut out = Map::new();
    if let Some(index) = v.index {
        out.insert("index".to_owned(), index.into());
    }
    if let Some(line) = v.line {
        out.insert("line".to_owned(), line.into());
    }
    out.insert("member".to_owned(), v.member.clone().into());
    out.insert("message".to_owned(), v.message.clone().into());
    Value::Object(out)
}

#[cfg(test)]
mod tests;
