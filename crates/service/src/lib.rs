//! Use cases: the only place where rules meet storage.
//!
//! Promises: an append that was answered is on disk; a reader sees exactly the positions up to its snapshot, in order;
//! background work is leased, idempotent and runs the same path after a crash as before. Authority is in the signatures:
//! whatever reads or writes a project's events takes a [`caller::Caller`].
//! Never: mentions HTTP, a dialect, SQL or Arrow.

mod budget;
pub mod caller;
pub mod demo;
pub mod doctor;
pub mod import;
mod ingest;
pub mod keys;
mod maintain;
mod read;
pub mod stats;

use std::path::PathBuf;
use std::sync::Arc;

use indelible_archive::Objects;
use indelible_model::{Clock, Error, Ids, Kind, Limits, Result};
use indelible_store::Store;

pub use budget::Reservation;
pub use caller::{Caller, CanExport, CanManageKeys, CanRead, CanVerify, CanWrite, Grant, Permission, Scope, Scopes};
pub use doctor::{DoctorNote, DoctorReport, Severity};
pub use indelible_encode::Layout;
pub use ingest::{Appended, Idempotency, Outcome};
pub use keys::{FirstStart, Key, NewKey};
pub use maintain::SealReport;
pub use read::{Coding, Export, ExportOptions, Finished, Format, Page, Verification};
pub use stats::{Count, Stats};

/// When the background work seals, merges and collects. Times in the unit of their name.
#[derive(Clone, Debug)]
pub struct SealConfig {
    /// Bytes in a log's batches from which on they are sealed.
    pub seal_bytes: u64,
    /// Age of the oldest batch from which on a log is sealed however small.
    pub seal_age_secs: u64,
    /// Bytes of lines that a segment aims at.
    pub segment_bytes: u64,
    /// Batches of a log from which on tiny ones are merged.
    pub merge_batches: u64,
    /// How long a superseded file stays.
    pub orphan_grace_secs: u64,
    /// How often the loop looks for work.
    pub interval_ms: u64,
    /// How long a task may go without a sign of life.
    pub lease_secs: u64,
}

impl Default for SealConfig {
    fn default() -> Self {
        Self { seal_bytes: 64 << 20, seal_age_secs: 30 * 86_400, segment_bytes: 512 << 20, merge_batches: 64, orphan_grace_secs: 600, interval_ms: 1000, lease_secs: 60 }
    }
}

/// Plain values that the service is opened with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the database and the objects lie.
    pub data_dir: PathBuf,
    /// Limits on input.
    pub limits: Limits,
    /// Background work.
    pub seal: SealConfig,
    /// Bytes of request bodies that may be in memory at once.
    pub ingest_budget_bytes: usize,
    /// Bytes of lines that all exports may have in the making; beyond it each goes on with one small unit at a time.
    pub read_budget_bytes: usize,
    /// Bytes of decoded batches and of segment footers that are kept for the next reader, each.
    pub cache_bytes: usize,
    /// How long one read may take, seconds.
    pub max_read_secs: u64,
    /// Threads that decode and encode.
    pub workers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./data"),
            limits: Limits::default(),
            seal: SealConfig::default(),
            ingest_budget_bytes: 128 << 20,
            read_budget_bytes: 48 << 20,
            cache_bytes: 32 << 20,
            max_read_secs: 86_400,
            workers: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}

/// The service. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

/// The parts that use cases work with.
pub(crate) struct Inner {
    config: Config,
    clock: Clock,
    ids: Ids,
    store: Store,
    objects: Objects,
    stats: Arc<Stats>,
    ingest_budget: budget::Budget,
    writer: ingest::Writer,
    reader: read::Reader,
}

impl Service {
    /// Opens or creates the data directory and brings it up to date. Must be called within a tokio runtime.
    pub async fn open(config: Config, clock: Clock, ids: Ids) -> Result<Self> {
        let dir = &config.data_dir;
        std::fs::create_dir_all(dir).map_err(|e| Error::new(Kind::Internal, format!("The data directory {} cannot be created.", dir.display())).with_internal(e))?;
        let store = Store::open(&dir.join("indelible.db")).await?;
        let objects = Objects::open(&dir.join("objects"))?;
        let stats = Arc::new(Stats::default());
        let writer = ingest::Writer::start(store.clone(), clock.clone(), ids.clone(), config.seal.clone(), Arc::clone(&stats));
        let reader = read::Reader::new(store.clone(), objects.clone(), &config);
        let ingest_budget = budget::Budget::new(config.ingest_budget_bytes);
        Ok(Self { inner: Arc::new(Inner { config, clock, ids, store, objects, stats, ingest_budget, writer, reader }) })
    }
    /// Begins the background work; it ends when the last clone of the service is gone.
    pub fn start(&self) {
        maintain::start(&self.inner);
    }
    /// The limits on input.
    pub fn limits(&self) -> &Limits {
        &self.inner.config.limits
    }
    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }
    /// The source of ids.
    pub fn ids(&self) -> &Ids {
        &self.inner.ids
    }
    /// What was done so far.
    pub fn stats(&self) -> &Stats {
        &self.inner.stats
    }
    /// Takes room for a request body from the process-wide budget. Hold it while the body is in memory.
    pub async fn reserve(&self, bytes: usize) -> Result<Reservation> {
        self.inner.ingest_budget.reserve(bytes).await
    }
    /// Fails unless the database answers and the writer takes events.
    pub async fn ready(&self) -> Result<()> {
        if self.inner.writer.has_ended() {
            return Err(Error::new(Kind::Unavailable(2), "The writer has ended; restart the server."));
        }
        self.inner.store.read().await?.task_live().await.map(|_| ())
    }
    /// How many events are stored, of all projects.
    pub async fn stored_events(&self) -> Result<u64> {
        Ok(self.inner.store.read().await?.log_list().await?.iter().map(|l| l.head.position).sum())
    }
    /// Takes no more appends and returns once all that were taken are committed or refused.
    pub async fn drain(&self) {
        self.inner.writer.drain().await;
    }
}

/// Ends the process after a write that the disk did not confirm: what it holds is unknown, and only a restart reads it anew.
#[expect(clippy::disallowed_methods, reason = "no destructor and no other thread may write once a sync has failed")]
pub(crate) fn die_on_failed_sync(error: &Error) {
    if error.kind() == Kind::SyncFailed {
        tracing::error!(%error, "a sync to disk failed; stopping at once so that nothing unconfirmed is acknowledged. Check the disk, then start again");
        std::process::exit(74);
    }
}
