//! Leased tasks: durable background work of a log, at least once.

use indelible_model::{Error, LogKind, ProjectId, Result, Timestamp};

use crate::db::{Row, args};
use crate::wake::NOTIFY;
use crate::{ReadTx, WriteTx, log_kind, signed};

/// What a task does. The names are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// Batches into a segment.
    Seal,
    /// Small segments into a large one.
    Compact,
    /// Tiny batches into one.
    Merge,
}

impl TaskKind {
    fn name(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Compact => "compact",
            Self::Merge => "merge",
        }
    }
    fn parse(name: &str) -> Option<Self> {
        [Self::Seal, Self::Compact, Self::Merge].into_iter().find(|k| k.name() == name)
    }
}

/// A leased task. Its lease number must be given back with every change, so that one who lost the lease changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The row's number.
    pub id: u64,
    /// The project.
    pub project: ProjectId,
    /// The log.
    pub log: LogKind,
    /// What to do.
    pub kind: TaskKind,
    /// The lease's number; rises with every lease.
    pub lease: u64,
    /// How often it was leased.
    pub attempts: u64,
}

macro_rules! enqueue {
    ($conflict:literal) => {
        concat!(
            "INSERT INTO tasks (project, kind, log, status, run_after, lease_until, lease, attempts, created_at) \
             SELECT no, $2, $3, 'queued', 0, 0, 0, 0, $4 FROM projects WHERE id = $1 ON CONFLICT (project, kind, log) WHERE status <> 'done' AND status <> 'failed' ",
            $conflict
        )
    };
}

const ENQUEUE: &str = enqueue!("DO NOTHING");
const ENQUEUE_AGAIN: &str = enqueue!("DO UPDATE SET again = 1 WHERE tasks.status = 'running'");

fn task(row: &Row) -> Result<Task> {
    Ok(Task {
        id: row.count(0)?,
        project: ProjectId(row.fixed(1)?),
        log: log_kind(row.get(2)?)?,
        kind: TaskKind::parse(row.get(3)?).ok_or_else(|| Error::corrupt("unknown kind of task"))?,
        lease: row.count(4)?,
        attempts: row.count(5)?,
    })
}

impl ReadTx {
    /// How many tasks wait or run.
    pub async fn task_live(&mut self) -> Result<u64> {
        self.conn.one("SELECT COUNT(*) FROM tasks WHERE status <> 'done' AND status <> 'failed'", args![]).await?.count(0)
    }
    /// True if [`WriteTx::task_lease`] would find a task.
    pub async fn task_waiting(&mut self, now: Timestamp) -> Result<bool> {
        let text = "SELECT id FROM tasks WHERE status <> 'done' AND status <> 'failed' AND run_after <= $1 AND lease_until <= $1 LIMIT 1";
        Ok(self.conn.optional(text, args![now.micros()]).await?.is_some())
    }
}

impl WriteTx {
    /// Enqueues a task unless the same one waits or runs, and wakes who waits for tasks after the commit. Idempotent.
    /// A compaction that runs is run again afterwards: what it read may be older than what asks for it.
    pub async fn task_enqueue(&mut self, project: ProjectId, log: LogKind, kind: TaskKind, now: Timestamp) -> Result<()> {
        let values = args![&project.0, kind.name(), log.code(), now.micros()];
        // Appends enqueue the others, and must not wait for a task's row.
        let touched = if kind == TaskKind::Compact { self.conn.run(ENQUEUE_AGAIN, values).await? } else { self.conn.run(ENQUEUE, values).await? };
        if touched == 1 {
            if self.conn.locks() {
                self.conn.all(NOTIFY, args![]).await?;
            }
            self.enqueued = true;
        }
        Ok(())
    }
    /// Leases the task that has waited longest, or one whose lease ran out.
    pub async fn task_lease(&mut self, now: Timestamp, until: Timestamp) -> Result<Option<Task>> {
        // A task that another node is leasing now is passed over, not waited for.
        let text = format!(
            "WITH next AS MATERIALIZED (SELECT id FROM tasks WHERE status <> 'done' AND status <> 'failed' AND run_after <= $1 AND lease_until <= $1 \
             ORDER BY run_after, id LIMIT 1{}) \
             UPDATE tasks SET status = 'running', lease = lease + 1, lease_until = $2, attempts = attempts + 1 WHERE id = (SELECT id FROM next) \
             RETURNING id, (SELECT p.id FROM projects p WHERE p.no = tasks.project), log, kind, lease, attempts",
            self.conn.locking(" FOR UPDATE SKIP LOCKED")
        );
        self.conn.optional(text, args![now.micros(), until.micros()]).await?.as_ref().map(task).transpose()
    }
    /// Prolongs a lease; false if it was lost.
    pub async fn task_heartbeat(&mut self, task: &Task, until: Timestamp) -> Result<bool> {
        let text = "UPDATE tasks SET lease_until = $3 WHERE id = $1 AND lease = $2 AND status = 'running'";
        Ok(self.conn.run(text, args![signed(task.id), signed(task.lease), until.micros()]).await? == 1)
    }
    /// Ends a task, or puts it back if it was asked for again meanwhile; false if the lease was lost.
    pub async fn task_finish(&mut self, task: &Task) -> Result<bool> {
        // Maintenance tasks of a log come by the thousand and say nothing afterwards: the row goes.
        let ended = self.conn.run("DELETE FROM tasks WHERE id = $1 AND lease = $2 AND again = 0", args![signed(task.id), signed(task.lease)]).await?;
        if ended == 1 {
            return Ok(true);
        }
        let text = "UPDATE tasks SET status = 'queued', again = 0, attempts = 0, run_after = 0, lease_until = 0 WHERE id = $1 AND lease = $2";
        Ok(self.conn.run(text, args![signed(task.id), signed(task.lease)]).await? == 1)
    }
    /// Gives a task back to be run after `run_after`, with the reason.
    pub async fn task_retry(&mut self, task: &Task, error: &str, run_after: Timestamp) -> Result<()> {
        let text = "UPDATE tasks SET status = 'queued', lease_until = 0, run_after = $3, error = $4 WHERE id = $1 AND lease = $2";
        self.conn.run(text, args![signed(task.id), signed(task.lease), run_after.micros(), error]).await?;
        Ok(())
    }
}
