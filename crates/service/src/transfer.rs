//! A whole store into another one, whatever the two lie on: the way from one machine to a cluster and back, and backups.
//!
//! Promises: the copy is the source at one moment: every position, hash, id, key, member and rule, and the bytes of every object. The source
//! may go on working; what it supersedes meanwhile stays until the copy has it. The copy can be opened once it is whole, and not before.
//! Never: writes to the source but for the note that holds deletions off; adds to a store that holds something.

use std::io::Write;
use std::sync::Arc;

use indelible_archive::Objects;
use indelible_archive::keys::{Part, object};
use indelible_archive::objects::{UploadNote, write_failed};
use indelible_model::{Error, Kind, LogKind, ProjectId, Result, Timestamp};
use indelible_store::{AskedFilter, ReadTx, SegmentRow};

use crate::Service;
use crate::tasks::AskedKind;

/// The mark of a store that a copy has not completed; its value says why it cannot be used.
pub(crate) const UNFINISHED: &str = "unfinished-copy";
const COPYING: &str = "a copy into it was not completed; delete it and its objects, and copy again";
/// The value of the mark where only the database was copied.
const WITHOUT_OBJECTS: &str = "it is a backup of a database without its objects; `indelible restore` takes it";
/// How long deletions are held off after a sign of life of the copy.
const HOLD_MICROS: i64 = 10 * 60 * 1_000_000;
/// Batches, and other rows, moved at once.
const BATCHES: u32 = 16;
const ROWS: u32 = 400;
const IDS: u32 = 10_000;
const SEGMENTS: u32 = 1000;
/// Bytes of an object moved at once.
const CHUNK: usize = 8 << 20;

/// What becomes of the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// They are copied.
    Copy,
    /// They stay, and the copy cannot be opened.
    Leave,
    /// They are in the target's place already, which is checked.
    InPlace,
}

/// What was copied so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Copied {
    /// Projects.
    pub projects: u64,
    /// Positions of all logs.
    pub events: u64,
    /// Rows of batches.
    pub batches: u64,
    /// Segments.
    pub segments: u64,
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Copies all of `from` into `to`, which must be empty and opened by [`Service::open_unfinished`].
///
/// With `leave_objects` only the database; such a copy cannot be opened, but be copied from: its objects must then be in the target's place.
pub async fn copy(from: &Service, to: &Service, leave_objects: bool, progress: &mut (dyn FnMut(Copied) + Send)) -> Result<Copied> {
    let objects = match from.inner.store.glance().await?.mark(UNFINISHED).await?.as_deref() {
        None if leave_objects => Mode::Leave,
        None => Mode::Copy,
        Some(WITHOUT_OBJECTS) if !leave_objects => Mode::InPlace,
        Some(why) => return Err(Error::new(Kind::Conflict, format!("The source is not a whole store: {why}."))),
    };
    if !to.inner.store.glance().await?.project_list().await?.is_empty() || to.inner.store.glance().await?.mark(UNFINISHED).await?.is_some() {
        return Err(Error::new(Kind::Conflict, "The target is not empty. Copy into a new database or directory."));
    }
    let mut nonce = [0; 8];
    from.inner.ids.fill(&mut nonce)?;
    let mut run = Run { from, to, hold: format!("copy-{}", indelible_model::ids::hex(&nonce)), held: Timestamp::clamped(i64::MIN) };
    mark(to, Some(COPYING)).await?;
    run.hold().await?;
    let copied = run.all(objects, progress).await;
    // Without this the hold would end by itself, ten minutes later.
    let released = run.release().await;
    let copied = copied?;
    released?;
    mark(to, (objects == Mode::Leave).then_some(WITHOUT_OBJECTS)).await?;
    Ok(copied)
}

async fn mark(service: &Service, value: Option<&str>) -> Result<()> {
    let mut tx = service.inner.store.write().await?;
    tx.mark_set(UNFINISHED, value).await?;
    tx.commit().await
}

struct Run<'a> {
    from: &'a Service,
    to: &'a Service,
    hold: String,
    /// When deletions were last held off.
    held: Timestamp,
}

