//! The published APIs. The path decides which one answers, its failures included.
//!
//! Promises: a dialect is a thin adapter: shapes, a translation into the words of the domain, errors, routes. Never: touches storage or another dialect.

pub(crate) mod aitronos;
pub(crate) mod logproof;
pub(crate) mod loyaltydog;
pub(crate) mod voucherify;

use std::time::Duration;

use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use indelible_model::{EventBatch, Limits, Result, Timestamp};
use indelible_service::{Face, Grant, Who};

use crate::failed::{Answer, Failed};
use crate::request_id::{Form, RequestId};
use crate::{auth, files};

/// What an error's shape may need beside the error.
pub(crate) struct Context<'a> {
    pub(crate) request: &'a RequestId,
    pub(crate) now: Timestamp,
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    /// The documented methods of the route.
    pub(crate) methods: &'a [&'static str],
    /// The credential is one of LoyaltyDog's keys, valid or not.
    pub(crate) loyaltydog_key: bool,
}

/// The dialect of a path. Native paths speak as LogProof does, and links to files as S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    LogProof,
    Aitronos,
    LoyaltyDog,
    Voucherify,
    Files,
}

/// Where Voucherify's paths begin.
const VOUCHERIFY: [&str; 4] = ["/v1/exports", "/v1/async-actions", "/v1/oauth", "/management"];

impl Dialect {
    /// The dialect that owns a path, whether or not anything is there.
    pub(crate) fn of(path: &str) -> Self {
        let under = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // The rows of an export are shown by a native path.
        let rows = path.strip_prefix("/v1/exports/").and_then(|rest| rest.split_once('/')).is_some_and(|(_, rest)| rest == "rows");
        if under("/v1/organizations") || under("/v1/assistants") {
            Self::Aitronos
        } else if under("/v2") || under("/api/v2") {
            Self::LoyaltyDog
        } else if under("/files") {
            Self::Files
        } else if !rows && VOUCHERIFY.into_iter().any(under) {
            Self::Voucherify
        } else {
            Self::LogProof
        }
    }
    /// The dialect of a request, as far as its head tells.
    pub(crate) fn of_request(method: &Method, path: &str, headers: &HeaderMap) -> Self {
        if is_shared(method, path) && auth::is_voucherify_pair(headers) { Self::Voucherify } else { Self::of(path) }
    }
    /// The dialect of an answer: as its handler says, else as who calls, where two dialects share a path.
    pub(crate) fn of_answer(self, said: Option<Self>, caller: Option<&Grant>, method: &Method, path: &str) -> Self {
        let by_caller = || if is_shared(method, path) { caller.map(Self::of_caller) } else { None };
        said.or_else(by_caller).unwrap_or(self)
    }
    /// The dialect of whoever calls where LogProof and Voucherify share a path.
    fn of_caller(grant: &Grant) -> Self {
        if matches!(grant.who, Who::Key { face: Face::Voucherify, .. }) { Self::Voucherify } else { Self::LogProof }
    }
    /// An answer of this dialect, whatever its path says.
    pub(crate) fn says(self, answer: Answer) -> Response {
        let mut response = answer.into_response();
        response.extensions_mut().insert(self);
        response
    }
    /// How its fresh request ids look.
    pub(crate) fn request_ids(self) -> Form {
        if self == Self::Voucherify { Form::Short } else { Form::Uuid }
    }
    /// A failure in its words.
    pub(crate) fn render(self, failed: &Failed, context: &Context<'_>) -> Response {
        match self {
            Self::LogProof => logproof::errors::render(failed),
            Self::Aitronos => aitronos::errors::render(failed, context),
            Self::LoyaltyDog => loyaltydog::errors::render(failed, context),
            Self::Voucherify => voucherify::errors::render(failed, context),
            Self::Files => files::errors::render(failed, context),
        }
    }
    /// The headers that every answer of it has.
    pub(crate) fn decorate(self, path: &str, elapsed: Duration, headers: &mut HeaderMap) {
        if self == Self::Aitronos {
            aitronos::decorate(path, elapsed, headers);
        }
    }
}

