//! Mappings: data files that say where in a source record each member of an event is found.
//!
//! A mapping is a TOML file shaped like the event that it makes (docs/import.md). The built-in ones are files of the
//! same format in `mappings/`.
//! Promises: the event's JSON text is canonical, and numbers in it keep their text.
//! Never: guesses a time's zone, or leaves out a record because a member is missing.

mod compile;
mod path;
mod rules;
mod template;
mod time;

use std::io::{self, Read};

use indelible_model::ids;
use indelible_model::json::{self, Kind, Scanner};
use sha2::{Digest, Sha256};

use rules::Rules;

/// Nesting allowed in a source record; ingest has its own, lower limit.
const MAX_DEPTH: usize = 256;
/// Members of an exported line that the server gives: they are made anew.
const SERVER_MEMBERS: [&[u8]; 7] = [b"\"id\"", b"\"sequence_number\"", b"\"received_at\"", b"\"created_at\"", b"\"salt\"", b"\"hash\"", b"\"previous_hash\""];

macro_rules! builtin {
    ($($name:literal),* $(,)?) => {
        const BUILTIN: &[(&str, &str)] = &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../mappings/", $name, ".toml")))),*];
    };
}
builtin!(
    "atlassian",
    "auth0",
    "azure-activity",
    "box",
    "cloudtrail",
    "databricks",
    "duo",
    "gcp",
    "github",
    "gitlab",
    "google-workspace",
    "k8s-audit",
    "microsoft-365",
    "native",
    "okta",
    "one-password",
    "panther-samples",
    "salesforce",
    "slack",
    "snowflake",
    "teleport",
    "windows-security",
    "zendesk",
);

/// Why a mapping file was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", if .at.is_empty() { String::new() } else { format!("{}: ", .at) })]
pub struct MappingError {
    /// The key of the file, such as `case.2.actor.id`; empty for the file itself.
    pub at: String,
    /// What is wrong.
    pub reason: String,
}

/// Why a record was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}: {}{reason}", if .member.is_empty() { String::new() } else { format!("{}: ", .member) })]
pub struct MapError {
    /// The file, as [`Source`] named it.
    pub file: String,
    /// The line in it, from 1.
    pub line: u64,
    /// The member of the event that could not be made; empty for the record itself.
    pub member: String,
    /// What is wrong.
    pub reason: String,
}

/// Where a record comes from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The file's name, for messages.
    pub file: &'a str,
    /// What [`file_digest`] gives, for `{$file}`.
    pub digest: &'a str,
    /// The line, from 1, for messages and `{$line}`.
    pub line: u64,
}

/// What a line became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// One event.
    Event,
    /// Nothing: it is the closing line of an export, which counts the lines before it.
    ClosingLine,
}

/// A mapping, ready to use.
#[derive(Debug)]
pub struct Mapping {
    /// What the file says about itself.
    pub about: String,
    make: Make,
}

#[derive(Debug)]
enum Make {
    Native,
    Rules(Box<Rules>),
}

impl Mapping {
    /// Reads a mapping file's text.
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        let (about, rules) = compile::mapping(text)?;
        Ok(Self { about, make: rules.map_or(Make::Native, |r| Make::Rules(Box::new(r))) })
    }
    /// The text of a built-in mapping.
    pub fn builtin(name: &str) -> Option<&'static str> {
        BUILTIN.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
    }
    /// The names of the built-in mappings.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|(name, _)| *name)
    }
    /// Appends the event that `line` maps to, as one JSON text. On an error `out` is as before.
    pub fn map(&self, line: &[u8], source: &Source<'_>, out: &mut Vec<u8>) -> Result<Mapped, MapError> {
        let start = out.len();
        let record = compact(line).map_err(|reason| MapError::new(source, "", reason))?;
        let mapped = match &self.make {
            Make::Native => Ok(native(&record, source, out)),
            Make::Rules(rules) => rules.write(&record, source, out).map(|()| Mapped::Event),
        };
        if mapped.is_err() {
            out.truncate(start);
        }
        mapped
    }
}

impl MapError {
    fn new(source: &Source<'_>, member: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { file: source.file.to_owned(), line: source.line, member: member.into(), reason: reason.into() }
    }
}

/// What stands for a file in `{$file}`: the first 32 hex digits of the SHA-256 of its bytes, packed as they are.
pub fn file_digest(mut file: impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut block = vec![0; 64 << 10];
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(ids::hex(&hash.finalize()[..16])),
            Ok(n) => hash.update(&block[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// The canonical text of a line that is one JSON object.
fn compact(line: &[u8]) -> Result<Vec<u8>, String> {
    let mut text = Vec::with_capacity(line.len());
    let mut read = || {
        let mut s = Scanner::new(line, MAX_DEPTH, usize::MAX)?;
        let kind = s.value(&mut text)?;
        s.finish()?;
        Ok(kind)
    };
    match read().map_err(|e: json::JsonError| e.to_string())? {
        Kind::Object => Ok(text),
        _ => Err("the line is not a JSON object".to_owned()),
    }
}

/// An event in the native shape, or a line that was exported.
fn native(record: &[u8], source: &Source<'_>, out: &mut Vec<u8>) -> Mapped {
    if record.starts_with(b"{\"_end\":") && json::members(record).count() == 1 {
        return Mapped::ClosingLine;
    }
    let start = out.len();
    let mut member = |name: &[u8], value: &[u8]| {
        out.push(if out.len() == start { b'{' } else { b',' });
        out.extend_from_slice(name);
        out.push(b':');
        out.extend_from_slice(value);
    };
    for (name, value) in json::members(record) {
        if !SERVER_MEMBERS.contains(&name) {
            member(name, value);
        }
    }
    match (json::member(record, "external_id"), json::member(record, "id")) {
        (Some(_), _) => {}
        (None, Some(id)) => member(b"\"external_id\"", id),
        (None, None) => member(b"\"external_id\"", format!("\"{}:{}\"", source.digest, source.line).as_bytes()),
    }
    out.push(b'}');
    Mapped::Event
}

#[cfg(test)]
mod tests;
