//! Sweeps: what aged, what expired, what may be deleted.

use indelible_archive::keys;
use indelible_model::{Error, Kind, ProjectId, Result, Timestamp};
use indelible_store::TaskKind;

use crate::Service;
use crate::ingest::IDEMPOTENCY_MICROS;

/// Objects deleted, segments expired, and aged logs enqueued, in one sweep.
const SWEEP: u32 = 300;
const DAY_MICROS: i64 = 86_400 * 1_000_000;

impl Service {
    /// Deletes due objects, forgets expired idempotency keys, enqueues seals of aged logs, applies retention. Idempotent.
    pub(super) async fn sweep(&self, now: Timestamp) -> Result<()> {
        self.sweep_logs(now).await?;
        self.sweep_objects(now).await
    }

    async fn sweep_logs(&self, now: Timestamp) -> Result<()> {
        let mut tx = self.inner.store.glance().await?;
        let age = i64::try_from(self.inner.config.seal.seal_age_secs).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let mut aged = tx.log_list_hot_since(Timestamp::clamped(now.micros().saturating_sub(age)), SWEEP).await?;
        let expired = Timestamp::clamped(now.micros() - IDEMPOTENCY_MICROS);
        let keys_expired = tx.idempotency_any_before(expired).await?;
        let kept: Vec<_> = tx.project_list().await?.into_iter().filter_map(|p| Some((p.id, p.retention_days?))).collect();
        drop(tx);
        for (project, days) in kept {
            let cut = Timestamp::clamped(now.micros().saturating_sub(i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY_MICROS)));
            self.retain(project, cut, now).await?;
            // A tail that began before the cut is sealed, so that it can leave.
            let logs = self.inner.store.glance().await?.log_rows(project).await?;
            aged.extend(logs.iter().filter(|(_, _, since)| since.is_some_and(|s| s < cut)).map(|(log, ..)| (project, *log)));
        }
        // One order for all nodes, so that none waits for another in a circle.
        aged.sort_unstable();
        aged.dedup();
        if aged.is_empty() && !keys_expired {
            return Ok(());
        }
        let mut tx = self.inner.store.write().await?;
        tx.idempotency_expire(expired).await?;
        for (project, log) in aged {
            tx.task_enqueue(project, log, TaskKind::Seal, now).await?;
        }
        tx.commit().await
    }

    /// Takes the rows of segments whose events are all older than `cut`; their hashes stay.
    async fn retain(&self, project: ProjectId, cut: Timestamp, now: Timestamp) -> Result<()> {
        let due = Timestamp::clamped(now.micros().saturating_add(self.inner.grace_micros()));
        let old = self.inner.store.glance().await?.segment_list_expirable(project, cut, SWEEP).await?;
        for (log, row) in old {
            let mut tx = self.inner.store.write().await?;
            if tx.segment_expire(project, log, (row.id, row.generation), &keys::expired(&row.segment.name), due).await? {
                tx.task_enqueue(project, log, TaskKind::Compact, now).await?;
                tx.commit().await?;
                self.inner.stats.expired_events.add(row.segment.last + 1 - row.segment.first);
            }
        }
        Ok(())
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
            for retired in due {
                match objects.delete(&retired.object, retired.upload.as_deref()) {
                    Ok(()) => deleted.push(retired.object),
                    // The next would find it away as well, and each costs seconds. The claim runs out by itself.
                    Err(error) if matches!(error.kind(), Kind::Unavailable(_)) => {
                        tracing::warn!(%error, "objects could not be deleted; it will be tried again");
                        break;
                    }
                    Err(error) => tracing::warn!(%error, key = retired.object, "an object could not be deleted; it will be tried again"),
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

    /// Sets for how many days a project's events are kept at least; `None` keeps them for ever.
    pub async fn project_retain(&self, project: ProjectId, days: Option<u64>) -> Result<()> {
        let mut tx = self.inner.store.write().await?;
        if !tx.project_retain(project, days).await? {
            return Err(Error::not_found("Project"));
        }
        tx.commit().await
    }
}
