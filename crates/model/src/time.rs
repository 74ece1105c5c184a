//! Points in time: microseconds since the Unix epoch, UTC, from year 1 to year 9999.
//!
//! What is read (tested in `time/tests.rs`):
//! - RFC 3339 with any offset, `T` or a space or `t`, `Z` or `z`; `-00:00` is UTC.
//! - More than six fraction digits are cut to microseconds.
//! - A leap second (`23:59:60` in UTC) is the first instant of the next day, as POSIX counts it;
//!   a second 60 at any other time is refused.
//! - A time without a zone is refused for events; in filters it is read as UTC, as dates are.
//! - Times whose UTC form leaves the years 1 to 9999 are refused.
//! - The future is kept as it is: `occurred_at` is a claim of the sender.

use std::fmt;

/// Microseconds since 1970-01-01T00:00:00Z; always within the years 1 to 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a time was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not RFC 3339.
    #[error("must be an RFC 3339 time such as 2026-02-10T14:32:15.123456Z")]
    Syntax,
    /// No zone.
    #[error("has no time zone; add Z or an offset such as +02:00")]
    NoZone,
    /// Outside of what can be stored.
    #[error("must lie within the years 1 to 9999 in UTC")]
    Range,
    /// A second 60 that is no leap second.
    #[error("has a second 60 that is not the last second of a UTC day")]
    LeapSecond,
}

/// Which end of a range a filter's date or time stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The start: a date means its first instant.
    From,
    /// The end, inclusive: a date means its last microsecond.
    To,
}

const MIN: i64 = -62_135_596_800_000_000;
const MAX: i64 = 253_402_300_799_999_999;
const DAY: i64 = 86_400_000_000;

impl Timestamp {
    /// The text form's length: `2026-02-10T14:32:15.123456Z`.
    pub const TEXT_LEN: usize = 27;

    /// From microseconds since the epoch; `None` outside the years 1 to 9999.
    pub fn from_micros(micros: i64) -> Option<Self> {
        (MIN..=MAX).contains(&micros).then_some(Self(micros))
    }
    /// From microseconds, moved to the nearest end of the range if outside.
    pub fn clamped(micros: i64) -> Self {
        Self(micros.clamp(MIN, MAX))
    }
    /// Microseconds since the epoch.
    pub fn micros(self) -> i64 {
        self.0
    }
    /// Reads an RFC 3339 time with a zone.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        match read(text.as_bytes())? {
            (_, None) => Err(TimeError::NoZone),
            (local, Some(offset)) => Self::from_micros(local - offset).ok_or(TimeError::Range),
        }
    }
    /// Reads a filter's bound: a time, or a date that means its whole UTC day at either end; without a zone it is UTC.
    /// A space before the offset is read as the plus that a query string turns into one.
    pub fn parse_bound(text: &str, end: End) -> Result<Self, TimeError> {
        let b = text.as_bytes();
        if b.len() == 10 {
            let start = date(b)?;
            return Self::from_micros(if end == End::To { start + DAY - 1 } else { start }).ok_or(TimeError::Range);
        }
        let mut fixed = b.to_vec();
        if let Some(space) = fixed.iter().rposition(|c| *c == b' ').filter(|at| *at > 10) {
            fixed[space] = b'+';
        }
        let (local, offset) = read(&fixed)?;
        Self::from_micros(local - offset.unwrap_or(0)).ok_or(TimeError::Range)
    }
    /// Appends the text form with six fraction digits and `Z`.
    pub fn write(self, out: &mut Vec<u8>) {
        let days = self.0.div_euclid(DAY);
        let in_day = self.0.rem_euclid(DAY);
        let (y, m, d) = civil_from_days(days);
        let (seconds, micros) = (small(in_day / 1_000_000), small(in_day % 1_000_000));
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        pair(&mut text, 0, small(y) / 100);
        pair(&mut text, 2, small(y) % 100);
        pair(&mut text, 5, small(m));
        pair(&mut text, 8, small(d));
        pair(&mut text, 11, seconds / 3600);
        pair(&mut text, 14, seconds / 60 % 60);
        pair(&mut text, 17, seconds % 60);
        pair(&mut text, 20, micros / 10_000);
        pair(&mut text, 22, micros / 100 % 100);
        pair(&mut text, 24, micros % 100);
        out.extend_from_slice(&text);
    }
    /// Its month in UTC, as months since the year 0.
    pub fn month(self) -> u64 {
        let (y, m, _) = civil_from_days(self.0.div_euclid(DAY));
        (y * 12 + m - 1).unsigned_abs()
    }
    /// The first instant of the month after its own.
    pub fn next_month(self) -> Self {
        let (y, m, _) = civil_from_days(self.0.div_euclid(DAY));
        let first = if m == 12 { days_from_civil(y + 1, 1, 1) } else { days_from_civil(y, m + 1, 1) };
        Self::clamped(first * DAY)
    }
    /// Reads exactly the form that [`Timestamp::write`] gives.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        if text.len() != Self::TEXT_LEN {
            return None;
        }
        match read(text).ok()? {
            (local, Some(0)) => Self::from_micros(local),
            _ => None,
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::with_capacity(Self::TEXT_LEN);
        self.write(&mut out);
        f.write_str(std::str::from_utf8(&out).map_err(|_| fmt::Error)?)
    }
}

