//! What can be asked of a log, in words that all dialects translate into.

use crate::event::LogKind;
use crate::fields::Field;
use crate::json;
use crate::search::Needle;
use crate::time::Timestamp;

/// The order of an answer; both are by position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}

/// One condition: at least one of the fields passes the test, or none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The fields; absent ones never pass the test.
    pub any_of: Vec<Field>,
    /// What they are tested for.
    pub test: Test,
    /// The opposite: none of the fields passes, so that an event without them does.
    pub not: bool,
}

/// A test of one field's characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// Exactly one of these.
    OneOf(Vec<String>),
    /// A pattern in which `*` stands for any run of characters.
    Wildcard(String),
    /// The part after the last dot (or the whole, without a dot) is this.
    LastSegment(String),
    /// Begins with one of these.
    StartsWith(Vec<String>),
    /// Ends with one of these.
    EndsWith(Vec<String>),
    /// Contains this, without regard to case.
    Contains(Needle),
    /// Is an object's JSON text, in which the member of this name is a text that contains this, without regard to case.
    MemberContains(String, Needle),
    /// Is there, be it empty.
    Present,
}

impl Test {
    /// An exact test, or a pattern if `text` has a `*`.
    pub fn exact_or_wildcard(text: &str) -> Self {
        if text.contains('*') { Self::Wildcard(text.to_owned()) } else { Self::OneOf(vec![text.to_owned()]) }
    }
    /// True if `text` passes.
    pub fn passes(&self, text: &str) -> bool {
        match self {
            Self::OneOf(values) => values.iter().any(|v| v == text),
            Self::Wildcard(pattern) => wildcard(pattern.as_bytes(), text.as_bytes()),
            Self::LastSegment(last) => last_segment(text) == last,
            Self::StartsWith(starts) => starts.iter().any(|s| text.starts_with(s.as_str())),
            Self::EndsWith(ends) => ends.iter().any(|e| text.ends_with(e.as_str())),
            Self::Contains(needle) => needle.is_in(text.as_bytes()),
            Self::MemberContains(name, needle) => json::member(text.as_bytes(), name).and_then(json::as_str).is_some_and(|text| needle.is_in(text.as_bytes())),
            Self::Present => true,
        }
    }
}

/// The part after the last dot.
pub fn last_segment(action: &str) -> &str {
    action.rsplit_once('.').map_or(action, |(_, last)| last)
}

/// Which events of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `occurred_at` at or after this.
    pub from: Option<Timestamp>,
    /// `occurred_at` at or before this.
    pub to: Option<Timestamp>,
    /// All of these must hold.
    pub terms: Vec<Term>,
    /// If there are any, at least one of these must hold as well. They have no search: reading with one that has is refused.
    pub either: Vec<Filter>,
    /// Some text value of the event (not a member name) or its action contains this.
    pub search: Option<Needle>,
}

impl Filter {
    /// True if every event passes.
    pub fn is_empty(&self) -> bool {
        self.from.is_none() && self.to.is_none() && self.terms.is_empty() && self.either.is_empty() && self.search.is_none()
    }
    /// False only if no event whose `occurred_at` lies within `first..=last` can pass.
    pub fn may_pass_within(&self, first: Timestamp, last: Timestamp) -> bool {
        let apart = self.from.is_some_and(|from| last < from) || self.to.is_some_and(|to| first > to);
        !apart && (self.either.is_empty() || self.either.iter().any(|branch| branch.may_pass_within(first, last)))
    }
    /// Adds an exact test of one field.
    pub fn equals(&mut self, field: Field, value: impl Into<String>) {
        self.test(field, Test::OneOf(vec![value.into()]));
    }
    /// Adds a test of one field.
    pub fn test(&mut self, field: Field, test: Test) {
        self.terms.push(Term { any_of: vec![field], test, not: false });
    }
}

/// A filter, an order and a range of positions of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Which of the project's logs.
    pub log: LogKind,
    /// Which events.
    pub filter: Filter,
    /// In which order.
    pub order: Order,
    /// Only positions greater than this.
    pub after: u64,
    /// Only positions smaller than this; `None` means up to the snapshot.
    pub before: Option<u64>,
    /// At most so many events.
    pub limit: Option<u64>,
    /// Pass over so many matching events first (for dialects with offsets).
    pub skip: u64,
}

impl Query {
    /// Everything of a log, oldest first.
    pub fn all(log: LogKind) -> Self {
        Self { log, filter: Filter::default(), order: Order::Ascending, after: 0, before: None, limit: None, skip: 0 }
    }
}

/// Matches a pattern in which `*` stands for any run. Linear in text times number of stars at worst.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == text[t] {
            p += 1;
            t += 1;
        } else if let Some((sp, st)) = star {
            p = sp + 1;
            t = st + 1;
            star = Some((sp, st + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, want) in [
            ("user.*", "user.login", true),
            ("user.*", "user.", true),
            ("user.*", "users", false),
            ("*.deleted", "a.b.deleted", true),
            ("*.deleted", "deleted", false),
            ("*", "", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("**", "x", true),
            ("a", "a", true),
            ("a", "ab", false),
        ] {
            assert_eq!(Test::Wildcard(pattern.into()).passes(text), want, "{pattern} {text}");
        }
        assert!(!wildcard(&b"*a".repeat(500), &b"b".repeat(2000)));
    }

    #[test]
    fn segments() {
        assert_eq!(last_segment("user.login"), "login");
        assert_eq!(last_segment("login"), "login");
        assert!(Test::StartsWith(vec!["4".into(), "50".into()]).passes("503") && !Test::StartsWith(vec!["4".into()]).passes("504"));
        assert!(Test::LastSegment("login".into()).passes("a.user.login"));
        assert!(!Test::LastSegment("login".into()).passes("user.login_failed"));
        let ends = Test::EndsWith(vec![".com".into(), "x".into()]);
        assert!(ends.passes("a.com") && ends.passes("x") && !ends.passes("a.COM") && !ends.passes(""));
        assert!(Test::Present.passes(""));
        let member = Test::MemberContains("email".into(), Needle::new("a\"B@"));
        assert!(member.passes(r#"{"name":"x","email":"xA\"b@y"}"#));
        assert!(!member.passes(r#"{"name":"a\"b@"}"#) && !member.passes(r#"{"email":["a\"b@"]}"#) && !member.passes("{}"));
    }

    #[test]
    fn a_range_of_times_is_left_out_only_if_every_branch_leaves_it_out() {
        let at = Timestamp::clamped;
        let between = |from: i64, to: i64| Filter { from: Some(at(from)), to: Some(at(to)), ..Filter::default() };
        let either = Filter { either: vec![between(10, 20), between(40, 50)], ..between(0, 45) };
        for (filter, first, last, want) in [
            (&Filter::default(), 0, 0, true),
            (&between(10, 20), 20, 30, true),
            (&between(10, 20), 21, 30, false),
            (&between(10, 20), 0, 9, false),
            (&either, 0, 9, false),
            (&either, 0, 10, true),
            (&either, 21, 39, false),
            (&either, 45, 60, true),
            (&either, 46, 60, false),
            (&Filter { either: vec![Filter::default()], ..between(1, 2) }, 1, 1, true),
        ] {
            assert_eq!(filter.may_pass_within(at(first), at(last)), want, "{first} {last}");
        }
        assert!(Filter::default().is_empty() && !Filter { either: vec![Filter::default()], ..Filter::default() }.is_empty());
    }
}
