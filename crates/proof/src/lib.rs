//! Hash format v1: what makes an event provable, and the offline check of it.
//!
//! Promises: pure functions over bytes; the same bytes give the same hashes for ever (docs/formats/event-v1.md).
//! Never: reads a clock, a file or a database, or re-serialises what was stored.

use std::fmt;

use indelible_model::ids::write_hex;
use indelible_model::line::{Line, write_number};
use indelible_model::{EventId, LogKind, ProjectId, Timestamp};
use sha2::{Digest, Sha256};

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// SHA-256 of the salt followed by the details: what the envelope says of the content.
pub fn commitment(salt: &[u8; 16], details: &[u8]) -> Hash {
    Sha256::new().chain_update(salt).chain_update(details).finalize().into()
}

/// What the first event of a log names as its predecessor, so that one log cannot be passed off as another.
pub fn genesis(project: ProjectId, log: LogKind) -> Hash {
    Sha256::new().chain_update(b"indelible-log-v1\n").chain_update(log_id(project, log)).finalize().into()
}

/// The name of a log: `prj_<hex>/events` or `prj_<hex>/activity`.
pub fn log_id(project: ProjectId, log: LogKind) -> String {
    format!("{project}/{log}")
}

/// What the leaf hash of one event is made of.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Canonical JSON string, with quotes.
    pub action: &'a [u8],
    /// See [`commitment`].
    pub commitment: &'a Hash,
    /// The event's id.
    pub id: EventId,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The leaf hash of the position before.
    pub previous_hash: &'a Hash,
    /// When it was committed.
    pub received_at: Timestamp,
    /// Its position.
    pub position: u64,
}

impl Envelope<'_> {
    /// The RFC 6962 leaf hash of the envelope's RFC 8785 text. `scratch` is cleared and reused.
    pub fn hash(&self, scratch: &mut Vec<u8>) -> Hash {
        scratch.clear();
        scratch.push(0);
        self.write(scratch);
        Sha256::digest(&scratch[..]).into()
    }
    /// Appends the canonical JSON text (RFC 8785; member names are ASCII, so byte order is its order).
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"action\":");
        out.extend_from_slice(self.action);
        out.extend_from_slice(b",\"commitment\":\"");
        write_hex(self.commitment, out);
        out.extend_from_slice(b"\",\"id\":\"evt_");
        write_hex(&self.id.0, out);
        out.extend_from_slice(b"\",\"occurred_at\":\"");
        self.occurred_at.write(out);
        out.extend_from_slice(b"\",\"previous_hash\":\"");
        write_hex(self.previous_hash, out);
        out.extend_from_slice(b"\",\"received_at\":\"");
        self.received_at.write(out);
        out.extend_from_slice(b"\",\"sequence_number\":");
        write_number(self.position, out);
        out.extend_from_slice(b",\"v\":1}");
    }
}

/// What is wrong with a line or with its place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Not a line of hash format v1.
    Malformed,
    /// The content does not give the hash that the line states.
    Content,
    /// The line does not name its predecessor's hash.
    Chain,
    /// The position does not follow its predecessor's.
    Position,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "is not a line of hash format v1",
            Self::Content => "was altered: its content does not give its hash",
            Self::Chain => "does not name the hash of the event before it",
            Self::Position => "does not follow the position before it: a row is missing or out of place",
        })
    }
}

/// Recomputes a line's own hash.
pub fn check_line(line: &Line<'_>, scratch: &mut Vec<u8>) -> Result<(), Break> {
    let commitment = commitment(&line.salt, line.details);
    let envelope = Envelope {
        action: line.action,
        commitment: &commitment,
        id: line.id,
        occurred_at: line.occurred_at,
        previous_hash: &line.previous_hash,
        received_at: line.received_at,
        position: line.position,
    };
    if envelope.hash(scratch) == line.hash { Ok(()) } else { Err(Break::Content) }
}

/// Follows a chain line by line, in order of position.
#[derive(Clone, Debug)]
pub struct Chain {
    next: Option<(u64, Hash)>,
    scratch: Vec<u8>,
    checked: u64,
}

impl Chain {
    /// Expects `position` next, naming `previous` as its predecessor's hash.
    pub fn from(position: u64, previous: Hash) -> Self {
        Self { next: Some((position, previous)), scratch: Vec::new(), checked: 0 }
    }
    /// Takes the first line's position and predecessor as given (a part of a log, or a log whose id is not known).
    pub fn anywhere() -> Self {
        Self { next: None, scratch: Vec::new(), checked: 0 }
    }
    /// Checks the next line (without or with its line feed).
    pub fn push(&mut self, text: &[u8]) -> Result<(), Break> {
        let line = Line::parse(text).ok_or(Break::Malformed)?;
        self.push_line(&line)
    }
    /// Checks the next line.
    pub fn push_line(&mut self, line: &Line<'_>) -> Result<(), Break> {
        if let Some((position, previous)) = &self.next {
            if line.position != *position {
                return Err(Break::Position);
            }
            if line.previous_hash != *previous {
                return Err(Break::Chain);
            }
        }
        check_line(line, &mut self.scratch)?;
        self.next = Some((line.position + 1, line.hash));
        self.checked += 1;
        Ok(())
    }
    /// How many lines passed.
    pub fn checked(&self) -> u64 {
        self.checked
    }
    /// The position expected next and the hash it must name, once known.
    pub fn next(&self) -> Option<(u64, Hash)> {
        self.next
    }
}

#[cfg(test)]
mod tests;
