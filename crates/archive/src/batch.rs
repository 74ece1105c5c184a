//! The two blobs of a batch in the database.
//!
//! The body is made and compressed before the log's lock: for each event its salt, claimed time, action and details.
//! The envelope is made under the lock: ids, hashes, and what they continue. Version 1 of both.

use indelible_model::line::Line;
use indelible_model::{Error, EventId, Result, Timestamp};

use crate::rows::{Lines, deflate, inflate};

const VERSION: u8 = 1;
/// Level of batches: they live for minutes, so speed counts more than size.
const LEVEL: i32 = -3;
/// Fixed bytes of a record before its action and details.
const RECORD: usize = 4 + 4 + 8 + 16;
/// Stands for "when it was received".
const NO_TIME: i64 = i64::MIN;

/// Records of events, not yet placed in a log.
#[derive(Debug, Default)]
pub struct BodyWriter {
    raw: Vec<u8>,
}

impl BodyWriter {
    /// Adds one event. `action` is its canonical JSON string with quotes.
    pub fn push(&mut self, salt: &[u8; 16], occurred_at: Option<Timestamp>, action: &[u8], details: &[u8]) {
        let len = |b: &[u8]| u32::try_from(b.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.raw.reserve(RECORD + action.len() + details.len());
        self.raw.extend_from_slice(&len(action));
        self.raw.extend_from_slice(&len(details));
        self.raw.extend_from_slice(&occurred_at.map_or(NO_TIME, Timestamp::micros).to_le_bytes());
        self.raw.extend_from_slice(salt);
        self.raw.extend_from_slice(action);
        self.raw.extend_from_slice(details);
    }
    /// Bytes so far.
    pub fn raw_len(&self) -> usize {
        self.raw.len()
    }
    /// Compresses what was added and begins anew.
    pub fn take(&mut self) -> Result<Body> {
        let mut bytes = Vec::with_capacity(self.raw.len() / 3 + 64);
        deflate(&self.raw, LEVEL, &mut bytes)?;
        let raw_len = self.raw.len() as u64;
        self.raw.clear();
        Ok(Body { bytes, raw_len })
    }
}

/// Compressed records; several may follow each other in one batch.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// zstd frames.
    pub bytes: Vec<u8>,
    /// Bytes of the records in them.
    pub raw_len: u64,
}

/// What the log's lock adds to one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: EventId,
    /// Its leaf hash.
    pub hash: [u8; 32],
    /// When it was committed.
    pub received_at: Timestamp,
}

/// What the log's lock adds to a body.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Position of the first event.
    pub first: u64,
    /// The hash that the first event continues.
    pub previous_hash: [u8; 32],
    /// Bytes of the body's records.
    pub raw_len: u64,
    /// One for each event.
    pub entries: Vec<Entry>,
}

/// Bytes of the envelope before its entries, and of one entry.
const HEAD: usize = 1 + 8 + 8 + 32;
const ENTRY: usize = 16 + 32 + 8;

impl Envelope {
    /// The blob.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD + self.entries.len() * ENTRY);
        out.push(VERSION);
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.raw_len.to_le_bytes());
        out.extend_from_slice(&self.previous_hash);
        for entry in &self.entries {
            out.extend_from_slice(&entry.id.0);
            out.extend_from_slice(&entry.hash);
            out.extend_from_slice(&entry.received_at.micros().to_le_bytes());
        }
        out
    }
    /// Reads the blob.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::read(bytes).ok_or_else(|| Error::corrupt("a batch's envelope is not of version 1"))
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let (head, entries) = bytes.split_at_checked(HEAD)?;
        if head[0] != VERSION || !entries.len().is_multiple_of(ENTRY) {
            return None;
        }
        let word = |b: &[u8]| b.try_into().ok().map(u64::from_le_bytes);
        let entry = |e: &[u8]| {
            let received_at = Timestamp::from_micros(i64::from_le_bytes(e[48..].try_into().ok()?))?;
            Some(Entry { id: EventId(e[..16].try_into().ok()?), hash: e[16..48].try_into().ok()?, received_at })
        };
        Some(Self {
            first: word(&head[1..9])?,
            raw_len: word(&head[9..17])?,
            previous_hash: head[17..].try_into().ok()?,
            entries: entries.chunks_exact(ENTRY).map(entry).collect::<Option<_>>()?,
        })
    }
}

