//! Tasks that somebody asked for: exports and imports, with a status, a progress and an end that is kept for ever.
//!
//! Promises: a task is stored before its asker is answered, runs at least once and ends once; what it made is published in the transaction that ends it; a node
//! that dies loses no task; no project keeps another's from running. Who is bound to organizations sees what was asked for with exactly that binding.
//! Never: the chores of a log (seal, compact, merge), which are `maintain`'s.

pub(crate) mod file;
pub(crate) mod spec;
pub(crate) mod work;

use indelible_model::{Error, ExportId, Kind, LogKind, Result, TaskId, Timestamp};
use indelible_store::{AskedFilter, AskedTask, NewAsked, TaskStatus, WriteTx};
use serde_json::{Map, Value};

use crate::Service;
use crate::audit::{Fact, actor};
use crate::caller::{Grant, Scope};
use crate::credentials::organizations_text;

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedKind {
    /// Makes the file of an export.
    Export,
    /// Reads a file into a log.
    Import,
}

impl AskedKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Export, Self::Import];
    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Import => "import",
        }
    }
    /// The kind of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.name() == name)
    }
    /// What somebody needs to ask for it, to see it and to stop it.
    fn scope(self) -> Scope {
        match self {
            Self::Export => Scope::Export,
            Self::Import => Scope::EventsWrite,
        }
    }
}

/// A task.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    /// Its id.
    pub id: TaskId,
    /// What it does.
    pub kind: AskedKind,
    /// Where it is.
    pub status: TaskStatus,
    /// Of a hundred.
    pub progress: u64,
    /// What came of it, once it is done.
    pub result: Option<Value>,
    /// Why it failed, or will be tried again.
    pub error: Option<String>,
    /// The log that it reads or writes.
    pub log: LogKind,
    /// Who asked, as the `actor` of an event.
    pub asked_by: Value,
    /// The request that asked.
    pub request_id: String,
    /// How that came.
    pub channel: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// The last change.
    pub updated_at: Timestamp,
    /// When work on it began, the last time.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Milliseconds of work, or so far; `None` before it began.
    pub processing_ms: Option<u64>,
    /// The export that it makes.
    pub export: Option<ExportId>,
}

/// Which tasks a list has; by default all that the caller may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Of this kind.
    pub kind: Option<AskedKind>,
    /// In one of these statuses; in any if empty.
    pub statuses: Vec<TaskStatus>,
    /// Asked for at or after this.
    pub from: Option<Timestamp>,
    /// Asked for before this.
    pub before: Option<Timestamp>,
    /// With those asked for at [`TaskFilter::before`] whose ids are lower: where the page before ended.
    pub after: Option<TaskId>,
}

/// Tasks of a project that may wait: each look for the next one counts them.
const WAITING: u64 = 1000;
/// After how many seconds it may be asked again.
const WAITING_SECONDS: u32 = 30;

/// The version of what is stored of a task.
pub(crate) const VERSION: u64 = 1;

/// A stored JSON text that we wrote ourselves.
pub(crate) fn read_json(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|e| Error::corrupt(format!("a task: {e}")))
}

fn missing() -> Error {
    Error::not_found("Task")
}

impl TaskInfo {
    pub(crate) fn new(row: &AskedTask, now: Timestamp) -> Result<Self> {
        let spec = read_json(&row.asked.spec)?;
        let ended = row.finished_at.unwrap_or(now);
        let spent = row.started_at.map(|began| u64::try_from(ended.micros().saturating_sub(began.micros()) / 1000).unwrap_or(0));
        Ok(Self {
            id: row.asked.id,
            kind: AskedKind::parse(&row.asked.kind).ok_or_else(|| Error::corrupt("unknown kind of task"))?,
            status: row.status,
            progress: row.progress,
            result: row.result.as_deref().map(read_json).transpose()?,
            error: row.error.clone(),
            log: row.asked.log,
            asked_by: read_json(&row.asked.asked_by)?,
            request_id: row.asked.request_id.clone(),
            channel: row.asked.channel.clone(),
            created_at: row.asked.created_at,
            updated_at: row.updated_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            processing_ms: spent,
            export: spec.get("export").and_then(Value::as_str).and_then(ExportId::parse),
        })
    }
}

