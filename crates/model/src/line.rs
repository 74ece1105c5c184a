//! The stored line of an event: a head, the details, and a tail of fixed width (hash format v1, docs/formats/event-v1.md).

use crate::ids::{EventId, from_hex, write_hex};
use crate::json;
use crate::time::Timestamp;

/// Bytes of a line's tail: `,"salt":"<32>","hash":"<64>","previous_hash":"<64>"}`.
pub const TAIL_LEN: usize = 200;

/// One stored event, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The event's id.
    pub id: EventId,
    /// Its position in its log.
    pub position: u64,
    /// Canonical JSON string, with quotes.
    pub action: &'a [u8],
    /// When it happened, as the sender claims.
    pub occurred_at: Timestamp,
    /// When the server committed it.
    pub received_at: Timestamp,
    /// The details: the inside of the object that hash format v1 defines.
    pub details: &'a [u8],
    /// The salt of the commitment.
    pub salt: [u8; 16],
    /// The leaf hash.
    pub hash: [u8; 32],
    /// The leaf hash of the position before.
    pub previous_hash: [u8; 32],
}

impl<'a> Line<'a> {
    /// Appends the line without a line feed.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.details.len() + self.action.len() + 440);
        out.extend_from_slice(b"{\"id\":\"evt_");
        write_hex(&self.id.0, out);
        out.extend_from_slice(b"\",\"sequence_number\":");
        write_number(self.position, out);
        out.extend_from_slice(b",\"action\":");
        out.extend_from_slice(self.action);
        out.extend_from_slice(b",\"occurred_at\":\"");
        self.occurred_at.write(out);
        out.extend_from_slice(b"\",\"received_at\":\"");
        let received = out.len();
        self.received_at.write(out);
        out.extend_from_slice(b"\",\"created_at\":\"");
        out.extend_from_within(received..received + Timestamp::TEXT_LEN);
        out.extend_from_slice(b"\",");
        out.extend_from_slice(self.details);
        out.extend_from_slice(b",\"salt\":\"");
        write_hex(&self.salt, out);
        out.extend_from_slice(b"\",\"hash\":\"");
        write_hex(&self.hash, out);
        out.extend_from_slice(b"\",\"previous_hash\":\"");
        write_hex(&self.previous_hash, out);
        out.extend_from_slice(b"\"}");
    }

    /// Reads exactly what [`Line::write`] writes (a trailing line feed is allowed); `None` for anything else.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let (body, tail) = text.split_at_checked(text.len().checked_sub(TAIL_LEN)?)?;
        let tail = tail.strip_prefix(b",\"salt\":\"")?;
        let (salt, tail) = tail.split_at_checked(32)?;
        let (hash, tail) = tail.strip_prefix(b"\",\"hash\":\"")?.split_at_checked(64)?;
        let (previous, tail) = tail.strip_prefix(b"\",\"previous_hash\":\"")?.split_at_checked(64)?;
        if tail != b"\"}" {
            return None;
        }
        let (id, rest) = body.strip_prefix(b"{\"id\":\"evt_")?.split_at_checked(32)?;
        let rest = rest.strip_prefix(b"\",\"sequence_number\":")?;
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let position = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        let rest = rest[digits..].strip_prefix(b",\"action\":")?;
        if rest.first() != Some(&b'"') {
            return None;
        }
        let (action, rest) = rest.split_at_checked(json::string_end(rest, 0))?;
        let (occurred, rest) = rest.strip_prefix(b",\"occurred_at\":\"")?.split_at_checked(Timestamp::TEXT_LEN)?;
        let (received, rest) = rest.strip_prefix(b"\",\"received_at\":\"")?.split_at_checked(Timestamp::TEXT_LEN)?;
        let (created, rest) = rest.strip_prefix(b"\",\"created_at\":\"")?.split_at_checked(Timestamp::TEXT_LEN)?;
        if created != received {
            return None;
        }
        Some(Self {
            id: EventId(from_hex(id)?),
            position,
            action,
            occurred_at: Timestamp::from_text(occurred)?,
            received_at: Timestamp::from_text(received)?,
            details: rest.strip_prefix(b"\",")?,
            salt: from_hex(salt)?,
            hash: from_hex(hash)?,
            previous_hash: from_hex(previous)?,
        })
    }
}

/// Appends a decimal number.
pub fn write_number(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_round_trips_and_anything_else_is_refused() {
        let line = Line {
            id: EventId([1; 16]),
            position: 42,
            action: br#""a\"b""#,
            occurred_at: Timestamp::parse("2026-02-10T14:32:15Z").unwrap(),
            received_at: Timestamp::parse("2026-02-10T14:32:16.000001Z").unwrap(),
            details: br#""actor":null,"target":null,"context":{},"diff":null,"metadata":{"x":",\"salt\":\""}"#,
            salt: [2; 16],
            hash: [3; 32],
            previous_hash: [4; 32],
        };
        let mut text = Vec::new();
        line.write(&mut text);
        assert_eq!(Line::parse(&text), Some(line));
        assert!(serde_json::from_slice::<serde_json::Value>(&text).is_ok());
        for cut in 0..text.len() {
            assert_eq!(Line::parse(&text[..cut]), None);
        }
        let mut upper = text.clone();
        let at = upper.len() - 3;
        upper[at] = b'F';
        assert_eq!(Line::parse(&upper), None);
    }

    #[test]
    fn numbers() {
        for n in [0, 9, 10, 12345, u64::MAX] {
            let mut out = Vec::new();
            write_number(n, &mut out);
            assert_eq!(out, n.to_string().into_bytes());
        }
    }
}
