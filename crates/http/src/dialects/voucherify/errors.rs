//! Failures in Voucherify's shape: `{"code","key","message","details","request_id","resource_id","resource_type"}`.
//!
//! Never: the operator's message.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use indelible_model::{Error, Kind};
use serde_json::{Map, Value, json};

use crate::answer;
use crate::dialects::Context;
use crate::failed::{Failed, Note};

/// Failures with a message of their own beside what is wrong.
const TITLES: [(&str, &str); 1] = [("invalid_export_fields", "Invalid Export")];

/// How a kind is told: status, key, and the message, which is the same for all failures of a kind.
struct Told {
    status: StatusCode,
    key: Option<&'static str>,
    message: &'static str,
}

fn told(kind: Kind, note: Note, method: &Method) -> Told {
    let with = |status, key, message| Told { status, key: Some(key), message };
    let bare = |status, message| Told { status, key: None, message };
    match kind {
        _ if note == Note::OldProtocol => bare(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "HTTP Version Not Supported"),
        Kind::Invalid if has_query(method) => with(StatusCode::BAD_REQUEST, "invalid_query_params", "Invalid query params"),
        Kind::Invalid | Kind::Malformed => with(StatusCode::BAD_REQUEST, "invalid_payload", "Invalid payload"),
        Kind::Unauthenticated => with(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized"),
        Kind::PlanFeature => with(StatusCode::PAYMENT_REQUIRED, "missing_required_feature", "Payment required"),
        Kind::Forbidden | Kind::PlanLimit => with(StatusCode::FORBIDDEN, "forbidden", "Forbidden"),
        Kind::NotFound | Kind::Gone => with(StatusCode::NOT_FOUND, "not_found", "Resource not found"),
        Kind::MethodNotAllowed => bare(StatusCode::METHOD_NOT_ALLOWED, "HTTP Method Not Allowed"),
        Kind::Conflict | Kind::InFlight => with(StatusCode::CONFLICT, "duplicate_found", "Duplicate resource"),
        Kind::KeyReused => with(StatusCode::CONFLICT, "duplicate_resource_key", "Duplicate resource key"),
        Kind::TooLarge if has_query(method) => with(StatusCode::PAYLOAD_TOO_LARGE, "query_too_large", "Query too large"),
        Kind::TooLarge => bare(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large"),
        Kind::Unsupported => bare(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type"),
        Kind::RateLimited(_) => bare(StatusCode::TOO_MANY_REQUESTS, "Too many requests hit the API too quickly."),
        Kind::QuotaExceeded(_) => with(StatusCode::TOO_MANY_REQUESTS, "quota_exceeded", "Quota exceeded"),
        Kind::Unavailable(_) => bare(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        Kind::StorageFull(_) => bare(StatusCode::INSUFFICIENT_STORAGE, "Insufficient Storage"),
        Kind::SyncFailed | Kind::Corrupt | Kind::Internal => bare(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
    }
}

/// True if what the client says stands in the query.
fn has_query(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::DELETE)
}

/// The answer to a failed request.
pub(crate) fn render(failed: &Failed, context: &Context<'_>) -> Response {
    let told = told(failed.error.kind(), failed.note, context.method);
    answer::json(told.status, body(failed, &told, context).to_string())
}

fn body(failed: &Failed, told: &Told, context: &Context<'_>) -> Value {
    let (kind, public) = (failed.error.kind(), failed.error.public());
    if kind == Kind::Malformed && context.path.starts_with("/management") {
        return json!({ "statusCode": told.status.as_u16(), "error": "Bad Request", "message": "Invalid request payload JSON format" });
    }
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("code", told.status.as_u16().into());
    if let Note::Named(key) = failed.note {
        put("key", key.into());
        match TITLES.iter().find(|(named, _)| *named == key) {
            Some((_, title)) => {
                put("message", (*title).into());
                put("details", public.into());
            }
            None => _ = put("message", public.into()),
        }
        put("request_id", context.request.short().into());
        return body.into();
    }
    if let Some(key) = told.key {
        put("key", key.into());
    }
    put("message", told.message.into());
    // These two are published without anything more.
    if matches!(kind, Kind::Unauthenticated | Kind::RateLimited(_)) {
        return body.into();
    }
    let resource = Some(context.path).filter(|_| kind == Kind::NotFound && failed.note == Note::None).and_then(resource);
    put("details", details(failed, resource, context).into());
    put("request_id", context.request.short().into());
    if let Some((name, id)) = resource {
        put("resource_id", id.into());
        put("resource_type", name.into());
    }
    body.into()
}

/// What a path names: type and id.
fn resource(path: &str) -> Option<(&'static str, &str)> {
    let of = |root: &str| path.strip_prefix(root)?.split('/').next().filter(|id| !id.is_empty());
    of("/v1/exports/").map(|id| ("export", id)).or_else(|| of("/v1/async-actions/").map(|id| ("async_action", id)))
}

fn details(failed: &Failed, resource: Option<(&str, &str)>, context: &Context<'_>) -> String {
    match (failed.error.kind(), resource) {
        (Kind::Invalid, _) => violations(&failed.error),
        (_, Some((name, id))) => format!("Cannot find {} with id {id}", name.replace('_', " ")),
        (Kind::MethodNotAllowed, _) => {
            let hint = if context.methods.is_empty() { String::new() } else { format!(" Did you mean {}?", context.methods.join(" or ")) };
            format!("{} is not supported by this endpoint.{hint}", context.method)
        }
        _ => failed.error.public().to_owned(),
    }
}

/// All broken rules in a row.
fn violations(error: &Error) -> String {
    let each = error.violations().iter().map(|v| match v.member.as_str() {
        "" => v.message.clone(),
        member => format!("Property .{member} {}", v.message),
    });
    let all: Vec<String> = each.collect();
    if all.is_empty() { error.public().to_owned() } else { all.join(" ") }
}

#[cfg(test)]
mod tests;
