//! Batches into a segment.

use indelible_archive::SegmentWriter;
use indelible_archive::unit::HotBatch;
use indelible_model::{Error, LogKind, ProjectId, Result};
use indelible_store::{Task, TaskKind};

use super::draft::Draft;
use super::superseded;
use crate::Service;

/// Batches read at once.
const BATCHES: u32 = 8;

impl Service {
    /// Seals the oldest batches of a log, up to a segment's size. False if there is nothing to seal.
    ///
    /// Commits only if every batch is still live at the generation that was read.
    pub(super) async fn seal_log(&self, project: ProjectId, log: LogKind, task: Option<&Task>) -> Result<bool> {
        let Some(first) = self.inner.store.read().await?.batch_range(project, log, 1, u64::MAX, 1).await?.into_iter().next() else { return Ok(false) };
        let (mut draft, writer) = Draft::begin(self, project, log, first.batch.first, task).await?;
        let done = self.seal_into(&mut draft, writer, project, log, first.batch.first).await;
        draft.abandon(done).await?;
        self.inner.stats.seals.add(1);
        Ok(true)
    }
    async fn seal_into(&self, draft: &mut Draft<'_>, mut writer: SegmentWriter, project: ProjectId, log: LogKind, first: u64) -> Result<()> {
        let mut inputs = Vec::new();
        let mut next = first;
        while writer.raw_bytes() < self.inner.config.seal.segment_bytes {
            let rows = self.inner.store.read().await?.batch_range(project, log, next, u64::MAX, BATCHES).await?;
            let (Some(from), Some(last)) = (rows.first(), rows.last()) else { break };
            if from.batch.first != next {
                return Err(superseded("The batches were merged while they were sealed."));
            }
            next = last.batch.last + 1;
            inputs.extend(rows.iter().map(|r| (r.id, r.generation)));
            writer = tokio::task::spawn_blocking(move || {
                for row in rows {
                    let batch = HotBatch::decode(row.batch.first, &row.batch.envelope, &row.batch.body)?;
                    (0..batch.lines().len()).try_for_each(|i| writer.push(batch.lines().get(i)))?;
                }
                Ok::<_, Error>(writer)
            })
            .await
            .map_err(Error::internal)??;
            draft.keep().await?;
        }
        let (segment, mut tx) = draft.finish(writer).await?;
        let now = self.inner.clock.now();
        if !tx.segment_publish(project, log, &segment, &draft.staged, &inputs, now).await? {
            return Err(superseded("The batches changed while they were sealed."));
        }
        draft.confirm(&mut tx).await?;
        // Compaction also publishes the manifest.
        tx.task_enqueue(project, log, TaskKind::Compact, now).await?;
        tx.commit().await
    }
}
