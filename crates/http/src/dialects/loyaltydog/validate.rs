//! Parameters and bodies, read as FastAPI and Pydantic read them.
//!
//! Promises: whatever they refuse is refused in their form: all broken rules at once, each with the rule's name, its place, words, the input and the rule's context.
//! Unknown parameters and members are ignored, and of a repeated one the last counts.
//! Never: lets a text or a list grow beyond its limit.

use std::collections::BTreeMap;

use indelible_model::{Error, Kind, Limits, Result, Timestamp, Violation};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::dates::{self, Unread};
use super::json::flaw;
use crate::failed::Failed;

/// Entries of a list.
const MAX_ENTRIES: usize = 1000;
/// Broken rules that are told.
const MAX_PROBLEMS: usize = 1000;

/// A part of a place: a name, or a number in a list or text.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
enum Step {
    Name(&'static str),
    At(usize),
}

/// A broken rule.
#[derive(Debug, Serialize)]
struct Problem {
    r#type: &'static str,
    loc: Vec<Step>,
    msg: String,
    input: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Value>,
}

/// What is wrong with a request.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, rule: &'static str, loc: &[Step], message: impl Into<String>, input: &impl Serialize, ctx: Option<Value>) {
        if self.0.len() < MAX_PROBLEMS {
            let input = to_raw_value(input).unwrap_or_default();
            self.0.push(Problem { r#type: rule, loc: loc.to_vec(), msg: message.into(), input, ctx });
        }
    }
    /// A field that must be there and is not.
    pub(super) fn missing(&mut self, part: &'static str, name: &'static str) {
        self.add("missing", &[Step::Name(part), Step::Name(name)], "Field required", &(), None);
    }
    /// A text that is none of those that a pattern allows.
    pub(super) fn mismatch(&mut self, part: &'static str, name: &'static str, pattern: &str, input: &str) {
        self.add("string_pattern_mismatch", &[Step::Name(part), Step::Name(name)], format!("String should match pattern '{pattern}'"), &input, Some(json!({ "pattern": pattern })));
    }
    /// A value that no rule of its type forbids, but its meaning does.
    pub(super) fn meaning(&mut self, part: &'static str, name: &'static str, words: &str, input: &impl Serialize) {
        self.add("value_error", &[Step::Name(part), Step::Name(name)], format!("Value error, {words}"), input, Some(json!({ "error": {} })));
    }
    /// Fails if a rule was broken.
    pub(super) fn finish(self) -> Result<(), Failed> {
        if self.0.is_empty() {
            return Ok(());
        }
        let step = |step: &Step| match step {
            Step::Name(name) => (*name).to_owned(),
            Step::At(number) => number.to_string(),
        };
        let violations = self.0.iter().map(|p| Violation::new(p.loc.iter().skip(1).map(step).collect::<Vec<_>>().join("."), p.msg.clone())).collect();
        let mut failed = Failed::from(Error::invalid(violations));
        failed.detail = Some(Box::new(to_raw_value(&self.0).map_err(Error::internal)?));
        Err(failed)
    }
    /// A text of as many characters as allowed.
    fn short(&mut self, loc: &[Step], text: String, most: usize) -> Option<String> {
        if text.chars().count() <= most {
            return Some(text);
        }
        self.add("string_too_long", loc, format!("String should have at most {most} characters"), &text, Some(json!({ "max_length": most })));
        None
    }
    fn few(&mut self, loc: &[Step], count: usize, input: &impl Serialize) -> bool {
        if count > MAX_ENTRIES {
            let message = format!("List should have at most {MAX_ENTRIES} items after validation, not {count}");
            self.add("too_long", loc, message, input, Some(json!({ "field_type": "List", "max_length": MAX_ENTRIES, "actual_length": count })));
        }
        count <= MAX_ENTRIES
    }
    fn time(&mut self, loc: &[Step], read: Result<Timestamp, Unread>, input: &impl Serialize) -> Option<Timestamp> {
        let known = |Unread { rule, words }| {
            let what = if rule == "datetime_parsing" { "Input should be a valid datetime" } else { "Input should be a valid datetime or date" };
            self.add(rule, loc, format!("{what}, {words}"), input, Some(json!({ "error": words })));
        };
        read.map_err(known).ok()
    }
}

/// The parameters of a request, taken one by one.
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    pub(super) problems: Problems,
}