impl Run<'_> {
    /// Holds deletions off, anew if the last time is a while ago.
    async fn hold(&mut self) -> Result<()> {
        let now = self.from.inner.clock.now();
        if now.micros().abs_diff(self.held.micros()) < HOLD_MICROS.unsigned_abs() / 4 {
            return Ok(());
        }
        let until = Timestamp::clamped(now.micros().saturating_add(HOLD_MICROS));
        let mut tx = self.from.inner.store.write().await?;
        tx.hold_put(&self.hold, until).await?;
        tx.commit().await?;
        self.held = now;
        Ok(())
    }
    async fn release(&self) -> Result<()> {
        let mut tx = self.from.inner.store.write().await?;
        tx.hold_drop(&self.hold).await?;
        tx.commit().await
    }
    /// The rows first, as they are at one moment; then the objects that they name, which are immutable and held.
    async fn all(&mut self, objects: Mode, progress: &mut (dyn FnMut(Copied) + Send)) -> Result<Copied> {
        let mut done = Copied::default();
        let mut tx = self.from.inner.store.read().await?;
        tx.linger().await?;
        self.people(&mut tx).await?;
        for project in tx.project_list().await? {
            let mut write = self.to.inner.store.write().await?;
            write.project_restore(&project).await?;
            for key in tx.key_list(project.id).await? {
                write.key_restore(&key).await?;
            }
            for membership in tx.member_list(project.id).await? {
                write.membership_create(&membership).await?;
            }
            for row in tx.retention_list(project.id).await? {
                write.retention_restore(project.id, &row).await?;
            }
            write.commit().await?;
            self.legal_holds(&mut tx, project.id).await?;
            for (log, head, hot_since) in tx.log_rows(project.id).await? {
                self.segments(&mut tx, project.id, log, &mut done).await?;
                self.batches(&mut tx, project.id, log, &mut done, progress).await?;
                let mut write = self.to.inner.store.write().await?;
                write.log_restore(project.id, log, &head, hot_since).await?;
                write.commit().await?;
                done.events += head.position;
            }
            self.duplicates(&mut tx, project.id).await?;
            self.asked(&mut tx, project.id).await?;
            done.projects += 1;
            progress(done);
        }
        self.facts(&mut tx).await?;
        drop(tx);
        if objects != Mode::Leave {
            self.objects(objects, &mut done, progress).await?;
        }
        Ok(done)
    }
    /// The keys that tokens are signed with, and whom they are made for. (Tokens themselves end with the store that they were made on.)
    async fn people(&mut self, tx: &mut ReadTx) -> Result<()> {
        let mut write = self.to.inner.store.write().await?;
        for key in tx.signing_key_list().await? {
            write.signing_key_create(&key).await?;
        }
        write.commit().await?;
        let mut after = None;
        loop {
            let rows = tx.member_page(after, ROWS).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.id);
            self.hold().await?;
            let mut write = self.to.inner.store.write().await?;
            for row in &rows {
                write.member_create(row).await?;
                for identity in tx.identity_list(row.id).await? {
                    write.identity_put(&identity).await?;
                }
            }
            write.commit().await?;
        }
    }
    /// What the source still has to say of itself.
    async fn facts(&mut self, tx: &mut ReadTx) -> Result<()> {
        let mut after = 0;
        loop {
            let rows = tx.outbox_list(after, ROWS).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.id;
            let mut write = self.to.inner.store.write().await?;
            for row in &rows {
                write.outbox_push(row.project, &row.digest, &row.event, row.created_at).await?;
            }
            write.commit().await?;
        }
    }
    async fn legal_holds(&mut self, tx: &mut ReadTx, project: ProjectId) -> Result<()> {
        let mut before = None;
        loop {
            let rows = tx.legal_hold_list(project, before, ROWS).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            before = Some(last.id);
            let mut write = self.to.inner.store.write().await?;
            for row in &rows {
                write.legal_hold_restore(project, row).await?;
            }
            write.commit().await?;
        }
    }
    /// What somebody asked for, with its files and the schedules that ask. Work that is not over begins anew.
    async fn asked(&mut self, tx: &mut ReadTx, project: ProjectId) -> Result<()> {
        let mut wanted = AskedFilter { kinds: AskedKind::ALL.map(|k| k.name().to_owned()).to_vec(), ..AskedFilter::default() };
        loop {
            let rows = tx.asked_list(project, &wanted, ROWS).await?;
            let Some(last) = rows.last() else { break };
            (wanted.before, wanted.after) = (Some(last.asked.created_at), Some(last.asked.id));
            self.hold().await?;
            let mut write = self.to.inner.store.write().await?;
            for row in &rows {
                write.asked_restore(row).await?;
                if let Some(made) = tx.export_of_task(project, row.asked.id).await? {
                    write.export_insert(project, row.asked.id, &made.export, row.asked.created_at).await?;
                    if made.expired {
                        write.export_expire(project, made.export.id).await?;
                    }
                }
            }
            write.commit().await?;
        }
        let mut write = self.to.inner.store.write().await?;
        for row in tx.schedule_list(project).await? {
            write.schedule_insert(&row).await?;
        }
        write.commit().await?;
        let mut after = String::new();
        loop {
            let files = tx.task_file_list(project, &after, ROWS).await?;
            let Some((_, last)) = files.last() else { return Ok(()) };
            after.clone_from(&last.object);
            let mut write = self.to.inner.store.write().await?;
            for (task, file) in &files {
                write.task_file_restore(project, *task, file).await?;
            }
            write.commit().await?;
        }
    }
    async fn segments(&mut self, tx: &mut ReadTx, project: ProjectId, log: LogKind, done: &mut Copied) -> Result<()> {
        let mut next = 1;
        loop {
            let rows = tx.segment_range(project, log, next, u64::MAX, false, SEGMENTS).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            next = last.segment.last + 1;
            self.hold().await?;
            let mut write = self.to.inner.store.write().await?;
            for row in &rows {
                write.segment_restore(project, log, row).await?;
            }
            write.commit().await?;
            done.segments += rows.len() as u64;
        }
    }
    async fn batches(&mut self, tx: &mut ReadTx, project: ProjectId, log: LogKind, done: &mut Copied, progress: &mut (dyn FnMut(Copied) + Send)) -> Result<()> {
        let mut next = 1;
        loop {
            let rows = tx.batch_range(project, log, next, u64::MAX, BATCHES).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            next = last.batch.last + 1;
            self.hold().await?;
            done.batches += rows.len() as u64;
            let batches: Vec<_> = rows.into_iter().map(|r| r.batch).collect();
            let mut write = self.to.inner.store.write().await?;
            write.batches_restore(project, log, &batches).await?;
            write.commit().await?;
            progress(*done);
        }
    }
    async fn duplicates(&mut self, tx: &mut ReadTx, project: ProjectId) -> Result<()> {
        let mut after = None;
        loop {
            let hits = tx.external_list(project, after, IDS).await?;
            let Some(last) = hits.last() else { break };
            after = Some(last.digest);
            self.hold().await?;
            let mut write = self.to.inner.store.write().await?;
            for log in LogKind::ALL {
                let ids: Vec<_> = hits.iter().filter(|h| h.log == log).map(|h| (h.digest, h.position)).collect();
                write.external_insert(project, log, &ids).await?;
            }
            write.commit().await?;
        }
        let mut after = None;
        loop {
            let rows = tx.idempotency_list(project, after, ROWS).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some((last.route.clone(), last.key.clone()));
            self.hold().await?;
            let mut write = self.to.inner.store.write().await?;
            for entry in &rows {
                write.idempotency_insert(project, &entry.route, &entry.key, &entry.row, entry.created_at).await?;
            }
            write.commit().await?;
        }
    }
    /// The objects that the copied manifest names.
    async fn objects(&mut self, mode: Mode, done: &mut Copied, progress: &mut (dyn FnMut(Copied) + Send)) -> Result<()> {
        for project in self.to.inner.store.glance().await?.project_list().await? {
            for log in LogKind::ALL {
                let mut next = 1;
                loop {
                    let rows = self.to.inner.store.glance().await?.segment_range(project.id, log, next, u64::MAX, false, SEGMENTS).await?;
                    let Some(last) = rows.last() else { break };
                    next = last.segment.last + 1;
                    for row in rows {
                        self.hold().await?;
                        let (from, to) = (self.from.inner.objects.clone(), self.to.inner.objects.clone());
                        let bytes = tokio::task::spawn_blocking(move || segment(&from, &to, mode, &row)).await.map_err(Error::internal)??;
                        done.bytes += bytes;
                        done.objects += Part::ALL.len() as u64;
                        progress(*done);
                    }
                }
                self.to.publish_manifest(project.id, log).await?;
            }
            let mut after = String::new();
            loop {
                let files = self.to.inner.store.glance().await?.task_file_list(project.id, &after, ROWS).await?;
                let Some((_, last)) = files.last() else { break };
                after.clone_from(&last.object);
                for (_, file) in files {
                    self.hold().await?;
                    let (from, to, key, len) = (self.from.inner.objects.clone(), self.to.inner.objects.clone(), file.object, file.bytes);
                    tokio::task::spawn_blocking(move || brought(&from, &to, mode, &key, len)).await.map_err(Error::internal)??;
                    done.bytes += len;
                    done.objects += 1;
                    progress(*done);
                }
            }
        }
        Ok(())
    }
}

