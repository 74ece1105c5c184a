//! Sweeps: what aged, what expired, what may be deleted.

use std::sync::atomic::Ordering;

use indelible_model::{Error, Result, Timestamp};
use indelible_store::TaskKind;

use crate::Service;
use crate::ingest::IDEMPOTENCY_MICROS;

/// Objects deleted, and aged logs enqueued, in one sweep.
const SWEEP: u32 = 300;
/// Deletions that fail in a row before a sweep ends.
const FAILURES: u32 = 3;
/// Idempotency keys forgotten in one transaction.
const KEYS: u32 = 10_000;

impl Service {
    /// Deletes due objects, forgets expired idempotency keys, enqueues seals of logs that are due, applies retention. Idempotent.
    pub(super) async fn sweep(&self, now: Timestamp) -> Result<()> {
        // One that fails must not keep the others from being done.
        let results = [
            self.sweep_logs(now).await,
            self.retain(now).await,
            self.sweep_keys(now).await,
            self.sweep_credentials(now).await,
            self.sweep_rates().await,
            self.sweep_exports(now).await,
            self.sweep_schedules(now).await,
            self.sweep_objects(now).await,
            self.scrub().await,
        ];
        results.into_iter().collect()
    }

    /// Enqueues seals: of tails that are old, or large although nobody enqueued them, and of the largest while all together are too large.
    async fn sweep_logs(&self, now: Timestamp) -> Result<()> {
        let seal = &self.inner.config.seal;
        let age = i64::try_from(seal.seal_age_secs).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let mut tx = self.inner.store.glance().await?;
        let mut due = tx.log_list_due(now, Timestamp::clamped(now.micros().saturating_sub(age)), seal.seal_bytes, SWEEP).await?;
        if self.inner.stats.hot_bytes.get() > seal.hot_bytes / 2 {
            due.extend(tx.log_list_hottest(SWEEP).await?);
        }
        drop(tx);
        // One order for all nodes, so that none waits for another in a circle.
        due.sort_unstable();
        due.dedup();
        if due.is_empty() {
            return Ok(());
        }
        let mut tx = self.inner.store.write().await?;
        for (project, log) in due {
            tx.task_enqueue(project, log, TaskKind::Seal, now).await?;
        }
        tx.commit().await
    }

    /// Takes what retention let go out of the database's files, as far as they are ours.
    async fn scrub(&self) -> Result<()> {
        if self.inner.unscrubbed.load(Ordering::SeqCst) && self.inner.store.scrub().await? {
            self.inner.unscrubbed.store(false, Ordering::SeqCst);
        }
        Ok(())
    }

    async fn sweep_keys(&self, now: Timestamp) -> Result<()> {
        let before = Timestamp::clamped(now.micros() - IDEMPOTENCY_MICROS);
        if !self.inner.store.glance().await?.idempotency_any_before(before).await? {
            return Ok(());
        }
        loop {
            let mut tx = self.inner.store.write().await?;
            let forgotten = tx.idempotency_expire(before, KEYS).await?;
            tx.commit().await?;
            if forgotten < u64::from(KEYS) {
                return Ok(());
            }
        }
    }

    async fn sweep_objects(&self, now: Timestamp) -> Result<()> {
        if !self.inner.store.glance().await?.object_any_due(now).await? {
            return Ok(());
        }
        // Claimed first, deleted after: a seal that was slow must not publish what is going away.
        let mut tx = self.inner.store.write().await?;
        let due = tx.object_claim_due(now, Timestamp::clamped(now.micros() + self.inner.lease_micros()), SWEEP).await?;
        tx.commit().await?;
        let objects = self.inner.objects.clone();
        let deleted = tokio::task::spawn_blocking(move || {
            let mut deleted = Vec::with_capacity(due.len());
            let mut failures = 0;
            for retired in due {
                match objects.delete(&retired.object, retired.upload.as_deref()) {
                    Ok(()) => {
                        failures = 0;
                        deleted.push(retired.object);
                    }
                    Err(error) => {
                        tracing::warn!(%error, key = retired.object, "an object could not be deleted; it will be tried again");
                        failures += 1;
                        // The next would find the store away as well, and each costs seconds. The claims run out by themselves.
                        if failures == FAILURES {
                            break;
                        }
                    }
                }
            }
            deleted
        })
        .await
        .map_err(Error::internal)?;
        // An open file keeps its room on the disk: readers that come now find the segment that replaced it.
        deleted.iter().for_each(|key| self.inner.reader.forget(key));
        let mut tx = self.inner.store.write().await?;
        tx.object_forget(&deleted).await?;
        tx.commit().await?;
        self.inner.stats.objects_deleted.add(deleted.len() as u64);
        Ok(())
    }
}
