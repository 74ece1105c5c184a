//! Reads a file that was sent into the project's logs.
//!
//! Promises: every record becomes one event, marked with its import, or is reported; one that was stored before is counted and not stored again. After a crash
//! it runs from the beginning and stores nothing twice, and what it says of itself is the same: the batches are the same ones, and are known by their numbers.
//! Memory is bounded whatever the file holds.
//! Never: loops where a plan's events are used up.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use indelible_archive::objects::Object;
use indelible_model::ids::hex;
use indelible_model::{Error, EventBatch, KeyId, Kind, Limits, LogKind, Result, TaskId};
use indelible_store::AskedTask;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::asked::{ImportMapping, ORIGINAL};
use super::mapping::Mapping;
use super::mark::mark;
use super::records::{Bounds, Reading};
use super::report::{LISTED, Report};
use super::{AHEAD, Counted, RECORD_FACTOR, Refusal, Take, push, read, stopped};
use crate::caller::{Caller, CanWrite, Face, Grant, Scope, Scopes, Who};
use crate::credentials::read_organizations;
use crate::ingest::may_write;
use crate::tasks::read_json;
use crate::tasks::work::{Made, Running};
use crate::{Appended, Idempotency};

/// The route under which batches are remembered.
const ROUTE: &str = "import";
/// Events of a batch, and bytes of their text.
const BATCH_EVENTS: usize = 2000;
const BATCH_BYTES: usize = 2 << 20;
/// Refusals that are handed on together.
const REFUSALS: usize = 500;
/// The largest window of zstd: 8 MiB.
const WINDOW_LOG: u32 = 23;
/// What a file may always unpack to, whatever its size.
const PLAIN_FREE: u64 = 64 << 20;
/// How often a sign of life is given while nothing comes.
const PULSE: Duration = Duration::from_millis(500);
/// How long a batch is tried again before the whole task is.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);

/// What was read: events to be stored, and records that became none.
#[derive(Default)]
struct Step {
    batch: EventBatch,
    /// The lines of the first and the last event.
    lines: Option<(u64, u64)>,
    refused: Vec<Refusal>,
    /// Refused records that the report does not list.
    unnamed: u64,
}

/// What was done.
#[derive(Default)]
struct Tally {
    stored: u64,
    duplicates: u64,
    batches: u64,
    positions: BTreeMap<LogKind, (u64, u64)>,
    /// The logs of its events, also of those that were there before.
    logs: BTreeSet<LogKind>,
}

