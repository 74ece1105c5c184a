//! Tables as data: which columns a dialect prints, and how.

mod pick;

use indelible_archive::Projection;
use indelible_model::fields::Field;

pub use pick::{Pick, Table, title};

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// The event's id, `evt_...`.
    Id,
    /// The digits of the event's id alone.
    BareId,
    /// The position.
    Position,
    /// A field's text; nothing if absent.
    Text(Field),
    /// As [`Cell::Text`]; as a member of an object an empty text if absent.
    Required(Field),
    /// `occurred_at` with six fraction digits.
    OccurredAt,
    /// `received_at` with six fraction digits.
    ReceivedAt,
    /// `occurred_at` with six fraction digits, or none if they are zero.
    OccurredAtShort,
    /// `occurred_at` cut to milliseconds, with three fraction digits.
    OccurredAtMillis,
    /// A field's part after the last dot.
    LastSegment(Field),
    /// A JSON field: a string's characters, anything else as JSON text, nothing for null.
    Plain(Field),
    /// `{"before":...,"after":...}`, with the members that the event has.
    Diff,
    /// The metadata and the diff in one object: [`indelible_model::details`].
    Details,
    /// What the HTTP status means: `SUCCESS` below 400, else `FAILURE`; nothing if absent.
    Outcome,
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
    /// LoyaltyDog's seventeen columns.
    LoyaltyDog,
    /// A caller's choice of the columns of one of Voucherify's tables.
    Picked(Pick),
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

const LOYALTYDOG: &[(&str, Cell)] = &[
    ("id", Cell::BareId),
    ("action", Cell::Text(Field::Action)),
    ("resourceType", Cell::Required(Field::TargetType)),
    ("resourceId", Cell::Text(Field::TargetId)),
    ("actorId", Cell::Text(Field::ActorId)),
    ("actorType", Cell::Required(Field::ActorType)),
    ("subjectId", Cell::Text(Field::SubjectId)),
    ("merchantId", Cell::Text(Field::OrganizationId)),
    ("ipAddress", Cell::Text(Field::Ip)),
    ("userAgent", Cell::Text(Field::UserAgent)),
    ("requestId", Cell::Text(Field::RequestId)),
    ("details", Cell::Details),
    ("timestamp", Cell::OccurredAtShort),
    ("actorName", Cell::Text(Field::ActorName)),
    ("subjectName", Cell::Text(Field::SubjectName)),
    ("merchantName", Cell::Text(Field::OrganizationName)),
    ("resourceName", Cell::Text(Field::TargetName)),
];

impl Layout {
    /// The name and content of each column.
    pub fn columns(self) -> Vec<(&'static str, Cell)> {
        match self {
            Self::LogProof => LOGPROOF.to_vec(),
            Self::Aitronos => AITRONOS.to_vec(),
            Self::LoyaltyDog => LOYALTYDOG.to_vec(),
            Self::Picked(pick) => pick.columns().collect(),
        }
    }
    /// Appends the header row.
    pub fn write_header(self, out: &mut Vec<u8>) {
        for (i, (name, _)) in self.columns().into_iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            match self {
                Self::Picked(_) => out.extend_from_slice(title(name).as_bytes()),
                _ => out.extend_from_slice(name.as_bytes()),
            }
        }
        out.extend_from_slice(b"\r\n");
    }
    /// The columns that must be read for it.
    pub fn projection(self) -> Projection {
        let mut p = Projection::default();
        for (_, cell) in self.columns() {
            match cell {
                Cell::Id | Cell::BareId => p.id = true,
                Cell::Position => p.position = true,
                Cell::Text(f) | Cell::Required(f) | Cell::LastSegment(f) | Cell::Plain(f) => p.fields.push(f),
                Cell::OccurredAt | Cell::OccurredAtShort | Cell::OccurredAtMillis => p.occurred_at = true,
                Cell::ReceivedAt => p.received_at = true,
                Cell::Diff => p.fields.extend([Field::DiffBefore, Field::DiffAfter]),
                Cell::Details => p.fields.extend([Field::Metadata, Field::DiffBefore, Field::DiffAfter]),
                Cell::Outcome => p.fields.push(Field::HttpStatus),
                Cell::Hash | Cell::PreviousHash => p.hashes = true,
            }
        }
        p
    }
}
