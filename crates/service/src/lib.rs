//! Use cases: the only place where rules meet storage.
//!
//! Promises: an append that was answered is on disk; a reader sees exactly the positions up to its snapshot, in order;
//! background work is leased, idempotent and runs the same path after a crash as before. Authority is in the signatures:
//! whatever reads or writes a project's events takes a [`caller::Caller`].
//! Never: mentions HTTP, a dialect, SQL or Arrow.

mod activity;
mod audit;
mod budget;
pub mod caller;
mod credentials;
pub mod demo;
pub mod doctor;
pub mod exports;
pub mod holds;
pub mod import;
mod ingest;
pub mod keys;
mod limits;
mod maintain;
pub mod manifest;
pub mod members;
mod passwords;
pub mod plans;
pub mod projects;
mod read;
pub mod retention;
pub mod schedules;
pub mod sessions;
pub mod stats;
pub mod tasks;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tokens;
pub mod transfer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use indelible_archive::Objects;
use indelible_model::{Clock, Error, Ids, Kind, Limits, Result};
use indelible_store::Store;

pub use activity::ApiCall;
pub use budget::Reservation;
pub use caller::{
    Caller, CanExport, CanManageKeys, CanManageMembers, CanManageProject, CanRead, CanReadLogs, CanTimeline, CanVerify, CanWrite, Face, Grant, Organizations, Permission, Reading,
    Role, Scope, Scopes, Who,
};
pub use credentials::Credential;
pub use doctor::{DoctorNote, DoctorReport, Severity};
pub use exports::{Download, ExportInfo, ExportOrder, ExportPart, ExportSpec, ExportState, Exported, ExportsFilter, Link, LinkPlace, LinkRefused, SignedLink};
pub use import::{ImportFile, ImportInfo, ImportMapping, ImportPart, ImportSpec, ImportUpload, ImportsFilter};
pub use indelible_archive::objects::ObjectCalls;
pub use indelible_archive::{Place, S3Place};
pub use indelible_encode::layout::title;
pub use indelible_encode::{Layout, Pick, Table};
pub use indelible_store::{Counters, Database, TaskStatus};
pub use ingest::{Appended, Idempotency, Outcome};
pub use keys::{Key, KeySpec, NewKey};
pub use limits::{Admission, Allowance, LoginLimits};
pub use maintain::SealReport;
pub use members::{Member, MemberChange, MemberSpec};
pub use plans::{Plan, Plans, Usage};
pub use projects::{Admin, First, FirstStart, ProjectChange, ProjectInfo};
pub use read::{Coding, Cover, Export, ExportOptions, Finished, Format, Page, Verification};
pub use sessions::{Login, Session, TokenInfo};
pub use stats::{Count, Stats};
pub use tasks::{AskedKind, TaskFilter, TaskInfo};
pub use tokens::{OidcProvider, OidcStart};

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
    /// How long a shorter retention is announced before it takes effect.
    pub retention_delay_secs: u64,
    /// How often the loop looks for work.
    pub interval_ms: u64,
    /// How long a task may go without a sign of life.
    pub lease_secs: u64,
    /// Bytes in the hot tails of all logs beyond which nothing more is taken in: sealing does not keep up, or cannot.
    pub hot_bytes: u64,
}

impl Default for SealConfig {
    fn default() -> Self {
        Self {
            seal_bytes: 64 << 20,
            seal_age_secs: 30 * 86_400,
            segment_bytes: 512 << 20,
            merge_batches: 64,
            orphan_grace_secs: 600,
            retention_delay_secs: 7 * 86_400,
            interval_ms: 5000,
            lease_secs: 60,
            hot_bytes: 8 << 30,
        }
    }
}

/// What tasks that somebody asks for may do.
#[derive(Clone, Debug)]
pub struct TaskConfig {
    /// Tasks that one node works on at a time.
    pub per_node: usize,
    /// Tasks of one project that all nodes work on at a time.
    pub per_project: u32,
    /// How long a link to a file lives.
    pub link_secs: u64,
    /// How long the file of an export stays; 0 is for ever.
    pub export_days: u64,
    /// Bytes of a file that is imported, as it is sent.
    pub import_bytes: u64,
    /// Bytes of the files that a project has imported, all together: they are kept.
    pub import_project_bytes: u64,
    /// URLs of S3 services, beside Amazon's, to which projects may have files copied; `*` is every one.
    pub export_endpoints: Vec<String>,
}

