//! Import: foreign records in, native events out.
//!
//! Promises: a source record becomes one event or an error that names file, line and member; running an import again stores
//! nothing twice, because each event carries an external id (by default the digest of its file and its line).
//! Never: drops a record or a member silently, or changes a number's text.

pub mod csv_rows;
pub mod mapping;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use indelible_model::parse::ParseError;
use indelible_model::{Error, EventBatch, Kind, Limits, Result};
use tokio::sync::mpsc;

use crate::Service;
use crate::caller::{Caller, CanWrite};
use csv_rows::CsvRows;
use mapping::{Mapped, Mapping, Source, file_digest};

/// Batches that are read ahead of the store.
const AHEAD: usize = 2;
/// Bytes of a source line, as a multiple of an event's.
const LINE_FACTOR: usize = 4;

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
            let mut out = Batches { batch: EventBatch::default(), limits: &limits, most: options.batch_events.max(1), sender: &sender, file_index: i };
            lines += read_file(file, &options.mapping, &limits, &counted, &mut out)?;
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

/// Gathers events and hands full batches on.
struct Batches<'a> {
    batch: EventBatch,
    limits: &'a Limits,
    most: usize,
    sender: &'a mpsc::Sender<Read1>,
    file_index: usize,
}

impl Batches<'_> {
    fn push(&mut self, event: &[u8], source: &Source<'_>) -> Result<()> {
        self.batch.push(event, self.limits).map_err(|e| {
            let reason = match e {
                ParseError::Syntax(e) => e.to_string(),
                ParseError::Violations(v) => v.into_iter().map(|v| format!("{} {}", v.member, v.message)).collect::<Vec<_>>().join("; "),
            };
            Error::new(Kind::Invalid, format!("{}, line {}: {reason}", source.file, source.line))
        })?;
        if self.batch.len() >= self.most || self.batch.bytes() >= self.limits.bulk_bytes / 4 {
            self.flush()?;
        }
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(Read1 { batch, file_index: self.file_index }).map_err(|_| Error::new(Kind::Unavailable(1), "The import was stopped."))
    }
}

/// Counts what is read of a file as it lies.
struct Counted {
    file: File,
    count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read(buf)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

fn read_file(path: &Path, mapping: &Mapping, limits: &Limits, count: &Arc<AtomicU64>, out: &mut Batches<'_>) -> Result<u64> {
    let failed = |e: std::io::Error| unreadable(path, &e);
    let mut file = File::open(path).map_err(failed)?;
    let digest = file_digest(&mut file).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut packed = BufReader::with_capacity(256 << 10, Counted { file, count: Arc::clone(count) });
    let plain: Box<dyn Read> = match packed.fill_buf().map_err(failed)? {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(packed)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::with_buffer(packed).map_err(failed)?),
        _ => Box::new(packed),
    };
    let mut plain = BufReader::with_capacity(256 << 10, plain);
    let first = plain.fill_buf().map_err(failed)?.iter().find(|b| !b.is_ascii_whitespace()).copied();
    let name = path.display().to_string();
    let mut event = Vec::new();
    let mut lines = 0;
    let mut take = |line: &[u8], number: u64| -> Result<()> {
        let source = Source { file: &name, digest: &digest, line: number };
        event.clear();
        if let Mapped::Event = mapping.map(line, &source, &mut event).map_err(|e| Error::new(Kind::Invalid, e.to_string()))? {
            lines += 1;
            out.push(&event, &source)?;
        }
        Ok(())
    };
    match first {
        None => {}
        Some(b'{') => {
            let most = limits.event_bytes.saturating_mul(LINE_FACTOR) as u64;
            let mut line = Vec::new();
            for number in 1.. {
                line.clear();
                if plain.by_ref().take(most).read_until(b'\n', &mut line).map_err(failed)? == 0 {
                    break;
                }
                if line.len() as u64 == most {
                    return Err(Error::new(Kind::TooLarge, format!("{name}, line {number}: longer than {most} bytes.")));
                }
                if !line.trim_ascii().is_empty() {
                    take(&line, number)?;
                }
            }
        }
        Some(_) => {
            let bad = |e: csv_rows::CsvError| Error::new(Kind::Malformed, format!("{name} is neither NDJSON nor CSV: {e}."));
            let mut rows = CsvRows::new(plain).map_err(bad)?;
            let mut line = Vec::new();
            while let Some(number) = rows.next_line(&mut line).map_err(bad)? {
                take(&line, number)?;
                line.clear();
            }
        }
    }
    out.flush()?;
    Ok(lines)
}
