//! Identifiers, and the one source of randomness.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::time::Timestamp;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `bytes` as lower-case hex digits.
pub fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() * 2);
    for b in bytes {
        out.push(HEX[usize::from(b >> 4)]);
        out.push(HEX[usize::from(b & 15)]);
    }
}

/// `bytes` as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    write_hex(bytes, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Reads exactly `2 * N` lower-case hex digits.
pub fn from_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    let mut bad = 0;
    for (o, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (DIGITS[usize::from(pair[0])], DIGITS[usize::from(pair[1])]);
        bad |= high | low;
        *o = high << 4 | low & 15;
    }
    (bad < 16).then_some(out)
}

/// The value of each hex digit; 255 for what is none.
const DIGITS: [u8; 256] = {
    let mut table = [255; 256];
    let mut i = 0;
    while i < 16 {
        table[HEX[i as usize] as usize] = i;
        i += 1;
    }
    table
};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// The prefix of the text form.
            pub const PREFIX: &'static str = $prefix;
            /// Reads the text form; `None` if it is not exactly that.
            pub fn parse(text: &str) -> Option<Self> {
                from_hex(text.strip_prefix($prefix)?.as_bytes()).map(Self)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, hex(&self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id!(
    /// An event: `evt_` and the 32 lower-case hex digits of a UUIDv7. Within a log, id order is position order.
    EventId, "evt_");
id!(
    /// A project, the isolation boundary: `prj_` and 32 hex digits.
    ProjectId, "prj_");
id!(
    /// An API key's public part: `key_` and 32 hex digits.
    KeyId, "key_");
id!(
    /// A member: somebody with an e-mail address, in one project or several. `mem_` and 32 hex digits.
    MemberId, "mem_");
id!(
    /// A token that was signed for a key or a member: `tok_` and 32 hex digits.
    TokenId, "tok_");
id!(
    /// A legal hold: `hold_` and 32 hex digits.
    HoldId, "hold_");

id!(
    /// A schedule of exports: `sch_` and 32 hex digits.
    ScheduleId, "sch_");

/// A task that somebody asked for: `aa_` and 18 hex digits. Ids rise with time, by milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub [u8; 9]);

impl TaskId {
    /// A fresh one.
    pub fn new(at: Timestamp, ids: &Ids) -> Result<Self> {
        let uuid = ids.uuid_v7(at)?;
        let mut id = [0; 9];
        id[..6].copy_from_slice(&uuid[..6]);
        // The last bytes of a UUIDv7 are random throughout.
        id[6..].copy_from_slice(&uuid[13..]);
        Ok(Self(id))
    }
    /// Reads the text form; `None` if it is not exactly that.
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text.strip_prefix("aa_")?.as_bytes()).map(Self)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "aa_{}", hex(&self.0))
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An export: `exp_` and 24 digits of base 62. Nothing can be read from it, and it cannot be guessed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExportId(pub [u8; 16]);

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const EXPORT_DIGITS: usize = 24;

impl ExportId {
    /// A fresh one.
    pub fn new(ids: &Ids) -> Result<Self> {
        let mut id = [0; 16];
        ids.fill(&mut id)?;
        Ok(Self(id))
    }
    /// Reads the text form; `None` if it is not exactly that.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("exp_").filter(|d| d.len() == EXPORT_DIGITS)?;
        let digit = |c: u8| BASE62.iter().position(|d| *d == c).map(|d| d as u128);
        let value = digits.bytes().try_fold(0u128, |n, c| n.checked_mul(62)?.checked_add(digit(c)?))?;
        Some(Self(value.to_be_bytes()))
    }
}

impl fmt::Display for ExportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u128::from_be_bytes(self.0);
        let mut digits = [b'0'; EXPORT_DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = BASE62[(rest % 62) as usize];
            rest /= 62;
        }
        write!(f, "exp_{}", std::str::from_utf8(&digits).unwrap_or_default())
    }
}

impl fmt::Debug for ExportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id in the form of a UUID, as some clients want it.
pub fn dashed(id: &[u8; 16]) -> String {
    [&id[..4], &id[4..6], &id[6..8], &id[8..10], &id[10..]].map(hex).join("-")
}

