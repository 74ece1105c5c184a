//! The manifest: which objects hold a log's sealed events now. The database has it; a copy is published beside the data,
//! for programs that read the archive in place. Files that it does not name are superseded or not finished: never read them.

use indelible_archive::keys::{self, Part};
use indelible_model::{Error, LogKind, ProjectId, Result};
use indelible_store::SegmentRow;
use serde_json::{Value, json};

use crate::Service;

/// Version of the published form.
const VERSION: u64 = 1;
/// How often it is written in a row at most.
const ROUNDS: usize = 5;

/// One live segment.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its project.
    pub project: ProjectId,
    /// Its log.
    pub log: LogKind,
    /// First position.
    pub first: u64,
    /// Last position.
    pub last: u64,
    /// True if retention took its rows: only `hashes` is there.
    pub expired: bool,
    /// Key of the rows object.
    pub rows: String,
    /// Key of the columns object.
    pub columns: String,
    /// Key of the hashes object.
    pub hashes: String,
    /// Bytes of the rows object.
    pub rows_bytes: u64,
    /// Bytes of the columns object.
    pub columns_bytes: u64,
}

impl Entry {
    pub(crate) fn new(project: ProjectId, log: LogKind, row: &SegmentRow) -> Self {
        let (s, key) = (&row.segment, |part| keys::object(&row.segment.name, part));
        Self {
            project,
            log,
            first: s.first,
            last: s.last,
            expired: row.expired,
            rows: key(Part::Rows),
            columns: key(Part::Columns),
            hashes: key(Part::Hashes),
            rows_bytes: s.rows_bytes,
            columns_bytes: s.columns_bytes,
        }
    }
    /// The keys of the objects that are there.
    pub fn objects(&self) -> Vec<&str> {
        if self.expired { vec![&self.hashes] } else { vec![&self.rows, &self.columns, &self.hashes] }
    }
    /// As it is published.
    pub fn to_json(&self) -> Value {
        if self.expired {
            return json!({"first": self.first, "last": self.last, "expired": true, "hashes": self.hashes});
        }
        json!({
            "first": self.first, "last": self.last, "expired": false, "rows": self.rows, "rows_bytes": self.rows_bytes,
            "columns": self.columns, "columns_bytes": self.columns_bytes, "hashes": self.hashes,
        })
    }
}

impl Service {
    /// The segments of a project's log, in order of position.
    pub async fn manifest(&self, project: ProjectId, log: LogKind) -> Result<Vec<Entry>> {
        Ok(self.segments(project, log).await?.iter().map(|row| Entry::new(project, log, row)).collect())
    }
    /// Publishes the manifest of a log beside its objects, again if it has changed by the time that it is written: another's may have been overwritten.
    pub(crate) async fn publish_manifest(&self, project: ProjectId, log: LogKind) -> Result<()> {
        let mut written = Vec::new();
        for _ in 0..ROUNDS {
            let text = self.manifest_text(project, log).await?;
            if text == written {
                break;
            }
            written.clone_from(&text);
            let objects = self.inner.objects.clone();
            tokio::task::spawn_blocking(move || objects.replace(&keys::manifest(project, log), &text)).await.map_err(Error::internal)??;
        }
        Ok(())
    }
    /// The manifest's text; empty for a log without segments.
    async fn manifest_text(&self, project: ProjectId, log: LogKind) -> Result<Vec<u8>> {
        let entries = self.manifest(project, log).await?;
        let Some(sealed) = entries.last().map(|e| e.last) else { return Ok(Vec::new()) };
        let segments: Vec<Value> = entries.iter().map(Entry::to_json).collect();
        serde_json::to_vec(&json!({"version": VERSION, "project": project.to_string(), "log": log.name(), "sealed_to": sealed, "segments": segments})).map_err(Error::internal)
    }
}
