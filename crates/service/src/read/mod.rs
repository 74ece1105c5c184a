//! Reading: a snapshot, a scan of segments and batches up to it, and what becomes of the rows.
//!
//! A snapshot is the head position S. Positions and rows are stable, so a scan looks up what holds its next position anew at
//! each step, in one short transaction, and again if a file is gone because it was compacted. No transaction is held for a
//! slow reader, and a file that it reads may be deleted meanwhile; what waits for one is bounded by a process-wide budget.

mod export;
mod find;
mod gather;
mod page;
mod report;
mod scan;
mod verify;

use std::sync::Arc;

use indelible_archive::unit::HotBatch;
use indelible_archive::{Objects, Segment, SegmentFiles, Selected, Source, Unit};
use indelible_model::{Error, Filter, Kind, LogKind, ProjectId, Result};
use indelible_store::{BatchRow, SegmentRow, Store};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use crate::budget::Budget;
use crate::{Config, in_time, patience};

pub use export::{Coding, Export, ExportOptions, Finished, Format};
pub(crate) use find::sees;
pub use page::Page;
pub use report::Cover;
pub use verify::Verification;

/// What an open segment counts for in the cache at least.
const SEGMENT_LEAST: usize = 256 << 10;

/// Does `$once` anew while what it reads is superseded meanwhile.
macro_rules! anew {
    ($reader:expr, $once:expr) => {{
        let mut left = RETRIES;
        loop {
            match $once.await {
                Err(e) if $reader.anew(&mut left, &e) => {}
                done => break done.map_err(not_gone),
            }
        }
    }};
}
use anew;

/// How often, in a row, what holds a position may be gone because it was superseded.
const RETRIES: usize = 20;

/// What is still gone after all retries is missing.
fn not_gone(error: Error) -> Error {
    if error.kind() == Kind::Gone { Error::corrupt(format!("a live segment's object is missing: {error}")) } else { error }
}

/// The sizes of a segment's objects, as the manifest has them.
pub(crate) fn files(row: &SegmentRow) -> SegmentFiles {
    let s = &row.segment;
    SegmentFiles { rows_bytes: s.rows_bytes, columns_bytes: s.columns_bytes, count: s.last - s.first + 1 }
}

/// A run of a segment's rows and a filter over them, as text.
type SelectionKey = (String, Arc<str>);

#[derive(Clone)]
struct ByMemory;

impl Weighter<String, Arc<Segment>> for ByMemory {
    fn weight(&self, _key: &String, segment: &Arc<Segment>) -> u64 {
        // Three open files count as well, not only the bytes of the footer.
        segment.memory().max(SEGMENT_LEAST) as u64
    }
}

impl Weighter<(u64, u64), Arc<HotBatch>> for ByMemory {
    fn weight(&self, _key: &(u64, u64), batch: &Arc<HotBatch>) -> u64 {
        batch.memory() as u64
    }
}

impl Weighter<SelectionKey, Arc<Selected>> for ByMemory {
    fn weight(&self, key: &SelectionKey, selected: &Arc<Selected>) -> u64 {
        let rows = if let Selected::Rows(rows) = &**selected { rows.capacity() * size_of::<usize>() } else { 0 };
        (key.0.len() + key.1.len() + rows + 128) as u64
    }
}

/// What all reads share.
#[derive(Clone)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    objects: Objects,
    segments: Cache<String, Arc<Segment>, ByMemory>,
    batches: Cache<(u64, u64), Arc<HotBatch>, ByMemory>,
    /// Which rows of a segment passed a filter: segments are immutable, and lists are asked for again (the next page, a poll, a total).
    selections: Cache<SelectionKey, Arc<Selected>, ByMemory>,
    /// Threads that decode and encode.
    workers: Arc<Semaphore>,
    worker_count: usize,
    budget: Budget,
    buffers: export::Buffers,
    max_read_secs: u64,
}

