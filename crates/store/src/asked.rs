//! Tasks that somebody asked for: kept for ever, leased, at least once, fair between projects.
//!
//! Promises: who lost a lease changes nothing; a task ends once, and what it made is published in the transaction that ends it.
//! Never: knows what a task does. The chores of a log are elsewhere, in `tasks`.

use indelible_model::{Error, LogKind, ProjectId, Result, TaskId, Timestamp};

use crate::db::{Arg, Row, args};
use crate::wake::NOTIFY;
use crate::{ReadTx, WriteTx, log_kind, signed};

/// Where a task is. The names are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// Waits.
    Queued,
    /// Is being worked on, or was when the one who did died.
    Running,
    /// Succeeded.
    Done,
    /// Ended without success.
    Failed,
    /// Was stopped by somebody.
    Cancelled,
}

impl TaskStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Done, Self::Failed, Self::Cancelled];
    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
    /// The status of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
    /// True once nothing more happens.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// A task to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAsked {
    /// Its id.
    pub id: TaskId,
    /// What kind of work: opaque here.
    pub kind: String,
    /// The log that it reads or writes.
    pub log: LogKind,
    /// What to do: opaque here.
    pub spec: String,
    /// Who asked: opaque here.
    pub asked_by: String,
    /// What the asker was bound to: opaque here, compared as text.
    pub organizations: Option<String>,
    /// The request that asked.
    pub request_id: String,
    /// How it came.
    pub channel: String,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedTask {
    /// What was asked.
    pub asked: NewAsked,
    /// The project.
    pub project: ProjectId,
    /// Where it is.
    pub status: TaskStatus,
    /// Of a hundred.
    pub progress: u64,
    /// What came of it: opaque here.
    pub result: Option<String>,
    /// Why it failed, or failed the last time.
    pub error: Option<String>,
    /// What the work must find again after a crash: opaque here.
    pub note: Option<String>,
    /// Somebody wants it stopped.
    pub cancel: bool,
    /// The last change.
    pub updated_at: Timestamp,
    /// When work on it began, the last time.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The number of the lease; rises with every lease.
    pub lease: u64,
    /// How often it was leased.
    pub attempts: u64,
}

/// Which tasks a list has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedFilter {
    /// Asked by somebody bound to exactly this; `None` is every task.
    pub organizations: Option<String>,
    /// Of these kinds; none at all if empty.
    pub kinds: Vec<String>,
    /// Without those of the log `activity`.
    pub events_only: bool,
    /// In one of these statuses; in any if empty.
    pub statuses: Vec<TaskStatus>,
    /// Asked for at or after this.
    pub from: Option<Timestamp>,
    /// Asked for before this.
    pub before: Option<Timestamp>,
    /// Of a task asked for at [`AskedFilter::before`], those with lower ids too: where the page before ended.
    pub after: Option<TaskId>,
}

/// The object of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFile {
    /// Its key.
    pub object: String,
    /// What it is to the task, such as `file` or `manifest`; unique within the task.
    pub part: String,
    /// Its name for people.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

/// A task's columns; the table is called `t`.
macro_rules! asked {
    ($rest:literal) => {
        concat!(
            "SELECT t.id, (SELECT p.id FROM projects p WHERE p.no = t.project), t.kind, t.status, t.log, t.spec, t.asked_by, t.organizations, t.request_id, t.channel, \
             t.progress, t.result, t.error, t.note, t.cancel, t.created_at, t.updated_at, t.started_at, t.finished_at, t.lease, t.attempts ",
            $rest
        )
    };
}
pub(crate) use asked;

/// How many columns those are.
pub(crate) const COLUMNS: usize = 21;

const LIVE: &str = "(t.status = 'queued' OR t.status = 'running')";
/// How many tasks of the same project run at the time `$1`.
const RUNNING: &str = "(SELECT COUNT(*) FROM asked_tasks r WHERE r.status = 'running' AND r.project = t.project AND r.lease_until > $1)";
const OF_PROJECT: &str = "t.project = (SELECT no FROM projects WHERE id = $1)";

