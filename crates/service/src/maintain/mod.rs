//! Background work: sealing, compaction, merging, collection. Each is a leased task or a small idempotent sweep.
//!
//! The order is always the same: note the objects in the database, write them, commit what makes them live, delete later
//! what they replaced. A crash at any step leaves either the old state or the new one, and noted objects to be collected.

mod collect;
mod compact;
mod merge;
mod seal;

use std::sync::{Arc, Weak};
use std::time::Duration;

use indelible_model::{Error, LogKind, ProjectId, Result, Timestamp};
use indelible_store::{Task, TaskKind};

use crate::{Inner, Service, die_on_failed_sync};

/// Rounds of the loop between two sweeps for aged logs, expired keys and objects to delete.
const SWEEP_MICROS: i64 = 10_000_000;
/// Wait after a failed task, times its attempts.
const RETRY_MICROS: i64 = 2_000_000;
/// Wait after a failed task at most.
const RETRY_MOST_MICROS: i64 = 60_000_000;

/// What [`Service::seal_all`] did.
#[derive(Clone, Copy, Debug, Default)]
pub struct SealReport {
    /// Segments made from batches.
    pub seals: u64,
    /// Segments made from segments.
    pub compactions: u64,
}

/// Starts the loop; it ends when the service is gone.
pub(crate) fn start(service: &Arc<Inner>) {
    let weak = Arc::downgrade(service);
    tokio::spawn(async move {
        let mut last_sweep = Timestamp::clamped(i64::MIN);
        loop {
            let Some(inner) = Weak::upgrade(&weak) else { return };
            let pause = Duration::from_millis(inner.config.seal.interval_ms.max(1));
            let service = Service { inner };
            let worked = service.round(&mut last_sweep).await.unwrap_or_else(|error| {
                die_on_failed_sync(&error);
                tracing::warn!(%error, "background work failed; it will be tried again");
                false
            });
            drop(service);
            if !worked {
                tokio::time::sleep(pause).await;
            }
        }
    });
}

impl Service {
    /// One round: a task if there is one, and now and then a sweep. True if there may be more to do at once.
    async fn round(&self, last_sweep: &mut Timestamp) -> Result<bool> {
        let now = self.inner.clock.now();
        // A clock that stepped back must not put the sweep off.
        if now < *last_sweep || now.micros().saturating_sub(last_sweep.micros()) >= SWEEP_MICROS.min(self.lease_micros()) {
            *last_sweep = now;
            self.sweep(now).await?;
        }
        self.refresh_gauges().await?;
        let mut tx = self.inner.store.read().await?;
        if tx.task_live().await? == 0 {
            return Ok(false);
        }
        drop(tx);
        let mut tx = self.inner.store.write().await?;
        let until = Timestamp::clamped(now.micros() + self.lease_micros());
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
    fn lease_micros(&self) -> i64 {
        i64::try_from(self.inner.config.seal.lease_secs).unwrap_or(60).clamp(1, 86_400) * 1_000_000
    }
    async fn run_task(&self, task: &Task) -> Result<()> {
        match task.kind {
            TaskKind::Seal => {
                // What came in during a seal may be enough for the next one, and nobody can enqueue it meanwhile.
                while self.seal_log(task.project, task.log, Some(task)).await? {
                    let head = self.inner.store.read().await?.log_head(task.project, task.log).await?;
                    if head.is_none_or(|h| h.hot_bytes < self.inner.config.seal.seal_bytes) {
                        break;
                    }
                }
                Ok(())
            }
            TaskKind::Compact => {
                while self.compact_log(task.project, task.log, Some(task)).await? {}
                // Again, in case that a crash came between a commit and its manifest.
                self.publish_manifest(task.project, task.log).await
            }
            TaskKind::Merge => self.merge_log(task.project, task.log).await,
        }
    }
    /// Prolongs a task's lease; an error if it was lost, so that the work is dropped before it commits anything.
    async fn heartbeat(&self, task: Option<&Task>) -> Result<()> {
        let Some(task) = task else { return Ok(()) };
        let mut tx = self.inner.store.write().await?;
        let until = Timestamp::clamped(self.inner.clock.now().micros() + self.lease_micros());
        if !tx.task_heartbeat(task, until).await? {
            return Err(Error::internal("the task's lease was lost"));
        }
        tx.commit().await
    }
    async fn refresh_gauges(&self) -> Result<()> {
        let mut tx = self.inner.store.read().await?;
        let (events, bytes) = tx.log_hot_totals().await?;
        let (segments, sealed) = tx.segment_totals().await?;
        self.inner.stats.hot_events.set(events);
        self.inner.stats.hot_bytes.set(bytes);
        self.inner.stats.segments.set(segments);
        self.inner.stats.sealed_events.set(sealed);
        self.inner.stats.tasks_live.set(tx.task_live().await?);
        Ok(())
    }
    /// Seals and compacts everything now, whatever the thresholds say.
    pub async fn seal_all(&self) -> Result<SealReport> {
        let mut report = SealReport::default();
        let logs: Vec<(ProjectId, LogKind)> = self.inner.store.read().await?.log_list().await?.into_iter().map(|l| (l.project, l.kind)).collect();
        for (project, log) in logs {
            while self.seal_log(project, log, None).await? {
                report.seals += 1;
            }
            while self.compact_log(project, log, None).await? {
                report.compactions += 1;
            }
        }
        self.refresh_gauges().await?;
        Ok(report)
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
