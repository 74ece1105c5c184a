//! Exports: each belongs to a task, and outlives its file.
//!
//! Never: knows what is exported, or how a link looks.

use indelible_model::{Error, ExportId, ProjectId, Result, ScheduleId, TaskId, Timestamp};

use crate::asked::{AskedFilter, AskedTask, COLUMNS, Conditions, TaskStatus, asked, task};
use crate::db::{Arg, Row, args};
use crate::{ReadTx, WriteTx, signed};

/// An export to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewExport {
    /// Its id.
    pub id: ExportId,
    /// What is exported: opaque here.
    pub object: String,
    /// As the asker sees them: opaque here.
    pub parameters: String,
    /// What links to its file are signed with.
    pub link_key: [u8; 32],
    /// The member who asked, if it was one.
    pub user_id: Option<String>,
    /// The schedule that asked, if it was one.
    pub schedule: Option<ScheduleId>,
    /// When its file goes.
    pub expires_at: Option<Timestamp>,
}

/// An export and its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportRow {
    /// What was asked.
    pub export: NewExport,
    /// The file is gone, because its time was over.
    pub expired: bool,
    /// The task.
    pub task: AskedTask,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExportOrder {
    /// Oldest first.
    Created,
    /// Newest first.
    #[default]
    CreatedBack,
    /// By status, in the order in which an export goes through them; the newest of each first.
    Status,
    /// The other way round.
    StatusBack,
}

/// Which exports a list has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportFilter {
    /// Which tasks they may have.
    pub tasks: AskedFilter,
    /// Of this object.
    pub object: Option<String>,
    /// Asked for by this member.
    pub user_id: Option<String>,
    /// Of this schedule.
    pub schedule: Option<ScheduleId>,
    /// In one of these statuses, and expired or not, if that is said; in any if empty.
    pub states: Vec<(TaskStatus, Option<bool>)>,
}

macro_rules! exports {
    ($rest:literal) => {
        concat!(asked!(", e.id, e.object, e.parameters, e.link_key, e.user_id, e.schedule, e.expires_at, e.expired FROM exports e JOIN asked_tasks t ON t.id = e.task "), $rest)
    };
}

/// The statuses in the order in which an export goes through them.
const BY_STATUS: &str = "CASE t.status WHEN 'queued' THEN 0 WHEN 'running' THEN 1 WHEN 'done' THEN 2 WHEN 'failed' THEN 3 ELSE 4 END";

fn export(row: &Row) -> Result<ExportRow> {
    let at = COLUMNS;
    Ok(ExportRow {
        export: NewExport {
            id: ExportId(row.fixed(at)?),
            object: row.get(at + 1)?,
            parameters: row.get(at + 2)?,
            link_key: row.fixed(at + 3)?,
            user_id: row.get(at + 4)?,
            schedule: row.maybe_fixed(at + 5)?.map(ScheduleId),
            expires_at: row.get::<Option<i64>>(at + 6)?.map(Timestamp::clamped),
        },
        expired: row.get::<i64>(at + 7)? != 0,
        task: task(row)?,
    })
}

fn conditions<'a>(project: &'a ProjectId, filter: &'a ExportFilter) -> Conditions<'a> {
    let mut all = crate::asked::conditions(project, &filter.tasks);
    if let Some(object) = &filter.object {
        all.add("e.object = ?", [object.into()]);
    }
    if let Some(user) = &filter.user_id {
        all.add("e.user_id = ?", [user.into()]);
    }
    if let Some(schedule) = &filter.schedule {
        all.add("e.schedule = ?", [(&schedule.0).into()]);
    }
    if !filter.states.is_empty() {
        let one = |expired: Option<bool>| if expired.is_some() { "(t.status = ? AND e.expired = ?)" } else { "t.status = ?" };
        let any = filter.states.iter().map(|(_, expired)| one(*expired)).collect::<Vec<_>>().join(" OR ");
        let values = filter.states.iter().flat_map(|(status, expired)| [Some(status.name().into()), expired.map(|e| i64::from(e).into())]);
        all.add(&format!("({any})"), values.flatten());
    }
    all
}

