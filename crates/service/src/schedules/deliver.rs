//! Copies a run's files to the project's own bucket.
//!
//! Promises: the manifest is there only after its file, and both only whole; memory is bounded whatever the file's size; an upload that broke off is given up by whoever
//! has the task next, so that no part stays; a run that is repeated replaces what it had written.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indelible_archive::objects::{Bucket, UploadNote, write_failed};
use indelible_model::{Error, Kind, Result, ScheduleId};
use indelible_store::{AskedTask, TaskFile};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::destination;
use crate::Service;
use crate::tasks::work::Running;

/// Bytes that are copied at a time.
const CHUNK: u64 = 4 << 20;
/// How often what is copied is kept from being collected.
const KEEP: Duration = Duration::from_secs(1);
/// Seconds after which a bucket is asked again.
const AGAIN: u32 = 30;

/// Ends the copying thread when the task does.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Service {
    /// Copies the files of a run, in their order, to where its schedule says; does nothing if that is nowhere, or the schedule is gone.
    pub(crate) async fn deliver(&self, running: &mut Running, schedule: ScheduleId, files: &[TaskFile]) -> Result<()> {
        let Some(bucket) = self.bucket(running.task.project, schedule).await? else { return Ok(()) };
        end_upload(&bucket, &running.task).await?;
        for file in files {
            let stop = Stop(Arc::default());
            let (stopped, objects, bucket, source) = (Arc::clone(&stop.0), self.inner.objects.clone(), bucket.clone(), file.clone());
            let (key, note) = (format!("{schedule}/{}", file.name), self.delivery_note(&running.task));
            let mut thread = tokio::task::spawn_blocking(move || {
                let from = objects.get(&source.object, Some(source.bytes))?;
                let mut writer = bucket.write(&key, &note).map_err(away)?;
                let mut at = 0;
                while at < source.bytes {
                    if stopped.load(Ordering::Relaxed) {
                        return Err(Error::internal("the task ended while its file was copied"));
                    }
                    let len = CHUNK.min(source.bytes - at);
                    writer.write_all(&from.read(at, usize::try_from(len).map_err(Error::internal)?)?).map_err(write_failed).map_err(away)?;
                    at += len;
                }
                writer.finish().map_err(away)?;
                let there = bucket.length(&key).map_err(away)?;
                if there == source.bytes { Ok(()) } else { Err(away(Error::internal(format!("{key} has {there} bytes instead of {}", source.bytes)))) }
            });
            loop {
                tokio::select! {
                    done = &mut thread => break done.map_err(Error::internal)??,
                    () = tokio::time::sleep(KEEP) => {}
                }
                running.keep(99).await?;
                self.keep_files(files).await?;
            }
        }
        Ok(())
    }
    /// Gives up what a run that will not go on had begun to upload.
    pub(crate) async fn abandon_delivery(&self, task: &AskedTask) -> Result<()> {
        if task.note.is_none() {
            return Ok(());
        }
        let stored = crate::tasks::read_json(&task.asked.spec)?;
        let Some(run) = super::Run::read(&stored) else { return Ok(()) };
        match self.bucket(task.project, run.schedule).await? {
            Some(bucket) => end_upload(&bucket, task).await,
            None => Ok(()),
        }
    }
    /// Where a schedule's files go.
    async fn bucket(&self, project: indelible_model::ProjectId, schedule: ScheduleId) -> Result<Option<Bucket>> {
        let Some(row) = self.inner.store.glance().await?.schedule_find(project, schedule).await? else { return Ok(None) };
        let Some(destination) = destination(&row)? else { return Ok(None) };
        if !destination.is_allowed(&self.inner.config.tasks.export_endpoints) {
            return Err(Error::new(Kind::Forbidden, "The endpoint of the destination is not one that this server's operator allows (any more)."));
        }
        Bucket::open(&destination.place, &destination.credentials).map(Some)
    }
    /// Writes the id of an upload to the task: whoever has it next gives the upload up.
    fn delivery_note(&self, task: &AskedTask) -> UploadNote {
        let (service, task, runtime) = (self.clone(), task.clone(), Handle::current());
        Arc::new(move |key: &str, upload: &str| {
            let note = json!({ "key": key, "upload": upload }).to_string();
            runtime.block_on(async {
                let mut tx = service.inner.store.write().await?;
                if !tx.asked_note(&task, Some(&note)).await? {
                    return Err(Error::internal("the task's lease was lost"));
                }
                tx.commit().await
            })
        })
    }
    /// The files are not published yet, and would be collected if the copying took long.
    async fn keep_files(&self, files: &[TaskFile]) -> Result<()> {
        let objects: Vec<String> = files.iter().map(|f| f.object.clone()).collect();
        let mut tx = self.inner.store.write().await?;
        if !tx.object_extend(&objects, self.inner.due(self.inner.clock.now())).await? {
            return Err(Error::internal("a task's file was collected before it was published"));
        }
        tx.commit().await
    }
}

/// Gives up the upload that a task's note tells of.
async fn end_upload(bucket: &Bucket, task: &AskedTask) -> Result<()> {
    let Some(note) = &task.note else { return Ok(()) };
    let note: Value = crate::tasks::read_json(note)?;
    let text = |name: &str| note.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (bucket, key, upload) = (bucket.clone(), text("key"), text("upload"));
    tokio::task::spawn_blocking(move || bucket.abort(&key, &upload)).await.map_err(Error::internal)?.map_err(away)
}

/// A failure of somebody else's bucket: theirs to mend, and worth another try.
fn away(error: Error) -> Error {
    let public = match error.kind() {
        Kind::Unavailable(_) => "The bucket of the destination does not answer.",
        _ => "The bucket of the destination refuses the file; check its name, its region and the credentials.",
    };
    Error::new(Kind::Unavailable(AGAIN), public).with_internal(error)
}
