//! Names of objects. Nothing else formats one, and no personal data is in one.

use indelible_model::ids::hex;
use indelible_model::{LogKind, ProjectId, TaskId};

/// The three objects of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The stored lines, as zstd frames.
    Rows,
    /// The columns, as Parquet.
    Columns,
    /// The leaf hashes, 32 bytes a position.
    Hashes,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 3] = [Self::Rows, Self::Columns, Self::Hashes];
    fn file(self) -> &'static str {
        match self {
            Self::Rows => "rows.ndjson.zst",
            Self::Columns => "columns.parquet",
            Self::Hashes => "hashes",
        }
    }
}

/// The common part of a segment's object keys: partitioned by project and log, unique by `nonce`.
pub fn segment_name(project: ProjectId, log: LogKind, first: u64, nonce: [u8; 8]) -> String {
    format!("project={project}/log={log}/{first:015}-{}", hex(&nonce))
}

/// The key of one of a segment's objects.
pub fn object(segment: &str, part: Part) -> String {
    format!("{segment}/{}", part.file())
}

/// The keys of all of a segment's objects.
pub fn objects(segment: &str) -> Vec<String> {
    Part::ALL.iter().map(|part| object(segment, *part)).collect()
}

/// The key of a file of a task: of an export that it makes, or an import that it reads.
pub fn task_file(project: ProjectId, task: TaskId, nonce: [u8; 8], name: &str) -> String {
    format!("project={project}/tasks/{task}/{}/{name}", hex(&nonce))
}

/// The key of a log's published manifest.
pub fn manifest(project: ProjectId, log: LogKind) -> String {
    format!("project={project}/log={log}/manifest.json")
}

/// The keys of the objects that retention takes; the hashes stay.
pub fn expired(segment: &str) -> Vec<String> {
    [Part::Rows, Part::Columns].map(|part| object(segment, part)).to_vec()
}