/// Reads the form of [`dashed`], in lower or upper case.
pub fn from_dashed(text: &str) -> Option<[u8; 16]> {
    let good = text.len() == 36 && text.bytes().enumerate().all(|(i, b)| (b == b'-') == matches!(i, 8 | 13 | 18 | 23));
    if good { from_hex(text.replace('-', "").to_ascii_lowercase().as_bytes()) } else { None }
}

/// The one source of randomness: the operating system's, or a seeded one for tests.
#[derive(Clone, Debug)]
pub enum Ids {
    /// The operating system's generator.
    System,
    /// A deterministic sequence, never for production.
    Seeded(Arc<Mutex<u64>>),
}

impl Ids {
    /// A deterministic source.
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(Mutex::new(seed)))
    }
    /// Fills `out` with random bytes. Fails only if the operating system has none to give.
    #[expect(clippy::disallowed_methods, reason = "the one place that may ask for randomness")]
    pub fn fill(&self, out: &mut [u8]) -> Result<()> {
        match self {
            Self::System => getrandom::fill(out).map_err(Error::internal),
            Self::Seeded(state) => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                for chunk in out.chunks_mut(8) {
                    // splitmix64 (public domain, Sebastiano Vigna)
                    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let mut z = *state;
                    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                    z ^= z >> 31;
                    chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
                }
                Ok(())
            }
        }
    }
    /// A fresh UUIDv7 (RFC 9562) for `at`.
    pub fn uuid_v7(&self, at: Timestamp) -> Result<[u8; 16]> {
        let mut random = [0; 10];
        self.fill(&mut random)?;
        Ok(uuid_v7(at, random))
    }
}

/// Lays out a UUIDv7: 48 bits of milliseconds, version, variant, and 74 bits of `random`.
fn uuid_v7(at: Timestamp, random: [u8; 10]) -> [u8; 16] {
    let ms = u64::try_from(at.micros().div_euclid(1000)).unwrap_or(0);
    let mut id = [0; 16];
    id[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
    id[6..].copy_from_slice(&random);
    id[6] = 0x70 | (id[6] & 0x0f);
    id[8] = 0x80 | (id[8] & 0x3f);
    id
}

/// Mints UUIDv7 in strictly rising order, whatever the clock does: each is the greater of a fresh one and its predecessor plus one step
/// (RFC 9562, section 6.2, method 2: a counter seeded with random bits).
#[derive(Debug)]
pub struct EventIds {
    last: [u8; 16],
    random: Vec<u8>,
}

impl EventIds {
    /// Continues after `last` (zeros for the first of a log) with enough randomness for `count` ids.
    pub fn after(last: [u8; 16], count: usize, ids: &Ids) -> Result<Self> {
        let mut random = vec![0; count * 10];
        ids.fill(&mut random)?;
        Ok(Self { last, random })
    }
    /// The next id, greater than all before. Ids made within one millisecond keep it strictly rising by 12 bits of counter.
    pub fn next(&mut self, at: Timestamp) -> EventId {
        let mut random = [0; 10];
        let take = self.random.len().saturating_sub(10);
        random.copy_from_slice(self.random.get(take..).filter(|r| r.len() == 10).unwrap_or(&[0; 10]));
        self.random.truncate(take);
        // A fresh millisecond starts its counter in the lower half, so that it has room to rise.
        random[0] &= 0x07;
        let mut id = uuid_v7(at, random);
        if id <= self.last {
            let head = u64::from_be_bytes([self.last[0], self.last[1], self.last[2], self.last[3], self.last[4], self.last[5], self.last[6], self.last[7]]);
            let counter = (head & 0x0fff) + 1;
            let ms = (head >> 16) + (counter >> 12);
            let head = ms << 16 | 0x7000 | (counter & 0x0fff);
            id[..8].copy_from_slice(&head.to_be_bytes());
        }
        self.last = id;
        EventId(id)
    }
}

#[cfg(test)]
mod tests;
