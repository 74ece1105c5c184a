//! Small answers, made in one place. Never: for exports, which are streamed.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

/// An answer with a body that is JSON already.
pub(crate) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    with_type(status, "application/json", body)
}

/// An answer with a body of some type.
pub(crate) fn with_type(status: StatusCode, media: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// `{"data":[...]` of stored lines, still without its closing brace.
pub(crate) fn data_array(lines: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.iter().map(|l| l.len() + 1).sum::<usize>() + 128);
    out.extend_from_slice(b"{\"data\":[");
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(line);
    }
    out.push(b']');
    out
}