impl Default for TaskConfig {
    fn default() -> Self {
        Self { per_node: 4, per_project: 2, link_secs: 3600, export_days: 180, import_bytes: 5 << 30, import_project_bytes: 100 << 30, export_endpoints: Vec::new() }
    }
}

/// Plain values that the service is opened with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the database is.
    pub database: Database,
    /// Whether opening brings the database's schema up to date; otherwise an old one is refused.
    pub auto_migrate: bool,
    /// Where the objects are.
    pub objects: Place,
    /// Limits on input.
    pub limits: Limits,
    /// Background work.
    pub seal: SealConfig,
    /// Tasks that somebody asks for.
    pub tasks: TaskConfig,
    /// What projects may use.
    pub plans: Plans,
    /// How often somebody may try to log in.
    pub logins: LoginLimits,
    /// Bytes of request bodies that may be in memory at once.
    pub ingest_budget_bytes: usize,
    /// Bytes of lines that all exports may have in the making; beyond it each goes on with one small unit at a time.
    pub read_budget_bytes: usize,
    /// Bytes of calls that may wait to be written to the API log; each counts for a KiB at least.
    pub api_log_queue_bytes: usize,
    /// Bytes of decoded batches and of segment footers that are kept for the next reader, each.
    pub cache_bytes: usize,
    /// How long one read may take, seconds.
    pub max_read_secs: u64,
    /// Threads that decode and encode.
    pub workers: usize,
    /// Who our own tokens say to be from.
    pub issuer: String,
    /// How long a token lives that somebody got for a password or another login, at most a day.
    pub token_lifetime_secs: u64,
    /// Who may vouch for members.
    pub oidc: Vec<OidcProvider>,
}

