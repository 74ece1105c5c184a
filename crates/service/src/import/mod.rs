//! Import: foreign records in, native events out.
//!
//! By a command, which stops at the first record that becomes no event, or by a task, which reports such records and goes on.
//! Promises: a source record becomes one event, or is refused with its line, member and reason; running an import again stores
//! nothing twice, because each event carries an external id (by default the digest of its file and its line).
//! Never: drops a record or a member silently, or changes a number's text.

mod asked;
pub mod csv_rows;
pub mod mapping;
mod mark;
mod records;
mod report;
pub(crate) mod task;

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indelible_model::parse::ParseError;
use indelible_model::{Error, EventBatch, Kind, Limits, Result};
use tokio::sync::mpsc;

use crate::Service;
use crate::caller::{Caller, CanWrite};
use mapping::{Mapped, Mapping, Source, file_digest};
use records::Reading;

pub(crate) use asked::Uploads;
pub use asked::{ImportFile, ImportInfo, ImportMapping, ImportPart, ImportSpec, ImportUpload, ImportsFilter};

/// Batches that are read ahead of the store.
const AHEAD: usize = 2;
/// Bytes of a source record, as a multiple of an event's.
const RECORD_FACTOR: usize = 4;

/// What to import.
#[derive(Debug)]
pub struct ImportOptions {
    /// How records become events.
    pub mapping: Mapping,
    /// Files: NDJSON or CSV, plain, gzip or zstd, told apart by their content.
    pub files: Vec<PathBuf>,
    /// Events stored together.
    pub batch_events: usize,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// The file that is being read, from 0.
    pub file_index: usize,
    /// Bytes read of all files, as they lie.
    pub bytes_read: u64,
    /// Bytes of all files.
    pub bytes_total: u64,
    /// Events stored.
    pub events: u64,
    /// Events that were there before.
    pub duplicates: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportReport {
    /// Files read.
    pub files: usize,
    /// Records read.
    pub lines: u64,
    /// Events stored.
    pub accepted: u64,
    /// Events that were there before.
    pub duplicates: u64,
}

struct Read1 {
    batch: EventBatch,
    file_index: usize,
}

/// Imports files in their order. Stops at the first record that cannot be mapped; what was stored before it stays, and the
/// same import run again goes on from there.
pub async fn run(service: &Service, caller: &Caller<CanWrite>, options: ImportOptions, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<ImportReport> {
    let mut now = Progress::default();
    for file in &options.files {
        now.bytes_total += std::fs::metadata(file).map_err(|e| unreadable(file, &e))?.len();
    }
    let mut report = ImportReport { files: options.files.len(), ..ImportReport::default() };
    let read = Arc::new(AtomicU64::new(0));
    let (sender, mut receiver) = mpsc::channel::<Read1>(AHEAD);
    let (limits, counted) = (service.limits().clone(), Arc::clone(&read));
    let reading = tokio::task::spawn_blocking(move || {
        let mut lines = 0;
        for (i, file) in options.files.iter().enumerate() {
            let name = file.display().to_string();
            let mut out = Batches { batch: EventBatch::default(), limits: &limits, most: options.batch_events.max(1), sender: &sender, file: &name, file_index: i };
            lines += read_file(file, &options.mapping, &counted, &mut out)?;
        }
        Ok::<u64, Error>(lines)
    });
    while let Some(next) = receiver.recv().await {
        let appended = service.append(caller, next.batch, None).await?;
        let duplicates = appended.outcomes.iter().filter(|o| o.duplicate).count() as u64;
        report.duplicates += duplicates;
        report.accepted += appended.outcomes.len() as u64 - duplicates;
        now = Progress { file_index: next.file_index, bytes_read: read.load(Ordering::Relaxed), events: report.accepted, duplicates: report.duplicates, ..now };
        progress(now);
    }
    report.lines = reading.await.map_err(Error::internal)??;
    Ok(report)
}

fn unreadable(file: &Path, e: &std::io::Error) -> Error {
    Error::new(Kind::Malformed, format!("{} cannot be read: {e}.", file.display()))
}

/// A record that became no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Its line; in CSV its row, the header being 1.
    line: u64,
    /// The member of the event; empty for the record itself.
    member: String,
    /// What is wrong.
    reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.member.is_empty() {
            write!(f, "{}: ", self.member)?;
        }
        f.write_str(&self.reason)
    }
}

