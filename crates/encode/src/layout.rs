//! Tables as data: which columns a dialect prints, and how.

use indelible_archive::Projection;
use indelible_model::fields::Field;

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// The event's id, `evt_...`.
    Id,
    /// The position.
    Position,
    /// A field's text; nothing if absent.
    Text(Field),
    /// `occurred_at` with six fraction digits.
    OccurredAt,
    /// `received_at` with six fraction digits.
    ReceivedAt,
    /// `occurred_at` with six fraction digits, or none if they are zero.
    OccurredAtShort,
    /// A field's part after the last dot.
    LastSegment(Field),
    /// A JSON field: a string's characters, anything else as JSON text, nothing for null.
    Plain(Field),
    /// `{"before":...,"after":...}`, with the members that the event has.
    Diff,
    /// The leaf hash.
    Hash,
    /// The leaf hash of the position before.
    PreviousHash,
}

/// A table's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// LogProof's sixteen columns.
    LogProof,
    /// Aitronos' nine columns.
    Aitronos,
}

const LOGPROOF: &[(&str, Cell)] = &[
    ("id", Cell::Id),
    ("sequence_number", Cell::Position),
    ("action", Cell::Text(Field::Action)),
    ("actor_id", Cell::Text(Field::ActorId)),
    ("actor_type", Cell::Text(Field::ActorType)),
    ("actor_meta", Cell::Text(Field::ActorMeta)),
    ("target_type", Cell::Text(Field::TargetType)),
    ("target_id", Cell::Text(Field::TargetId)),
    ("target_meta", Cell::Text(Field::TargetMeta)),
    ("context", Cell::Text(Field::Context)),
    ("diff", Cell::Diff),
    ("metadata", Cell::Text(Field::Metadata)),
    ("hash", Cell::Hash),
    ("previous_hash", Cell::PreviousHash),
    ("occurred_at", Cell::OccurredAt),
    ("received_at", Cell::ReceivedAt),
];

const AITRONOS: &[(&str, Cell)] = &[
    ("Timestamp", Cell::OccurredAtShort),
    ("Entity Type", Cell::Text(Field::TargetType)),
    ("Entity Name", Cell::Text(Field::TargetName)),
    ("Action", Cell::LastSegment(Field::Action)),
    ("Actor Name", Cell::Text(Field::ActorName)),
    ("Actor Email", Cell::Text(Field::ActorEmail)),
    ("Target Name", Cell::Text(Field::SubjectName)),
    ("Previous Value", Cell::Plain(Field::DiffBefore)),
    ("New Value", Cell::Plain(Field::DiffAfter)),
];

impl Layout {
    /// The header and content of each column.
    pub fn columns(self) -> &'static [(&'static str, Cell)] {
        match self {
            Self::LogProof => LOGPROOF,
            Self::Aitronos => AITRONOS,
        }
    }
    /// Appends the header row.
    pub fn write_header(self, out: &mut Vec<u8>) {
        for (i, (name, _)) in self.columns().iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
    /// The columns that must be read for it.
    pub fn projection(self) -> Projection {
        let mut p = Projection::default();
        for (_, cell) in self.columns() {
            match cell {
                Cell::Id => p.id = true,
                Cell::Position => p.position = true,
                Cell::Text(f) | Cell::LastSegment(f) | Cell::Plain(f) => p.fields.push(*f),
                Cell::OccurredAt | Cell::OccurredAtShort => p.occurred_at = true,
                Cell::ReceivedAt => p.received_at = true,
                Cell::Diff => p.fields.extend([Field::DiffBefore, Field::DiffAfter]),
                Cell::Hash | Cell::PreviousHash => p.hashes = true,
            }
        }
        p
    }
}
