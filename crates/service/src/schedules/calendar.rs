//! When a schedule is due: days of a calendar in UTC, at one minute of the day.

use indelible_model::{Error, Result, Timestamp};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Names of the days of a week, the first one first.
pub const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Days within which every schedule is due: two months.
const WITHIN: i64 = 62;

/// On which days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// On every one.
    Day,
    /// On one of [`WEEKDAYS`], counted from 0.
    Week(u8),
    /// On this day of the month, from 1; on the last one of a month that has fewer.
    Month(u8),
}

/// When something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// On which days.
    pub every: Every,
    /// The minute of the day, in UTC.
    pub minute: u16,
}

impl Timing {
    /// Reads `HH:MM`.
    pub fn read_minute(text: &str) -> Option<u16> {
        let (hours, minutes) = text.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
        let number = |digits: &str, below: u16| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u16>().ok()).flatten().filter(|n| *n < below);
        Some(number(hours, 24)? * 60 + number(minutes, 60)?)
    }
    /// The minute as `HH:MM`.
    pub fn at(self) -> String {
        format!("{:02}:{:02}", self.minute / 60, self.minute % 60)
    }
    /// The first time after another.
    pub(super) fn next(self, after: Timestamp) -> Result<Timestamp> {
        let today = jiff::Timestamp::from_microsecond(after.micros()).map_err(Error::internal)?.to_zoned(TimeZone::UTC).date();
        for days in 0..=WITHIN {
            let date = today.checked_add(days.days()).map_err(Error::internal)?;
            let midnight = date.to_zoned(TimeZone::UTC).map_err(Error::internal)?.timestamp().as_microsecond();
            let at = Timestamp::clamped(midnight + i64::from(self.minute) * 60_000_000);
            if at > after && self.is_on(date) {
                return Ok(at);
            }
        }
        Err(Error::internal("a schedule that is never due"))
    }
    fn is_on(self, date: Date) -> bool {
        match self.every {
            Every::Day => true,
            Every::Week(day) => date.weekday().to_monday_zero_offset() == i8::try_from(day).unwrap_or(-1),
            Every::Month(day) => date.day() == i8::try_from(day).unwrap_or(i8::MAX).min(date.days_in_month()),
        }
    }
}

#[cfg(test)]
mod tests;
