//! Copies a run's files to the project's own bucket.
//!
//! Promises: a bucket that refuses is known before anything is made for it; the manifest is there only after its file, and both only whole; memory is bounded whatever the
//! file's size; an upload that broke off is given up by whoever has the task next, unless the schedule leads elsewhere by then; a run that is repeated replaces what it had
//! written, and one whose lease was lost completes nothing.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indelible_archive::S3Place;
use indelible_archive::objects::{Bucket, UploadNote, write_failed};
use indelible_model::{Error, Kind, ProjectId, Result, ScheduleId, Timestamp};
use indelible_store::{AskedTask, TaskFile};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::{Destination, destination};
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
    /// Gives up what an earlier attempt had begun to upload, and fails unless the schedule's bucket would take a file of this name.
    pub(crate) async fn prepare_delivery(&self, running: &mut Running, schedule: ScheduleId, name: &str) -> Result<()> {
        self.end_upload(&running.task, schedule).await?;
        let Some(destination) = self.destination_now(running.task.project, schedule).await? else { return Ok(()) };
        let (bucket, key) = (self.bucket(&destination)?, format!("{schedule}/{name}"));
        let note = self.delivery_note(&running.task, &destination.place);
        let asked = tokio::task::spawn_blocking(move || bucket.rehearse(&key, &note).map_err(away));
        running.during(0, asked).await?.map_err(Error::internal)?
    }
    /// Copies the files of a run, in their order, to where its schedule says; does nothing if that is nowhere, or the schedule is gone.
    pub(crate) async fn deliver(&self, running: &mut Running, schedule: ScheduleId, files: &[TaskFile]) -> Result<()> {
        let copied = self.copy_files(running, schedule, files).await;
        if copied.is_err() {
            // They will be made again: a bucket that is away for long must not fill our own store. If this fails, they are collected a little later.
            let _ = self.keep_files(files, self.inner.clock.now()).await;
        }
        copied
    }
    async fn copy_files(&self, running: &mut Running, schedule: ScheduleId, files: &[TaskFile]) -> Result<()> {
        let Some(destination) = self.destination_now(running.task.project, schedule).await? else { return Ok(()) };
        let bucket = self.bucket(&destination)?;
        for file in files {
            running.confirm().await?;
            let stop = Stop(Arc::default());
            let (stopped, objects, source, key) = (Arc::clone(&stop.0), self.inner.objects.clone(), file.clone(), format!("{schedule}/{}", file.name));
            let (there, note, name) = (bucket.clone(), self.delivery_note(&running.task, &destination.place), key.clone());
            let copy = tokio::task::spawn_blocking(move || {
                let from = objects.get(&source.object, Some(source.bytes))?;
                let mut writer = there.write(&name, &note).map_err(away)?;
                let mut at = 0;
                while at < source.bytes {
                    if stopped.load(Ordering::Relaxed) {
                        return Err(Error::internal("the task ended while its file was copied"));
                    }
                    let len = CHUNK.min(source.bytes - at);
                    writer.write_all(&from.read(at, usize::try_from(len).map_err(Error::internal)?)?).map_err(write_failed).map_err(away)?;
                    at += len;
                }
                Ok(writer)
            });
            let writer = self.kept(running, files, copy).await?;
            // Only now anything in the bucket is replaced.
            running.confirm().await?;
            let (there, bytes) = (bucket.clone(), file.bytes);
            let finish = tokio::task::spawn_blocking(move || {
                writer.finish().map_err(away)?;
                let found = there.length(&key).map_err(away)?;
                if found == bytes { Ok(()) } else { Err(away(Error::internal(format!("{key} has {found} bytes instead of {bytes}")))) }
            });
            self.kept(running, files, finish).await?;
        }
        Ok(())
    }
    /// Waits for a thread, with signs of life of the task and its files meanwhile.
    async fn kept<T>(&self, running: &mut Running, files: &[TaskFile], mut thread: JoinHandle<Result<T>>) -> Result<T> {
        loop {
            tokio::select! {
                done = &mut thread => return done.map_err(Error::internal)?,
                () = tokio::time::sleep(KEEP) => {}
            }
            running.keep(99).await?;
            self.keep_files(files, self.inner.due(self.inner.clock.now())).await?;
        }
    }
    /// Gives up what a run that will not go on had begun to upload.
    pub(crate) async fn abandon_delivery(&self, task: &AskedTask) -> Result<()> {
        match super::Run::read(&crate::tasks::read_json(&task.asked.spec)?) {
            Some(run) => self.end_upload(task, run.schedule).await,
            None => Ok(()),
        }
    }
    /// Gives up the upload that a task's note tells of, if the schedule still leads to its bucket; else its owner has to.
    async fn end_upload(&self, task: &AskedTask, schedule: ScheduleId) -> Result<()> {
        let Some(note) = &task.note else { return Ok(()) };
        let note: Value = crate::tasks::read_json(note)?;
        let own = |name: &str| note.get(name).and_then(Value::as_str).map(str::to_owned);
        let text = |name: &str| own(name).unwrap_or_default();
        let (name, key, upload) = (text("bucket"), text("key"), text("upload"));
        let now = self.destination_now(task.project, schedule).await?;
        let ended = match now.filter(|now| now.place.bucket == name && now.place.endpoint == own("endpoint")) {
            Some(now) => {
                let (bucket, key) = (self.bucket(&Destination { place: S3Place { prefix: text("prefix"), ..now.place }, ..now }), key.clone());
                tokio::task::spawn_blocking(move || bucket?.abort(&key, &upload).map_err(away)).await.map_err(Error::internal)?
            }
            None => Err(Error::new(Kind::Forbidden, "The schedule does not lead there any more.")),
        };
        match ended {
            Err(error) if error.kind() == Kind::Forbidden => {
                let prefix = text("prefix");
                tracing::warn!(%error, task = %task.asked.id, bucket = name, prefix, key, "an unfinished upload cannot be given up; the bucket's lifecycle rule, or its owner, has to");
                Ok(())
            }
            ended => ended,
        }
    }
    /// Where a schedule's files go; nowhere if it is gone.
    async fn destination_now(&self, project: ProjectId, schedule: ScheduleId) -> Result<Option<Destination>> {
        let row = self.inner.store.glance().await?.schedule_find(project, schedule).await?;
        row.map_or(Ok(None), |row| destination(&row))
    }
    fn bucket(&self, destination: &Destination) -> Result<Bucket> {
        if !destination.is_allowed(&self.inner.config.tasks.export_endpoints) {
            return Err(Error::new(Kind::Forbidden, "The endpoint of the destination is not one that this server's operator allows (any more)."));
        }
        Bucket::open(&destination.place, &destination.credentials)
    }
    /// Writes the id of an upload, and where it is, to the task: whoever has it next gives the upload up.
    fn delivery_note(&self, task: &AskedTask, place: &S3Place) -> UploadNote {
        let (service, task, place, runtime) = (self.clone(), task.clone(), place.clone(), Handle::current());
        Arc::new(move |key: &str, upload: &str| {
            let note = json!({ "bucket": place.bucket, "endpoint": place.endpoint, "prefix": place.prefix, "key": key, "upload": upload }).to_string();
            runtime.block_on(async {
                let mut tx = service.inner.store.write().await?;
                if !tx.asked_note(&task, Some(&note)).await? {
                    return Err(Error::internal("the task's lease was lost"));
                }
                tx.commit().await
            })
        })
    }
    /// The files are not published yet, and are collected from `due` on.
    async fn keep_files(&self, files: &[TaskFile], due: Timestamp) -> Result<()> {
        let objects: Vec<String> = files.iter().map(|f| f.object.clone()).collect();
        let mut tx = self.inner.store.write().await?;
        if !tx.object_extend(&objects, due).await? {
            return Err(Error::internal("a task's file was collected before it was published"));
        }
        tx.commit().await
    }
}

/// A failure of somebody else's bucket: theirs to mend. What it refuses ends the task, all else is worth another try.
fn away(error: Error) -> Error {
    let (kind, public) = match error.kind() {
        Kind::Forbidden => (Kind::Forbidden, "The bucket of the destination refuses the file; check its name, its region and the credentials."),
        _ => (Kind::Unavailable(AGAIN), "The bucket of the destination does not answer, or did not take the file."),
    };
    Error::new(kind, public).with_internal(error)
}
