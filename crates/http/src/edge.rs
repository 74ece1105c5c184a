//! What every request passes on its way in and every answer on its way out.
//!
//! Promises: an id on every answer; failures rendered in the dialect of the path, whoever made them; one line in the log for each failure that an operator must know of.
//! Never: logs headers, query strings or bodies.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use indelible_model::{Error, Kind};

use crate::app::Shared;
use crate::auth;
use crate::dialects::{Context, Dialect};
use crate::failed::{Carried, Failed};
use crate::peer::Peer;
use crate::rates;
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::seen::Seen;

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// The outermost layer.
pub(crate) async fn edge(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let method = request.method().clone();
    let mut dialect = Dialect::of_request(&method, &path, request.headers());
    let id = RequestId::of(request.headers(), app.service.clock(), app.service.ids(), dialect.request_ids());
    let loyaltydog_key = dialect == Dialect::LoyaltyDog && auth::is_loyaltydog_key(request.headers());
    request.extensions_mut().insert(id.clone());
    let peer = Peer::of(request.extensions().get().copied(), request.headers(), &app.config.trusted_proxies);
    request.extensions_mut().insert(peer);
    // HTTP/2 names the host beside the headers.
    if let Some(host) = request.uri().authority().and_then(|a| HeaderValue::try_from(a.as_str()).ok()) {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
    let seen = Seen::default();
    request.extensions_mut().insert(seen.clone());
    let (request, begun) = app.api_log.begin(request, route, app.service.clock().now(), started);

    let mut response = next.run(request).await;
    dialect = dialect.of_answer(response.extensions_mut().remove(), seen.learnt().grant.as_deref(), &method, &path);
    if let Some(failed) = response.extensions_mut().remove::<Carried>() {
        log(&failed, &id, route, peer);
        let context = Context { request: &id, now: app.service.clock().now(), method: &method, path: &path, methods: app.pages.methods(route), loyaltydog_key };
        response = merge(response, dialect.render(&failed, &context), &failed);
    }
    let elapsed = started.elapsed();
    dialect.decorate(&path, elapsed, response.headers_mut());
    rates::show(dialect, &seen.learnt(), app.service.clock().now(), response.headers_mut());
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if let Some(value) = id.header() {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    app.metrics.record(&method, route, response.status(), elapsed);
    tracing::debug!(request_id = id.as_str(), %method, route, status = response.status().as_u16(), millis = elapsed.as_millis(), "answered");
    match begun {
        Some(begun) => begun.end(&app, seen.learnt(), &id, response).await,
        None => response,
    }
}

/// The rendered failure, with the headers that layers below had set (such as `Allow`) and those that its kind asks for.
fn merge(below: Response, mut rendered: Response, failed: &Failed) -> Response {
    let (parts, _empty) = below.into_parts();
    let headers = rendered.headers_mut();
    for (name, value) in &parts.headers {
        if !matches!(*name, header::CONTENT_TYPE | header::CONTENT_LENGTH) {
            headers.insert(name, value.clone());
        }
    }
    if let Some(seconds) = retry_after(&failed.error) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if failed.error.kind() == Kind::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    rendered
}

fn retry_after(error: &Error) -> Option<u32> {
    match error.kind() {
        Kind::Unavailable(seconds) | Kind::StorageFull(seconds) | Kind::RateLimited(seconds) | Kind::QuotaExceeded(seconds) => Some(seconds.max(1)),
        Kind::InFlight => Some(1),
        _ => None,
    }
}

fn log(failed: &Failed, id: &RequestId, route: &str, peer: Peer) {
    let (kind, id) = (failed.error.kind(), id.as_str());
    match (kind, failed.error.internal_message()) {
        (Kind::Internal | Kind::Corrupt | Kind::Gone | Kind::SyncFailed, internal) => tracing::error!(request_id = id, route, ?kind, internal, "a request failed"),
        (_, Some(internal)) => tracing::warn!(request_id = id, route, ?kind, internal, "a request failed"),
        // It belongs to no project, so that no log of a project tells of it.
        (Kind::Unauthenticated, None) => tracing::info!(request_id = id, route, peer = %peer.0, "a request without a valid credential was refused"),
        (_, None) => tracing::debug!(request_id = id, route, ?kind, "a request was refused"),
    }
}
