//! The API log: what was asked, by whom, and how it was answered, as events in the caller's project.
//!
//! Promises: every answer to a request with a valid credential is recorded when its last byte is sent, or when the transfer breaks off; of a caller above its rate
//! limit, one a minute. A request waits a second at most for room to be recorded, and holds none while its answer is on its way. Bodies are kept as far as the
//! settings say, masked and cut; what passes is neither buffered nor slowed down.
//! Never: keeps a secret or a streamed answer, or records a request without a valid credential, which belongs to no project.

mod actions;
mod mask;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use indelible_model::Timestamp;
use indelible_service::ApiCall;
use serde_json::Map;
use utoipa::openapi::OpenApi;

use crate::app::Shared;
use crate::peer::Peer;
use crate::request_id::RequestId;
use crate::seen::Learnt;
use crate::stream::RowsSent;

use actions::Named;
use mask::Captured;

const CHANNEL: HeaderName = HeaderName::from_static("x-voucherify-channel");
const CLIENT_APP: HeaderName = HeaderName::from_static("x-client-application-id");
/// The action of a request with a key that was revoked or has ended.
const REFUSED: &str = "auth.refused";
/// The channel of a client that names none.
const API: &str = "API";
/// Characters of what clients choose that are kept.
const URL_CHARS: usize = 4096;
const AGENT_CHARS: usize = 512;
const LABEL_CHARS: usize = 100;
const METHOD_CHARS: usize = 20;
/// More that is read of them: a credential that begins in what is kept is known by its first characters.
const BEYOND: usize = 200;
/// The end of what is read, where half a credential may stand.
const UNSURE: usize = 100;
/// Bytes of a record without its bodies and its URL, about.
const BASE_BYTES: usize = 768;

/// Which bodies the API log keeps. Those of ingest are never kept: what they hold is in the log `events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// None.
    None,
    /// Those of requests that may change something, and of failures.
    Changes,
    /// Those of answers to reads as well.
    All,
}

/// Settings of the API log.
#[derive(Clone, Debug)]
pub struct ApiLogConfig {
    /// Whether there is one.
    pub enabled: bool,
    /// Whether requests that store events are recorded.
    pub ingest: bool,
    /// Which bodies are kept.
    pub bodies: Bodies,
    /// Bytes of a body that are kept.
    pub body_bytes: usize,
}

impl Default for ApiLogConfig {
    fn default() -> Self {
        Self { enabled: true, ingest: false, bodies: Bodies::Changes, body_bytes: 4 << 10 }
    }
}

/// What is known of the routes, and the settings.
pub(crate) struct ApiLog {
    config: ApiLogConfig,
    routes: HashMap<String, Named>,
}

/// A request on its way, as far as it may be recorded.
pub(crate) struct Begun {
    at: Timestamp,
    started: Instant,
    named: Named,
    method: Method,
    uri: Uri,
    peer: Option<Peer>,
    agent: Option<HeaderValue>,
    channel: Option<HeaderValue>,
    client_app: Option<HeaderValue>,
    body: Option<Sent>,
}

/// A body that is captured while it passes.
struct Sent {
    captured: Arc<Mutex<Captured>>,
    media: Option<HeaderValue>,
    coded: bool,
}

impl ApiLog {
    pub(crate) fn new(config: ApiLogConfig, document: &OpenApi) -> Self {
        Self { config, routes: actions::routes(document) }
    }
    /// Takes note of a request, and captures its body while it is read.
    pub(crate) fn begin(&self, mut request: Request, route: &str, at: Timestamp, started: Instant) -> (Request, Option<Begun>) {
        if !self.config.enabled {
            return (request, None);
        }
        let method = request.method().clone();
        let named = actions::of(&self.routes, &method, route);
        let of = |name: HeaderName| request.headers().get(name).cloned();
        let mut begun = Begun {
            at,
            started,
            named,
            uri: request.uri().clone(),
            peer: request.extensions().get().copied(),
            agent: of(header::USER_AGENT),
            channel: of(CHANNEL),
            client_app: of(CLIENT_APP),
            method,
            body: None,
        };
        if begun.sends() && !begun.named.ingest && self.config.bodies != Bodies::None && !request.body().is_end_stream() {
            let captured = Arc::<Mutex<Captured>>::default();
            begun.body = Some(Sent { captured: Arc::clone(&captured), media: of(header::CONTENT_TYPE), coded: is_coded(request.headers()) });
            let limit = self.config.body_bytes;
            request = request.map(|inner| Body::new(Tee { inner, captured, limit }));
        }
        (request, Some(begun))
    }
}