/// Decodes a batch into the lines that a segment would hold.
pub fn decode(envelope: &[u8], body: &[u8]) -> Result<Lines> {
    let envelope = Envelope::from_bytes(envelope)?;
    let bad = || Error::corrupt("a batch's body does not fit its envelope");
    let raw = inflate(body, usize::try_from(envelope.raw_len).map_err(|_| bad())?)?;
    let mut text = Vec::with_capacity(raw.len() + envelope.entries.len() * 440);
    let mut previous_hash = envelope.previous_hash;
    let mut rest = &raw[..];
    for (entry, position) in envelope.entries.iter().zip(envelope.first..) {
        let Entry { id, hash, received_at } = *entry;
        let record = Record::read(&mut rest).ok_or_else(bad)?;
        let occurred_at = record.occurred_at.unwrap_or(received_at);
        Line { id, position, action: record.action, occurred_at, received_at, details: record.details, salt: record.salt, hash, previous_hash }.write(&mut text);
        text.push(b'\n');
        previous_hash = hash;
    }
    if !rest.is_empty() {
        return Err(bad());
    }
    Ok(Lines::new(text))
}

struct Record<'a> {
    occurred_at: Option<Timestamp>,
    salt: [u8; 16],
    action: &'a [u8],
    details: &'a [u8],
}

impl<'a> Record<'a> {
    fn read(rest: &mut &'a [u8]) -> Option<Self> {
        let (head, tail) = rest.split_at_checked(RECORD)?;
        let len = |at: usize| head[at..at + 4].try_into().ok().map(|b| u32::from_le_bytes(b) as usize);
        let time = i64::from_le_bytes(head[8..16].try_into().ok()?);
        let (action, tail) = tail.split_at_checked(len(0)?)?;
        let (details, tail) = tail.split_at_checked(len(4)?)?;
        *rest = tail;
        let occurred_at = if time == NO_TIME { None } else { Some(Timestamp::from_micros(time)?) };
        Some(Self { occurred_at, salt: head[16..32].try_into().ok()?, action, details })
    }
}

/// Joins batches that follow each other without gaps, each given as (envelope, body), into one.
pub fn join(parts: &[(&[u8], &[u8])]) -> Result<(Envelope, Body)> {
    let mut joined: Option<Envelope> = None;
    let mut raw = Vec::new();
    for (envelope, body) in parts {
        let envelope = Envelope::from_bytes(envelope)?;
        raw.extend_from_slice(&inflate(body, usize::try_from(envelope.raw_len).unwrap_or(0))?);
        match &mut joined {
            None => joined = Some(envelope),
            Some(all) if all.first + all.entries.len() as u64 == envelope.first => all.entries.extend_from_slice(&envelope.entries),
            Some(_) => return Err(Error::corrupt(format!("the batch at position {} does not follow the one before it", envelope.first))),
        }
    }
    let mut envelope = joined.ok_or_else(|| Error::internal("no batches to join"))?;
    envelope.raw_len = raw.len() as u64;
    let mut bytes = Vec::new();
    deflate(&raw, crate::rows::LEVEL, &mut bytes)?;
    let raw_len = envelope.raw_len;
    Ok((envelope, Body { bytes, raw_len }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(first: u64, n: u64) -> (Vec<u8>, Vec<u8>) {
        let mut body = BodyWriter::default();
        let at = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        for i in 0..n {
            body.push(&[1; 16], (i % 2 == 0).then_some(at), b"\"a\"", format!("\"n\":{}", first + i).as_bytes());
        }
        let body = body.take().unwrap();
        let entries =
            (0..n).map(|i| Entry { id: EventId([2; 16]), hash: [u8::try_from(first + i).unwrap(); 32], received_at: Timestamp::clamped(i64::try_from(first).unwrap()) }).collect();
        let envelope = Envelope { first, previous_hash: [u8::try_from(first - 1).unwrap(); 32], raw_len: body.raw_len, entries };
        (envelope.to_bytes(), body.bytes)
    }

    #[test]
    fn joined_batches_decode_to_the_same_lines() {
        let parts = [batch(1, 3), batch(4, 1), batch(5, 2)];
        let apart: Vec<u8> = parts.iter().flat_map(|(e, b)| decode(e, b).unwrap().into_text()).collect();
        let borrowed: Vec<_> = parts.iter().map(|(e, b)| (&e[..], &b[..])).collect();
        let (envelope, body) = join(&borrowed).unwrap();
        assert_eq!(decode(&envelope.to_bytes(), &body.bytes).unwrap().into_text(), apart);
        assert!(join(&[borrowed[0], borrowed[2]]).is_err());
        let lines = Lines::new(apart);
        assert_eq!(lines.len(), 6);
        assert_eq!(Line::parse(lines.get(1)).unwrap().occurred_at, Timestamp::clamped(1));
    }

    #[test]
    fn damage_is_an_error_not_a_panic() {
        let (envelope, body) = batch(1, 3);
        for cut in 0..envelope.len() {
            assert!(decode(&envelope[..cut], &body).is_err());
        }
        for cut in 0..body.len() {
            assert!(decode(&envelope, &body[..cut]).is_err());
        }
    }
}