/// `POST /v1/events` is where LogProof's events and Voucherify's custom ones go.
fn is_shared(method: &Method, path: &str) -> bool {
    method == Method::POST && path == "/v1/events"
}

/// What came with an event beside its body.
pub(crate) struct Came {
    pub(crate) by: Dialect,
    pub(crate) channel: String,
    pub(crate) request_id: String,
}

impl Came {
    pub(crate) fn new(caller: &Grant, channel: String, request: &RequestId) -> Self {
        Self { by: Dialect::of_caller(caller), channel, request_id: request.as_str().to_owned() }
    }
}

/// An event in the words of a dialect that only visits the path; it has the answer with it.
pub(crate) struct Visiting {
    pub(crate) batch: EventBatch,
    pub(crate) answer: Vec<u8>,
}

/// Reads a body that is no event of LogProof's, if it is a custom one of Voucherify's: it says so, or its sender has one of Voucherify's keys and it has no `action`.
/// A body larger than an event may be is not looked at.
pub(crate) fn visiting(text: &[u8], came: &Came, limits: &Limits) -> Option<Result<Visiting>> {
    use voucherify::events;
    if text.len() > limits.event_bytes || !events::is_custom(text, came.by == Dialect::Voucherify) {
        return None;
    }
    let read = events::read(text, &events::Came { channel: &came.channel, request_id: &came.request_id }, limits);
    Some(read.map(|(batch, answer)| Visiting { batch, answer }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_decides() {
        for (path, want) in [
            ("/v1/organizations/o/audit-log", Dialect::Aitronos),
            ("/v1/organizations", Dialect::Aitronos),
            ("/v1/assistants/asst_1/history", Dialect::Aitronos),
            ("/v1/organizations/", Dialect::Aitronos),
            ("/v1/organizationsx", Dialect::LogProof),
            ("/v1/events", Dialect::LogProof),
            ("/v2", Dialect::LoyaltyDog),
            ("/v2/token", Dialect::LoyaltyDog),
            ("/api/v2/token", Dialect::LoyaltyDog),
            ("/v2x", Dialect::LogProof),
            ("/api/v1", Dialect::LogProof),
            ("/v1/exports", Dialect::Voucherify),
            ("/v1/exports/exp_1", Dialect::Voucherify),
            ("/v1/exports/exp_1/rows", Dialect::LogProof),
            ("/v1/exports/exp_1/rows/2", Dialect::Voucherify),
            ("/v1/exportsx", Dialect::LogProof),
            ("/v1/async-actions/aa_1", Dialect::Voucherify),
            ("/v1/oauth/token", Dialect::Voucherify),
            ("/management/v1/projects", Dialect::Voucherify),
            ("/files/exp_1/a.csv", Dialect::Files),
            ("/files", Dialect::Files),
            ("/filesx", Dialect::LogProof),
            ("/nowhere", Dialect::LogProof),
        ] {
            assert_eq!(Dialect::of(path), want, "{path}");
        }
    }

    #[test]
    fn a_body_too_large_for_an_event_is_not_visited() {
        let limits = Limits::default();
        let body = |bytes: usize| {
            let (start, end) = (r#"{"event":"x","customer":{},"more":""#, r#""}"#);
            format!("{start}{}{end}", "x".repeat(bytes - start.len() - end.len()))
        };
        for by in [Dialect::LogProof, Dialect::Voucherify] {
            let came = Came { by, channel: "API".to_owned(), request_id: "v-1".to_owned() };
            assert!(visiting(body(limits.event_bytes).as_bytes(), &came, &limits).expect("theirs").is_ok());
            assert!(visiting(body(limits.event_bytes + 1).as_bytes(), &came, &limits).is_none());
        }
    }
}
