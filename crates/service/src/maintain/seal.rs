//! Batches into a segment.

use indelible_archive::unit::HotBatch;
use indelible_archive::{SegmentInfo, SegmentWriter, keys};
use indelible_model::{Error, LogKind, ProjectId, Result, Timestamp};
use indelible_store::{NewSegment, SegmentRow, Task, TaskKind};

use crate::Service;

/// Batches read at once.
const BATCHES: u32 = 8;
/// How long staged objects are safe from collection: longer than any seal takes. One that takes longer does not commit.
const STAGE_MICROS: i64 = 15 * 60 * 1_000_000;

impl Service {
    /// Seals the oldest batches of a log, up to a segment's size. False if there is nothing to seal.
    ///
    /// Commits only if every batch is still live at the generation that was read.
    pub(super) async fn seal_log(&self, project: ProjectId, log: LogKind, task: Option<&Task>) -> Result<bool> {
        let Some(first) = self.inner.store.read().await?.batch_range(project, log, 1, u64::MAX, 1).await?.into_iter().next() else { return Ok(false) };
        let (name, staged, mut writer) = self.begin_segment(project, log, first.batch.first).await?;
        let mut inputs = Vec::new();
        let mut next = first.batch.first;
        while writer.raw_bytes() < self.inner.config.seal.segment_bytes {
            let rows = self.inner.store.read().await?.batch_range(project, log, next, u64::MAX, BATCHES).await?;
            let Some(last) = rows.last() else { break };
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
            if inputs.len().is_multiple_of(128) {
                self.heartbeat(task).await?;
            }
        }
        let info = tokio::task::spawn_blocking(move || writer.finish()).await.map_err(Error::internal)??;
        self.heartbeat(task).await?;
        let segment = new_segment(&name, &info);
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write().await?;
        if !tx.segment_publish(project, log, &segment, &staged, &inputs, now).await? {
            return Err(Error::internal("the batches changed while they were sealed"));
        }
        tx.task_enqueue(project, log, TaskKind::Compact, now).await?;
        tx.commit().await?;
        self.inner.stats.seals.add(1);
        self.publish_manifest(project, log).await?;
        Ok(true)
    }

    /// Notes a segment's objects and begins to write them.
    pub(super) async fn begin_segment(&self, project: ProjectId, log: LogKind, first: u64) -> Result<(String, Vec<String>, SegmentWriter)> {
        let mut nonce = [0; 8];
        self.inner.ids.fill(&mut nonce)?;
        let name = keys::segment_name(project, log, first, nonce);
        let staged = keys::objects(&name);
        let mut tx = self.inner.store.write().await?;
        tx.object_stage(&staged, Timestamp::clamped(self.inner.clock.now().micros() + STAGE_MICROS)).await?;
        tx.commit().await?;
        let (objects, named) = (self.inner.objects.clone(), name.clone());
        let writer = tokio::task::spawn_blocking(move || SegmentWriter::create(&objects, &named)).await.map_err(Error::internal)??;
        Ok((name, staged, writer))
    }

    /// Publishes the keys of a log's live segments beside them, for readers that do not ask the database.
    pub(super) async fn publish_manifest(&self, project: ProjectId, log: LogKind) -> Result<()> {
        let rows: Vec<SegmentRow> = self.inner.store.read().await?.segment_range(project, log, 1, u64::MAX, false, 1_000_000).await?;
        let segments: Vec<_> = rows
            .iter()
            .map(|r| serde_json::json!({"first": r.segment.first, "last": r.segment.last, "version": r.segment.version, "objects": keys::objects(&r.segment.name)}))
            .collect();
        let text = serde_json::to_vec(&serde_json::json!({"version": 1, "project": project.to_string(), "log": log.name(), "segments": segments})).map_err(Error::internal)?;
        let objects = self.inner.objects.clone();
        tokio::task::spawn_blocking(move || objects.replace(&keys::manifest(project, log), &text)).await.map_err(Error::internal)?
    }
}

/// The manifest's row of a written segment.
pub(super) fn new_segment(name: &str, info: &SegmentInfo) -> NewSegment {
    NewSegment {
        first: info.first,
        last: info.last,
        version: indelible_archive::segment::VERSION,
        name: name.to_owned(),
        raw_bytes: info.raw_bytes,
        rows_bytes: info.rows_bytes,
        columns_bytes: info.columns_bytes,
        min_occurred: info.min_occurred,
        max_occurred: info.max_occurred,
    }
}
