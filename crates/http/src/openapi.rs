//! The OpenAPI document, made from the routes themselves, and a page that shows it.
//!
//! Promises: every documented route is the served one, and each lists what may go wrong. Never: loads anything from another host, or runs a script.

mod page;
#[expect(dead_code, reason = "shapes that are described, not used")]
pub(crate) mod schemas;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, Info, License, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder, Tag};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use crate::answer;
use crate::app::Shared;
use crate::dialects::Dialect;

const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What may go wrong on every path that needs a key.
const FAILURES: &[(&str, &str)] = &[
    ("401", "No valid API key."),
    ("403", "The key lacks the scope."),
    ("422", "A member or parameter is unknown or breaks a rule; the errors name it."),
    ("503", "Busy or not available for now; `Retry-After` says when to try again."),
    ("500", "A failure of the server."),
];
/// What may go wrong on every path with a body.
const BODY_FAILURES: &[(&str, &str)] = &[
    ("409", "A call with the same `Idempotency-Key` is still in flight."),
    ("413", "The body is larger than a limit."),
    ("415", "The media type or content coding is not served."),
    ("507", "There is no room on the disk."),
];

/// The document and its page, as bytes to send.
pub(crate) struct Pages {
    json: Bytes,
    html: Bytes,
}

impl Pages {
    pub(crate) fn new(document: &OpenApi) -> Self {
        let json = text(document);
        let html = page::render(&serde_json::from_str(&json).unwrap_or_default());
        Self { json: json.into(), html: html.into() }
    }
}

/// The document without any path.
pub(crate) fn base() -> OpenApi {
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    let mut info = Info::new("Indelible", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "An audit-log server: events go in durably, stay provably unaltered, and come out again. \
         The paths of LogProof (`/v1/events`, `/v1/verify`) and Aitronos (`/v1/organizations/...`) are served as they are published, with additions."
            .to_owned(),
    );
    info.license = Some(license);
    let key = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key, `lp_sk_...`. `X-API-Key` is accepted as well.")).build());
    let mut components = Components::new();
    components.add_security_scheme("key", key);
    let tags =
        [("Events", "LogProof's paths"), ("Organizations", "Aitronos' paths"), ("Native", "Additions"), ("API keys", "Who may do what"), ("Operations", "For those who run it")];
    let tags: Vec<Tag> = tags
        .map(|(name, description)| {
            let mut tag = Tag::new(name);
            tag.description = Some(description.to_owned());
            tag
        })
        .into();
    OpenApiBuilder::new().info(info).components(Some(components)).tags(Some(tags)).build()
}

/// Adds to every operation the failures that the edge can render for it.
pub(crate) fn with_errors(mut routes: OpenApiRouter<Shared>) -> OpenApiRouter<Shared> {
    let document = routes.get_openapi_mut();
    let schemas = &mut document.components.get_or_insert_default().schemas;
    let mut known = Vec::new();
    schemas::Error::schemas(&mut known);
    schemas::AuditError::schemas(&mut known);
    known.push((schemas::Error::name().into_owned(), schemas::Error::schema()));
    known.push((schemas::AuditError::name().into_owned(), schemas::AuditError::schema()));
    schemas.extend(known);
    for (path, item) in &mut document.paths.paths {
        let schema = if Dialect::of(path) == Dialect::Aitronos { schemas::AuditError::name() } else { schemas::Error::name() };
        for operation in operations(item).into_iter().flatten().filter(|o| o.security.is_some()) {
            let failures = FAILURES.iter().chain(BODY_FAILURES.iter().filter(|_| operation.request_body.is_some()));
            for (status, description) in failures {
                let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema.clone()))).build();
                let response = ResponseBuilder::new().description(*description).content("application/json", content).build();
                operation.responses.responses.entry((*status).to_owned()).or_insert(RefOr::T(response));
            }
        }
    }
    routes
}

fn operations(item: &mut PathItem) -> [Option<&mut Operation>; 4] {
    [item.get.as_mut(), item.post.as_mut(), item.patch.as_mut(), item.delete.as_mut()]
}

/// The document as text.
pub(crate) fn text(document: &OpenApi) -> String {
    document.to_pretty_json().unwrap_or_default()
}

/// `GET /openapi.json`.
pub(crate) async fn json(State(app): State<Shared>) -> Response {
    answer::json(StatusCode::OK, app.pages.json.clone())
}

/// `GET /docs`.
pub(crate) async fn page(State(app): State<Shared>) -> Response {
    let mut response = answer::with_type(StatusCode::OK, "text/html; charset=utf-8", app.pages.html.clone());
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP));
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests;