/// Ends the reader when it is dropped, whatever the reason.
#[derive(Default)]
struct Ending(Arc<AtomicBool>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads the file.
pub(crate) async fn run(running: &mut Running) -> Result<Made> {
    let (project, task) = (running.task.project, running.task.asked.id);
    let inner = Arc::clone(&running.service.inner);
    let spec = read_json(&running.task.asked.spec)?;
    let mapping = ImportMapping::of(&spec)?;
    let files = inner.store.glance().await?.task_files(project, task).await?;
    let file = files.into_iter().find(|f| f.part == ORIGINAL).ok_or_else(|| Error::corrupt("an import without its file"))?;
    let caller = caller(running).await?;
    let (sender, mut receiver) = mpsc::channel(AHEAD);
    let count = Arc::<AtomicU64>::default();
    let (counted, limits, grant) = (Arc::clone(&count), inner.config.limits.clone(), caller.grant().clone());
    let bytes = file.bytes;
    let ending = Ending::default();
    let over = Arc::clone(&ending.0);
    let reading = tokio::task::spawn_blocking(move || {
        let object = inner.objects.get(&file.object, Some(file.bytes))?;
        let source = Counted { source: Reader { object, at: 0, over: Arc::clone(&over) }, count: counted };
        let mut out = Gather { step: Step::default(), listed: 0, marked: Vec::new(), limits: &limits, grant: &grant, task, sender: &sender };
        let plain = bytes.saturating_mul(limits.inflation_ratio as u64).max(PLAIN_FREE);
        out.read(source, &hex(&file.sha256[..16]), &mapping, Bounds { window: WINDOW_LOG, plain, over: &over })
    });
    let mut report = Report::new(&running.service, project, task);
    let mut tally = Tally::default();
    let progress = || count.load(Ordering::Relaxed).saturating_mul(100) / bytes.max(1);
    let stored = store(running, &caller, &mut receiver, &mut report, &mut tally, &progress).await;
    // A reader that waits for room, or finds nothing to hand on, ends with this.
    drop((receiver, ending));
    let read = match stored {
        Ok(()) => reading.await.map_err(Error::internal)?,
        Err(error) => Err(error),
    };
    let refused = report.refused;
    let files: Vec<_> = report.finish().await?.into_iter().collect();
    let made = Made { result: tally.result(refused, !files.is_empty(), read.as_ref().ok().copied()), files };
    match read {
        Ok(_) => Ok(made),
        Err(error) => {
            running.so_far = Some(made);
            Err(tally.tell(&error))
        }
    }
}

/// Stores what is read, as long as there is something.
async fn store(
    running: &mut Running,
    caller: &Caller<CanWrite>,
    receiver: &mut mpsc::Receiver<Step>,
    report: &mut Report,
    tally: &mut Tally,
    progress: &(dyn Fn() -> u64 + Sync),
) -> Result<()> {
    loop {
        running.keep(progress()).await?;
        report.keep().await?;
        let Ok(next) = timeout(PULSE, receiver.recv()).await else { continue };
        let Some(step) = next else { return Ok(()) };
        report.add(&step.refused, step.unnamed).await?;
        let Some(lines) = step.lines else { continue };
        tally.logs.extend(step.batch.events().iter().map(|e| e.log));
        let key = batch_key(running.task.asked.id, tally.batches, &step.batch, lines);
        tally.add(&append(running, caller, step.batch, key, progress).await?);
    }
}

/// A batch's number in its import, and what a batch of the same number must be to be the same one.
fn batch_key(task: TaskId, number: u64, batch: &EventBatch, lines: (u64, u64)) -> Idempotency {
    let mut body_digest = [0; 32];
    for (place, word) in body_digest.chunks_exact_mut(8).zip([lines.0, lines.1, batch.len() as u64, batch.bytes() as u64]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    Idempotency { route: ROUTE, key: format!("{task}/{number}"), body_digest }
}

/// Stores a batch. What is away for a moment is waited for.
async fn append(running: &mut Running, caller: &Caller<CanWrite>, batch: EventBatch, key: Idempotency, progress: &(dyn Fn() -> u64 + Sync)) -> Result<Appended> {
    let service = running.service.clone();
    let (mut key, mut waited) = (Some(key), Duration::ZERO);
    loop {
        let stored = async {
            let _room = service.reserve(batch.bytes()).await?;
            service.append(caller, batch.clone(), key.clone()).await
        };
        let error = match Box::pin(stored).await {
            Ok(appended) => return Ok(appended),
            Err(error) => error,
        };
        match error.kind() {
            // The batches were cut otherwise before, by other limits: what was stored of them is known by its external ids.
            Kind::KeyReused => key = None,
            Kind::Unavailable(_) | Kind::InFlight if waited < PATIENCE => {
                sleep(PAUSE).await;
                waited += PAUSE;
            }
            _ => return Err(error),
        }
        running.keep(progress()).await?;
    }
}

/// Who writes: whoever asked, with the binding of then and the project's plan of now.
async fn caller(running: &Running) -> Result<Caller<CanWrite>> {
    let AskedTask { project, asked, .. } = &running.task;
    let whole = running.service.operator(*project).await?;
    let by = read_json(&asked.asked_by)?;
    let who = match by.get("id").and_then(Value::as_str) {
        Some(id) if by.get("type").and_then(Value::as_str) != Some("operator") => {
            // Whoever it was counts as somebody from outside, whose events the plan limits.
            Who::Key { id: KeyId::parse(id).unwrap_or(KeyId([0; 16])), name: String::new(), face: Face::LogProof }
        }
        _ => Who::Operator,
    };
    let organizations = read_organizations(asked.organizations.as_deref())?;
    Grant { who, organizations, scopes: Scopes::of(&[Scope::EventsWrite]), ..whole }.permit()
}

impl Tally {
    fn add(&mut self, appended: &Appended) {
        self.batches += 1;
        for outcome in &appended.outcomes {
            if outcome.duplicate {
                self.duplicates += 1;
                continue;
            }
            self.stored += 1;
            let range = self.positions.entry(outcome.log).or_insert((outcome.position, outcome.position));
            *range = (range.0.min(outcome.position), range.1.max(outcome.position));
        }
    }
    /// What the task says of itself. `records` is known once the whole file was read.
    fn result(&self, refused: u64, report: bool, records: Option<u64>) -> Value {
        let plural = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let message = format!("{} stored, {} there before, {} refused.", plural(self.stored, "event"), self.duplicates, plural(refused, "record"));
        let positions = self.positions.iter().map(|(log, (first, last))| (log.name().to_owned(), json!({ "first": first, "last": last })));
        let mut result = Map::new();
        result.insert("message".to_owned(), message.into());
        result.insert("done_count".to_owned(), self.stored.into());
        result.insert("duplicate_count".to_owned(), self.duplicates.into());
        result.insert("failed_count".to_owned(), refused.into());
        result.insert("failed_listed".to_owned(), refused.min(LISTED).into());
        if let Some(records) = records {
            result.insert("records".to_owned(), records.into());
        }
        result.insert("positions".to_owned(), Value::Object(positions.collect()));
        result.insert("logs".to_owned(), self.logs.iter().map(|log| log.name()).collect());
        result.insert("report".to_owned(), report.into());
        Value::Object(result)
    }
    /// An error that ends the import, with what was stored before.
    fn tell(&self, error: &Error) -> Error {
        let before = format!("{} events were stored before; they stay, and are not stored twice if the file is imported again.", self.stored);
        let told = match error.kind() {
            Kind::QuotaExceeded(_) => "The plan's events for this month (UTC) are used up.",
            _ => error.public(),
        };
        let mut with = Error::new(error.kind(), format!("{told} {before}"));
        if let Some(internal) = error.internal_message() {
            with = with.with_internal(internal);
        }
        if error.may_have_happened() { with.maybe_happened() } else { with }
    }
}

/// Gathers a file's events and refusals, and hands them on.
struct Gather<'a> {
    step: Step,
    listed: u64,
    marked: Vec<u8>,
    limits: &'a Limits,
    grant: &'a Grant,
    task: TaskId,
    sender: &'a mpsc::Sender<Step>,
}

impl Gather<'_> {
    fn read(&mut self, source: impl Read, digest: &str, mapping: &Mapping, bounds: Bounds<'_>) -> Result<u64> {
        let reading = Reading { name: "The file", most: self.limits.event_bytes.saturating_mul(RECORD_FACTOR), bounds: Some(bounds) };
        let read = read(source, reading, digest, mapping, self);
        // What was read before a file breaks off counts.
        self.flush()?;
        read
    }
    fn flush(&mut self) -> Result<()> {
        self.sender.blocking_send(std::mem::take(&mut self.step)).map_err(|_| stopped())
    }
    /// The event of a line, if this caller may write it.
    fn batch_of_one(&mut self, event: &[u8], line: u64) -> Result<EventBatch, Refusal> {
        self.marked.clear();
        mark(event, self.task, line, &mut self.marked);
        let mut one = EventBatch::default();
        push(&mut one, &self.marked, line, self.limits)?;
        may_write(&one, self.grant).map_err(|e| match e.violations().first() {
            Some(v) => Refusal { line, member: v.member.clone(), reason: v.message.clone() },
            None => Refusal { line, member: String::new(), reason: e.public().to_owned() },
        })?;
        Ok(one)
    }
}

