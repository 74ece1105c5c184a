//! A segment in the making: its objects are noted in the database before they are written, and while it is being made
//! it gives signs of life, so that nobody collects them and nobody else takes the task over.

use std::time::Duration;

use indelible_archive::{SegmentInfo, SegmentWriter, keys};
use indelible_model::{Error, LogKind, ProjectId, Result, Timestamp};
use indelible_store::{NewSegment, Task, WriteTx};

use crate::{Inner, Service};

/// What is being made, and by which task.
pub(super) struct Draft<'a> {
    inner: &'a Inner,
    task: Option<&'a Task>,
    /// The common part of the objects' keys.
    pub(super) name: String,
    /// The objects' keys.
    pub(super) staged: Vec<String>,
    /// The last sign of life.
    alive: Timestamp,
}

impl<'a> Draft<'a> {
    /// Notes the objects of a segment and begins to write them.
    pub(super) async fn begin(service: &'a Service, project: ProjectId, log: LogKind, first: u64, task: Option<&'a Task>) -> Result<(Self, SegmentWriter)> {
        let inner = &*service.inner;
        let mut nonce = [0; 8];
        inner.ids.fill(&mut nonce)?;
        let name = keys::segment_name(project, log, first, nonce);
        let alive = inner.clock.now();
        let draft = Self { inner, task, staged: keys::objects(&name), name, alive };
        let mut tx = inner.store.write().await?;
        tx.object_stage(&draft.staged, inner.due(alive)).await?;
        tx.commit().await?;
        let (objects, named, note) = (inner.objects.clone(), draft.name.clone(), inner.upload_note());
        let writer = tokio::task::spawn_blocking(move || SegmentWriter::create(&objects, &named, &note)).await.map_err(Error::internal)??;
        Ok((draft, writer))
    }
    /// A sign of life, if the last one is some time ago. Fails if the task or the objects were taken away: the work is lost.
    pub(super) async fn keep(&mut self) -> Result<()> {
        let now = self.inner.clock.now();
        if now.micros().abs_diff(self.alive.micros()) < self.inner.lease_micros().unsigned_abs() / 4 {
            return Ok(());
        }
        let mut tx = self.inner.store.write().await?;
        if !tx.object_extend(&self.staged, self.inner.due(now)).await? {
            return Err(collected());
        }
        self.confirm(&mut tx).await?;
        tx.commit().await?;
        self.alive = now;
        Ok(())
    }
    /// Ends the objects, with signs of life, and begins the transaction that publishes them.
    pub(super) async fn finish(&mut self, writer: SegmentWriter) -> Result<(NewSegment, WriteTx)> {
        let mut finishing = tokio::task::spawn_blocking(move || writer.finish());
        let pause = Duration::from_micros(self.inner.lease_micros().unsigned_abs() / 4);
        let info = loop {
            tokio::select! {
                done = &mut finishing => break done.map_err(Error::internal)??,
                () = tokio::time::sleep(pause) => self.keep().await?,
            }
        };
        Ok((new_segment(&self.name, &info), self.inner.store.write().await?))
    }
    /// What came to nothing is collected, also if it was collected once before it was written. Not for a commit whose outcome is unknown.
    pub(super) async fn abandon<T>(&self, done: Result<T>) -> Result<T> {
        let Err(error) = done else { return done };
        if !error.may_have_happened() {
            let noted = async {
                let mut tx = self.inner.store.write().await?;
                tx.object_note(&self.staged, self.inner.due(self.inner.clock.now())).await?;
                tx.commit().await
            };
            if let Err(e) = noted.await {
                tracing::warn!(error = %e, segment = self.name, "the objects of a segment that came to nothing could not be noted");
            }
        }
        Err(error)
    }
    /// Fails unless the task is still ours. The last step of a transaction: rows of tasks are locked after all others.
    pub(super) async fn confirm(&self, tx: &mut WriteTx) -> Result<()> {
        let until = Timestamp::clamped(self.inner.clock.now().micros() + self.inner.lease_micros());
        match self.task {
            Some(task) if !tx.task_heartbeat(task, until).await? => Err(Error::internal("the task's lease was lost")),
            _ => Ok(()),
        }
    }
}

fn collected() -> Error {
    Error::internal("the objects were collected before they were published")
}

/// The manifest's row of a written segment.
fn new_segment(name: &str, info: &SegmentInfo) -> NewSegment {
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
        max_received: info.max_received,
    }
}
