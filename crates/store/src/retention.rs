//! How long each log's events are kept, and what is announced about it.
//!
//! Never: decides what is shorter, or when it takes effect.

use indelible_model::{Error, LogKind, ProjectId, Result, Timestamp};

use crate::db::{Row, args};
use crate::{ReadTx, WriteTx, log_kind, signed, unsigned};

/// How long the events of a new project's logs are kept.
const FIRST: [(LogKind, Option<i64>); 2] = [(LogKind::Events, None), (LogKind::Activity, Some(184))];

/// How long a log's events are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRow {
    /// Which log.
    pub log: LogKind,
    /// Days; `None` for ever.
    pub days: Option<u64>,
    /// Since when it is so.
    pub since: Timestamp,
    /// What it will be, and from when on.
    pub next: Option<(u64, Timestamp)>,
    /// Rises with every legal hold of the project that is placed or released.
    pub holds: u64,
}

const ROWS: &str = "SELECT kind, days, since, next_days, next_at, holds FROM retention WHERE project = (SELECT no FROM projects WHERE id = $1) ORDER BY kind";
const DUE: &str = "SELECT p.id, r.kind FROM retention r JOIN projects p ON p.no = r.project WHERE r.next_at <= $1 ORDER BY r.next_at, r.project, r.kind LIMIT $2";
const EXPIRABLE: &str = "SELECT p.id, r.kind FROM retention r JOIN projects p ON p.no = r.project WHERE r.days IS NOT NULL AND EXISTS (SELECT 1 FROM segments s \
    WHERE s.project = r.project AND s.kind = r.kind AND s.expired = 0 AND s.held IS NULL \
    AND s.max_received < $1 - r.days * 86400000000 \
    AND (s.max_occurred < $1 - r.days * 86400000000 OR s.max_received < $1 - (r.days + 1) * 86400000000)) ORDER BY r.project, r.kind LIMIT $2";

fn retention(row: &Row) -> Result<RetentionRow> {
    let next = row.get::<Option<i64>>(3)?.zip(row.get::<Option<i64>>(4)?);
    Ok(RetentionRow {
        log: log_kind(row.get(0)?)?,
        days: row.get::<Option<i64>>(1)?.map(unsigned),
        since: Timestamp::clamped(row.get(2)?),
        next: next.map(|(days, at)| (unsigned(days), Timestamp::clamped(at))),
        holds: row.count(5)?,
    })
}

fn logs(rows: &[Row]) -> Result<Vec<(ProjectId, LogKind)>> {
    rows.iter().map(|r| Ok((ProjectId(r.fixed(0)?), log_kind(r.get(1)?)?))).collect()
}

impl ReadTx {
    /// The retention of each of a project's logs; empty if there is no such project.
    pub async fn retention_list(&mut self, project: ProjectId) -> Result<Vec<RetentionRow>> {
        self.conn.all(ROWS, args![&project.0]).await?.iter().map(retention).collect()
    }
    /// Up to `most` logs of any project whose announced retention takes effect, those first that have waited longest.
    pub async fn retention_due(&mut self, now: Timestamp, most: u32) -> Result<Vec<(ProjectId, LogKind)>> {
        logs(&self.conn.all(DUE, args![now.micros(), i64::from(most)]).await?)
    }
    /// Up to `most` logs of any project with a live segment all of whose events were received, and occurred, longer ago than they are kept (or were received
    /// one day longer ago than that, whatever they claim), and that no hold was found to keep.
    pub async fn retention_expirable(&mut self, now: Timestamp, most: u32) -> Result<Vec<(ProjectId, LogKind)>> {
        logs(&self.conn.all(EXPIRABLE, args![now.micros(), i64::from(most)]).await?)
    }
}

impl WriteTx {
    /// The retention of a project's logs, locked until the transaction ends: whoever lets segments expire, or changes what keeps them, comes here first.
    pub async fn retention_lock(&mut self, project: ProjectId) -> Result<Vec<RetentionRow>> {
        let text = format!("{ROWS}{}", self.conn.locking(" FOR UPDATE"));
        self.conn.all(text, args![&project.0]).await?.iter().map(retention).collect()
    }
    /// Stores a log's retention as it is given, whatever it was.
    pub async fn retention_restore(&mut self, project: ProjectId, row: &RetentionRow) -> Result<()> {
        let text = "INSERT INTO retention (project, kind, days, since, next_days, next_at, holds) SELECT no, $2, $3, $4, $5, $6, $7 FROM projects WHERE id = $1 \
             ON CONFLICT (project, kind) DO UPDATE SET days = excluded.days, since = excluded.since, next_days = excluded.next_days, next_at = excluded.next_at, holds = excluded.holds";
        let (next_days, next_at) = row.next.map(|(days, at)| (signed(days), at.micros())).unzip();
        let values = args![&project.0, row.log.code(), row.days.map(signed), row.since.micros(), next_days, next_at, signed(row.holds)];
        if self.conn.run(text, values).await? == 1 { Ok(()) } else { Err(Error::not_found("Project")) }
    }
    /// The retention of a new project's logs.
    pub(crate) async fn retention_begin(&mut self, project: ProjectId, now: Timestamp) -> Result<()> {
        for (log, days) in FIRST {
            self.retention_restore(project, &RetentionRow { log, days: days.map(unsigned), since: now, next: None, holds: 0 }).await?;
        }
        Ok(())
    }
}
