//! The OpenAPI document, made from the routes themselves, and a page that shows it.
//!
//! Promises: every documented route is the served one, and each lists what may go wrong. Never: loads anything from another host, or runs a script.

mod page;
#[expect(dead_code, reason = "shapes that are described, not used")]
pub(crate) mod schemas;

use std::collections::HashMap;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, Info, License, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder, Tag};
use utoipa_axum::router::OpenApiRouter;

use crate::answer;
use crate::app::Shared;
use crate::dialects::Dialect;

const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What may go wrong on every path that needs a credential.
const CREDENTIAL_FAILURES: &[(&str, &str)] = &[("401", "No valid credential."), ("403", "The credential lacks the scope, or the plan the feature.")];
/// What may go wrong on every path that needs a credential or makes one.
const FAILURES: &[(&str, &str)] = &[
    ("422", "A member or parameter is unknown or breaks a rule; the errors name it."),
    ("429", "Too many requests, or the plan's events are used up; `Retry-After` says when to try again."),
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

/// The document and its page, as bytes to send, and the methods of each path.
pub(crate) struct Pages {
    json: Bytes,
    html: Bytes,
    methods: HashMap<String, Vec<&'static str>>,
}

impl Pages {
    pub(crate) fn new(document: &OpenApi) -> Self {
        let json = text(document);
        let html = page::render(&serde_json::from_str(&json).unwrap_or_default());
        let served = |item: &PathItem| {
            let all = [("GET", &item.get), ("POST", &item.post), ("PUT", &item.put), ("PATCH", &item.patch), ("DELETE", &item.delete)];
            all.into_iter().filter(|(_, operation)| operation.is_some()).map(|(name, _)| name).collect()
        };
        let methods = document.paths.paths.iter().map(|(path, item)| (path.clone(), served(item))).collect();
        Self { json: json.into(), html: html.into(), methods }
    }
    /// The documented methods of a route.
    pub(crate) fn methods(&self, route: &str) -> &[&'static str] {
        self.methods.get(route).map_or(&[], Vec::as_slice)
    }
}

/// The document without any path.
pub(crate) fn base() -> OpenApi {
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    let mut info = Info::new("Indelible", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "An audit-log server: events go in durably, stay provably unaltered, and come out again. \
         The paths of LogProof (`/v1/events`, `/v1/verify`), Aitronos (`/v1/organizations/...`), LoyaltyDog (`/v2/...`) and Voucherify (`/v1/oauth/...`) are served as they are published, with additions."
            .to_owned(),
    );
    info.license = Some(license);
    let key = "An API key or a token. `X-API-Key`, or `X-App-Id` and `X-App-Token`, are accepted as well; of several credentials all must be valid, and what counts is what all of them allow.";
    let key = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(key)).build());
    let header = |name: &str, text: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, text)));
    let mut components = Components::new();
    components.add_security_scheme("key", key);
    components.add_security_scheme("app_id", header("X-App-Id", "The id of an API key, as a UUID."));
    components.add_security_scheme("app_token", header("X-App-Token", "The API key itself."));
    let tags = [
        ("Events", "LogProof's paths"),
        ("Organizations", "Aitronos' paths"),
        ("Audit logs", "LoyaltyDog's paths"),
        ("Native", "Additions"),
        ("Imports", "Files of events"),
        ("Sessions", "Logging in"),
        ("Tokens", "Logging in and tokens as Voucherify and LoyaltyDog have them"),
        ("API keys", "What programs may do"),
        ("Members", "What people may do"),
        ("Projects", "What is kept apart"),
        ("Exports", "Events as files, when asked for and by schedule"),
        ("Tasks", "Exports and imports at work"),
        ("Retention", "How long events are kept, and legal holds"),
        ("Operations", "For those who run it"),
    ];
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
    know::<schemas::Error>(&mut known);
    know::<schemas::AuditError>(&mut known);
    know::<schemas::Detail>(&mut known);
    know::<schemas::VoucherifyError>(&mut known);
    schemas.extend(known);
    for (path, item) in &mut document.paths.paths {
        let dialect = Dialect::of(path);
        let schema = match dialect {
            Dialect::LogProof => schemas::Error::name(),
            Dialect::Aitronos => schemas::AuditError::name(),
            Dialect::LoyaltyDog => schemas::Detail::name(),
            Dialect::Voucherify => schemas::VoucherifyError::name(),
            // They need no credential.
            Dialect::Files => continue,
        };
        for operation in operations(item).into_iter().flatten().filter(|o| o.security.is_some() || o.request_body.is_some()) {
            let credential = CREDENTIAL_FAILURES.iter().filter(|_| operation.security.is_some());
            let body = BODY_FAILURES.iter().filter(|_| operation.request_body.is_some());
            for (status, description) in credential.chain(FAILURES).chain(body) {
                // Voucherify tells of broken rules with another status.
                let status = if dialect == Dialect::Voucherify && *status == "422" { &"400" } else { status };
                let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema.clone()))).build();
                let response = ResponseBuilder::new().description(*description).content("application/json", content).build();
                operation.responses.responses.entry((*status).to_owned()).or_insert(RefOr::T(response));
            }
        }
    }
    routes
}

type Known = Vec<(String, RefOr<Schema>)>;

/// Adds a shape, and those that it is made of.
fn know<T: ToSchema>(known: &mut Known) {
    T::schemas(known);
    known.push((T::name().into_owned(), T::schema()));
}

fn operations(item: &mut PathItem) -> [Option<&mut Operation>; 5] {
    [item.get.as_mut(), item.post.as_mut(), item.put.as_mut(), item.patch.as_mut(), item.delete.as_mut()]
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