impl ReadTx {
    /// Up to `most` of a project's exports after the first `skip`.
    pub async fn export_list(&mut self, project: ProjectId, filter: &ExportFilter, order: ExportOrder, skip: u64, most: u32) -> Result<Vec<ExportRow>> {
        let mut wanted = conditions(&project, filter);
        let by = match order {
            ExportOrder::Created => "t.created_at, t.id".to_owned(),
            ExportOrder::CreatedBack => "t.created_at DESC, t.id DESC".to_owned(),
            ExportOrder::Status => format!("{BY_STATUS}, t.created_at DESC, t.id DESC"),
            ExportOrder::StatusBack => format!("{BY_STATUS} DESC, t.created_at DESC, t.id DESC"),
        };
        wanted.args.extend([Arg::from(i64::from(most)), Arg::from(signed(skip))]);
        let n = wanted.args.len();
        let text = format!("{} WHERE {} ORDER BY {by} LIMIT ${} OFFSET ${n}", exports!(""), wanted.text, n - 1);
        self.conn.all(text, &wanted.args).await?.iter().map(export).collect()
    }
    /// How many of a project's exports pass.
    pub async fn export_count(&mut self, project: ProjectId, filter: &ExportFilter) -> Result<u64> {
        let wanted = conditions(&project, filter);
        let text = format!("SELECT COUNT(*) FROM exports e JOIN asked_tasks t ON t.id = e.task WHERE {}", wanted.text);
        self.conn.one(text, &wanted.args).await?.count(0)
    }
    /// One of a project's exports.
    pub async fn export_find(&mut self, project: ProjectId, id: ExportId) -> Result<Option<ExportRow>> {
        let text = exports!("WHERE e.id = $2 AND e.project = (SELECT no FROM projects WHERE id = $1)");
        self.conn.optional(text, args![&project.0, &id.0]).await?.as_ref().map(export).transpose()
    }
    /// The export that a task makes.
    pub async fn export_of_task(&mut self, project: ProjectId, id: TaskId) -> Result<Option<ExportRow>> {
        let text = exports!("WHERE e.task = $2 AND e.project = (SELECT no FROM projects WHERE id = $1)");
        self.conn.optional(text, args![&project.0, &id.0]).await?.as_ref().map(export).transpose()
    }
    /// An export of whatever project: for those who show a link, which is checked with its key.
    pub async fn export_linked(&mut self, id: ExportId) -> Result<Option<ExportRow>> {
        self.conn.optional(exports!("WHERE e.id = $1"), args![&id.0]).await?.as_ref().map(export).transpose()
    }
    /// Up to `most` exports of all projects whose files' time is over.
    pub async fn export_list_due(&mut self, now: Timestamp, most: u32) -> Result<Vec<ExportRow>> {
        let text = exports!("WHERE e.expires_at <= $1 AND e.expired = 0 AND t.status <> 'queued' AND t.status <> 'running' ORDER BY e.expires_at LIMIT $2");
        self.conn.all(text, args![now.micros(), i64::from(most)]).await?.iter().map(export).collect()
    }
}

impl WriteTx {
    /// Stores a new export of a task of the same project, which is stored already.
    pub async fn export_insert(&mut self, project: ProjectId, task: TaskId, new: &NewExport, created_at: Timestamp) -> Result<()> {
        let text = "INSERT INTO exports (id, project, task, object, parameters, link_key, user_id, schedule, created_at, expires_at) \
             SELECT $2, no, $3, $4, $5, $6, $7, $8, $9, $10 FROM projects WHERE id = $1";
        let values = args![
            &project.0,
            &new.id.0,
            &task.0,
            &new.object,
            &new.parameters,
            &new.link_key,
            new.user_id.as_deref(),
            new.schedule.as_ref().map(|s| &s.0[..]),
            created_at.micros(),
            new.expires_at.map(Timestamp::micros),
        ];
        if self.conn.run(text, values).await? == 1 { Ok(()) } else { Err(Error::not_found("Project")) }
    }
    /// Notes that an export's file is gone because its time was over; false if that was noted, or there is no such export.
    pub async fn export_expire(&mut self, project: ProjectId, id: ExportId) -> Result<bool> {
        let text = "UPDATE exports SET expired = 1 WHERE id = $2 AND expired = 0 AND project = (SELECT no FROM projects WHERE id = $1)";
        Ok(self.conn.run(text, args![&project.0, &id.0]).await? == 1)
    }
    /// Deletes an export; its task stays. False if there is none.
    pub async fn export_delete(&mut self, project: ProjectId, id: ExportId) -> Result<bool> {
        let text = "DELETE FROM exports WHERE id = $2 AND project = (SELECT no FROM projects WHERE id = $1)";
        Ok(self.conn.run(text, args![&project.0, &id.0]).await? == 1)
    }
}