/// A part of a time, which is never negative and never large.
fn small(part: i64) -> u32 {
    u32::try_from(part).unwrap_or(0)
}

/// Writes two digits.
fn pair(text: &mut [u8], at: usize, value: u32) {
    text[at] = b'0' + (value / 10 % 10) as u8;
    text[at + 1] = b'0' + (value % 10) as u8;
}

/// Days since the epoch to a date; Howard Hinnant's `civil_from_days` (public domain), here because it runs once an event.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let m = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(m <= 2), m, doy - (153 * mp + 2) / 5 + 1)
}

fn number(b: &[u8]) -> Result<i64, TimeError> {
    let mut value = 0;
    for c in b {
        if !c.is_ascii_digit() {
            return Err(TimeError::Syntax);
        }
        value = value * 10 + i64::from(c - b'0');
    }
    Ok(value)
}

/// Days from the epoch to a date; Howard Hinnant's `days_from_civil` (public domain), for the same reason.
fn days_from_civil(y: i64, m: i64, d: i64) -> i64 {
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2) / 5 + d - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

/// Microseconds of a `YYYY-MM-DD` date's first instant, as UTC.
fn date(b: &[u8]) -> Result<i64, TimeError> {
    if b.len() != 10 || b[4] != b'-' || b[7] != b'-' {
        return Err(TimeError::Syntax);
    }
    let (y, m, d) = (number(&b[..4])?, number(&b[5..7])?, number(&b[8..10])?);
    let days = days_from_civil(y, m, d);
    if !(1..=12).contains(&m) || !(1..=31).contains(&d) || civil_from_days(days) != (y, m, d) {
        return Err(TimeError::Syntax);
    }
    Ok(days * DAY)
}

/// Local microseconds and the offset in microseconds, if one was given.
fn read(b: &[u8]) -> Result<(i64, Option<i64>), TimeError> {
    if b.len() < 19 || !matches!(b[10], b'T' | b't' | b' ') || b[13] != b':' || b[16] != b':' {
        return Err(TimeError::Syntax);
    }
    let day = date(&b[..10])?;
    let (h, m, s) = (number(&b[11..13])?, number(&b[14..16])?, number(&b[17..19])?);
    if h > 23 || m > 59 || s > 60 {
        return Err(TimeError::Syntax);
    }
    let mut rest = &b[19..];
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let len = fraction.iter().take_while(|c| c.is_ascii_digit()).count();
        if len == 0 {
            return Err(TimeError::Syntax);
        }
        for digit in fraction[..len].iter().chain(b"000000").take(6) {
            micros = micros * 10 + i64::from(digit - b'0');
        }
        rest = &fraction[len..];
    }
    let offset = match rest {
        b"" => None,
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), hh @ .., b':', m1, m2] if hh.len() == 2 => {
            let (oh, om) = (number(hh)?, number(&[*m1, *m2])?);
            if oh > 23 || om > 59 {
                return Err(TimeError::Syntax);
            }
            let micros = (oh * 60 + om) * 60_000_000;
            Some(if *sign == b'-' { -micros } else { micros })
        }
        _ => return Err(TimeError::Syntax),
    };
    let local = day + ((h * 60 + m) * 60 + s) * 1_000_000;
    if s == 60 {
        if (local - offset.unwrap_or(0)).rem_euclid(DAY) != 0 {
            return Err(TimeError::LeapSecond);
        }
        // The leap second's own fraction has no place in POSIX time.
        micros = 0;
    }
    Ok((local + micros, offset))
}

#[cfg(test)]
mod tests;
