//! Times as Pydantic reads them: RFC 3339 with or without seconds and zone, dates, and Unix numbers.
//!
//! Promises: takes what Pydantic takes, and says of anything else what Pydantic says. A time without a zone is UTC, a date is its first instant, and a Unix number
//! beyond 20,000,000,000 counts milliseconds. Never: takes a date for a whole day.

use indelible_model::Timestamp;
use indelible_model::time::TimeError;

/// Why a time was not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unread {
    /// The name of the rule.
    pub(super) rule: &'static str,
    /// What is wrong.
    pub(super) words: &'static str,
}

const SECOND: i64 = 1_000_000;
/// The instants 0000-01-01T00:00:00Z, 0001-01-01T00:00:00Z and 10000-01-01T00:00:00Z in seconds.
const FIRST: i64 = -62_167_219_200;
const YEAR_ONE: i64 = -62_135_596_800;
const END: i64 = 253_402_300_800;
/// Greater numbers are milliseconds.
const WATERSHED: u64 = 20_000_000_000;

const LATE: &str = "dates after 9999 are not supported as unix timestamps";
const EARLY: &str = "dates before 0000 are not supported as unix timestamps";
const YEAR_ZERO: &str = "year 0 is out of range";

fn of_time(words: &'static str) -> Unread {
    Unread { rule: "datetime_parsing", words }
}

fn of_date(words: &'static str) -> Unread {
    Unread { rule: "datetime_from_date_parsing", words }
}

/// Reads a text.
pub(super) fn of_text(text: &str) -> Result<Timestamp, Unread> {
    match number(text) {
        Some(Number::Whole(n)) => return whole(n).map_err(|words| if words == YEAR_ZERO { of_time(words) } else { of_date(words) }),
        Some(Number::Broken(n)) => match broken(n) {
            // It is no date either, for another reason.
            Err(LATE | EARLY) => {}
            found => return found.map_err(of_time),
        },
        None => {}
    }
    let text = text.as_bytes();
    let day = day(text)?;
    if text.len() == 10 {
        return Ok(day);
    }
    let local = clock(&text[10..]).ok_or(of_date("unexpected extra characters at the end of the input"))?;
    Ok(Timestamp::clamped(day.micros() + local))
}

/// Reads the text of a JSON number.
pub(super) fn of_number(text: &str) -> Result<Timestamp, Unread> {
    text.parse().map_or_else(|_| broken(text.parse().unwrap_or_default()), whole).map_err(of_time)
}

enum Number {
    Whole(i64),
    Broken(f64),
}

/// Digits, which may have a sign, and after a dot also an exponent.
fn number(text: &str) -> Option<Number> {
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text).trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.starts_with('.') { text.parse().ok().map(Number::Broken) } else { text.parse().ok().map(Number::Whole) }
}

fn whole(number: i64) -> Result<Timestamp, &'static str> {
    unix(number, 0.0, number.unsigned_abs() > WATERSHED)
}

fn broken(number: f64) -> Result<Timestamp, &'static str> {
    unix(number.floor() as i64, number - number.floor(), number.abs() > WATERSHED as f64)
}

fn unix(units: i64, rest: f64, millis: bool) -> Result<Timestamp, &'static str> {
    let scale = if millis { 1000 } else { SECOND };
    let micros = units.saturating_mul(scale).saturating_add((rest * scale as f64).round() as i64);
    match micros.div_euclid(SECOND) {
        ..FIRST => Err(EARLY),
        FIRST..YEAR_ONE => Err(YEAR_ZERO),
        YEAR_ONE..END => Ok(Timestamp::clamped(micros)),
        END.. => Err(LATE),
    }
}

/// The first instant of the date at the start of a text.
fn day(text: &[u8]) -> Result<Timestamp, Unread> {
    let Some(date) = text.get(..10) else { return Err(of_date("input is too short")) };
    let digits = |part: &[u8], words| if part.iter().all(u8::is_ascii_digit) { Ok(()) } else { Err(of_date(words)) };
    let dash = |at: usize| if date[at] == b'-' { Ok(()) } else { Err(of_date("invalid date separator, expected `-`")) };
    digits(&date[..4], "invalid character in year")?;
    dash(4)?;
    digits(&date[5..7], "invalid character in month")?;
    dash(7)?;
    digits(&date[8..], "invalid character in day")?;
    if !(b"01"..=b"12").contains(&&[date[5], date[6]]) {
        return Err(of_date("month value is outside expected range of 1-12"));
    }
    let text = format!("{}T00:00:00Z", String::from_utf8_lossy(date));
    Timestamp::parse(&text).map_err(|e| if e == TimeError::Range { of_time(YEAR_ZERO) } else { of_date("day value is outside expected range") })
}

/// Microseconds of what follows a date: a separator, hours and minutes, and perhaps seconds, a fraction and a zone.
fn clock(text: &[u8]) -> Option<i64> {
    let [b'T' | b't' | b' ' | b'_', h1, h2, b':', m1, m2, rest @ ..] = text else { return None };
    let mut micros = (pair(*h1, *h2, 23)? * 60 + pair(*m1, *m2, 59)?) * 60 * SECOND;
    let mut rest = rest;
    if let [b':', s1, s2, more @ ..] = rest {
        micros += pair(*s1, *s2, 59)? * SECOND;
        rest = more;
        if let [b'.' | b',', more @ ..] = rest {
            let len = more.iter().take_while(|b| b.is_ascii_digit()).count();
            let six = more[..len].iter().chain(b"000000").take(6).fold(0, |n, digit| n * 10 + i64::from(digit - b'0'));
            micros += six;
            rest = if len == 0 { return None } else { &more[len..] };
        }
    }
    Some(micros - zone(rest)?)
}

/// The offset from UTC in microseconds.
fn zone(text: &[u8]) -> Option<i64> {
    let (east, rest) = match text {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        // The minus sign U+2212 as well.
        [b'-', rest @ ..] | [0xe2, 0x88, 0x92, rest @ ..] => (-1, rest),
        _ => return None,
    };
    let ([h1, h2, b':', m1, m2] | [h1, h2, m1, m2]) = rest else { return None };
    Some(east * (pair(*h1, *h2, 23)? * 60 + pair(*m1, *m2, 59)?) * 60 * SECOND)
}

/// Two digits that make a number up to `most`.
fn pair(tens: u8, ones: u8, most: i64) -> Option<i64> {
    let digit = |b: u8| b.is_ascii_digit().then(|| i64::from(b - b'0'));
    Some(digit(tens)? * 10 + digit(ones)?).filter(|n| *n <= most)
}

#[cfg(test)]
mod tests;
