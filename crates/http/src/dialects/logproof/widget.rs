//! The timeline that a widget in a browser shows.
//!
//! Promises: pages of the origins named by `widget_origins` may read every answer of this path, failures included. Never: a cookie; the token is in a header.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use indelible_model::Kind;
use indelible_service::CanTimeline;

use super::{routes, translate};
use crate::app::{App, Shared};
use crate::auth::Authorized;
use crate::failed::{Answer, Failed};
use crate::openapi::schemas;

pub(super) const PATH: &str = "/v1/widget/timeline";
/// How long a browser may keep the answer to a preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const ALLOWED: HeaderValue = HeaderValue::from_static("Authorization, X-Request-Id");
/// What a script may see beside the body.
const EXPOSED: HeaderValue = HeaderValue::from_static("Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-Request-Id");
const GET: HeaderValue = HeaderValue::from_static("GET");

/// Show a timeline
///
/// Newest first, for a widget token (`lp_wt_...`) or whoever may read events. A browser may call it from the origins that the setting `widget_origins` names.
#[utoipa::path(get, path = "/v1/widget/timeline", tag = "Events", operation_id = "showTimeline", security(("key" = ["timeline"])),
    params(schemas::TimelineParams),
    responses((status = 200, description = "A page.", body = schemas::EventPage)))]
pub(super) async fn timeline(State(app): State<Shared>, RawQuery(query): RawQuery, headers: HeaderMap, who: Result<Authorized<CanTimeline>, Failed>) -> Response {
    let mut response = page(&app, query.as_deref(), who).await.into_response();
    share(&app, &headers, &mut response);
    response
}

async fn page(app: &App, query: Option<&str>, who: Result<Authorized<CanTimeline>, Failed>) -> Answer {
    let who = who?;
    routes::page(app, &who.caller, translate::timeline(query, app.service.limits())?).await
}

/// What a browser asks before it sends the token.
pub(super) async fn preflight(State(app): State<Shared>, headers: HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if !share(&app, &headers, &mut response) {
        response = Failed::from(Kind::MethodNotAllowed).into_response();
        response.headers_mut().insert(header::ALLOW, GET);
        return response;
    }
    for (name, value) in [(header::ACCESS_CONTROL_ALLOW_METHODS, GET), (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED), (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE)] {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Lets the page that asked read an answer, if its origin is allowed.
fn share(app: &App, request: &HeaderMap, response: &mut Response) -> bool {
    let allowed = allowed(&app.config.widget_origins, request.get(header::ORIGIN));
    let headers = response.headers_mut();
    if !app.config.widget_origins.is_empty() {
        headers.append(header::VARY, HeaderValue::from(HeaderName::from_static("origin")));
    }
    let Some(origin) = allowed else { return false };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    true
}

/// The value that allows an origin.
fn allowed(origins: &[String], asked: Option<&HeaderValue>) -> Option<HeaderValue> {
    if origins.iter().any(|o| o == "*") {
        return asked.map(|_| HeaderValue::from_static("*"));
    }
    asked.filter(|asked| origins.iter().any(|o| o.as_bytes() == asked.as_bytes())).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_allowed_as_they_are_named() {
        let of = |names: &[&str], asked: Option<&'static str>| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            allowed(&names, asked.map(HeaderValue::from_static).as_ref()).map(|v| v.to_str().expect("ASCII").to_owned())
        };
        let named = ["https://app.example.com", "http://localhost:3000"];
        assert_eq!(of(&named, Some("http://localhost:3000")).as_deref(), Some("http://localhost:3000"));
        for other in ["https://app.example.com.evil.test", "http://app.example.com", "https://APP.example.com", "null"] {
            assert_eq!(of(&named, Some(other)), None, "{other}");
        }
        assert_eq!(of(&named, None), None);
        assert_eq!(of(&["*"], Some("https://any.test")).as_deref(), Some("*"));
        assert_eq!(of(&[], Some("https://any.test")), None);
    }
}
