//! Query strings, read strictly.
//!
//! Promises: an unknown, repeated, empty or unreadable parameter is a violation that names it; all violations are reported at once.
//! Never: ignores what it does not understand, because a filter that is dropped answers with more than was asked for.

use indelible_model::time::End;
use indelible_model::{Error, Kind, Limits, LogKind, Result, Timestamp, Violation};

/// The parameters of one request, taken one by one.
pub(crate) struct Params<'l> {
    pairs: Vec<(String, String)>,
    violations: Vec<Violation>,
    limits: &'l Limits,
}

impl<'l> Params<'l> {
    /// Reads `raw`, in which only the `allowed` names may stand, each once.
    pub(crate) fn parse(raw: Option<&str>, allowed: &[&str], limits: &'l Limits) -> Result<Self> {
        let raw = raw.unwrap_or_default();
        if raw.len() > limits.query_bytes {
            return Err(Error::new(Kind::TooLarge, format!("The query string has {} bytes; at most {} are allowed (query_bytes).", raw.len(), limits.query_bytes)));
        }
        let mut params = Self { pairs: Vec::new(), violations: Vec::new(), limits };
        for part in raw.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let Some(name) = decode(name) else {
                params.violate(shorten(name), "The name is not percent-encoded UTF-8.");
                continue;
            };
            if !allowed.contains(&name.as_str()) {
                let known = if allowed.is_empty() { "none is".to_owned() } else { format!("allowed are {}", allowed.join(", ")) };
                params.violate(shorten(&name), format!("is not a parameter here; {known}."));
            } else if params.pairs.iter().any(|(n, _)| *n == name) {
                params.violate(name, "is given more than once.");
            } else {
                match decode(value) {
                    None => params.violate(name, "is not percent-encoded UTF-8 without NUL."),
                    Some(value) if value.is_empty() => params.violate(name, "must not be empty; leave it out."),
                    Some(value) => params.pairs.push((name, value)),
                }
            }
        }
        Ok(params)
    }
    /// Adds a broken rule.
    pub(crate) fn violate(&mut self, name: impl Into<String>, message: impl Into<String>) {
        self.violations.push(Violation::new(name, message));
    }
    /// The characters of a parameter.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let limit = self.limits.text_bytes;
        self.limited(name, limit, "text_bytes")
    }
    /// The characters of a search term.
    pub(crate) fn search(&mut self, name: &str) -> Option<String> {
        let limit = self.limits.search_bytes;
        self.limited(name, limit, "search_bytes")
    }
    fn limited(&mut self, name: &str, limit: usize, setting: &str) -> Option<String> {
        let at = self.pairs.iter().position(|(n, _)| n == name)?;
        let (_, value) = self.pairs.swap_remove(at);
        if value.len() > limit {
            self.violate(name, format!("is longer than {limit} bytes ({setting})."));
            return None;
        }
        Some(value)
    }
    /// A whole number from `least` to `most`.
    pub(crate) fn number(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let text = self.text(name)?;
        let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten().filter(|n| (least..=most).contains(n));
        if number.is_none() {
            self.violate(name, if most == u64::MAX { format!("must be a whole number, at least {least}.") } else { format!("must be a whole number from {least} to {most}.") });
        }
        number
    }
    /// A yes or no.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        match self.text(name).as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => {
                self.violate(name, "must be true or false.");
                false
            }
        }
    }
    /// One end of a range of time.
    pub(crate) fn bound(&mut self, name: &str, end: End) -> Option<Timestamp> {
        let text = self.text(name)?;
        Timestamp::parse_bound(&text, end).map_err(|e| self.violate(name, format!("{e}, or a date such as 2026-02-10."))).ok()
    }
    /// Which of the project's logs; `events` unless said otherwise.
    pub(crate) fn log(&mut self) -> LogKind {
        let Some(text) = self.text("log") else { return LogKind::Events };
        LogKind::ALL.into_iter().find(|l| l.name() == text).unwrap_or_else(|| {
            self.violate("log", "must be events or activity.");
            LogKind::Events
        })
    }
    /// Fails if a rule was broken.
    pub(crate) fn finish(self) -> Result<()> {
        if self.violations.is_empty() { Ok(()) } else { Err(Error::invalid(self.violations)) }
    }
}

/// The start of a name that came from outside, fit for a message.
pub(crate) fn shorten(name: &str) -> String {
    name.chars().take(64).collect()
}

/// Undoes percent-encoding, and reads `+` as a space; `None` if that gives no UTF-8, or a NUL.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'%' => digit(bytes.next())? << 4 | digit(bytes.next())?,
            b'+' => b' ',
            b => b,
        });
    }
    if out.contains(&0) { None } else { String::from_utf8(out).ok() }
}

#[cfg(test)]
mod tests;
