//! Reads one event in the native shape, which is LogProof's plus `subject`, `organization`, `http` and `external_id`.
//!
//! Writes the details of hash format v1 into an [`EventBatch`]. Strict: an unknown member, a wrong type or a value
//! beyond a limit is a [`Violation`] that names it; all violations of the top level are reported, not just the first.

use std::ops::Range;

use crate::error::Violation;
use crate::event::{EventBatch, LogKind, NewEvent};
use crate::json::{self, JsonError, Kind, Scanner};
use crate::limits::Limits;
use crate::time::Timestamp;

/// The members of details, in the order of hash format v1.
const ORDER: [&str; 9] = ["actor", "target", "context", "diff", "metadata", "subject", "organization", "http", "external_id"];
/// All members of an event; the last arm of [`Reader::member`] is `http`.
const MEMBERS: [&str; 11] = ["action", "actor", "target", "context", "diff", "metadata", "occurred_at", "subject", "organization", "http", "external_id"];
/// How many of [`ORDER`] are written even when absent.
const ALWAYS: usize = 5;

const ACTOR: &[&str] = &["id", "type", "meta"];
const QUICK_START: &[&str] = &["name", "email"];
const SUBJECT: &[&str] = &["id", "type", "name", "meta"];
const ORGANIZATION: &[&str] = &["id", "name"];
const HTTP: &[&str] = &["method", "endpoint", "url", "status", "channel", "duration_ms", "request_id", "app_id", "client_app_id", "request_body", "response_body"];

/// Why an event was refused.
#[derive(Debug, PartialEq, Eq)]
pub enum ParseError {
    /// Not JSON.
    Syntax(JsonError),
    /// JSON, but not an event.
    Violations(Vec<Violation>),
}

impl EventBatch {
    /// Reads one event's JSON text and adds it. On an error nothing is added.
    pub fn push(&mut self, text: &[u8], limits: &Limits) -> Result<(), ParseError> {
        let start = self.text.len();
        let result = self.read(text, limits);
        if result.is_err() {
            self.text.truncate(start);
        }
        result
    }

    fn read(&mut self, text: &[u8], limits: &Limits) -> Result<(), ParseError> {
        if text.len() > limits.event_bytes {
            return Err(ParseError::Violations(vec![Violation::new("", format!("The event has {} bytes; at most {} are allowed (event_bytes).", text.len(), limits.event_bytes))]));
        }
        let mut reader = Reader { limits, scratch: Vec::with_capacity(text.len() + 64), violations: Vec::new(), parts: Default::default(), action: None, occurred_at: None };
        reader.event(text).map_err(ParseError::Syntax)?;
        if reader.action.is_none() && !reader.violations.iter().any(|v| v.member.is_empty() || v.member == "action") {
            reader.violations.insert(0, Violation::new("action", "The action field is required."));
        }
        let (Some(action), true) = (reader.action.take(), reader.violations.is_empty()) else {
            return Err(ParseError::Violations(reader.violations));
        };
        let action_start = self.text.len();
        self.text.extend_from_slice(&reader.scratch[action]);
        let details_start = self.text.len();
        let mut external_id = None;
        for (i, name) in ORDER.iter().enumerate() {
            let part = reader.parts[i].clone();
            if part.is_none() && i >= ALWAYS {
                continue;
            }
            if i > 0 {
                self.text.push(b',');
            }
            self.text.push(b'"');
            self.text.extend_from_slice(name.as_bytes());
            self.text.extend_from_slice(b"\":");
            let at = self.text.len();
            match part {
                Some(range) => self.text.extend_from_slice(&reader.scratch[range]),
                None if matches!(*name, "context" | "metadata") => self.text.extend_from_slice(b"{}"),
                None => self.text.extend_from_slice(b"null"),
            }
            if *name == "external_id" {
                external_id = Some(at + 1..self.text.len() - 1);
            }
        }
        let log = if reader.parts[7].is_some() { LogKind::Activity } else { LogKind::Events };
        self.events.push(NewEvent { action: action_start..details_start, details: details_start..self.text.len(), external_id, occurred_at: reader.occurred_at, log });
        Ok(())
    }
}