impl Reader {
    pub(crate) fn new(store: Store, objects: Objects, config: &Config) -> Self {
        let bytes = config.cache_bytes as u64;
        let worker_count = objects.readers(config.workers.max(1));
        let shared = Shared {
            store,
            objects,
            segments: Cache::with_weighter(256, bytes, ByMemory),
            batches: Cache::with_weighter(256, bytes, ByMemory),
            selections: Cache::with_weighter(1024, bytes / 4, ByMemory),
            workers: Arc::new(Semaphore::new(worker_count)),
            worker_count,
            budget: Budget::new(config.read_budget_bytes),
            buffers: export::Buffers::default(),
            max_read_secs: config.max_read_secs,
        };
        Self { shared: Arc::new(shared) }
    }
    /// What may be in memory of what is read.
    pub(crate) fn budget(&self) -> &Budget {
        &self.shared.budget
    }
    /// The snapshot: the head position, 0 for an empty log.
    pub(crate) async fn head(&self, project: ProjectId, log: LogKind) -> Result<u64> {
        let store = &self.shared.store;
        let head = in_time(patience(store), async { store.glance().await?.log_head(project, log).await }).await?;
        Ok(head.map_or(0, |h| h.position))
    }
    /// Runs decoding or encoding on a worker thread.
    async fn work<T: Send + 'static>(&self, job: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let permit = Arc::clone(&self.shared.workers).acquire_owned().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            job()
        })
        .await
        .map_err(|e| if e.is_panic() { Error::corrupt("stored bytes that no writer of ours makes") } else { Error::internal(e) })?
    }
    /// Closes the segment that an object belonged to, once its last reader is done.
    pub(crate) fn forget(&self, object: &str) {
        if let Some((segment, _)) = object.rsplit_once('/') {
            self.shared.segments.remove(segment);
        }
    }
    /// True if what failed may succeed when it looks up anew what was superseded meanwhile; `left` counts the times.
    fn anew(&self, left: &mut usize, error: &Error) -> bool {
        if error.kind() != Kind::Gone || *left == 0 {
            return false;
        }
        *left -= 1;
        self.shared.segments.clear();
        true
    }
    /// The rows of a unit that pass a filter; `text` is the filter as text.
    async fn select(&self, unit: Unit, filter: Arc<Filter>, text: Arc<str>) -> Result<(Unit, Arc<Selected>)> {
        let key = match &unit.source {
            Source::Segment(s) => Some((format!("{}:{}-{}", s.name(), unit.rows.start, unit.rows.end), text)),
            Source::Batch(_) => None,
        };
        if let Some(known) = key.as_ref().and_then(|k| self.shared.selections.get(k)) {
            return Ok((unit, known));
        }
        let (unit, selected) = self
            .work(move || {
                let mut selected = unit.select(&filter)?;
                if let Selected::Rows(rows) = &mut selected {
                    rows.shrink_to_fit();
                }
                Ok((unit, Arc::new(selected)))
            })
            .await?;
        if let Some(key) = key {
            self.shared.selections.insert(key, Arc::clone(&selected));
        }
        Ok((unit, selected))
    }
    async fn segment(&self, row: &SegmentRow) -> Result<Arc<Segment>> {
        let name = &row.segment.name;
        if let Some(open) = self.shared.segments.get(name) {
            return Ok(open);
        }
        let (objects, wanted, files) = (self.shared.objects.clone(), name.clone(), files(row));
        let open = Arc::new(tokio::task::spawn_blocking(move || Segment::open(&objects, &wanted, &files)).await.map_err(Error::internal)??);
        if open.first() != row.segment.first || open.count() as u64 != row.segment.last - row.segment.first + 1 {
            return Err(Error::corrupt(format!("{name} does not hold the positions of the manifest")));
        }
        self.shared.segments.insert(name.clone(), Arc::clone(&open));
        Ok(open)
    }
    async fn batch(&self, row: BatchRow) -> Result<Arc<HotBatch>> {
        let key = (row.id, row.generation);
        if let Some(open) = self.shared.batches.get(&key) {
            return Ok(open);
        }
        // The row's number is never given twice (AUTOINCREMENT), so what is kept under it stays right.
        let open = self.work(move || HotBatch::decode(row.batch.first, &row.batch.envelope, &row.batch.body)).await?;
        let open = Arc::new(open);
        self.shared.batches.insert(key, Arc::clone(&open));
        Ok(open)
    }
}
