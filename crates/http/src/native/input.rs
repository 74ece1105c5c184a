//! The bodies of administration: small JSON objects, read strictly.
//!
//! Promises: an unknown member, or one of another type than expected, is a violation that names it; all violations are reported at once.
//! Never: takes null for anything but an absent value, unless the member says so.

use axum::body::Body;
use axum::http::HeaderMap;
use indelible_model::time::End;
use indelible_model::{Error, Result, Timestamp, Violation};
use serde_json::{Map, Value};

use crate::app::App;
use crate::query::Params;
use crate::{body, ingest};

const MAX_BODY: usize = 64 << 10;
/// Entries of a list.
const MAX_ENTRIES: usize = 1000;

/// The members of a body, taken one by one.
pub(crate) struct Object {
    members: Map<String, Value>,
    violations: Vec<Violation>,
}

impl Object {
    /// Reads the body of a request, in which only the `allowed` members may stand. There are no parameters beside it.
    pub(crate) async fn receive(app: &App, query: Option<&str>, headers: &HeaderMap, body: Body, allowed: &[&str]) -> Result<Self> {
        Params::parse(query, &[], app.service.limits())?.finish()?;
        ingest::expect_json(headers)?;
        let received = body::receive(&app.service, headers, body, MAX_BODY, false).await?;
        Self::parse(&received.text, allowed)
    }
    /// Reads an object in which only the `allowed` members may stand.
    pub(crate) fn parse(text: &[u8], allowed: &[&str]) -> Result<Self> {
        let members: Map<String, Value> = serde_json::from_slice(text).map_err(|e| Error::invalid_member("", format!("The body must be a JSON object: {e}.")))?;
        Ok(Self::new(members, allowed))
    }
    fn new(members: Map<String, Value>, allowed: &[&str]) -> Self {
        let unknown = members.keys().filter(|n| !allowed.contains(&n.as_str()));
        let violations = unknown.map(|n| Violation::new(n, format!("is not a member here; allowed are {}.", allowed.join(", ")))).collect();
        Self { members, violations }
    }
    /// Adds a broken rule.
    pub(crate) fn violate(&mut self, name: &str, message: impl Into<String>) {
        self.violations.push(Violation::new(name, message));
    }
    /// The outcome, or what is wrong with a member; that is noted.
    pub(crate) fn check<T>(&mut self, outcome: Result<T>) -> Option<T> {
        outcome.map_err(|e| self.violations.extend(e.violations().iter().cloned())).ok()
    }
    /// True if the member is there, be it null.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }
    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|v| !v.is_null())
    }
    /// A text of 1 to `most` bytes that is not blank.
    pub(crate) fn text(&mut self, name: &str, most: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if !text.trim().is_empty() && text.len() <= most => return Some(text),
            _ => self.violate(name, format!("must be a text of 1 to {most} bytes.")),
        }
        None
    }
    /// As [`Object::text`], of a member that must be there. Empty only if that is a violation.
    pub(crate) fn required(&mut self, name: &str, most: usize) -> String {
        if self.members.get(name).is_none_or(Value::is_null) {
            self.violate(name, format!("The {name} field is required."));
        }
        self.text(name, most).unwrap_or_default()
    }
    /// A list of texts, not empty.
    pub(crate) fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        match serde_json::from_value::<Vec<String>>(self.take(name)?) {
            Ok(texts) if (1..=MAX_ENTRIES).contains(&texts.len()) && texts.iter().all(|t| !t.is_empty()) => return Some(texts),
            _ => self.violate(name, format!("must be a list of 1 to {MAX_ENTRIES} texts, none of them empty.")),
        }
        None
    }
    /// A whole number of at least 1.
    pub(crate) fn number(&mut self, name: &str) -> Option<u64> {
        let number = self.take(name)?.as_u64().filter(|n| *n > 0);
        if number.is_none() {
            self.violate(name, "must be a whole number, at least 1.");
        }
        number
    }
    /// A whole number from `least` to `most`.
    pub(crate) fn whole(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let number = self.take(name)?.as_u64().filter(|n| (least..=most).contains(n));
        if number.is_none() {
            self.violate(name, if most == u64::MAX { format!("must be a whole number, at least {least}.") } else { format!("must be a whole number from {least} to {most}.") });
        }
        number
    }
    /// A yes or no.
    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        let flag = self.take(name)?.as_bool();
        if flag.is_none() {
            self.violate(name, "must be true or false.");
        }
        flag
    }
    /// A point in time.
    pub(crate) fn time(&mut self, name: &str) -> Option<Timestamp> {
        let value = self.take(name)?;
        let time = value.as_str().and_then(|text| Timestamp::parse(text).ok());
        if time.is_none() {
            self.violate(name, "must be a time as in RFC 3339 with a zone, such as 2026-02-10T14:32:15Z.");
        }
        time
    }
    /// One end of a range of time.
    pub(crate) fn bound(&mut self, name: &str, end: End) -> Option<Timestamp> {
        match self.take(name)?.as_str().map(|text| Timestamp::parse_bound(text, end)) {
            Some(Ok(time)) => return Some(time),
            Some(Err(e)) => self.violate(name, format!("{e}, or a date such as 2026-02-10.")),
            None => self.violate(name, "must be a time or a date as text."),
        }
        None
    }
    /// An object within, in which only the `allowed` members may stand; [`Object::close`] takes it back.
    pub(crate) fn object(&mut self, name: &str, allowed: &[&str]) -> Option<Self> {
        match self.take(name)? {
            Value::Object(members) => return Some(Self::new(members, allowed)),
            _ => self.violate(name, "must be an object."),
        }
        None
    }
    /// Takes over what is wrong with an object within.
    pub(crate) fn close(&mut self, name: &str, inner: Self) {
        self.violations.extend(inner.violations.into_iter().map(|v| Violation { member: format!("{name}.{}", v.member), ..v }));
    }
    /// Fails if a rule was broken.
    pub(crate) fn finish(self) -> Result<()> {
        if self.violations.is_empty() { Ok(()) } else { Err(Error::invalid(self.violations)) }
    }
}

#[cfg(test)]
mod tests;