pub(crate) fn task(row: &Row) -> Result<AskedTask> {
    let time = |column| row.get::<Option<i64>>(column).map(|t| t.map(Timestamp::clamped));
    Ok(AskedTask {
        asked: NewAsked {
            id: TaskId(row.fixed(0)?),
            kind: row.get(2)?,
            log: log_kind(row.get(4)?)?,
            spec: row.get(5)?,
            asked_by: row.get(6)?,
            organizations: row.get(7)?,
            request_id: row.get(8)?,
            channel: row.get(9)?,
            created_at: Timestamp::clamped(row.get(15)?),
        },
        project: ProjectId(row.fixed(1)?),
        status: TaskStatus::parse(row.get(3)?).ok_or_else(|| Error::corrupt("unknown status of a task"))?,
        progress: row.count(10)?,
        result: row.get(11)?,
        error: row.get(12)?,
        note: row.get(13)?,
        cancel: row.get::<i64>(14)? != 0,
        updated_at: Timestamp::clamped(row.get(16)?),
        started_at: time(17)?,
        finished_at: time(18)?,
        lease: row.count(19)?,
        attempts: row.count(20)?,
    })
}

fn file(row: &Row) -> Result<TaskFile> {
    Ok(TaskFile { object: row.get(0)?, part: row.get(1)?, name: row.get(2)?, bytes: row.count(3)?, sha256: row.fixed(4)? })
}

/// Conditions with the values that they are bound to.
pub(crate) struct Conditions<'a> {
    pub(crate) text: String,
    pub(crate) args: Vec<Arg<'a>>,
}

impl<'a> Conditions<'a> {
    /// Those of a project, which is `$1`.
    pub(crate) fn of(project: &'a ProjectId) -> Self {
        Self { text: OF_PROJECT.to_owned(), args: vec![Arg::from(&project.0)] }
    }
    /// Adds a condition in which `?` stands for each of the values, in their order.
    pub(crate) fn add(&mut self, condition: &str, values: impl IntoIterator<Item = Arg<'a>>) {
        self.text.push_str(" AND ");
        let mut values = values.into_iter();
        for c in condition.chars() {
            match if c == '?' { values.next() } else { None } {
                Some(value) => {
                    self.args.push(value);
                    self.text.push_str(&format!("${}", self.args.len()));
                }
                None => self.text.push(c),
            }
        }
    }
}

pub(crate) fn conditions<'a>(project: &'a ProjectId, filter: &'a AskedFilter) -> Conditions<'a> {
    let mut all = Conditions::of(project);
    if let Some(own) = &filter.organizations {
        all.add("t.organizations = ?", [own.into()]);
    }
    let marks = vec!["?"; filter.kinds.len()].join(", ");
    if filter.kinds.is_empty() {
        all.add("1 = 0", []);
    } else {
        all.add(&format!("t.kind IN ({marks})"), filter.kinds.iter().map(Arg::from));
    }
    if filter.events_only {
        all.add("t.log = ?", [LogKind::Events.code().into()]);
    }
    if !filter.statuses.is_empty() {
        let marks = vec!["?"; filter.statuses.len()].join(", ");
        all.add(&format!("t.status IN ({marks})"), filter.statuses.iter().map(|s| s.name().into()));
    }
    if let Some(from) = filter.from {
        all.add("t.created_at >= ?", [from.micros().into()]);
    }
    match (filter.before, &filter.after) {
        (Some(before), Some(after)) => all.add("(t.created_at < ? OR (t.created_at = ? AND t.id < ?))", [before.micros().into(), before.micros().into(), (&after.0).into()]),
        (Some(before), None) => all.add("t.created_at < ?", [before.micros().into()]),
        (None, _) => {}
    }
    all
}

