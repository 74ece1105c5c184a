//! Sweeps: what aged, what expired, what may be deleted.

use indelible_model::{Error, Result, Timestamp};
use indelible_store::TaskKind;

use crate::Service;
use crate::ingest::IDEMPOTENCY_MICROS;

/// Objects deleted, and aged logs enqueued, in one sweep.
const SWEEP: u32 = 300;

impl Service {
    /// Deletes due objects, forgets expired idempotency keys, enqueues seals of aged logs. Idempotent.
    pub(super) async fn sweep(&self, now: Timestamp) -> Result<()> {
        let age = i64::try_from(self.inner.config.seal.seal_age_secs).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let mut tx = self.inner.store.read().await?;
        let due = tx.object_list_due(now, SWEEP).await?;
        let aged = tx.log_list_hot_since(Timestamp::clamped(now.micros().saturating_sub(age)), SWEEP).await?;
        let expired = Timestamp::clamped(now.micros() - IDEMPOTENCY_MICROS);
        let has_expired = tx.idempotency_any_before(expired).await?;
        drop(tx);
        if due.is_empty() && aged.is_empty() && !has_expired {
            return Ok(());
        }
        // Claimed first, deleted after: a seal that was slow must not publish what is going away.
        let mut tx = self.inner.store.write().await?;
        tx.object_claim(&due).await?;
        tx.commit().await?;
        let objects = self.inner.objects.clone();
        let due = tokio::task::spawn_blocking(move || {
            let mut deleted = due;
            deleted.retain(|key| objects.delete(key).inspect_err(|error| tracing::warn!(%error, key, "an object could not be deleted; it will be tried again")).is_ok());
            deleted
        })
        .await
        .map_err(Error::internal)?;
        // An open file keeps its room on the disk: readers that come now find the segment that replaced it.
        due.iter().for_each(|key| self.inner.reader.forget(key));
        let mut tx = self.inner.store.write().await?;
        tx.object_forget(&due).await?;
        tx.idempotency_expire(expired).await?;
        for (project, log) in aged {
            tx.task_enqueue(project, log, TaskKind::Seal, now).await?;
        }
        tx.commit().await?;
        self.inner.stats.objects_deleted.add(due.len() as u64);
        Ok(())
    }
}
