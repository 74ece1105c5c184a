//! The HTTP side: the published dialects, the native additions, and the operator's routes, on one router.
//!
//! Promises: the path decides the dialect of an answer, its errors included; authority comes only from the extractor; every body and query has limits;
//! an export that fails is seen to fail.
//! Never: touches storage, decides a rule of the domain, or writes secrets or event contents to the log.

mod answer;
mod api_log;
mod app;
mod auth;
mod body;
mod conneg;
mod dialects;
mod disposition;
mod edge;
mod failed;
mod fallback;
mod files;
mod form;
mod health;
mod ingest;
mod metrics;
mod multipart;
mod native;
mod openapi;
mod peer;
mod pieces;
mod query;
mod rates;
mod request_id;
mod seen;
mod serve;
mod stall;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use indelible_service::Service;
use utoipa_axum::router::OpenApiRouter;

pub use api_log::{ApiLogConfig, Bodies};
use app::{App, Shared};
pub use peer::Network;
pub use serve::serve;

/// Settings of the HTTP side.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The URL that browsers reach the server by, without a slash at its end; empty if nobody said.
    pub public_url: String,
    /// Rows of an Aitronos export without `limit=none`.
    pub aitronos_export_rows: u64,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Origins whose pages may read a timeline; `*` is every one.
    pub widget_origins: Vec<String>,
    /// The API log.
    pub api_log: ApiLogConfig,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { public_url: String::new(), aitronos_export_rows: 10_000, trusted_proxies: Vec::new(), widget_origins: Vec::new(), api_log: ApiLogConfig::default() }
    }
}

/// The whole program as a router.
pub fn router(service: Service, http: HttpConfig) -> Router {
    let (routes, document) = documented().split_for_parts();
    let metrics = metrics::Metrics::new(&service);
    let api_log = api_log::ApiLog::new(http.api_log.clone(), &document);
    let app: Shared = Arc::new(App { service, config: http, metrics, api_log, pages: openapi::Pages::new(&document) });
    routes
        .route("/metrics", get(metrics::show))
        .route("/openapi.json", get(openapi::json))
        .route("/docs", get(openapi::page))
        .fallback(fallback::not_found)
        .method_not_allowed_fallback(fallback::method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&app), edge::edge))
        .with_state(app)
}

/// The OpenAPI document, pretty-printed.
pub fn openapi_json() -> String {
    openapi::text(&documented().into_openapi())
}

/// The routes that the document describes.
fn documented() -> OpenApiRouter<Shared> {
    let routes = OpenApiRouter::with_openapi(openapi::base())
        .merge(dialects::logproof::routes())
        .merge(dialects::aitronos::routes())
        .merge(dialects::loyaltydog::routes())
        .merge(dialects::voucherify::routes())
        .merge(native::routes())
        .merge(files::routes())
        .merge(health::routes());
    openapi::with_errors(routes)
}