/// The objects of one segment; their bytes.
fn segment(from: &Objects, to: &Objects, mode: Mode, row: &SegmentRow) -> Result<u64> {
    let s = &row.segment;
    let hashes = (s.last + 1 - s.first) * 32;
    let all = [(Part::Hashes, hashes), (Part::Rows, s.rows_bytes), (Part::Columns, s.columns_bytes)];
    let live = if row.expired { &all[..1] } else { &all[..] };
    for (part, len) in live {
        brought(from, to, mode, &object(&s.name, *part), *len)?;
    }
    Ok(live.iter().map(|(_, len)| len).sum())
}

/// One object, copied or there already.
fn brought(from: &Objects, to: &Objects, mode: Mode, key: &str, len: u64) -> Result<()> {
    match mode {
        Mode::Copy => one(from, to, key, len),
        // Opening with no length asks for it, and so for whether the object is there.
        _ if to.get(key, None)?.len() != len => Err(Error::corrupt(format!("{key} has another length than the database says"))),
        _ => Ok(()),
    }
}

fn one(from: &Objects, to: &Objects, key: &str, len: u64) -> Result<()> {
    let source = from.get(key, Some(len))?;
    let forget: UploadNote = Arc::new(|_: &str, _: &str| Ok(()));
    let mut target = to.create(key, &forget)?;
    let mut at = 0;
    while at < len {
        let n = usize::try_from(len - at).unwrap_or(usize::MAX).min(CHUNK);
        target.write_all(&source.read(at, n)?).map_err(write_failed)?;
        at += n as u64;
    }
    match target.finish() {
        // A write whose answer was lost is refused when it is repeated. Keys are used once, so what is there is ours.
        Err(e) if e.kind() == Kind::Conflict && to.get(key, None)?.len() == len => Ok(()),
        done => done,
    }
}