struct Reader<'l> {
    limits: &'l Limits,
    scratch: Vec<u8>,
    violations: Vec<Violation>,
    parts: [Option<Range<usize>>; ORDER.len()],
    action: Option<Range<usize>>,
    occurred_at: Option<Timestamp>,
}

impl Reader<'_> {
    fn event(&mut self, text: &[u8]) -> Result<(), JsonError> {
        let mut s = Scanner::new(text, self.limits.depth, self.limits.name_bytes)?;
        if s.kind()? != Kind::Object {
            s.value(&mut Vec::new())?;
            s.finish()?;
            self.violations.push(Violation::new("", "An event must be a JSON object."));
            return Ok(());
        }
        let mut names = Vec::new();
        let mut more = s.enter(b'{')?;
        while more {
            let at = self.scratch.len();
            s.name(&mut self.scratch)?;
            names.push((at, self.scratch.len()));
            match MEMBERS.iter().find(|m| m.as_bytes() == &self.scratch[at + 1..self.scratch.len() - 1]) {
                Some(name) => self.member(&mut s, name)?,
                None => {
                    let name = json::unescape(&self.scratch[at + 1..self.scratch.len() - 1]).into_owned();
                    s.value(&mut Vec::new())?;
                    self.violation(name, "is not a member of an event. Put your own data into metadata.");
                }
            }
            more = s.more(b'}')?;
        }
        if json::has_duplicates(&mut names, &self.scratch) {
            return s.error("duplicate member name");
        }
        s.finish()
    }

    fn violation(&mut self, member: impl Into<String>, message: impl Into<String>) {
        self.violations.push(Violation::new(member, message));
    }

    /// Reads a value into scratch and checks its kind; `None` if it is null or wrong.
    fn take(&mut self, s: &mut Scanner<'_>, member: &str, want: Kind, what: &str) -> Result<Option<Range<usize>>, JsonError> {
        let start = self.scratch.len();
        let kind = s.value(&mut self.scratch)?;
        if kind == want {
            return Ok(Some(start..self.scratch.len()));
        }
        if kind != Kind::Null {
            self.violation(member, format!("must be {what}."));
        }
        Ok(None)
    }

    /// As [`Reader::take`] for a string of limited length.
    fn text(&mut self, s: &mut Scanner<'_>, member: &str) -> Result<Option<Range<usize>>, JsonError> {
        let range = self.take(s, member, Kind::String, "a string")?;
        if let Some(r) = &range
            && r.len() - 2 > self.limits.text_bytes
        {
            self.violation(member, format!("is longer than {} bytes (text_bytes).", self.limits.text_bytes));
        }
        Ok(range)
    }

    fn member(&mut self, s: &mut Scanner<'_>, name: &str) -> Result<(), JsonError> {
        match name {
            "action" => {
                self.action = self.text(s, name)?;
                match &self.action {
                    None if !self.violations.iter().any(|v| v.member == name) => self.violation(name, "The action field is required."),
                    Some(r) if r.len() == 2 => self.violation(name, "must not be empty."),
                    _ => {}
                }
            }
            "occurred_at" => {
                if let Some(range) = self.text(s, name)? {
                    let text = json::unescape(&self.scratch[range.start + 1..range.end - 1]).into_owned();
                    match Timestamp::parse(&text) {
                        Ok(at) => self.occurred_at = Some(at),
                        Err(e) => self.violation(name, format!("{e}.")),
                    }
                }
            }
            "external_id" => {
                self.parts[8] = self.text(s, name)?;
                if self.parts[8].as_ref().is_some_and(|r| r.len() == 2) {
                    self.violation(name, "must not be empty.");
                }
            }
            "actor" => self.parts[0] = self.actor(s)?,
            "target" => self.parts[1] = self.shaped(s, name, ACTOR)?,
            "context" => self.parts[2] = self.take(s, name, Kind::Object, "an object")?,
            "diff" => self.parts[3] = self.shaped(s, name, &["before", "after"])?,
            "metadata" => self.parts[4] = self.take(s, name, Kind::Object, "an object")?,
            "subject" => self.parts[5] = self.shaped(s, name, SUBJECT)?,
            "organization" => self.parts[6] = self.shaped(s, name, ORGANIZATION)?,
            _ => self.parts[7] = self.shaped(s, name, HTTP)?,
        }
        Ok(())
    }

    /// An object with a fixed set of members.
    fn shaped(&mut self, s: &mut Scanner<'_>, member: &str, allowed: &[&str]) -> Result<Option<Range<usize>>, JsonError> {
        let Some(range) = self.take(s, member, Kind::Object, "an object")? else { return Ok(None) };
        for (name, value) in json::members(&self.scratch[range.clone()]) {
            check(&mut self.violations, self.limits, member, &name[1..name.len() - 1], value, allowed);
        }
        Ok(Some(range))
    }

    /// The actor; the quick-start form's `name` and `email` are folded into `meta`.
    fn actor(&mut self, s: &mut Scanner<'_>) -> Result<Option<Range<usize>>, JsonError> {
        let Some(range) = self.take(s, "actor", Kind::Object, "an object")? else { return Ok(None) };
        let mut quick_start = false;
        for (name, value) in json::members(&self.scratch[range.clone()]) {
            let plain = &name[1..name.len() - 1];
            let folded = matches!(plain, b"name" | b"email");
            quick_start |= folded;
            check(&mut self.violations, self.limits, "actor", plain, value, if folded { QUICK_START } else { ACTOR });
        }
        if !quick_start {
            return Ok(Some(range));
        }
        let object = self.scratch[range].to_vec();
        let folded = json::members(&object).filter(|(name, _)| matches!(*name, b"\"name\"" | b"\"email\""));
        let meta = json::member(&object, "meta").filter(|m| m[0] == b'{').unwrap_or(b"{}");
        let mut out = Vec::with_capacity(object.len() + 16);
        for (name, value) in json::members(&object) {
            if !matches!(name, b"\"name\"" | b"\"email\"" | b"\"meta\"") {
                out.push(if out.is_empty() { b'{' } else { b',' });
                out.extend_from_slice(name);
                out.push(b':');
                out.extend_from_slice(value);
            }
        }
        out.push(if out.is_empty() { b'{' } else { b',' });
        out.extend_from_slice(b"\"meta\":");
        out.extend_from_slice(&meta[..meta.len() - 1]);
        for (name, value) in folded {
            let plain = if name == b"\"name\"" { "name" } else { "email" };
            match json::member(meta, plain) {
                Some(same) if same == value => continue,
                Some(_) => self.violation(format!("actor.{plain}"), format!("differs from actor.meta.{plain}; send one of them.")),
                None => {}
            }
            if out.last() != Some(&b'{') {
                out.push(b',');
            }
            out.extend_from_slice(name);
            out.push(b':');
            out.extend_from_slice(value);
        }
        out.extend_from_slice(b"}}");
        let start = self.scratch.len();
        self.scratch.extend_from_slice(&out);
        Ok(Some(start..self.scratch.len()))
    }
}

