//! Exports as files: asked for, made by a task, fetched by links, and gone when their time is over or somebody deletes them.
//!
//! Promises: an export holds exactly the events up to the position at which it was asked for, of those that its asker saw then; finished, failed, cancelled and
//! expired are different states; a deleted export is gone with its file and every link to it.
//! Never: made within a request.

mod links;
pub mod rows;
pub(crate) mod write;

use indelible_model::{Error, ExportId, Kind, LogKind, ProjectId, Query, Result, ScheduleId, TaskId, Timestamp};
use indelible_store::{ExportFilter, ExportRow, IdempotencyRow, NewExport, TaskFile, TaskStatus, WriteTx};
use serde_json::{Map, Value, json};

use crate::audit::Fact;
use crate::caller::{Caller, CanExport, Grant, Who};
use crate::ingest::IDEMPOTENCY_MICROS;
use crate::read::{Coding, ExportOptions, Format};
use crate::schedules::Run;
use crate::tasks::{AskedKind, Asking, read_json, spec, visible};
use crate::{Idempotency, Service};

pub use indelible_store::ExportOrder;
pub use links::{Download, ExportPart, Link, LinkPlace, LinkRefused, SignedLink};

/// The parts of an export.
const FILE: &str = "file";
const MANIFEST: &str = "manifest";
const DAY_MICROS: i64 = 86_400 * 1_000_000;
/// Bytes of what an asker may say of an export.
const PARAMETERS: usize = 32 << 10;

/// What an export's file holds.
#[derive(Clone, Debug)]
pub enum Exported {
    /// Events.
    Events {
        /// Which. [`Query::skip`] does not apply.
        query: Box<Query>,
        /// As what.
        format: Format,
        /// How. The digest is always made.
        options: ExportOptions,
    },
    /// The header of a table of which we have no rows.
    Header(String),
}

/// An export to be made.
#[derive(Clone, Debug)]
pub struct ExportSpec {
    /// What is exported, in the asker's words, such as `event`.
    pub object: String,
    /// What the file holds.
    pub what: Exported,
    /// How the asker's dialect shows what was asked.
    pub parameters: Value,
    /// The beginning of the file's name: letters, digits and dashes.
    pub stem: String,
    /// The request that asks.
    pub request_id: String,
    /// How it came: `API`, or what the client called itself.
    pub channel: String,
    /// What makes a repeated request the same one.
    pub idempotency: Option<Idempotency>,
}

/// Where an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportState {
    /// Waits.
    Queued,
    /// Is being made.
    Running,
    /// Its file can be fetched.
    Finished,
    /// Could not be made.
    Failed,
    /// Was stopped by somebody.
    Cancelled,
    /// Its file is gone because its time was over.
    Expired,
}

impl ExportState {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Queued, Self::Running, Self::Finished, Self::Failed, Self::Cancelled, Self::Expired];
    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
    /// The state of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
    fn of(row: &ExportRow) -> Self {
        match row.task.status {
            TaskStatus::Queued => Self::Queued,
            TaskStatus::Running => Self::Running,
            TaskStatus::Done if row.expired => Self::Expired,
            TaskStatus::Done => Self::Finished,
            TaskStatus::Failed => Self::Failed,
            TaskStatus::Cancelled => Self::Cancelled,
        }
    }
    /// What the store looks for.
    fn wanted(self) -> (TaskStatus, Option<bool>) {
        match self {
            Self::Queued => (TaskStatus::Queued, None),
            Self::Running => (TaskStatus::Running, None),
            Self::Finished => (TaskStatus::Done, Some(false)),
            Self::Expired => (TaskStatus::Done, Some(true)),
            Self::Failed => (TaskStatus::Failed, None),
            Self::Cancelled => (TaskStatus::Cancelled, None),
        }
    }
}

/// What an export's file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exporting {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes as stored.
    pub sha256: String,
    /// Rows in it.
    pub rows: u64,
    /// The position up to which the log was read.
    pub snapshot: u64,
    /// The lowest and the highest position in it; `None` without rows.
    pub positions: Option<(u64, u64)>,
}

