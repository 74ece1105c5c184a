//! Aitronos: an organization's audit log as pages, as CSV and as PDF, its change logs, and an assistant's history.
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
    let organization = path.strip_prefix("/v1/organizations/").and_then(|rest| rest.split('/').next()).filter(|o| !o.is_empty());
    if let Some(value) = organization.and_then(|o| HeaderValue::from_str(o).ok()) {
        headers.insert(ORGANIZATION, value);
    }
    headers.insert(PROCESSING, HeaderValue::from(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)));
    headers.insert(API_VERSION, HeaderValue::from_static("v1"));
}

/// What list, export, report and history read.
#[cfg(test)]
pub(crate) fn parameters() -> [&'static [&'static str]; 4] {
    [translate::LIST, translate::EXPORT, translate::REPORT, translate::HISTORY]
}