impl Query {
    pub(super) fn parse(raw: Option<&str>, limits: &Limits) -> Result<Self> {
        let raw = raw.unwrap_or_default();
        if raw.len() > limits.query_bytes {
            return Err(Error::new(Kind::TooLarge, format!("The query string has {} bytes; at most {} are allowed (query_bytes).", raw.len(), limits.query_bytes)));
        }
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(name), decode(value))
        };
        Ok(Self { pairs: raw.split('&').filter(|p| !p.is_empty()).map(pair).collect(), problems: Problems::default() })
    }
    fn last(&self, name: &str) -> Option<String> {
        self.pairs.iter().rfind(|(n, _)| n == name).map(|(_, value)| value.clone())
    }
    /// A text of at most `most` characters.
    pub(super) fn text(&mut self, name: &'static str, most: usize) -> Option<String> {
        let text = self.last(name)?;
        self.problems.short(&[Step::Name("query"), Step::Name(name)], text, most)
    }
    /// All values of a parameter; `None` without any.
    pub(super) fn texts(&mut self, name: &'static str, most: usize) -> Option<Vec<String>> {
        let texts: Vec<_> = self.pairs.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect();
        let loc = [Step::Name("query"), Step::Name(name)];
        if texts.is_empty() || !self.problems.few(&loc, texts.len(), &texts) {
            return None;
        }
        let checked = texts.into_iter().enumerate().filter_map(|(i, text)| self.problems.short(&[loc[0], loc[1], Step::At(i)], text, most));
        Some(checked.collect())
    }
    /// A whole number of at least 1, and of at most `most`.
    pub(super) fn number(&mut self, name: &'static str, otherwise: u64, most: u64) -> u64 {
        let Some(text) = self.last(name) else { return otherwise };
        let loc = [Step::Name("query"), Step::Name(name)];
        match whole(&text) {
            Some(n) if n < 1 => self.problems.add("greater_than_equal", &loc, "Input should be greater than or equal to 1", &text, Some(json!({ "ge": 1 }))),
            Some(n) if n.unsigned_abs() > most => {
                self.problems.add("less_than_equal", &loc, format!("Input should be less than or equal to {most}"), &text, Some(json!({ "le": most })));
            }
            Some(n) => return n.unsigned_abs(),
            None => self.problems.add("int_parsing", &loc, "Input should be a valid integer, unable to parse string as an integer", &text, None),
        }
        otherwise
    }
    pub(super) fn time(&mut self, name: &'static str) -> Option<Timestamp> {
        let text = self.last(name)?;
        self.problems.time(&[Step::Name("query"), Step::Name(name)], dates::of_text(&text), &text)
    }
}

/// The members of a body, taken one by one.
pub(super) struct Body {
    members: BTreeMap<String, Box<RawValue>>,
    pub(super) problems: Problems,
}

/// A body that is not an object; it has one problem.
fn refused(rule: &'static str, at: Option<usize>, message: &str, input: &impl Serialize, ctx: Option<Value>) -> Failed {
    let mut problems = Problems::default();
    let loc: Vec<_> = std::iter::once(Step::Name("body")).chain(at.map(Step::At)).collect();
    problems.add(rule, &loc, message, input, ctx);
    problems.finish().err().unwrap_or_else(|| Error::internal("a problem was lost").into())
}

fn no_object(input: &impl Serialize) -> Failed {
    refused("model_attributes_type", None, "Input should be a valid dictionary or object to extract fields from", input, None)
}