impl ReadTx {
    /// Up to `most` of a project's tasks, newest first.
    pub async fn asked_list(&mut self, project: ProjectId, filter: &AskedFilter, most: u32) -> Result<Vec<AskedTask>> {
        let wanted = conditions(&project, filter);
        let text = format!("{} WHERE {} ORDER BY t.created_at DESC, t.id DESC LIMIT {most}", asked!("FROM asked_tasks t"), wanted.text);
        self.conn.all(text, &wanted.args).await?.iter().map(task).collect()
    }
    /// One of a project's tasks.
    pub async fn asked_find(&mut self, project: ProjectId, id: TaskId) -> Result<Option<AskedTask>> {
        let text = asked!("FROM asked_tasks t WHERE t.project = (SELECT no FROM projects WHERE id = $1) AND t.id = $2");
        self.conn.optional(text, args![&project.0, &id.0]).await?.as_ref().map(task).transpose()
    }
    /// How many tasks of all projects wait, and how many run.
    pub async fn asked_live(&mut self) -> Result<(u64, u64)> {
        let text = "SELECT COALESCE(SUM(CASE WHEN status = 'queued' THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN status = 'running' THEN 1 ELSE 0 END), 0) \
             FROM asked_tasks WHERE status = 'queued' OR status = 'running'";
        let row = self.conn.one(text, args![]).await?;
        Ok((row.count(0)?, row.count(1)?))
    }
    /// True if [`WriteTx::asked_lease`] would find a task.
    pub async fn asked_waiting(&mut self, now: Timestamp, per_project: u32) -> Result<bool> {
        let text = format!("SELECT t.kind FROM asked_tasks t WHERE {LIVE} AND t.run_after <= $1 AND t.lease_until <= $1 AND {RUNNING} < $2 LIMIT 1");
        Ok(self.conn.optional(text, args![now.micros(), i64::from(per_project)]).await?.is_some())
    }
    /// How many tasks of a project wait.
    pub async fn asked_queued(&mut self, project: ProjectId) -> Result<u64> {
        let text = "SELECT COUNT(*) FROM asked_tasks WHERE status = 'queued' AND project = (SELECT no FROM projects WHERE id = $1)";
        self.conn.one(text, args![&project.0]).await?.count(0)
    }
    /// The files of a task, by part.
    pub async fn task_files(&mut self, project: ProjectId, id: TaskId) -> Result<Vec<TaskFile>> {
        let text = "SELECT object, part, name, bytes, sha256 FROM task_files WHERE project = (SELECT no FROM projects WHERE id = $1) AND task = $2 ORDER BY part";
        self.conn.all(text, args![&project.0, &id.0]).await?.iter().map(file).collect()
    }
    /// Bytes of all the files of a project's tasks that are such a part.
    pub async fn task_file_bytes(&mut self, project: ProjectId, part: &str) -> Result<u64> {
        let text = "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM task_files WHERE project = (SELECT no FROM projects WHERE id = $1) AND part = $2";
        self.conn.one(text, args![&project.0, part]).await?.count(0)
    }
    /// Up to `most` files of a project's tasks that come after an object, by object.
    pub async fn task_file_list(&mut self, project: ProjectId, after: &str, most: u32) -> Result<Vec<(TaskId, TaskFile)>> {
        let text =
            "SELECT object, part, name, bytes, sha256, task FROM task_files WHERE project = (SELECT no FROM projects WHERE id = $1) AND object > $2 ORDER BY object LIMIT $3";
        self.conn.all(text, args![&project.0, after, i64::from(most)]).await?.iter().map(|r| Ok((TaskId(r.fixed(5)?), file(r)?))).collect()
    }
}