impl Config {
    /// A database file and a directory of objects, both within `dir`; everything else as it is by default.
    pub fn embedded(dir: &Path) -> Self {
        Self {
            database: Database::File(dir.join("indelible.db")),
            auto_migrate: true,
            objects: Place::Directory(dir.join("objects")),
            limits: Limits::default(),
            seal: SealConfig::default(),
            tasks: TaskConfig::default(),
            plans: Plans::default(),
            logins: LoginLimits::default(),
            ingest_budget_bytes: 128 << 20,
            read_budget_bytes: 48 << 20,
            api_log_queue_bytes: 16 << 20,
            cache_bytes: 32 << 20,
            max_read_secs: 86_400,
            workers: std::thread::available_parallelism().map_or(2, usize::from),
            issuer: "indelible".to_owned(),
            token_lifetime_secs: 3600,
            oidc: Vec::new(),
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
    limiter: limits::Limiter,
    writer: ingest::Writer,
    activity: Arc<activity::Activity>,
    told: activity::Told,
    reader: read::Reader,
    uploads: import::Uploads,
    /// Whole files that may be looked through at a time.
    browsing: exports::rows::Browsing,
    tokens: tokens::Tokens,
    passwords: passwords::Passwords,
    used: credentials::Used,
    /// Rows were deleted that the database's files may still hold.
    unscrubbed: AtomicBool,
}

impl Service {
    /// Opens the database and the objects, and makes them where they are local. Must be called within a tokio runtime.
    ///
    /// Fails if the schema does not fit, and for a store that a copy left unfinished.
    pub async fn open(config: Config, clock: Clock, ids: Ids) -> Result<Self> {
        let service = Self::open_unfinished(config, clock, ids).await?;
        match service.inner.store.glance().await?.mark(transfer::UNFINISHED).await? {
            None => Ok(service),
            Some(why) => Err(Error::new(Kind::Conflict, format!("This store is not whole: {why}."))),
        }
    }
    /// As [`Service::open`], also for a store that is still being copied into.
    pub async fn open_unfinished(config: Config, clock: Clock, ids: Ids) -> Result<Self> {
        if let Database::File(file) = &config.database
            && let Some(dir) = file.parent()
        {
            std::fs::create_dir_all(dir).map_err(|e| Error::new(Kind::Internal, format!("The data directory {} cannot be created.", dir.display())).with_internal(e))?;
        }
        let store = Store::open(&config.database, config.auto_migrate).await?;
        let objects = Objects::open(&config.objects, config.cache_bytes)?;
        let stats = Arc::new(Stats::default());
        let writer = ingest::Writer::start(store.clone(), clock.clone(), ids.clone(), config.seal.clone(), Arc::clone(&stats));
        let tokens = tokens::Tokens::new(&config)?;
        let reader = read::Reader::new(store.clone(), objects.clone(), &config);
        let ingest_budget = budget::Budget::new(config.ingest_budget_bytes);
        let limiter = limits::Limiter::new(&clock, &store, config.logins);
        let activity = Arc::new(activity::Activity::new(config.api_log_queue_bytes));
        let (passwords, used, uploads) = Default::default();
        let browsing = exports::rows::Browsing::new(config.workers / 2);
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                clock,
                ids,
                store,
                objects,
                stats,
                ingest_budget,
                limiter,
                writer,
                activity,
                told: activity::Told::default(),
                reader,
                uploads,
                browsing,
                tokens,
                passwords,
                used,
                unscrubbed: AtomicBool::new(true),
            }),
        })
    }
    /// Brings a database's schema up to date; the versions before and after.
    pub async fn migrate(database: &Database) -> Result<(u64, u64)> {
        Store::migrate(database).await
    }
    /// Fails unless the place of the objects answers: one request.
    pub async fn probe_objects(&self) -> Result<()> {
        let objects = self.inner.objects.clone();
        tokio::task::spawn_blocking(move || objects.probe()).await.map_err(Error::internal)?
    }
    /// Requests sent to the object store so far.
    pub fn object_calls(&self) -> ObjectCalls {
        self.inner.objects.calls()
    }
    /// Statements sent to the database so far.
    pub fn database_counters(&self) -> Counters {
        self.inner.store.counters()
    }
    /// Begins the background work; it ends when the last clone of the service is gone.
    pub fn start(&self) {
        maintain::start(&self.inner);
        tasks::work::start(&self.inner);
        activity::start(&self.inner);
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
        let ask = async { self.inner.store.glance().await?.writable().await };
        match in_time(patience(&self.inner.store), ask).await? {
            true => Ok(()),
            false => Err(Error::new(Kind::Unavailable(2), "The database takes no writes: it is a standby.")),
        }
    }
    /// How many events are stored, of all projects.
    pub async fn stored_events(&self) -> Result<u64> {
        Ok(self.inner.store.glance().await?.log_list().await?.iter().map(|l| l.head.position).sum())
    }
    /// Stores what waits for the log `activity`, takes no more appends, and returns once all that were taken are committed or refused.
    pub async fn drain(&self) {
        self.settle_at_end().await;
        self.inner.writer.drain().await;
    }
    /// Takes no more appends, waits for those that were taken, and closes the database: nothing works afterwards. What waits in the outbox stays there.
    pub async fn close(&self) {
        self.inner.writer.drain().await;
        self.inner.store.close().await;
    }
}

/// How long a database server may take before it is said that it does not answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// A file answers or fails by itself; a server may also fall silent.
pub(crate) fn patience(store: &Store) -> Option<Duration> {
    (store.writers() > 1).then_some(PATIENCE)
}

/// Runs `work` for as long as there is patience.
pub(crate) async fn in_time<T>(patience: Option<Duration>, work: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(patience) = patience else { return work.await };
    let silent = || Error::new(Kind::Unavailable(2), "The database does not answer. Try again shortly.");
    tokio::time::timeout(patience, work).await.map_err(|_| silent())?
}

/// Ends the process after a write that the disk did not confirm: what it holds is unknown, and only a restart reads it anew.
#[expect(clippy::disallowed_methods, reason = "no destructor and no other thread may write once a sync has failed")]
pub(crate) fn die_on_failed_sync(error: &Error) {
    if error.kind() == Kind::SyncFailed {
        tracing::error!(%error, "a sync to disk failed; stopping at once so that nothing unconfirmed is acknowledged. Check the disk, then start again");
        std::process::exit(74);
    }
}
