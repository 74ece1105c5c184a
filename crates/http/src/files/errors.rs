//! Failures in S3's shape: `<Error><Code>...</Code><Message>...</Message>...</Error>`.
//!
//! Never: the operator's message, or anything of a signature.

use axum::http::{StatusCode, header};
use axum::response::Response;
use indelible_model::Kind;

use crate::answer;
use crate::dialects::Context;
use crate::failed::{Failed, Note};
use crate::request_id::RequestId;

const XML: &str = "application/xml";

fn told(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::Unauthenticated | Kind::Forbidden | Kind::PlanFeature | Kind::PlanLimit => (StatusCode::FORBIDDEN, "AccessDenied"),
        Kind::NotFound | Kind::Gone => (StatusCode::NOT_FOUND, "NoSuchKey"),
        Kind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        Kind::Invalid | Kind::Malformed | Kind::TooLarge | Kind::Unsupported | Kind::Conflict | Kind::KeyReused => (StatusCode::BAD_REQUEST, "InvalidRequest"),
        Kind::RateLimited(_) | Kind::QuotaExceeded(_) => (StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        Kind::Unavailable(_) | Kind::StorageFull(_) | Kind::InFlight => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        Kind::SyncFailed | Kind::Corrupt | Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    }
}

/// The answer to a failed request.
pub(crate) fn render(failed: &Failed, context: &Context<'_>) -> Response {
    let (status, code) = told(failed.error.kind());
    let more = match failed.note {
        Note::Late(at) => format!("<Expires>{at}</Expires><ServerTime>{}</ServerTime>", context.now),
        _ => String::new(),
    };
    answer::with_type(status, XML, document(code, failed.error.public(), &more, context.request))
}

/// A range or a condition that was refused, with the body that S3 gives it.
pub(super) fn with_body(mut answer: Response, request: &RequestId) -> Response {
    let (code, message) = match answer.status() {
        StatusCode::RANGE_NOT_SATISFIABLE => ("InvalidRange", "The requested range is not satisfiable"),
        StatusCode::PRECONDITION_FAILED => ("PreconditionFailed", "At least one of the preconditions you specified did not hold"),
        _ => return answer,
    };
    *answer.body_mut() = document(code, message, "", request).into();
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(XML));
    answer
}

fn document(code: &str, message: &str, more: &str, request: &RequestId) -> String {
    let (message, request) = (escape(message), escape(request.as_str()));
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}<RequestId>{request}</RequestId></Error>")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
