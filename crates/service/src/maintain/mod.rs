//! Background work: sealing, compaction, merging, collection, retention. Each is a leased task or a small idempotent sweep.
//!
//! The order is always the same: note the objects in the database, write them, commit what makes them live, delete later
//! what they replaced. A crash at any step leaves either the old state or the new one, and noted objects to be collected.

mod collect;
mod compact;
mod draft;
mod merge;
mod retain;
mod seal;

use std::sync::{Arc, Weak};
use std::time::Duration;

use indelible_model::{Error, Kind, LogKind, ProjectId, Result, Timestamp};
use indelible_store::{SegmentRow, Task, TaskKind};

use crate::{Inner, Service, die_on_failed_sync};

/// Rounds of the loop between two sweeps for aged logs, expired keys and objects to delete.
const SWEEP_MICROS: i64 = 10_000_000;
/// Wait after a failed task, times its attempts.
const RETRY_MICROS: i64 = 2_000_000;
/// Wait after a failed task at most.
const RETRY_MOST_MICROS: i64 = 60_000_000;

const DAY_MICROS: i64 = 86_400 * 1_000_000;
/// Segments looked up at once.
const SEGMENTS: u32 = 1000;

/// How often, in a row, somebody else may have been faster.
const OVERTAKEN: usize = 20;

/// Work that came to nothing because its inputs are not what they were.
fn superseded(what: &str) -> Error {
    Error::new(Kind::Conflict, what)
}

/// What [`Service::seal_all`] did.
#[derive(Clone, Copy, Debug, Default)]
pub struct SealReport {
    /// Segments made from batches.
    pub seals: u64,
    /// Segments made from segments.
    pub compactions: u64,
}

/// Starts the loops; they end when the service is gone.
pub(crate) fn start(service: &Arc<Inner>) {
    tokio::spawn(watch(Arc::downgrade(service)));
    let weak = Arc::downgrade(service);
    tokio::spawn(async move {
        let mut last_sweep = Timestamp::clamped(i64::MIN);
        loop {
            let Some(inner) = Weak::upgrade(&weak) else { return };
            let pause = Duration::from_millis(inner.config.seal.interval_ms.max(1));
            let wake = inner.store.wake().clone();
            let service = Service { inner };
            let worked = service.round(&mut last_sweep).await.unwrap_or_else(|error| {
                die_on_failed_sync(&error);
                tracing::warn!(%error, "background work failed; it will be tried again");
                false
            });
            drop(service);
            if !worked {
                wake.wait(pause).await;
            }
        }
    });
}

/// Keeps the gauges fresh beside the work, however long that takes: ingest looks at one of them.
async fn watch(weak: Weak<Inner>) {
    while let Some(inner) = Weak::upgrade(&weak) {
        let pause = Duration::from_millis(inner.config.seal.interval_ms.max(1));
        if let Err(error) = (Service { inner }).refresh_gauges().await {
            tracing::debug!(%error, "the gauges could not be refreshed");
        }
        tokio::time::sleep(pause).await;
    }
}