fn is_coded(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn media(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|v| v.to_str().ok())
}

/// How a request came: what the client called itself, or `API`.
pub(crate) fn channel(headers: &HeaderMap) -> String {
    label(headers.get(CHANNEL))
}

fn label(channel: Option<&HeaderValue>) -> String {
    channel.map_or_else(|| API.to_owned(), |v| shown(v, LABEL_CHARS))
}

/// A method as it may be kept: clients may make one up.
fn verb(method: &Method) -> String {
    masked(method.as_str(), METHOD_CHARS, mask::plain)
}

/// What a client chose, as it may be kept.
fn shown(value: &HeaderValue, chars: usize) -> String {
    let bytes = value.as_bytes();
    // No character has more than four bytes.
    masked(&String::from_utf8_lossy(&bytes[..bytes.len().min(4 * (chars + BEYOND + 1))]), chars, mask::plain)
}

/// The beginning of a text without secrets. Only so much of it is read as can be kept.
fn masked(text: &str, chars: usize, mask: fn(&str) -> String) -> String {
    let Some((end, _)) = text.char_indices().nth(chars + BEYOND) else { return shorten(mask(text), chars) };
    let mut out = mask(&text[..end]);
    let sure = out.char_indices().rev().nth(UNSURE - 1).map_or(0, |(at, _)| at);
    out.truncate(sure);
    out = shorten(out, chars);
    if !out.ends_with('…') {
        out.push('…');
    }
    out
}

fn shorten(mut text: String, chars: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(chars) {
        text.truncate(at);
        text.push('…');
    }
    text
}

fn url(uri: &Uri) -> String {
    let mut text = masked(uri.path(), URL_CHARS, mask::plain);
    if let Some(query) = uri.query() {
        text.push('?');
        text.push_str(&masked(query, URL_CHARS, mask::query));
    }
    shorten(text, URL_CHARS)
}

impl Begun {
    /// True for requests whose body says what they ask for.
    fn sends(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }
    /// True for requests that may change something.
    fn changes(&self) -> bool {
        self.sends() && !self.named.reads()
    }
    /// Has the answer recorded when its last byte is sent, if it is one to be recorded.
    pub(crate) async fn end(self, app: &Shared, learnt: Learnt, id: &RequestId, response: Response) -> Response {
        let config = &app.api_log.config;
        let (grant, action) = match (learnt.grant, learnt.withdrawn) {
            (Some(_), _) if self.named.ingest && !config.ingest => return response,
            (Some(grant), _) => (grant, self.named.action(self.uri.query())),
            (None, Some(withdrawn)) => (withdrawn, REFUSED),
            (None, None) => return response,
        };
        // Not by the status: where there is no route the answer is another.
        if learnt.allowance.is_some_and(|a| a.retry_after.is_some()) && !app.service.tells_of_limit(&grant) {
            return response;
        }
        let status = response.status();
        let length = response.body().size_hint().exact();
        let kept = match config.bodies {
            Bodies::None => false,
            Bodies::Changes => self.changes() || status.is_client_error() || status.is_server_error(),
            Bodies::All => true,
        };
        let request_body = self.body.as_ref().and_then(|sent| mask::body(&sent.captured.lock().unwrap_or_else(PoisonError::into_inner), media(sent.media.as_ref()), sent.coded));
        let captured = (kept && !self.named.ingest && length.is_some_and(|n| n > 0)).then(Captured::default);
        let call = ApiCall {
            grant,
            action,
            at: self.at,
            micros: 0,
            ip: self.peer.map(|p| p.0.to_string()),
            user_agent: self.agent.map(|v| shown(&v, AGENT_CHARS)),
            request_id: id.as_str().to_owned(),
            method: verb(&self.method),
            endpoint: self.named.endpoint,
            url: url(&self.uri),
            status: status.as_u16(),
            channel: label(self.channel.as_ref()),
            client_app_id: self.client_app.map(|v| shown(&v, LABEL_CHARS)),
            request_body,
            response_body: None,
            metadata: Map::new(),
        };
        let answer = if captured.is_some() { 2 * config.body_bytes } else { 0 };
        let bytes = BASE_BYTES + call.url.len() + call.request_body.as_ref().map_or(0, String::len) + answer;
        app.service.wait_for_room(bytes).await;
        let pending = Pending {
            app: Arc::clone(app),
            call,
            started: self.started,
            // The router takes away what a `HEAD` does not show, after us.
            streamed: length.is_none() && self.method != Method::HEAD,
            captured,
            media: response.headers().get(header::CONTENT_TYPE).cloned(),
            coded: is_coded(response.headers()),
            bytes: 0,
            rows: response.extensions().get().cloned(),
            ended: None,
        };
        response.map(|inner| Body::new(Recorded { inner, pending: Some(Box::new(pending)) }))
    }
}