impl Body {
    /// Reads an object. What was not sent as JSON is a text.
    pub(super) fn parse(text: &[u8], is_json: bool) -> Result<Self, Failed> {
        if text.is_empty() {
            return Err(refused("missing", None, "Field required", &(), None));
        }
        let text = std::str::from_utf8(text).map_err(|_| Error::new(Kind::Malformed, "There was an error parsing the body."))?;
        if !is_json {
            return Err(no_object(&text));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let whole: &RawValue = serde_json::from_str(text).map_err(|_| match flaw(text) {
            Some(flaw) => refused("json_invalid", Some(flaw.at), "JSON decode error", &json!({}), Some(json!({ "error": flaw.words }))),
            None => Error::new(Kind::Malformed, "There was an error parsing the body.").into(),
        })?;
        let members = serde_json::from_str(whole.get()).map_err(|_| no_object(&whole))?;
        Ok(Self { members, problems: Problems::default() })
    }
    /// What was asked for, by the names that count.
    pub(super) fn shown(&self, names: &[&str]) -> Value {
        let read = |name: &&str| Some(((*name).to_owned(), serde_json::from_str(self.members.get(*name)?.get()).ok()?));
        Value::Object(names.iter().filter_map(read).collect())
    }
    /// A member that is there, and not null.
    fn some(&self, name: &str) -> Option<Box<RawValue>> {
        self.members.get(name).filter(|raw| raw.get() != "null").cloned()
    }
    fn string(&mut self, loc: &[Step], raw: &RawValue, most: usize) -> Option<String> {
        match serde_json::from_str(raw.get()) {
            Ok(text) => return self.problems.short(loc, text, most),
            Err(_) if raw.get().starts_with('"') => {
                self.problems.add("string_unicode", loc, "Input should be a valid string, unable to parse raw data as a unicode string", &(), None);
            }
            Err(_) => self.problems.add("string_type", loc, "Input should be a valid string", &raw, None),
        }
        None
    }
    /// A text of at most `most` characters, or null.
    pub(super) fn text(&mut self, name: &'static str, most: usize) -> Option<String> {
        let raw = self.some(name)?;
        self.string(&[Step::Name("body"), Step::Name(name)], &raw, most)
    }
    /// A text that cannot be null. `None` if it is absent or a problem.
    pub(super) fn plain(&mut self, name: &'static str, most: usize) -> Option<String> {
        let raw = self.members.get(name).cloned()?;
        self.string(&[Step::Name("body"), Step::Name(name)], &raw, most)
    }
    /// As [`Body::plain`], of a member that must be there and not be empty. Empty only if that is a problem.
    pub(super) fn required(&mut self, name: &'static str, most: usize) -> String {
        let loc = [Step::Name("body"), Step::Name(name)];
        if !self.members.contains_key(name) {
            self.problems.add("missing", &loc, "Field required", &self.members, None);
        }
        let text = self.plain(name, most);
        if text.as_deref() == Some("") {
            self.problems.add("string_too_short", &loc, "String should have at least 1 character", &"", Some(json!({ "min_length": 1 })));
        }
        text.unwrap_or_default()
    }
    /// A list of texts, or null.
    pub(super) fn texts(&mut self, name: &'static str, most: usize) -> Option<Vec<String>> {
        let raw = self.some(name)?;
        let loc = [Step::Name("body"), Step::Name(name)];
        let Ok(entries) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
            self.problems.add("list_type", &loc, "Input should be a valid list", &raw, None);
            return None;
        };
        if !self.problems.few(&loc, entries.len(), &raw) {
            return None;
        }
        Some(entries.into_iter().enumerate().filter_map(|(i, entry)| self.string(&[loc[0], loc[1], Step::At(i)], entry, most)).collect())
    }
    /// A point in time, or null.
    pub(super) fn time(&mut self, name: &'static str) -> Option<Timestamp> {
        let raw = self.some(name)?;
        let loc = [Step::Name("body"), Step::Name(name)];
        let read = match raw.get().as_bytes() {
            [b'"', ..] => dates::of_text(&self.string(&loc, &raw, usize::MAX)?),
            [b'-' | b'0'..=b'9', ..] => dates::of_number(raw.get()),
            _ => {
                self.problems.add("datetime_type", &loc, "Input should be a valid datetime", &raw, None);
                return None;
            }
        };
        self.problems.time(&loc, read, &raw)
    }
}

/// Undoes percent-encoding as Python does: what is no encoding stays, and what is not UTF-8 becomes U+FFFD.
fn decode(text: &str) -> String {
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        out.push(match (byte, digit(bytes.get(at)), digit(bytes.get(at + 1))) {
            (b'%', Some(high), Some(low)) => {
                at += 2;
                high << 4 | low
            }
            (b'+', ..) => b' ',
            (byte, ..) => *byte,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A whole number as Pydantic reads it: with white space around, a sign, single underscores between digits, and a fraction of nothing but zeros. The nearest
/// that fits stands for a larger one.
fn whole(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let digits = match unsigned.split_once('.') {
        Some((digits, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => digits,
        Some(_) => return None,
        None => unsigned,
    };
    let mut value = 0_i64;
    for group in digits.split('_') {
        if group.is_empty() {
            return None;
        }
        for digit in group.bytes() {
            let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
            value = value.saturating_mul(10).saturating_add(digit);
        }
    }
    Some(if negative { -value } else { value })
}
