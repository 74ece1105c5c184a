//! Times as sources write them, read into points in time.
//!
//! Read: RFC 3339 with `T` or a space; a zone written `Z`, `+02:00`, `+0200` or `UTC`; no zone, where the mapping assumes
//! one; numbers since the epoch, whose unit the mapping names or their size tells.
//! Never: goes through a floating-point number, or falls back to another zone or unit by itself.

use std::borrow::Cow;

use indelible_model::Timestamp;
use indelible_model::time::TimeError;

/// What becomes of an event whose time cannot be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Without {
    /// The record is refused.
    #[default]
    Error,
    /// The event gets the time of its import.
    ImportTime,
}

/// A unit of numbers since the epoch, by its number of digits after the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit(u32);

impl Unit {
    const ALL: [(&str, Self); 4] = [("s", Self(0)), ("ms", Self(3)), ("us", Self(6)), ("ns", Self(9))];

    /// The unit of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(n, _)| *n == name).map(|(_, unit)| unit)
    }
    /// The unit in which a number means a time from March 1973 to January 2103; these ranges do not meet.
    fn guess(number: u64) -> Option<Self> {
        Self::ALL.into_iter().map(|(_, unit)| unit).find(|unit| {
            let scale = 10u64.pow(unit.0);
            (100_000_000 * scale..4_200_000_000 * scale).contains(&number)
        })
    }
}

/// How a mapping reads times.
#[derive(Clone, Debug, Default)]
pub(super) struct TimeRules {
    /// Appended to a time without a zone.
    pub(super) assume_zone: Option<String>,
    /// The unit of numbers; by size if not given.
    pub(super) epoch: Option<Unit>,
    /// When no candidate counts.
    pub(super) missing: Without,
    /// When the candidate cannot be read.
    pub(super) unreadable: Without,
}

impl TimeRules {
    /// Reads one time.
    pub(super) fn read(&self, text: &str) -> Result<Timestamp, String> {
        let text = text.trim();
        if text.strip_prefix('-').unwrap_or(text).bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return self.number(text).ok_or_else(|| format!("`{text}` is no number of seconds, ms, us or ns since 1970 that tells its unit; name it with time.epoch"));
        }
        let tidy = tidy(text);
        let read = match (Timestamp::parse(&tidy), &self.assume_zone) {
            (Err(TimeError::NoZone), Some(zone)) => Timestamp::parse(&format!("{tidy}{zone}")),
            (Err(TimeError::NoZone), None) => return Err(format!("`{text}` has no time zone; name it with time.assume_zone")),
            (read, _) => read,
        };
        read.map_err(|e| format!("`{text}` {e}"))
    }
    fn number(&self, text: &str) -> Option<Timestamp> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |d| (true, d));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number: u64 = whole.parse().ok()?;
        let unit = match self.epoch {
            Some(unit) => unit,
            None if negative => return None,
            None => Unit::guess(number)?,
        };
        let number = i64::try_from(number).ok()?;
        let micros = match 6u32.checked_sub(unit.0) {
            Some(places) => {
                let mut more = 0;
                for i in 0..places {
                    more = more * 10 + fraction.as_bytes().get(i as usize).map_or(0, |b| i64::from(b - b'0'));
                }
                number.checked_mul(10i64.pow(places))?.checked_add(more)?
            }
            None => number / 1000,
        };
        Timestamp::from_micros(if negative { -micros } else { micros })
    }
}

/// `UTC` at the end becomes `Z`, and `+0200` becomes `+02:00`.
fn tidy(text: &str) -> Cow<'_, str> {
    if let Some(local) = text.strip_suffix("UTC") {
        return Cow::Owned(format!("{}Z", local.trim_end()));
    }
    if let Some((local, offset)) = text.split_at_checked(text.len().saturating_sub(5))
        && local.len() >= 19
        && let [b'+' | b'-', digits @ ..] = offset.as_bytes()
        && digits.iter().all(u8::is_ascii_digit)
    {
        return Cow::Owned(format!("{}{}:{}", local.trim_end(), &offset[..3], &offset[3..]));
    }
    Cow::Borrowed(text)
}