impl Service {
    /// One round: a task if there is one, and now and then a sweep. True if there may be more to do at once.
    async fn round(&self, last_sweep: &mut Timestamp) -> Result<bool> {
        let now = self.inner.clock.now();
        // A clock that stepped back must not put the sweep off.
        if now < *last_sweep || now.micros().saturating_sub(last_sweep.micros()) >= SWEEP_MICROS.min(self.inner.lease_micros()) {
            *last_sweep = now;
            self.sweep(now).await?;
        }
        if !self.inner.store.glance().await?.task_waiting(now).await? {
            return Ok(false);
        }
        let mut tx = self.inner.store.write().await?;
        let until = Timestamp::clamped(now.micros() + self.inner.lease_micros());
        let Some(task) = tx.task_lease(now, until).await? else { return Ok(false) };
        tx.commit().await?;
        match self.run_task(&task).await {
            Ok(()) => {
                let mut tx = self.inner.store.write().await?;
                tx.task_finish(&task).await?;
                tx.commit().await?;
            }
            Err(error) => {
                die_on_failed_sync(&error);
                self.inner.stats.task_failures.add(1);
                tracing::warn!(%error, project = %task.project, log = %task.log, kind = ?task.kind, attempts = task.attempts, "a background task failed; it will be tried again");
                let wait = (RETRY_MICROS * i64::try_from(task.attempts).unwrap_or(30)).min(RETRY_MOST_MICROS);
                let mut tx = self.inner.store.write().await?;
                tx.task_retry(&task, &error.to_string(), Timestamp::clamped(self.inner.clock.now().micros() + wait)).await?;
                tx.commit().await?;
            }
        }
        Ok(true)
    }
    async fn run_task(&self, task: &Task) -> Result<()> {
        match task.kind {
            TaskKind::Seal => {
                // What came in during a seal may be enough for the next one, and nobody can enqueue it meanwhile.
                while self.seal_log(task.project, task.log, Some(task)).await? {
                    let head = self.inner.store.glance().await?.log_head(task.project, task.log).await?;
                    if head.is_none_or(|h| h.hot_bytes < self.inner.config.seal.seal_bytes) {
                        break;
                    }
                }
                Ok(())
            }
            TaskKind::Compact => {
                while self.compact_log(task.project, task.log, Some(task)).await? {}
                self.publish_manifest(task.project, task.log).await
            }
            TaskKind::Merge => self.merge_log(task.project, task.log).await,
        }
    }
    /// All segments of a log, in order, expired ones too.
    pub(crate) async fn segments(&self, project: ProjectId, log: LogKind) -> Result<Vec<SegmentRow>> {
        let mut all: Vec<SegmentRow> = Vec::new();
        loop {
            let next = all.last().map_or(1, |r| r.segment.last + 1);
            let rows = self.inner.store.glance().await?.segment_range(project, log, next, u64::MAX, false, SEGMENTS).await?;
            let more = rows.len() == SEGMENTS as usize;
            all.extend(rows);
            if !more {
                return Ok(all);
            }
        }
    }
    async fn refresh_gauges(&self) -> Result<()> {
        let mut tx = self.inner.store.glance().await?;
        let (events, bytes) = tx.log_hot_totals().await?;
        let (segments, sealed) = tx.segment_totals().await?;
        self.inner.stats.hot_events.set(events);
        self.inner.stats.hot_bytes.set(bytes);
        self.inner.stats.segments.set(segments);
        self.inner.stats.sealed_events.set(sealed);
        self.inner.stats.tasks_live.set(tx.task_live().await?);
        let (queued, running) = tx.asked_live().await?;
        self.inner.stats.asked_queued.set(queued);
        self.inner.stats.asked_running.set(running);
        Ok(())
    }
    /// Seals and compacts everything now, whatever the thresholds say.
    pub async fn seal_all(&self) -> Result<SealReport> {
        let mut report = SealReport::default();
        let logs: Vec<(ProjectId, LogKind)> = self.inner.store.glance().await?.log_list().await?.into_iter().map(|l| (l.project, l.kind)).collect();
        for (project, log) in logs {
            while self.unless_overtaken(async || self.seal_log(project, log, None).await).await? {
                report.seals += 1;
            }
            while self.unless_overtaken(async || self.compact_log(project, log, None).await).await? {
                report.compactions += 1;
            }
            self.publish_manifest(project, log).await?;
        }
        self.refresh_gauges().await?;
        Ok(report)
    }
    /// Tries again what a server that runs on the same store did at the same time.
    async fn unless_overtaken(&self, mut work: impl AsyncFnMut() -> Result<bool>) -> Result<bool> {
        for _ in 0..OVERTAKEN {
            match work().await {
                Err(e) if matches!(e.kind(), Kind::Conflict | Kind::Gone) => {}
                done => return done,
            }
        }
        work().await
    }
}

impl Inner {
    pub(crate) fn lease_micros(&self) -> i64 {
        i64::try_from(self.config.seal.lease_secs).unwrap_or(60).clamp(1, 86_400) * 1_000_000
    }
    pub(crate) fn grace_micros(&self) -> i64 {
        i64::try_from(self.config.seal.orphan_grace_secs).unwrap_or(600).saturating_mul(1_000_000)
    }
}

#[cfg(test)]
impl Service {
    pub(crate) async fn seal_log_once(&self, grant: &crate::Grant) -> bool {
        self.seal_log(grant.project, LogKind::Events, None).await.unwrap()
    }
    pub(crate) async fn sweep_now(&self) {
        self.sweep(self.clock().now()).await.unwrap();
    }
}