/// Copies the beginning of what passes.
struct Tee {
    inner: Body,
    captured: Arc<Mutex<Captured>>,
    limit: usize,
}

impl Captured {
    fn add(&mut self, data: &Bytes, limit: usize) {
        self.total += data.len();
        let room = limit.saturating_sub(self.bytes.len()).min(data.len());
        self.bytes.extend_from_slice(&data[..room]);
    }
}

impl http_body::Body for Tee {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(data) = frame.as_ref().and_then(|f| f.as_ref().ok()).and_then(Frame::data_ref) {
            self.captured.lock().unwrap_or_else(PoisonError::into_inner).add(data, self.limit);
        }
        Poll::Ready(frame)
    }
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body, recorded when it has ended.
struct Recorded {
    inner: Body,
    pending: Option<Box<Pending>>,
}

/// A call that is recorded once it is known how it ended.
struct Pending {
    app: Shared,
    call: ApiCall,
    started: Instant,
    streamed: bool,
    captured: Option<Captured>,
    media: Option<HeaderValue>,
    coded: bool,
    bytes: u64,
    rows: Option<RowsSent>,
    ended: Option<Outcome>,
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Whole.
    Finished,
    /// By a failure of ours.
    Broken,
    /// The client left.
    Aborted,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Broken => "broken",
            Self::Aborted => "aborted",
        }
    }
}

impl Pending {
    fn add(&mut self, data: &Bytes) {
        self.bytes += data.len() as u64;
        if let Some(captured) = &mut self.captured {
            captured.add(data, self.app.api_log.config.body_bytes);
        }
    }
    fn record(mut self, outcome: Outcome) {
        self.call.micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.call.response_body = self.captured.as_ref().and_then(|c| mask::body(c, media(self.media.as_ref()), self.coded));
        if self.streamed {
            let metadata = &mut self.call.metadata;
            metadata.insert("outcome".to_owned(), outcome.name().into());
            metadata.insert("bytes".to_owned(), self.bytes.into());
            if let Some(rows) = self.rows.as_ref().and_then(RowsSent::get) {
                metadata.insert("rows".to_owned(), rows.into());
            }
        }
        self.app.service.record(&self.call);
    }
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(pending) = &mut self.pending {
            match &frame {
                None => pending.ended = Some(Outcome::Finished),
                Some(Err(_)) => pending.ended = Some(Outcome::Broken),
                Some(Ok(frame)) => match frame.data_ref() {
                    Some(data) => pending.add(data),
                    // Trailers are the last frame.
                    None => pending.ended = Some(Outcome::Finished),
                },
            }
        }
        Poll::Ready(frame)
    }
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            let whole = self.inner.is_end_stream();
            let outcome = pending.ended.unwrap_or(if whole { Outcome::Finished } else { Outcome::Aborted });
            pending.record(outcome);
        }
    }
}

#[cfg(test)]
mod tests;