/// Whoever takes what a file holds.
trait Take {
    /// An event.
    fn event(&mut self, event: &[u8], line: u64) -> Result<()>;
    /// A record that became none.
    fn refused(&mut self, refusal: Refusal) -> Result<()>;
}

/// Maps a file's records. How many there were.
fn read(source: impl Read, reading: Reading<'_>, digest: &str, mapping: &Mapping, take: &mut impl Take) -> Result<u64> {
    let (mut event, mut lines) = (Vec::new(), 0);
    reading.each(source, |line, record| {
        event.clear();
        let mapped = record.map_err(|reason| Refusal { line, member: String::new(), reason }).and_then(|text| {
            let source = Source { file: reading.name, digest, line };
            mapping.map(text, &source, &mut event).map_err(|e| Refusal { line, member: e.member, reason: e.reason })
        });
        if mapped == Ok(Mapped::ClosingLine) {
            return Ok(());
        }
        lines += 1;
        match mapped {
            Ok(_) => take.event(&event, line),
            Err(refusal) => take.refused(refusal),
        }
    })?;
    Ok(lines)
}

/// Adds an event to a batch.
fn push(batch: &mut EventBatch, event: &[u8], line: u64, limits: &Limits) -> Result<(), Refusal> {
    let broken = |e| match e {
        ParseError::Syntax(e) => Refusal { line, member: String::new(), reason: e.to_string() },
        ParseError::Violations(all) => {
            let mut all = all.into_iter();
            let (member, mut reason) = all.next().map(|v| (v.member, v.message)).unwrap_or_default();
            all.for_each(|v| reason.push_str(&format!(" {} {}", v.member, v.message)));
            Refusal { line, member, reason }
        }
    };
    batch.push(event, limits).map_err(broken)
}

/// Gathers events and hands full batches on; a record that becomes no event ends the import.
struct Batches<'a> {
    batch: EventBatch,
    limits: &'a Limits,
    most: usize,
    sender: &'a mpsc::Sender<Read1>,
    file: &'a str,
    file_index: usize,
}

impl Take for Batches<'_> {
    fn event(&mut self, event: &[u8], line: u64) -> Result<()> {
        if let Err(refusal) = push(&mut self.batch, event, line, self.limits) {
            return self.refused(refusal);
        }
        if self.batch.len() >= self.most || self.batch.bytes() >= self.limits.bulk_bytes / 4 {
            self.flush()?;
        }
        Ok(())
    }
    fn refused(&mut self, refusal: Refusal) -> Result<()> {
        Err(Error::new(Kind::Invalid, format!("{}, {refusal}", self.file)))
    }
}

impl Batches<'_> {
    fn flush(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(Read1 { batch, file_index: self.file_index }).map_err(|_| stopped())
    }
}

fn stopped() -> Error {
    Error::new(Kind::Unavailable(1), "The import was stopped.")
}

/// Counts what is read of a source as it lies.
struct Counted<R> {
    source: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.source.read(buf)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

fn read_file(path: &Path, mapping: &Mapping, count: &Arc<AtomicU64>, out: &mut Batches<'_>) -> Result<u64> {
    let failed = |e: std::io::Error| unreadable(path, &e);
    let mut file = File::open(path).map_err(failed)?;
    let digest = file_digest(&mut file).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let reading = Reading { name: out.file, most: out.limits.event_bytes.saturating_mul(RECORD_FACTOR), bounds: None };
    let lines = read(Counted { source: file, count: Arc::clone(count) }, reading, &digest, mapping, out)?;
    out.flush()?;
    Ok(lines)
}