/// Checks one member of an object with a fixed set of members. `name` is canonical, without quotes.
fn check(violations: &mut Vec<Violation>, limits: &Limits, member: &str, name: &[u8], value: &[u8], allowed: &[&str]) {
    let null = value == b"null";
    let problem = match allowed.iter().find(|a| a.as_bytes() == name) {
        None => Some(format!("is not a member of {member}; allowed are {}.", allowed.join(", "))),
        Some(&"meta") => (value[0] != b'{' && !null).then(|| "must be an object.".to_owned()),
        Some(&"status") => (!null && (value.len() != 3 || !value.iter().all(u8::is_ascii_digit))).then(|| "must be an HTTP status of three digits.".to_owned()),
        Some(&"duration_ms") => (!null && !value[0].is_ascii_digit()).then(|| "must be a number of milliseconds, not negative.".to_owned()),
        Some(&("before" | "after" | "request_body" | "response_body")) => None,
        Some(_) if value[0] != b'"' && !null => Some("must be a string.".to_owned()),
        Some(name) => (value.len() > limits.text_bytes + 2 && *name != "url").then(|| format!("is longer than {} bytes (text_bytes).", limits.text_bytes)),
    };
    if let Some(problem) = problem {
        violations.push(Violation::new(format!("{member}.{}", json::unescape(name)), problem));
    }
}

#[cfg(test)]
mod tests;
