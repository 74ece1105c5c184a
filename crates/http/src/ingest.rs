//! What the three ways of sending events share: media types, idempotency keys, and naming what is wrong where.
//!
//! Never: a dialect's words.

use axum::http::{HeaderMap, header};
use indelible_model::json::JsonError;
use indelible_model::parse::ParseError;
use indelible_model::{Error, EventBatch, Kind, Limits, Result, Violation};
use indelible_service::{Appended, Caller, CanWrite, Idempotency, Service};

use crate::body::Held;

pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
pub(crate) const REPLAYED: &str = "idempotency-replayed";
const MAX_KEY: usize = 255;

/// How a body of events is laid out, as far as its media type tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    Ndjson,
    /// No type, or the one that curl puts on every body unasked.
    Unsaid,
}

/// The layout that `Content-Type` names.
pub(crate) fn media(headers: &HeaderMap) -> Result<Media> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Media::Unsaid) };
    let name = value.to_str().unwrap_or("?").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match name.as_str() {
        "application/json" | "text/json" => Ok(Media::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => Ok(Media::Ndjson),
        "" | "application/x-www-form-urlencoded" | "application/octet-stream" => Ok(Media::Unsaid),
        _ => Err(Error::new(Kind::Unsupported, "Content-Type must be application/json, or for bulk requests also application/x-ndjson.")),
    }
}

/// As [`media`], where only JSON will do.
pub(crate) fn expect_json(headers: &HeaderMap) -> Result<()> {
    match media(headers)? {
        Media::Ndjson => Err(Error::new(Kind::Unsupported, "Content-Type must be application/json. NDJSON goes to /v1/events/bulk.")),
        Media::Json | Media::Unsaid => Ok(()),
    }
}

/// Appends events and gives the body's room back when they are stored, also if the client has gone by then.
pub(crate) async fn append(service: &Service, caller: &Caller<CanWrite>, batch: EventBatch, idempotency: Option<Idempotency>, held: Held) -> Result<Appended> {
    let (service, caller) = (service.clone(), caller.clone());
    let append = async move {
        let done = service.append(&caller, batch, idempotency).await;
        drop(held);
        done
    };
    tokio::spawn(append).await.map_err(Error::internal)?
}

/// The client's `Idempotency-Key`.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.as_bytes();
    let fits = values.next().is_none() && (1..=MAX_KEY).contains(&key.len()) && key.iter().all(|b| matches!(b, b' '..=b'~'));
    match value.to_str() {
        Ok(key) if fits => Ok(Some(key.to_owned())),
        _ => Err(Error::invalid_member("Idempotency-Key", format!("must be given once and have 1 to {MAX_KEY} printable ASCII characters."))),
    }
}

/// A key, bound to the route and the body.
pub(crate) fn bound(key: Option<String>, route: &'static str, digest: Option<[u8; 32]>) -> Option<Idempotency> {
    key.zip(digest).map(|(key, body_digest)| Idempotency { route, key, body_digest })
}

/// Why one event was refused, with its place in the input.
pub(crate) fn violations(error: ParseError, index: Option<usize>, line: Option<usize>) -> Vec<Violation> {
    let found = match error {
        ParseError::Syntax(e) => vec![not_json(&e)],
        ParseError::Violations(found) => found,
    };
    found.into_iter().map(|v| Violation { index, line, ..v }).collect()
}

/// The text is not JSON that can be stored.
pub(crate) fn not_json(e: &JsonError) -> Violation {
    Violation::new("", format!("The JSON cannot be read: {} at byte {}.", e.reason, e.at))
}

/// Reads a body that is one event.
pub(crate) fn single(text: &[u8], limits: &Limits) -> Result<EventBatch> {
    let mut batch = EventBatch::with_capacity(text.len() + 128);
    batch.push(text, limits).map_err(|e| Error::invalid(violations(e, None, None)))?;
    Ok(batch)
}

#[cfg(test)]
mod tests;
