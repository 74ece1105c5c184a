//! Leased tasks: durable background work of a log, at least once.

use indelible_model::{Error, LogKind, ProjectId, Result, Timestamp};
use sqlx::Row;

use crate::errors::map;
use crate::{ReadTx, WriteTx, fixed, signed, unsigned};

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

impl ReadTx {
    /// How many tasks wait or run.
    pub async fn task_live(&mut self) -> Result<u64> {
        let row = sqlx::query("SELECT COUNT(*) FROM tasks WHERE status <> 'done' AND status <> 'failed'").fetch_one(&mut *self.tx).await.map_err(map)?;
        Ok(unsigned(row.get(0)))
    }
}

impl WriteTx {
    /// Enqueues a task unless the same one waits or runs. Idempotent.
    pub async fn task_enqueue(&mut self, project: ProjectId, log: LogKind, kind: TaskKind, now: Timestamp) -> Result<()> {
        sqlx::query(
            "INSERT INTO tasks (project, kind, log, status, run_after, lease_until, lease, attempts, created_at) \
             SELECT no, $2, $3, 'queued', 0, 0, 0, 0, $4 FROM projects WHERE id = $1 ON CONFLICT DO NOTHING",
        )
        .bind(&project.0[..])
        .bind(kind.name())
        .bind(log.code())
        .bind(now.micros())
        .execute(&mut *self.tx)
        .await
        .map_err(map)?;
        Ok(())
    }
    /// Leases the task that has waited longest, or one whose lease ran out.
    pub async fn task_lease(&mut self, now: Timestamp, until: Timestamp) -> Result<Option<Task>> {
        let row = sqlx::query(
            "UPDATE tasks SET status = 'running', lease = lease + 1, lease_until = $2, attempts = attempts + 1 WHERE id = (\
             SELECT id FROM tasks WHERE status <> 'done' AND status <> 'failed' AND run_after <= $1 AND lease_until <= $1 ORDER BY run_after, id LIMIT 1) \
             RETURNING id, (SELECT p.id FROM projects p WHERE p.no = tasks.project), log, kind, lease, attempts",
        )
        .bind(now.micros())
        .bind(until.micros())
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(map)?;
        row.map(|r| {
            let bad = || Error::corrupt("unknown kind of task or log");
            Ok(Task {
                id: unsigned(r.get(0)),
                project: ProjectId(fixed(r.get(1))?),
                log: LogKind::from_code(r.get(2)).ok_or_else(bad)?,
                kind: TaskKind::parse(r.get(3)).ok_or_else(bad)?,
                lease: unsigned(r.get(4)),
                attempts: unsigned(r.get(5)),
            })
        })
        .transpose()
    }
    /// Prolongs a lease; false if it was lost.
    pub async fn task_heartbeat(&mut self, task: &Task, until: Timestamp) -> Result<bool> {
        let done = sqlx::query("UPDATE tasks SET lease_until = $3 WHERE id = $1 AND lease = $2 AND status = 'running'");
        Ok(done.bind(signed(task.id)).bind(signed(task.lease)).bind(until.micros()).execute(&mut *self.tx).await.map_err(map)?.rows_affected() == 1)
    }
    /// Ends a task; false if the lease was lost.
    pub async fn task_finish(&mut self, task: &Task) -> Result<bool> {
        // Maintenance tasks of a log come by the thousand and say nothing afterwards: the row goes.
        let done = sqlx::query("DELETE FROM tasks WHERE id = $1 AND lease = $2");
        Ok(done.bind(signed(task.id)).bind(signed(task.lease)).execute(&mut *self.tx).await.map_err(map)?.rows_affected() == 1)
    }
    /// Gives a task back to be run after `run_after`, with the reason.
    pub async fn task_retry(&mut self, task: &Task, error: &str, run_after: Timestamp) -> Result<()> {
        let done = sqlx::query("UPDATE tasks SET status = 'queued', lease_until = 0, run_after = $3, error = $4 WHERE id = $1 AND lease = $2");
        done.bind(signed(task.id)).bind(signed(task.lease)).bind(run_after.micros()).bind(error).execute(&mut *self.tx).await.map_err(map)?;
        Ok(())
    }
}
