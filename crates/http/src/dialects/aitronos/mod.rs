//! Aitronos: an organization's audit log as pages and as CSV.
//!
//! Promises: every required string of its model is a string; `entity` is our target and `target` is our subject. Never: more rows than its contract allows, unless the caller lifts the cap.

pub(crate) mod errors;
mod routes;
mod translate;
mod wire;

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) use routes::routes;

const ORGANIZATION: HeaderName = HeaderName::from_static("aitronos-organization");
const PROCESSING: HeaderName = HeaderName::from_static("freddy-processing-ms");
const API_VERSION: HeaderName = HeaderName::from_static("freddy-api-version");

/// The headers of every answer. The organization is as in the path: percent-encoded, and so fit for a header.
pub(crate) fn decorate(path: &str, elapsed: Duration, headers: &mut HeaderMap) {
    let organization = path.split('/').nth(3).filter(|o| !o.is_empty());
    if let Some(value) = organization.and_then(|o| HeaderValue::from_str(o).ok()) {
        headers.insert(ORGANIZATION, value);
    }
    headers.insert(PROCESSING, HeaderValue::from(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)));
    headers.insert(API_VERSION, HeaderValue::from_static("v1"));
}

/// What list and export read.
#[cfg(test)]
pub(crate) fn parameters() -> [&'static [&'static str]; 2] {
    [translate::LIST, translate::EXPORT]
}
