//! Events on their way in: canonical details, ready to be hashed and stored.

use std::fmt;
use std::ops::Range;

use crate::time::Timestamp;

/// The two append-only logs of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogKind {
    /// What its applications report.
    Events,
    /// API logs (events with an `http` block) and the server's own audit.
    Activity,
}

impl LogKind {
    /// Both logs.
    pub const ALL: [Self; 2] = [Self::Events, Self::Activity];
    /// The name in ids, keys and paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Activity => "activity",
        }
    }
    /// The number under which the database knows it.
    pub fn code(self) -> i64 {
        match self {
            Self::Events => 0,
            Self::Activity => 1,
        }
    }
    /// The log of a number that [`LogKind::code`] gave.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.code() == code)
    }
}

impl fmt::Display for LogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One validated event inside an [`EventBatch`].
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Canonical JSON string of the action, with quotes.
    pub action: Range<usize>,
    /// The details of hash format v1 (see docs/formats/event-v1.md).
    pub details: Range<usize>,
    /// Inside of the canonical string, where the sender gave one.
    pub external_id: Option<Range<usize>>,
    /// When it happened, as the sender claims; `None` means when it is received.
    pub occurred_at: Option<Timestamp>,
    /// Which log it belongs to.
    pub log: LogKind,
}

/// Validated events in one buffer, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct EventBatch {
    pub(crate) text: Vec<u8>,
    pub(crate) events: Vec<NewEvent>,
}

impl EventBatch {
    /// An empty batch with room for `bytes` of text.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { text: Vec::with_capacity(bytes), events: Vec::new() }
    }
    /// Adds the events of another batch after these.
    pub fn append(&mut self, other: &Self) {
        let by = self.text.len();
        let moved = |r: &Range<usize>| r.start + by..r.end + by;
        self.text.extend_from_slice(&other.text);
        self.events.extend(other.events.iter().map(|e| NewEvent {
            action: moved(&e.action),
            details: moved(&e.details),
            external_id: e.external_id.as_ref().map(moved),
            occurred_at: e.occurred_at,
            log: e.log,
        }));
    }
    /// Puts all of them into one log, whatever they hold: what the server reports of itself is in `activity` without an `http` block.
    pub fn put_in(&mut self, log: LogKind) {
        self.events.iter_mut().for_each(|e| e.log = log);
    }
    /// The events.
    pub fn events(&self) -> &[NewEvent] {
        &self.events
    }
    /// How many.
    pub fn len(&self) -> usize {
        self.events.len()
    }
    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
    /// Bytes of text held.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }
    /// The bytes that one of an event's ranges names.
    pub fn slice(&self, range: &Range<usize>) -> &[u8] {
        &self.text[range.clone()]
    }
}