/// An export.
#[derive(Clone, Debug)]
pub struct ExportInfo {
    /// Its id.
    pub id: ExportId,
    /// The task that makes it.
    pub task: TaskId,
    /// What is exported, in the asker's words.
    pub object: String,
    /// As the asker sees them.
    pub parameters: Value,
    /// Where it is.
    pub state: ExportState,
    /// Of a hundred.
    pub progress: u64,
    /// Why it failed, or will be tried again.
    pub error: Option<String>,
    /// What its file is, once it is finished; also after it expired.
    pub file: Option<Exporting>,
    /// The log that it reads.
    pub log: LogKind,
    /// Who asked, as the `actor` of an event.
    pub asked_by: Value,
    /// The member who asked, if it was one.
    pub user_id: Option<String>,
    /// The schedule that asked, if it was one.
    pub schedule: Option<ScheduleId>,
    /// The request that asked.
    pub request_id: String,
    /// How that came.
    pub channel: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// The last change.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When its file goes.
    pub expires_at: Option<Timestamp>,
    pub(crate) project: ProjectId,
    pub(crate) link_key: [u8; 32],
}

/// Which exports a list has; by default all that the caller may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportsFilter {
    /// In one of these states; in any if empty.
    pub states: Vec<ExportState>,
    /// Of this object.
    pub object: Option<String>,
    /// Asked for by this member, by id.
    pub user_id: Option<String>,
    /// Of this schedule.
    pub schedule: Option<ScheduleId>,
    /// Asked for at or after this.
    pub from: Option<Timestamp>,
    /// Asked for before this.
    pub before: Option<Timestamp>,
}

pub(crate) fn missing() -> Error {
    Error::not_found("Export")
}

impl ExportInfo {
    pub(crate) fn new(row: &ExportRow) -> Result<Self> {
        let task = &row.task;
        let file = task.result.as_deref().map(read_json).transpose()?.map(|r| Exporting::read(&r).ok_or_else(|| Error::corrupt("the result of an export"))).transpose()?;
        Ok(Self {
            id: row.export.id,
            task: task.asked.id,
            object: row.export.object.clone(),
            parameters: read_json(&row.export.parameters)?,
            state: ExportState::of(row),
            progress: task.progress,
            error: task.error.clone(),
            file,
            log: task.asked.log,
            asked_by: read_json(&task.asked.asked_by)?,
            user_id: row.export.user_id.clone(),
            schedule: row.export.schedule,
            request_id: task.asked.request_id.clone(),
            channel: task.asked.channel.clone(),
            created_at: task.asked.created_at,
            updated_at: task.updated_at,
            finished_at: task.finished_at,
            expires_at: row.export.expires_at,
            project: task.project,
            link_key: row.export.link_key,
        })
    }
}

impl Exporting {
    fn read(result: &Value) -> Option<Self> {
        let number = |name: &str| result.get(name).and_then(Value::as_u64);
        Some(Self {
            name: result.get("name")?.as_str()?.to_owned(),
            bytes: number("bytes")?,
            sha256: result.get("sha256")?.as_str()?.to_owned(),
            rows: number("rows")?,
            snapshot: number("snapshot")?,
            positions: number("first").zip(number("last")),
        })
    }
}

/// The end of a file's name.
fn extension(what: &Exported) -> String {
    let (format, coding) = match what {
        Exported::Header(_) => ("csv", Coding::Identity),
        Exported::Events { format, options, .. } => {
            let format = match format {
                Format::Csv(_) => "csv",
                Format::Json | Format::Records(_) => "json",
                Format::Ndjson => "ndjson",
                Format::Parquet => "parquet",
            };
            (format, options.coding)
        }
    };
    let coding = match coding {
        Coding::Identity => "",
        Coding::Gzip => ".gz",
        Coding::Zstd => ".zst",
    };
    format!("{format}{coding}")
}

/// What a repeat of a request is found by.
enum Before {
    Same(ExportId),
    None,
}

