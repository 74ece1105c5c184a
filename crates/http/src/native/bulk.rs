//! Bulk ingest: thousands of events in one request, all or nothing.
//!
//! Promises: events are read on a thread that may block, one scan of the text for NDJSON; each broken rule is named with its index and, in NDJSON, its line.
//! Never: stores a part of a request.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use indelible_model::json::{Kind, Scanner};
use indelible_model::{Error, EventBatch, Kind as ErrorKind, Limits, LogKind, Violation};
use indelible_service::{CanWrite, Outcome};
use memchr::memchr;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use crate::app::Shared;
use crate::auth::Authorized;
use crate::failed::{Answer, Failed, Note};
use crate::ingest::{self, Media};
use crate::openapi::schemas;
use crate::query::Params;
use crate::{answer, body};

const ROUTE: &str = "POST /v1/events/bulk";
/// So many violations are listed; the others are counted.
const LISTED: usize = 100;
/// So many duplicates are listed; the others are counted.
const DUPLICATES: usize = 1000;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(bulk))
}

/// Store up to 50,000 events
///
/// NDJSON (one event a line, blank lines are skipped) or one JSON array, plain or with `Content-Encoding: gzip` or `zstd`. All or nothing.
/// The answer has positions instead of events. Errors name index and line; the first 100 are listed.
#[utoipa::path(post, path = "/v1/events/bulk", tag = "Native", operation_id = "createEventsInBulk", security(("key" = ["events:write"])),
    params(schemas::IdempotencyKey),
    request_body(content((schemas::NewEvent = "application/x-ndjson"), (Vec<schemas::NewEvent> = "application/json"))),
    responses((status = 201, description = "Stored.", body = schemas::BulkAnswer)))]