/// The part of a filter that says what a caller may see of tasks of these kinds. [`Kind::Forbidden`] if that is nothing.
pub(crate) fn visible(grant: &Grant, kinds: &[AskedKind]) -> Result<AskedFilter> {
    let kinds: Vec<String> = kinds.iter().filter(|k| grant.scopes.has(k.scope())).map(|k| k.name().to_owned()).collect();
    if kinds.is_empty() {
        return Err(Error::new(Kind::Forbidden, "This credential lacks the scope of these tasks."));
    }
    Ok(AskedFilter { organizations: organizations_text(&grant.organizations)?, kinds, events_only: grant.may_read(LogKind::Activity).is_err(), ..AskedFilter::default() })
}

/// True if a caller may see a task.
pub(crate) fn is_visible(grant: &Grant, row: &AskedTask) -> Result<bool> {
    let kind = AskedKind::parse(&row.asked.kind).ok_or_else(|| Error::corrupt("unknown kind of task"))?;
    let bound = organizations_text(&grant.organizations)?;
    Ok(grant.scopes.has(kind.scope()) && (bound.is_none() || bound == row.asked.organizations) && grant.may_read(row.asked.log).is_ok())
}

/// What somebody asks for, as it is stored.
pub(crate) struct Asking<'a> {
    pub(crate) kind: AskedKind,
    pub(crate) log: LogKind,
    /// An object; its version is added.
    pub(crate) spec: Map<String, Value>,
    pub(crate) request_id: &'a str,
    pub(crate) channel: &'a str,
}

impl Service {
    /// Stores a task in the transaction of what causes it.
    pub(crate) async fn task_ask(&self, tx: &mut WriteTx, grant: &Grant, asking: Asking<'_>) -> Result<NewAsked> {
        let id = TaskId::new(self.inner.clock.now(), &self.inner.ids)?;
        self.task_ask_as(tx, grant, id, asking).await
    }
    /// As [`Service::task_ask`], of a task whose id was given to its file before.
    pub(crate) async fn task_ask_as(&self, tx: &mut WriteTx, grant: &Grant, id: TaskId, asking: Asking<'_>) -> Result<NewAsked> {
        let now = self.inner.clock.now();
        let mut spec = asking.spec;
        spec.insert("v".to_owned(), VERSION.into());
        let new = NewAsked {
            id,
            kind: asking.kind.name().to_owned(),
            log: asking.log,
            spec: Value::Object(spec).to_string(),
            asked_by: actor(&grant.who).to_string(),
            organizations: organizations_text(&grant.organizations)?,
            request_id: asking.request_id.to_owned(),
            channel: asking.channel.to_owned(),
            created_at: now,
        };
        if tx.asked_queued(grant.project).await? >= WAITING {
            return Err(Error::new(Kind::RateLimited(WAITING_SECONDS), format!("{WAITING} tasks of this project wait already; ask again when some are over.")));
        }
        tx.asked_insert(grant.project, &new).await?;
        Ok(new)
    }
    /// Up to `most` tasks that the caller may see, newest first.
    pub async fn tasks(&self, grant: &Grant, filter: &TaskFilter, most: u32) -> Result<Vec<TaskInfo>> {
        let kinds = filter.kind.map_or(AskedKind::ALL.to_vec(), |k| vec![k]);
        let wanted = AskedFilter { statuses: filter.statuses.clone(), from: filter.from, before: filter.before, after: filter.after, ..visible(grant, &kinds)? };
        let now = self.inner.clock.now();
        self.inner.store.glance().await?.asked_list(grant.project, &wanted, most).await?.iter().map(|row| TaskInfo::new(row, now)).collect()
    }
    /// A task that the caller may see.
    pub async fn task(&self, grant: &Grant, id: TaskId) -> Result<TaskInfo> {
        visible(grant, &AskedKind::ALL)?;
        let row = self.inner.store.glance().await?.asked_find(grant.project, id).await?.ok_or_else(missing)?;
        if !is_visible(grant, &row)? {
            return Err(missing());
        }
        TaskInfo::new(&row, self.inner.clock.now())
    }
    /// Stops a task: one that waits is over with the answer, one that runs soon after. [`Kind::Conflict`] for one that is over already.
    pub async fn task_cancel(&self, grant: &Grant, id: TaskId) -> Result<TaskInfo> {
        let before = self.task(grant, id).await?;
        if before.status.is_over() {
            return Err(Error::new(Kind::Conflict, format!("The task is {} already.", before.status.name())));
        }
        let mut tx = self.inner.store.write().await?;
        tx.asked_cancel(grant.project, id, self.inner.clock.now()).await?;
        let fact = Fact { action: "task.cancelled", target: Some(("task", id.to_string(), None)), ..Fact::default() };
        self.audit(&mut tx, grant.project, &grant.who, &fact).await?;
        tx.commit().await?;
        self.task(grant, id).await
    }
}