impl WriteTx {
    /// Stores a new task, and wakes who works after the commit.
    pub async fn asked_insert(&mut self, project: ProjectId, new: &NewAsked) -> Result<()> {
        let text = "INSERT INTO asked_tasks (id, project, kind, status, log, spec, asked_by, organizations, request_id, channel, progress, created_at, updated_at, run_after, lease_until, lease, attempts) \
             SELECT $2, no, $3, 'queued', $4, $5, $6, $7, $8, $9, 0, $10, $10, 0, 0, 0, 0 FROM projects WHERE id = $1";
        let values = args![
            &project.0,
            &new.id.0,
            &new.kind,
            new.log.code(),
            &new.spec,
            &new.asked_by,
            new.organizations.as_deref(),
            &new.request_id,
            &new.channel,
            new.created_at.micros(),
        ];
        if self.conn.run(text, values).await? != 1 {
            return Err(Error::not_found("Project"));
        }
        if self.conn.locks() {
            self.conn.all(NOTIFY, args![]).await?;
        }
        self.asked = true;
        Ok(())
    }
    /// Stores a task as it was elsewhere. One that was running waits again.
    pub async fn asked_restore(&mut self, row: &AskedTask) -> Result<()> {
        self.asked_insert(row.project, &row.asked).await?;
        let status = if row.status.is_over() { row.status } else { TaskStatus::Queued };
        let text =
            "UPDATE asked_tasks SET status = $2, progress = $3, result = $4, error = $5, note = $6, cancel = $7, updated_at = $8, started_at = $9, finished_at = $10 WHERE id = $1";
        let time = |t: Option<Timestamp>| t.map(Timestamp::micros);
        let values = args![
            &row.asked.id.0,
            status.name(),
            signed(row.progress),
            row.result.as_deref(),
            row.error.as_deref(),
            row.note.as_deref(),
            i64::from(row.cancel),
            row.updated_at.micros(),
            time(row.started_at),
            time(row.finished_at),
        ];
        self.conn.run(text, values).await.map(drop)
    }
    /// Leases a task that waits, or one whose lease ran out: of the project in which the fewest run, then of the one whose turn was the longest ago, then
    /// the oldest. None of a project in which `per_project` run already, on whatever node.
    pub async fn asked_lease(&mut self, now: Timestamp, until: Timestamp, per_project: u32) -> Result<Option<AskedTask>> {
        if self.conn.locks() {
            // Two that count at once would both see room for one more.
            self.conn.all("SELECT CAST(pg_advisory_xact_lock(7017212) AS TEXT)", args![]).await?;
        }
        let text = format!(
            "WITH next AS MATERIALIZED (SELECT t.id FROM asked_tasks t WHERE {LIVE} AND t.run_after <= $1 AND t.lease_until <= $1 AND {RUNNING} < $3 \
             ORDER BY {RUNNING}, COALESCE((SELECT MAX(s.started_at) FROM asked_tasks s WHERE s.project = t.project), 0), t.created_at, t.id LIMIT 1{}) \
             UPDATE asked_tasks SET status = 'running', lease = lease + 1, lease_until = $2, attempts = attempts + 1, started_at = $1, updated_at = $1 WHERE id = (SELECT id FROM next) RETURNING id, \
             (SELECT p.id FROM projects p WHERE p.no = asked_tasks.project)",
            self.conn.locking(" FOR UPDATE SKIP LOCKED")
        );
        let Some(row) = self.conn.optional(text, args![now.micros(), until.micros(), i64::from(per_project)]).await? else { return Ok(None) };
        let (id, project) = (TaskId(row.fixed(0)?), ProjectId(row.fixed(1)?));
        self.asked_find(project, id).await
    }
    /// Prolongs a lease and says how far the work is; `None` if the lease was lost, else whether somebody wants the task stopped.
    pub async fn asked_heartbeat(&mut self, task: &AskedTask, progress: u64, now: Timestamp, until: Timestamp) -> Result<Option<bool>> {
        let text = "UPDATE asked_tasks SET lease_until = $3, progress = CASE WHEN progress < $4 THEN $4 ELSE progress END, updated_at = $5 WHERE id = $1 AND lease = $2 AND status = 'running' RETURNING cancel";
        let row = self.conn.optional(text, args![&task.asked.id.0, signed(task.lease), until.micros(), signed(progress), now.micros()]).await?;
        row.map(|r| Ok(r.get::<i64>(0)? != 0)).transpose()
    }
    /// Keeps what the work must find again after a crash; false if the lease was lost.
    pub async fn asked_note(&mut self, task: &AskedTask, note: Option<&str>) -> Result<bool> {
        let text = "UPDATE asked_tasks SET note = $3 WHERE id = $1 AND lease = $2 AND status = 'running'";
        Ok(self.conn.run(text, args![&task.asked.id.0, signed(task.lease), note]).await? == 1)
    }
    /// Ends a task that is leased; false (drop the transaction then) if the lease was lost, or if it is done but somebody wanted it stopped.
    pub async fn asked_finish(&mut self, task: &AskedTask, status: TaskStatus, result: Option<&str>, error: Option<&str>, now: Timestamp) -> Result<bool> {
        let text = "UPDATE asked_tasks SET status = $3, result = $4, error = $5, note = NULL, progress = CASE WHEN $3 = 'done' THEN 100 ELSE progress END, finished_at = $6, updated_at = $6, lease_until = 0 \
             WHERE id = $1 AND lease = $2 AND status = 'running' AND (cancel = 0 OR $3 <> 'done')";
        Ok(self.conn.run(text, args![&task.asked.id.0, signed(task.lease), status.name(), result, error, now.micros()]).await? == 1)
    }
    /// Gives a task back, to be run again after `run_after`, with the reason.
    pub async fn asked_retry(&mut self, task: &AskedTask, error: &str, now: Timestamp, run_after: Timestamp) -> Result<()> {
        let text = "UPDATE asked_tasks SET status = 'queued', lease_until = 0, run_after = $3, error = $4, updated_at = $5 WHERE id = $1 AND lease = $2 AND status = 'running'";
        self.conn.run(text, args![&task.asked.id.0, signed(task.lease), run_after.micros(), error, now.micros()]).await.map(drop)
    }
    /// Gives back all tasks that run: for a database that is one process's own, at its start. What was begun often waits, the longer the more often.
    pub async fn asked_release_all(&mut self, now: Timestamp) -> Result<u64> {
        self.conn.run("UPDATE asked_tasks SET status = 'queued', lease_until = 0, run_after = CASE WHEN attempts < 3 THEN 0 WHEN attempts > 30 THEN $1 + 60000000 ELSE $1 + attempts * 2000000 END, lease = lease + 1, updated_at = $1 WHERE status = 'running'", args![now.micros()]).await
    }
    /// Stops a task: one that waits is over, one that runs is told. The status that it has now; `None` if the project has no such task.
    pub async fn asked_cancel(&mut self, project: ProjectId, id: TaskId, now: Timestamp) -> Result<Option<TaskStatus>> {
        let text = "UPDATE asked_tasks SET cancel = 1, status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END, \
             finished_at = CASE WHEN status = 'queued' THEN $3 ELSE finished_at END, updated_at = $3 \
             WHERE id = $2 AND project = (SELECT no FROM projects WHERE id = $1) AND (status = 'queued' OR status = 'running')";
        self.conn.run(text, args![&project.0, &id.0, now.micros()]).await?;
        Ok(self.asked_find(project, id).await?.map(|t| t.status))
    }
    /// Stores a file of a task. Its object must be staged, and is not any more; false (drop the transaction then) if it was collected meanwhile.
    pub async fn task_file_add(&mut self, project: ProjectId, id: TaskId, file: &TaskFile) -> Result<bool> {
        if !self.unstage(std::slice::from_ref(&file.object)).await? {
            return Ok(false);
        }
        self.task_file_restore(project, id, file).await?;
        Ok(true)
    }
    /// Stores a file of a task as it was elsewhere.
    pub async fn task_file_restore(&mut self, project: ProjectId, id: TaskId, file: &TaskFile) -> Result<()> {
        let text = "INSERT INTO task_files (object, project, task, part, name, bytes, sha256) SELECT $2, no, $3, $4, $5, $6, $7 FROM projects WHERE id = $1";
        let values = args![&project.0, &file.object, &id.0, &file.part, &file.name, signed(file.bytes), &file.sha256];
        if self.conn.run(text, values).await? == 1 { Ok(()) } else { Err(Error::not_found("Project")) }
    }
    /// Takes a task's files away; their objects are to be deleted from `due` on. Which they were.
    pub async fn task_files_drop(&mut self, project: ProjectId, id: TaskId, due: Timestamp) -> Result<Vec<String>> {
        let text = "DELETE FROM task_files WHERE project = (SELECT no FROM projects WHERE id = $1) AND task = $2 RETURNING object";
        let objects: Vec<String> = self.conn.all(text, args![&project.0, &id.0]).await?.iter().map(|r| r.get(0)).collect::<Result<_>>()?;
        self.object_note(&objects, due).await?;
        Ok(objects)
    }
}
