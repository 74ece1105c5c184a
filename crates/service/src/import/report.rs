//! The report of an import: which records became no event, and why, one JSON object a line.
//!
//! Promises: written anew by every run, so that nothing is listed twice; at most [`LISTED`] records are listed, the others are counted in its last line.
//! Never: a file where there is nothing to report.

use bytes::Bytes;
use indelible_model::{ProjectId, Result, TaskId};
use indelible_store::TaskFile;
use serde_json::json;

use super::Refusal;
use crate::Service;
use crate::tasks::file::TaskWriter;

/// Records listed at most.
pub(super) const LISTED: u64 = 10_000;
/// Characters of a member and of a reason.
const MEMBER_CHARS: usize = 200;
const REASON_CHARS: usize = 1000;
/// Bytes gathered before they are written.
const BLOCK: usize = 256 << 10;
/// What the store calls it.
pub(super) const REPORT: &str = "report";

/// A report in the making.
pub(super) struct Report {
    service: Service,
    project: ProjectId,
    task: TaskId,
    writer: Option<TaskWriter>,
    waiting: Vec<u8>,
    pub(super) refused: u64,
}

impl Report {
    pub(super) fn new(service: &Service, project: ProjectId, task: TaskId) -> Self {
        Self { service: service.clone(), project, task, writer: None, waiting: Vec::new(), refused: 0 }
    }
    /// Adds records: those named, and so many that are not.
    pub(super) async fn add(&mut self, refusals: &[Refusal], unnamed: u64) -> Result<()> {
        for refusal in refusals {
            let cut = |text: &str, chars: usize| text.chars().take(chars).collect::<String>();
            self.write(&json!({ "line": refusal.line, "member": cut(&refusal.member, MEMBER_CHARS), "reason": cut(&refusal.reason, REASON_CHARS) }));
        }
        self.refused += refusals.len() as u64 + unnamed;
        if self.waiting.len() >= BLOCK { self.flush().await } else { Ok(()) }
    }
    fn write(&mut self, line: &serde_json::Value) {
        self.waiting.extend_from_slice(line.to_string().as_bytes());
        self.waiting.push(b'\n');
    }
    async fn flush(&mut self) -> Result<()> {
        let bytes = Bytes::from(std::mem::take(&mut self.waiting));
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(TaskWriter::begin(&self.service, self.project, self.task, REPORT, "report.ndjson").await?),
        };
        writer.write(bytes).await
    }
    /// A sign of life of the file.
    pub(super) async fn keep(&mut self) -> Result<()> {
        match &mut self.writer {
            Some(writer) => writer.keep().await,
            None => Ok(()),
        }
    }
    /// The file, to be published; none if no record was refused.
    pub(super) async fn finish(mut self) -> Result<Option<TaskFile>> {
        if self.refused > LISTED {
            self.write(&json!({ "not_listed": self.refused - LISTED }));
        }
        if !self.waiting.is_empty() {
            self.flush().await?;
        }
        match self.writer {
            Some(writer) => writer.finish().await.map(Some),
            None => Ok(None),
        }
    }
}