impl Take for Gather<'_> {
    fn event(&mut self, event: &[u8], line: u64) -> Result<()> {
        match self.batch_of_one(event, line) {
            Ok(one) => self.step.batch.append(&one),
            Err(refusal) => return self.refused(refusal),
        }
        self.step.lines = Some((self.step.lines.map_or(line, |(first, _)| first), line));
        if self.step.batch.len() >= BATCH_EVENTS || self.step.batch.bytes() >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }
    fn refused(&mut self, refusal: Refusal) -> Result<()> {
        if self.listed == LISTED {
            self.step.unnamed += 1;
            return Ok(());
        }
        self.listed += 1;
        self.step.refused.push(refusal);
        if self.step.refused.len() >= REFUSALS { self.flush() } else { Ok(()) }
    }
}

/// Reads an object from its beginning to its end.
struct Reader {
    object: Object,
    at: u64,
    /// Set when nobody wants more of it.
    over: Arc<AtomicBool>,
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.over.load(Ordering::Relaxed) {
            return Err(io::Error::other(stopped()));
        }
        let len = usize::try_from(self.object.len() - self.at).unwrap_or(usize::MAX).min(buf.len());
        if len > 0 {
            buf[..len].copy_from_slice(&self.object.read(self.at, len).map_err(io::Error::other)?);
            self.at += len as u64;
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests;