async fn bulk(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanWrite>, headers: HeaderMap, body: Body) -> Answer {
    let limits = app.service.limits();
    Params::parse(query.as_deref(), &[], limits)?.finish()?;
    let media = ingest::media(&headers)?;
    let key = ingest::key(&headers)?;
    let received = body::receive(&app.service, &headers, body, limits.bulk_bytes, key.is_some()).await?;
    let idempotency = ingest::bound(key, ROUTE, received.digest);
    let (text, limits) = (received.text, limits.clone());
    let batch = tokio::task::spawn_blocking(move || parse(&text, media, &limits)).await.map_err(Error::internal)??;
    let appended = ingest::append(&app.service, &who.caller, batch, idempotency, received.held).await?;
    let body = serde_json::to_vec(&Stored::new(&appended.outcomes)).map_err(Error::internal)?;
    let mut response = answer::json(StatusCode::CREATED, body);
    if appended.replayed {
        response.headers_mut().insert(ingest::REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Reads a body of events.
fn parse(text: &[u8], media: Media, limits: &Limits) -> Result<EventBatch, Failed> {
    let mut reader = Reader { batch: EventBatch::with_capacity(text.len()), limits, violations: Vec::new(), found: 0, index: 0 };
    let is_array = match media {
        Media::Json => true,
        Media::Ndjson => false,
        Media::Unsaid => text.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'['),
    };
    if is_array {
        reader.array(text)?
    } else if let Some(batch) = halves(text, limits) {
        return Ok(batch);
    } else {
        reader.lines(text)?
    }
    reader.finish()
}

/// Reads a large body on two threads; `None` if it is small, or if anything is wrong with it: then it is read from the front to say what.
fn halves(text: &[u8], limits: &Limits) -> Option<EventBatch> {
    if text.len() < HALVES_FROM {
        return None;
    }
    let (first, second) = text.split_at(text.len() / 2 + memchr(b'\n', &text[text.len() / 2..])? + 1);
    let read = |half: &[u8]| {
        let mut reader = Reader { batch: EventBatch::with_capacity(half.len()), limits, violations: Vec::new(), found: 0, index: 0 };
        reader.lines(half).ok()?;
        (reader.found == 0).then_some(reader.batch)
    };
    let (first, second) = std::thread::scope(|scope| {
        let second = scope.spawn(|| read(second));
        (read(first), second.join().ok().flatten())
    });
    let (mut batch, second) = (first?, second?);
    batch.append(&second);
    (!batch.is_empty() && batch.len() <= limits.bulk_events).then_some(batch)
}

/// Bytes of a body from which on it is read on two threads.
const HALVES_FROM: usize = 128 << 10;

struct Reader<'l> {
    batch: EventBatch,
    limits: &'l Limits,
    violations: Vec<Violation>,
    /// Violations found, the listed ones and the others.
    found: usize,
    /// Events seen.
    index: usize,
}

impl Reader<'_> {
    fn lines(&mut self, text: &[u8]) -> Result<(), Failed> {
        let (mut rest, mut line) = (text, 0);
        while !rest.is_empty() {
            line += 1;
            let end = memchr(b'\n', rest);
            let one = &rest[..end.unwrap_or(rest.len())];
            rest = end.map_or(&[][..], |at| &rest[at + 1..]);
            if !one.iter().all(u8::is_ascii_whitespace) {
                self.event(one, Some(line))?;
            }
        }
        Ok(())
    }

    fn array(&mut self, text: &[u8]) -> Result<(), Failed> {
        let mut s = match Scanner::new(text, self.limits.depth + 1, self.limits.name_bytes) {
            Ok(s) => s,
            Err(e) => return self.refuse([ingest::not_json(&e)]),
        };
        if s.kind().is_ok_and(|k| k != Kind::Array) {
            return self.refuse([Violation::new("", "The body must be an array of events. One event a line is application/x-ndjson.")]);
        }
        let mut scratch = Vec::new();
        let mut more = match s.enter(b'[') {
            Ok(more) => more,
            Err(e) => return self.refuse([ingest::not_json(&e)]),
        };
        while more {
            s.peek();
            let start = s.pos();
            scratch.clear();
            if let Err(e) = s.value(&mut scratch) {
                let index = Some(self.index);
                return self.refuse([Violation { index, ..ingest::not_json(&e) }]);
            }
            self.event(&text[start..s.pos()], None)?;
            more = match s.more(b']') {
                Ok(more) => more,
                Err(e) => return self.refuse([ingest::not_json(&e)]),
            };
        }
        s.finish().or_else(|e| self.refuse([ingest::not_json(&e)]))
    }

    fn event(&mut self, text: &[u8], line: Option<usize>) -> Result<(), Failed> {
        if self.index >= self.limits.bulk_events {
            let most = self.limits.bulk_events;
            return Err(Error::new(ErrorKind::TooLarge, format!("The body has more than {most} events (bulk_events).")).into());
        }
        let pushed = self.batch.push(text, self.limits);
        let index = self.index;
        self.index += 1;
        pushed.or_else(|e| self.refuse(ingest::violations(e, Some(index), line)))
    }

    /// Notes broken rules; reading goes on where it can.
    fn refuse(&mut self, violations: impl IntoIterator<Item = Violation>) -> Result<(), Failed> {
        for mut v in violations {
            self.found += 1;
            if self.violations.len() < LISTED {
                if let Some(line) = v.line {
                    v.message = format!("Line {line}: {}", v.message);
                }
                self.violations.push(v);
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<EventBatch, Failed> {
        if self.found > 0 {
            return Err(Failed::new(Error::invalid(self.violations), Note::FirstOf(self.found)));
        }
        if self.index == 0 {
            return Err(Error::invalid_member("", "The body has no event.").into());
        }
        Ok(self.batch)
    }
}

/// What was stored. Positions are those of the events log; the activity log has its own.
#[derive(Serialize)]
struct Stored {
    data: Data,
    meta: Meta,
}

#[derive(Serialize)]
struct Data {
    accepted: usize,
    duplicates: usize,
    first_position: Option<u64>,
    last_position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    activity: Option<Run>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    duplicate_positions: Vec<(usize, u64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_positions_omitted: Option<usize>,
}

/// The new positions of one log.
#[derive(Clone, Copy, Default, Serialize)]
struct Run {
    accepted: usize,
    first_position: Option<u64>,
    last_position: Option<u64>,
}

#[derive(Serialize)]
struct Meta {}

impl Run {
    fn add(&mut self, outcome: &Outcome) {
        if !outcome.duplicate {
            self.accepted += 1;
            self.first_position = Some(self.first_position.map_or(outcome.position, |p| p.min(outcome.position)));
            self.last_position = self.last_position.max(Some(outcome.position));
        }
    }
}

impl Stored {
    fn new(outcomes: &[Outcome]) -> Self {
        let mut runs: BTreeMap<LogKind, Run> = BTreeMap::new();
        for outcome in outcomes {
            runs.entry(outcome.log).or_default().add(outcome);
        }
        let events = runs.get(&LogKind::Events).copied().unwrap_or_default();
        let repeated = outcomes.iter().enumerate().filter(|(_, o)| o.duplicate).map(|(i, o)| (i, o.position));
        let duplicates = repeated.clone().count();
        let data = Data {
            accepted: outcomes.len() - duplicates,
            duplicates,
            first_position: events.first_position,
            last_position: events.last_position,
            activity: runs.get(&LogKind::Activity).copied(),
            duplicate_positions: repeated.take(DUPLICATES).collect(),
            duplicate_positions_omitted: duplicates.checked_sub(DUPLICATES).filter(|n| *n > 0),
        };
        Self { data, meta: Meta {} }
    }
}

#[cfg(test)]
mod tests;
