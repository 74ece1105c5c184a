//! The shapes of LogProof's bodies that are not event objects.
//!
//! Promises: a batch is cut into the raw texts of its events, so that numbers and escapes reach the domain as they were sent. Never: a JSON value in memory.

use indelible_model::json::{self, JsonError, Kind, Scanner};
use indelible_model::{Error, EventBatch, EventId, Limits, Result, Violation};
use indelible_service::{Outcome, Verification};
use serde::Serialize;

use super::cursor::Cursor;
use crate::answer;
use crate::ingest;

/// `{"data": line}`, which says so if the event was stored before.
pub(super) fn one(line: &[u8], duplicate: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len() + 40);
    out.extend_from_slice(b"{\"data\":");
    out.extend_from_slice(line);
    out.extend_from_slice(if duplicate { b",\"meta\":{\"duplicate\":true}}" } else { b"}" });
    out
}

/// `{"data": [lines]}`, which says how many were stored before.
pub(super) fn many(lines: &[Vec<u8>], outcomes: &[Outcome]) -> Vec<u8> {
    let mut out = answer::data_array(lines);
    let duplicates = outcomes.iter().filter(|o| o.duplicate).count();
    if duplicates > 0 {
        out.extend_from_slice(format!(",\"meta\":{{\"duplicates\":{duplicates}}}").as_bytes());
    }
    out.push(b'}');
    out
}

/// A page of a list.
pub(super) fn page(lines: &[Vec<u8>], next: Option<Cursor>) -> Vec<u8> {
    let mut out = answer::data_array(lines);
    let meta = match next {
        Some(cursor) => format!(",\"meta\":{{\"next_cursor\":\"{}\",\"has_more\":true}}}}", cursor.encode()),
        None => ",\"meta\":{\"next_cursor\":null,\"has_more\":false}}".to_owned(),
    };
    out.extend_from_slice(meta.as_bytes());
    out
}

/// The result of a verification.
#[derive(Serialize)]
pub(super) struct Verified {
    data: VerifiedData,
}

#[derive(Serialize)]
struct VerifiedData {
    status: &'static str,
    events_checked: u64,
    first_event_id: Option<String>,
    last_event_id: Option<String>,
    broken_at_event_id: Option<String>,
    /// Only where retention took events.
    #[serde(skip_serializing_if = "Option::is_none")]
    events_expired: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_from: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<Verification> for Verified {
    fn from(v: Verification) -> Self {
        let text = |id: Option<EventId>| id.map(|id| id.to_string());
        Self {
            data: VerifiedData {
                status: if v.valid { "valid" } else { "broken" },
                events_checked: v.events_checked,
                first_event_id: text(v.first_event),
                last_event_id: text(v.last_event),
                broken_at_event_id: text(v.broken_at),
                events_expired: Some(v.events_expired).filter(|n| *n > 0),
                verified_from: v.verified_from.filter(|_| v.events_expired > 0),
                reason: v.reason,
            },
        }
    }
}

/// Reads `{"events": [...]}`.
pub(super) fn batch(text: &[u8], limits: &Limits) -> Result<EventBatch> {
    let mut reader = Reader { text, limits, batch: EventBatch::with_capacity(text.len()), violations: Vec::new(), seen: false };
    if let Err((index, e)) = reader.body() {
        reader.violations.push(Violation { index, ..ingest::not_json(&e) });
    } else if !reader.seen && reader.violations.is_empty() {
        reader.violations.push(Violation::new("events", "The events field is required."));
    }
    if reader.violations.is_empty() { Ok(reader.batch) } else { Err(Error::invalid(reader.violations)) }
}

struct Reader<'a> {
    text: &'a [u8],
    limits: &'a Limits,
    batch: EventBatch,
    violations: Vec<Violation>,
    seen: bool,
}

/// Where in the batch the text could not be read.
type Stop = (Option<usize>, JsonError);

impl Reader<'_> {
    fn body(&mut self) -> Result<(), Stop> {
        let outside = |e| (None, e);
        // The wrapper's object and array do not count towards the nesting of an event.
        let mut s = Scanner::new(self.text, self.limits.depth + 2, self.limits.name_bytes).map_err(outside)?;
        if s.kind().map_err(outside)? != Kind::Object {
            self.violations.push(Violation::new("", "The body must be an object with the member events."));
            return Ok(());
        }
        let mut scratch = Vec::new();
        let mut more = s.enter(b'{').map_err(outside)?;
        while more {
            scratch.clear();
            s.name(&mut scratch).map_err(outside)?;
            let name = json::as_str(&scratch).unwrap_or_default().into_owned();
            if name == "events" && self.seen {
                return s.error("duplicate member name").map_err(outside);
            }
            if name == "events" {
                self.seen = true;
                self.events(&mut s)?;
            } else {
                s.value(&mut scratch).map_err(outside)?;
                self.violations.push(Violation::new(name, "is not a member of a batch; only events is."));
            }
            more = s.more(b'}').map_err(outside)?;
        }
        s.finish().map_err(outside)
    }

    fn events(&mut self, s: &mut Scanner<'_>) -> Result<(), Stop> {
        let mut scratch = Vec::new();
        if s.kind().map_err(|e| (None, e))? != Kind::Array {
            s.value(&mut scratch).map_err(|e| (None, e))?;
            self.violations.push(Violation::new("events", "must be an array."));
            return Ok(());
        }
        let mut index = 0;
        let mut more = s.enter(b'[').map_err(|e| (None, e))?;
        while more {
            let here = |e| (Some(index), e);
            s.peek();
            let start = s.pos();
            scratch.clear();
            s.value(&mut scratch).map_err(here)?;
            if index < self.limits.batch_events
                && let Err(e) = self.batch.push(&self.text[start..s.pos()], self.limits)
            {
                self.violations.extend(ingest::violations(e, Some(index), None));
            }
            more = s.more(b']').map_err(here)?;
            index += 1;
        }
        let most = self.limits.batch_events;
        if index == 0 {
            self.violations.push(Violation::new("events", "must have at least 1 item."));
        } else if index > most {
            self.violations.insert(0, Violation::new("events", format!("must not have more than {most} items; larger batches go to /v1/events/bulk.")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
