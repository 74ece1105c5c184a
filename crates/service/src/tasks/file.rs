//! A file of a task, on its way to where the objects are.
//!
//! Promises: noted in the database before its first byte is written, so that what came to nothing is collected; memory is bounded whatever its size; the
//! digest is of the bytes as they lie. Never: published here; that is the transaction's that ends the task.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use indelible_archive::keys;
use indelible_archive::objects::{UploadNote, write_failed};
use indelible_model::{Error, ProjectId, Result, TaskId, Timestamp};
use indelible_store::TaskFile;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::{Inner, Service};

/// Chunks that wait for the writing thread.
const AHEAD: usize = 2;

/// Bytes that are hashed and then written: while they are near the processor.
const SLICE: usize = 256 << 10;

enum Step {
    Bytes(Bytes),
    Finish,
}

/// What the writing thread has when it is over: length and digest, or nothing if it was given up.
type Written = Option<(u64, [u8; 32])>;

/// A file being written. Dropping it leaves no object.
pub(crate) struct TaskWriter {
    inner: Arc<Inner>,
    steps: mpsc::Sender<Step>,
    thread: JoinHandle<Result<Written>>,
    object: String,
    part: &'static str,
    name: String,
    alive: Timestamp,
}

impl TaskWriter {
    /// Begins a file. `name` ends the object's key, and tells an S3 store its media type: letters, digits, dots, dashes and underscores.
    pub(crate) async fn begin(service: &Service, project: ProjectId, task: TaskId, part: &'static str, name: &str) -> Result<Self> {
        let inner = Arc::clone(&service.inner);
        let mut nonce = [0; 8];
        inner.ids.fill(&mut nonce)?;
        let object = keys::task_file(project, task, nonce, name);
        let alive = inner.clock.now();
        let mut tx = inner.store.write().await?;
        tx.object_stage(std::slice::from_ref(&object), inner.due(alive)).await?;
        tx.commit().await?;
        let (steps, receiver) = mpsc::channel(AHEAD);
        let (objects, key, note) = (inner.objects.clone(), object.clone(), inner.upload_note());
        let thread = tokio::task::spawn_blocking(move || {
            let writer = objects.create(&key, &note)?;
            write(writer, receiver)
        });
        Ok(Self { inner, steps, thread, object, part, name: name.to_owned(), alive })
    }
    /// Writes more. Waits while the store is slower than what is written.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<()> {
        match self.steps.send(Step::Bytes(bytes)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failed().await),
        }
    }
    /// A sign of life, if the last one is some time ago: without it the file is collected. Fails if it was.
    pub(crate) async fn keep(&mut self) -> Result<()> {
        let now = self.inner.clock.now();
        if now.micros().abs_diff(self.alive.micros()) < self.inner.lease_micros().unsigned_abs() / 4 {
            return Ok(());
        }
        let mut tx = self.inner.store.write().await?;
        if !tx.object_extend(std::slice::from_ref(&self.object), self.inner.due(now)).await? {
            return Err(Error::internal("a task's file was collected before it was published"));
        }
        tx.commit().await?;
        self.alive = now;
        Ok(())
    }
    /// Makes the file durable, to be published.
    pub(crate) async fn finish(mut self) -> Result<TaskFile> {
        if self.steps.send(Step::Finish).await.is_err() {
            return Err(self.failed().await);
        }
        let pause = std::time::Duration::from_micros(self.inner.lease_micros().unsigned_abs() / 4);
        let written = loop {
            tokio::select! {
                done = &mut self.thread => break done.map_err(Error::internal)??,
                () = tokio::time::sleep(pause) => {}
            }
            self.keep().await?;
        };
        let (bytes, sha256) = written.ok_or_else(|| Error::internal("a task's file was given up"))?;
        Ok(TaskFile { object: self.object, part: self.part.to_owned(), name: self.name, bytes, sha256 })
    }
    /// Why the thread ended early.
    async fn failed(&mut self) -> Error {
        match (&mut self.thread).await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) => Error::internal("a task's file ended early"),
            Err(e) => Error::internal(e),
        }
    }
}

fn write(mut writer: indelible_archive::objects::ObjectWriter, mut steps: mpsc::Receiver<Step>) -> Result<Written> {
    let mut digest = Sha256::new();
    while let Some(step) = steps.blocking_recv() {
        match step {
            Step::Bytes(bytes) => {
                for slice in bytes.chunks(SLICE) {
                    digest.update(slice);
                    writer.write_all(slice).map_err(write_failed)?;
                }
            }
            Step::Finish => {
                let bytes = writer.written();
                writer.finish()?;
                return Ok(Some((bytes, digest.finalize().into())));
            }
        }
    }
    Ok(None)
}

impl Inner {
    /// Writes the id of an upload in parts to the database: whoever collects the object ends the upload as well.
    pub(crate) fn upload_note(&self) -> UploadNote {
        let (store, runtime) = (self.store.clone(), Handle::current());
        Arc::new(move |object: &str, upload: &str| {
            runtime.block_on(async {
                let mut tx = store.write().await?;
                if !tx.object_upload(object, upload).await? {
                    return Err(Error::internal("the objects were collected before they were published"));
                }
                tx.commit().await
            })
        })
    }
    /// Objects are safe for two leases after the last sign of life, and then for the usual grace.
    pub(crate) fn due(&self, now: Timestamp) -> Timestamp {
        Timestamp::clamped(now.micros().saturating_add(2 * self.lease_micros()).saturating_add(self.grace_micros()))
    }
}