impl Service {
    /// Stores an export to be made. What it will hold is fixed here: the caller's rights, and the position up to which the log goes now.
    ///
    /// A repeat with the same [`ExportSpec::idempotency`] gives the same export; [`Kind::KeyReused`] if its body is another.
    pub async fn export_start(&self, caller: &Caller<CanExport>, spec: ExportSpec) -> Result<ExportInfo> {
        let grant = caller.grant();
        let what = match spec.what {
            Exported::Events { query, format, options } => {
                grant.may_read(query.log)?;
                let head = self.inner.reader.head(grant.project, query.log).await?;
                let before = query.before.map_or(head + 1, |b| b.min(head + 1));
                let query = Box::new(Query { filter: grant.narrow(query.filter), before: Some(before), ..*query });
                Exported::Events { query, format, options: ExportOptions { digest: false, ..options } }
            }
            header => header,
        };
        let mut tx = self.inner.store.write().await?;
        let known = match &spec.idempotency {
            Some(key) => self.export_before(&mut tx, grant, key).await?,
            None => Before::None,
        };
        if let Before::Same(id) = known {
            drop(tx);
            return self.export_info(caller, id).await;
        }
        let spec = ExportSpec { what, ..spec };
        let id = self.export_ask(&mut tx, grant, &spec, None).await?;
        if let Some(key) = &spec.idempotency {
            let row = IdempotencyRow { body_digest: key.body_digest, outcome: id.0.to_vec() };
            tx.idempotency_insert(grant.project, key.route, &bound_key(grant, key), &row, self.inner.clock.now()).await?;
        }
        tx.commit().await?;
        self.export_info(caller, id).await
    }
    async fn export_before(&self, tx: &mut WriteTx, grant: &Grant, key: &Idempotency) -> Result<Before> {
        // Two requests at once wait for each other here.
        tx.project_lock(grant.project).await?;
        let since = Timestamp::clamped(self.inner.clock.now().micros() - IDEMPOTENCY_MICROS);
        let Some(row) = tx.idempotency_find(grant.project, key.route, &bound_key(grant, key), since).await? else { return Ok(Before::None) };
        if row.body_digest != key.body_digest {
            return Err(Error::new(Kind::KeyReused, "This Idempotency-Key was used with another body."));
        }
        let id = ExportId(<[u8; 16]>::try_from(&row.outcome[..]).map_err(|_| Error::corrupt("the outcome of an Idempotency-Key"))?);
        // One that was deleted since is asked for anew.
        Ok(if tx.export_find(grant.project, id).await?.is_some() { Before::Same(id) } else { Before::None })
    }
    /// Stores an export whose query is narrowed and bounded already, in the transaction of what causes it.
    pub(crate) async fn export_ask(&self, tx: &mut WriteTx, grant: &Grant, spec: &ExportSpec, run: Option<&Run>) -> Result<ExportId> {
        let parameters = spec.parameters.to_string();
        if parameters.len() > PARAMETERS {
            return Err(Error::new(Kind::TooLarge, format!("The parameters of an export have {PARAMETERS} bytes at most.")));
        }
        let now = self.inner.clock.now();
        let id = ExportId::new(&self.inner.ids)?;
        let mut stored = Map::new();
        let name = match run {
            // The same whenever it is made.
            Some(_) => format!("{}.{}", spec.stem, extension(&spec.what)),
            None => format!("{}-{}.{}", spec.stem, &now.to_string()[..10], extension(&spec.what)),
        };
        if let Some(run) = run {
            run.write(&mut stored);
        }
        stored.insert("export".to_owned(), id.to_string().into());
        stored.insert("name".to_owned(), name.into());
        let log = match &spec.what {
            Exported::Events { query, format, options } => {
                stored.insert("events".to_owned(), spec::write(query, *format, *options));
                query.log
            }
            Exported::Header(header) => {
                stored.insert("header".to_owned(), header.as_str().into());
                LogKind::Events
            }
        };
        let asked = self.task_ask(tx, grant, Asking { kind: AskedKind::Export, log, spec: stored, request_id: &spec.request_id, channel: &spec.channel }).await?;
        let mut link_key = [0; 32];
        self.inner.ids.fill(&mut link_key)?;
        let days = self.inner.config.tasks.export_days;
        let new = NewExport {
            id,
            object: spec.object.clone(),
            parameters,
            link_key,
            user_id: match &grant.who {
                Who::Member { id, .. } => Some(id.to_string()),
                _ => None,
            },
            schedule: run.map(|run| run.schedule),
            expires_at: (days > 0).then(|| Timestamp::clamped(now.micros().saturating_add(i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY_MICROS)))),
        };
        tx.export_insert(grant.project, asked.id, &new, now).await?;
        let mut metadata = Map::new();
        metadata.insert("object".to_owned(), spec.object.as_str().into());
        metadata.insert("task_id".to_owned(), asked.id.to_string().into());
        metadata.insert("parameters".to_owned(), spec.parameters.clone());
        let fact = Fact { action: "export.created", target: Some(("export", id.to_string(), None)), metadata, ..Fact::default() };
        self.audit(tx, grant.project, &grant.who, &fact).await?;
        Ok(id)
    }
    /// Up to `most` of the exports that the caller may see, after the first `skip`, and how many there are.
    pub async fn exports(&self, caller: &Caller<CanExport>, filter: &ExportsFilter, order: ExportOrder, skip: u64, most: u32) -> Result<(Vec<ExportInfo>, u64)> {
        let mut wanted = ExportFilter {
            tasks: visible(caller.grant(), &[AskedKind::Export])?,
            object: filter.object.clone(),
            user_id: filter.user_id.clone(),
            schedule: filter.schedule,
            states: filter.states.iter().map(|s| s.wanted()).collect(),
        };
        (wanted.tasks.from, wanted.tasks.before) = (filter.from, filter.before);
        let mut tx = self.inner.store.read().await?;
        let total = tx.export_count(caller.project(), &wanted).await?;
        let rows = tx.export_list(caller.project(), &wanted, order, skip, most).await?;
        Ok((rows.iter().map(ExportInfo::new).collect::<Result<_>>()?, total))
    }
    /// An export that the caller may see.
    pub async fn export_info(&self, caller: &Caller<CanExport>, id: ExportId) -> Result<ExportInfo> {
        let row = self.inner.store.glance().await?.export_find(caller.project(), id).await?.ok_or_else(missing)?;
        if !crate::tasks::is_visible(caller.grant(), &row.task)? {
            return Err(missing());
        }
        ExportInfo::new(&row)
    }
    /// The files of an export.
    pub(crate) async fn export_files(&self, info: &ExportInfo) -> Result<Vec<TaskFile>> {
        self.inner.store.glance().await?.task_files(info.project, info.task).await
    }
    /// Deletes an export: at once for everybody who asks for it or shows a link to it. Its task stays, and stops if it still runs.
    pub async fn export_delete(&self, caller: &Caller<CanExport>, id: ExportId) -> Result<()> {
        let info = self.export_info(caller, id).await?;
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write().await?;
        let status = tx.asked_cancel(info.project, info.task, now).await?;
        if let (Some(TaskStatus::Failed), Some(schedule)) = (status, info.schedule)
            && tx.schedule_find(info.project, schedule).await?.is_some_and(|s| s.last_export == Some(id))
        {
            // What it says of the range that failed is what the next run begins with.
            return Err(Error::new(Kind::Conflict, "Its schedule makes this export again. Delete it afterwards, or delete the schedule."));
        }
        if !tx.export_delete(info.project, id).await? {
            return Err(missing());
        }
        let objects = tx.task_files_drop(info.project, info.task, now).await?;
        let fact = Fact {
            action: "export.deleted",
            target: Some(("export", id.to_string(), None)),
            diff: Some((json!({ "object": info.object, "state": info.state.name(), "created_at": info.created_at.to_string() }), json!({}))),
            ..Fact::default()
        };
        self.audit(&mut tx, info.project, &caller.grant().who, &fact).await?;
        tx.commit().await?;
        self.delete_now(objects).await;
        Ok(())
    }
    /// Deletes objects whose rows are gone, so that no link to one lives on. What fails is collected by the next sweep.
    async fn delete_now(&self, objects: Vec<String>) {
        // Nothing is due while a copy of the store holds deletions off.
        let due = async { self.inner.store.glance().await?.object_any_due(self.inner.clock.now()).await };
        if !due.await.unwrap_or(false) {
            return;
        }
        let store = self.inner.objects.clone();
        let deleted = tokio::task::spawn_blocking(move || objects.iter().try_for_each(|object| store.delete(object, None))).await;
        if let Err(error) = deleted.map_err(Error::internal).and_then(|r| r) {
            tracing::warn!(%error, "the file of a deleted export could not be deleted yet; it will be tried again");
        }
    }
    /// Takes the files whose time is over. Idempotent.
    pub(crate) async fn sweep_exports(&self, now: Timestamp) -> Result<()> {
        const MOST: u32 = 100;
        for row in self.inner.store.glance().await?.export_list_due(now, MOST).await? {
            let mut tx = self.inner.store.write().await?;
            if tx.export_expire(row.task.project, row.export.id).await? {
                tx.task_files_drop(row.task.project, row.task.asked.id, now).await?;
                let fact = Fact { action: "export.expired", target: Some(("export", row.export.id.to_string(), None)), ..Fact::default() };
                self.audit(&mut tx, row.task.project, &Who::Server, &fact).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }
}

/// Those who are bound to organizations share keys only with those who are bound to the same.
fn bound_key(grant: &Grant, key: &Idempotency) -> String {
    key.clone().of(grant).key
}
