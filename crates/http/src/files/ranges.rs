//! What of a file a request asks for (RFC 9110, 13 and 14). Pure.

use std::ops::Range;

use axum::http::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderName, Method};

/// What to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// Nothing: the client has it.
    NotModified,
    /// Nothing: the client wants another file.
    Failed,
    /// Nothing: the file ends before.
    Outside,
}

/// Decides by the conditions first, in the order of the RFC. There is no date of a last change: conditions with dates are never met, or not looked at.
pub(super) fn wanted(method: &Method, headers: &HeaderMap, etag: &str, len: u64) -> Wanted {
    if headers.contains_key(IF_MATCH) && !lists(headers, IF_MATCH, |tag| tag == etag) {
        return Wanted::Failed;
    }
    if lists(headers, IF_NONE_MATCH, |tag| tag.strip_prefix("W/").unwrap_or(tag) == etag) {
        return Wanted::NotModified;
    }
    let only = |name: HeaderName| {
        let mut all = headers.get_all(name).iter();
        all.next().filter(|_| all.next().is_none())?.to_str().ok()
    };
    let same = !headers.contains_key(IF_RANGE) || only(IF_RANGE).is_some_and(|tag| tag.trim() == etag);
    match only(RANGE).filter(|_| method == Method::GET && same).and_then(|text| range(text, len)) {
        None => Wanted::Whole,
        Some(range) if range.is_empty() => Wanted::Outside,
        Some(range) => Wanted::Part(range),
    }
}

/// True if a list of tags has `*` or one that is meant.
fn lists(headers: &HeaderMap, name: HeaderName, is: impl Fn(&str) -> bool) -> bool {
    let all = headers.get_all(name);
    all.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim).any(|tag| tag == "*" || is(tag))
}

/// The one range of a header, empty if the file ends before it; `None` if there are several, or what stands there is no range.
fn range(text: &str, len: u64) -> Option<Range<u64>> {
    let (unit, set) = text.split_once('=')?;
    let (first, last) = set.trim().split_once('-').filter(|_| unit.trim().eq_ignore_ascii_case("bytes"))?;
    if first.is_empty() {
        return Some(len.saturating_sub(number(last)?)..len);
    }
    let (first, last) = (number(first)?, if last.is_empty() { u64::MAX } else { number(last)? });
    (first <= last).then(|| first.min(len)..last.saturating_add(1).min(len))
}

/// Digits. What is too large for any file is as good as the largest number.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"abc\"";

    fn ask(method: &Method, pairs: &[(HeaderName, &'static str)], len: u64) -> Wanted {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        wanted(method, &headers, TAG, len)
    }

    #[test]
    fn ranges_are_those_of_the_rfc() {
        for (text, want) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=0-", Wanted::Part(0..10)),
            ("bytes=3-5", Wanted::Part(3..6)),
            ("bytes=9-9", Wanted::Part(9..10)),
            ("bytes=9-99", Wanted::Part(9..10)),
            ("BYTES = 2-3 ", Wanted::Part(2..4)),
            ("bytes=5-99999999999999999999999", Wanted::Part(5..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-10", Wanted::Part(0..10)),
            ("bytes=-99999999999999999999999", Wanted::Part(0..10)),
            ("bytes=-0", Wanted::Outside),
            ("bytes=10-", Wanted::Outside),
            ("bytes=10-11", Wanted::Outside),
            ("bytes=99999999999999999999999-", Wanted::Outside),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=1-2-3", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("rows=0-1", Wanted::Whole),
            ("0-1", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(ask(&Method::GET, &[(RANGE, text)], 10), want, "{text}");
        }
        for text in ["bytes=0-", "bytes=-5", "bytes=0-0"] {
            assert_eq!(ask(&Method::GET, &[(RANGE, text)], 0), Wanted::Outside, "{text} of nothing");
        }
        assert_eq!(ask(&Method::HEAD, &[(RANGE, "bytes=0-0")], 10), Wanted::Whole);
        assert_eq!(ask(&Method::GET, &[(RANGE, "bytes=0-0"), (RANGE, "bytes=1-1")], 10), Wanted::Whole);
    }

    #[test]
    fn conditions_come_before_ranges() {
        let part = (RANGE, "bytes=1-2");
        let get = |pairs: &[_]| ask(&Method::GET, pairs, 10);
        assert_eq!(get(&[part.clone(), (IF_RANGE, TAG)]), Wanted::Part(1..3));
        for other in ["\"abd\"", "W/\"abc\"", "abc", "Tue, 10 Feb 2026 14:32:15 GMT", "\"abc\", \"abc\"", "*"] {
            assert_eq!(get(&[part.clone(), (IF_RANGE, other)]), Wanted::Whole, "{other}");
        }
        for (tags, met) in [(TAG, true), ("*", true), ("\"x\", \"abc\"", true), ("W/\"abc\"", false), ("\"x\"", false), ("", false)] {
            assert_eq!(get(&[part.clone(), (IF_MATCH, tags)]), if met { Wanted::Part(1..3) } else { Wanted::Failed }, "{tags}");
        }
        for (tags, met) in [(TAG, true), ("*", true), ("\"x\",W/\"abc\"", true), ("\"x\"", false), ("", false)] {
            assert_eq!(get(&[part.clone(), (IF_NONE_MATCH, tags)]), if met { Wanted::NotModified } else { Wanted::Part(1..3) }, "{tags}");
        }
        assert_eq!(ask(&Method::HEAD, &[(IF_NONE_MATCH, TAG)], 10), Wanted::NotModified);
        assert_eq!(get(&[(IF_NONE_MATCH, TAG), (IF_MATCH, "\"x\"")]), Wanted::Failed);
    }
}
