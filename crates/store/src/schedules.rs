//! Schedules: exports that begin by themselves, one run after the other.
//!
//! Promises: who holds a schedule's lock is the only one who runs or changes it. Never: knows when a run is due again, or what it exports.

use indelible_model::{Error, ExportId, ProjectId, Result, ScheduleId, Timestamp};

use crate::db::{Row, args};
use crate::{ReadTx, WriteTx, signed};

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRow {
    /// Its id.
    pub id: ScheduleId,
    /// The project.
    pub project: ProjectId,
    /// A name for people.
    pub name: String,
    /// What is exported, and when: opaque here.
    pub spec: String,
    /// Where files go beside our own store, secrets included: opaque here.
    pub destination: Option<String>,
    /// Who asked: opaque here.
    pub asked_by: String,
    /// What the asker was bound to: opaque here.
    pub organizations: Option<String>,
    /// False while it does not run.
    pub active: bool,
    /// Up to where the last run went.
    pub position: u64,
    /// The export of the last run.
    pub last_export: Option<ExportId>,
    /// How many runs there were.
    pub runs: u64,
    /// When the next run is due.
    pub next_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

macro_rules! schedules {
    ($rest:literal) => {
        concat!(
            "SELECT s.id, p.id, s.name, s.spec, s.destination, s.asked_by, s.organizations, s.active, s.position, s.last_export, s.runs, s.next_at, s.created_at \
             FROM schedules s JOIN projects p ON p.no = s.project ",
            $rest
        )
    };
}

const DUE: &str = schedules!(
    "LEFT JOIN exports e ON e.id = s.last_export LEFT JOIN asked_tasks t ON t.id = e.task \
     WHERE s.active = 1 AND ((s.next_at <= $1 AND COALESCE(t.status, 'done') IN ('done', 'cancelled')) OR (t.status = 'failed' AND t.finished_at <= $2)) \
     ORDER BY s.next_at, s.id LIMIT $3"
);

fn schedule(row: &Row) -> Result<ScheduleRow> {
    Ok(ScheduleRow {
        id: ScheduleId(row.fixed(0)?),
        project: ProjectId(row.fixed(1)?),
        name: row.get(2)?,
        spec: row.get(3)?,
        destination: row.get(4)?,
        asked_by: row.get(5)?,
        organizations: row.get(6)?,
        active: row.get::<i64>(7)? != 0,
        position: row.count(8)?,
        last_export: row.maybe_fixed(9)?.map(ExportId),
        runs: row.count(10)?,
        next_at: Timestamp::clamped(row.get(11)?),
        created_at: Timestamp::clamped(row.get(12)?),
    })
}

impl ReadTx {
    /// All of a project's schedules, oldest first.
    pub async fn schedule_list(&mut self, project: ProjectId) -> Result<Vec<ScheduleRow>> {
        self.conn.all(schedules!("WHERE p.id = $1 ORDER BY s.created_at, s.id"), args![&project.0]).await?.iter().map(schedule).collect()
    }
    /// One of a project's schedules.
    pub async fn schedule_find(&mut self, project: ProjectId, id: ScheduleId) -> Result<Option<ScheduleRow>> {
        self.conn.optional(schedules!("WHERE p.id = $1 AND s.id = $2"), args![&project.0, &id.0]).await?.as_ref().map(schedule).transpose()
    }
    /// Up to `most` active schedules of all projects, the most overdue first: those due at `now` whose last export is over (done, stopped or deleted),
    /// and those whose last export failed at or before `failed_before`.
    pub async fn schedule_list_due(&mut self, now: Timestamp, failed_before: Timestamp, most: u32) -> Result<Vec<ScheduleRow>> {
        self.conn.all(DUE, args![now.micros(), failed_before.micros(), i64::from(most)]).await?.iter().map(schedule).collect()
    }
}

impl WriteTx {
    /// Stores a new schedule of a project, or one as it was elsewhere.
    pub async fn schedule_insert(&mut self, row: &ScheduleRow) -> Result<()> {
        let text = "INSERT INTO schedules (id, project, name, spec, destination, asked_by, organizations, active, position, last_export, runs, next_at, created_at) \
             SELECT $2, no, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13 FROM projects WHERE id = $1";
        let values = args![
            &row.project.0,
            &row.id.0,
            &row.name,
            &row.spec,
            row.destination.as_deref(),
            &row.asked_by,
            row.organizations.as_deref(),
            i64::from(row.active),
            signed(row.position),
            row.last_export.as_ref().map(|e| &e.0[..]),
            signed(row.runs),
            row.next_at.micros(),
            row.created_at.micros(),
        ];
        if self.conn.run(text, values).await? == 1 { Ok(()) } else { Err(Error::not_found("Project")) }
    }
    /// One of a project's schedules, as it is now and stays until the transaction ends.
    pub async fn schedule_lock(&mut self, project: ProjectId, id: ScheduleId) -> Result<Option<ScheduleRow>> {
        let text = format!("{}{}", schedules!("WHERE p.id = $1 AND s.id = $2"), self.conn.locking(" FOR UPDATE OF s"));
        self.conn.optional(text, args![&project.0, &id.0]).await?.as_ref().map(schedule).transpose()
    }
    /// Stores what changed of a schedule; its project, its binding and the time it was made stay. Call [`WriteTx::schedule_lock`] first.
    pub async fn schedule_update(&mut self, row: &ScheduleRow) -> Result<()> {
        let text =
            "UPDATE schedules SET name = $2, spec = $3, destination = $4, asked_by = $5, active = $6, position = $7, last_export = $8, runs = $9, next_at = $10 WHERE id = $1";
        let values = args![
            &row.id.0,
            &row.name,
            &row.spec,
            row.destination.as_deref(),
            &row.asked_by,
            i64::from(row.active),
            signed(row.position),
            row.last_export.as_ref().map(|e| &e.0[..]),
            signed(row.runs),
            row.next_at.micros(),
        ];
        if self.conn.run(text, values).await? == 1 { Ok(()) } else { Err(Error::not_found("Schedule")) }
    }
    /// Deletes a schedule; its exports stay. False if the project has none of that id.
    pub async fn schedule_delete(&mut self, project: ProjectId, id: ScheduleId) -> Result<bool> {
        let text = "DELETE FROM schedules WHERE id = $2 AND project = (SELECT no FROM projects WHERE id = $1)";
        Ok(self.conn.run(text, args![&project.0, &id.0]).await? == 1)
    }
}
