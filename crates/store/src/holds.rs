//! Legal holds: what keeps rows although their time is over. None is ever deleted.
//!
//! Never: knows what a hold's filter says.

use indelible_model::{Error, HoldId, LogKind, ProjectId, Result, Timestamp};

use crate::db::{Row, args};
use crate::{ReadTx, WriteTx, log_kind, signed};

/// A legal hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegalHoldRow {
    /// Its public id; ids rise with time.
    pub id: HoldId,
    /// The case that it is for.
    pub case: String,
    /// Why it was placed.
    pub reason: String,
    /// What it holds: opaque here.
    pub filter: String,
    /// Who placed it: opaque here.
    pub placed_by: String,
    /// When it was placed.
    pub created_at: Timestamp,
    /// Its end, if it has come.
    pub released: Option<HoldEnd>,
}

/// The end of a legal hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldEnd {
    /// Who released it: opaque here.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What a live hold keeps of one log beyond its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRow {
    /// Which log.
    pub log: LogKind,
    /// The hold.
    pub hold: HoldId,
    /// Segments.
    pub segments: u64,
    /// Their events.
    pub events: u64,
}

/// Their columns, of a project's holds that pass a condition.
macro_rules! holds {
    ($rest:literal) => {
        concat!(
            "SELECT id, case_name, reason, filter, placed_by, created_at, released_by, release_reason, released_at FROM legal_holds \
             WHERE project = (SELECT no FROM projects WHERE id = $1) AND ",
            $rest
        )
    };
}

const KEPT: &str = "SELECT kind, held, COUNT(*), CAST(SUM(last - first + 1) AS BIGINT) FROM segments \
    WHERE held IS NOT NULL AND expired = 0 AND project = (SELECT no FROM projects WHERE id = $1) GROUP BY kind, held ORDER BY kind, held";

fn hold(row: &Row) -> Result<LegalHoldRow> {
    let released = match row.get::<Option<i64>>(8)? {
        None => None,
        Some(at) => Some(HoldEnd { by: row.get(6)?, reason: row.get(7)?, at: Timestamp::clamped(at) }),
    };
    Ok(LegalHoldRow {
        id: HoldId(row.fixed(0)?),
        case: row.get(1)?,
        reason: row.get(2)?,
        filter: row.get(3)?,
        placed_by: row.get(4)?,
        created_at: Timestamp::clamped(row.get(5)?),
        released,
    })
}

impl ReadTx {
    /// Up to `most` of a project's holds, released ones too, newest first; `before` is the last one of the page before.
    pub async fn legal_hold_list(&mut self, project: ProjectId, before: Option<HoldId>, most: u32) -> Result<Vec<LegalHoldRow>> {
        let before = before.unwrap_or(HoldId([0xff; 16]));
        self.conn.all(holds!("id < $2 ORDER BY id DESC LIMIT $3"), args![&project.0, &before.0, i64::from(most)]).await?.iter().map(hold).collect()
    }
    /// All of a project's holds that are not released, oldest first.
    pub async fn legal_hold_live(&mut self, project: ProjectId) -> Result<Vec<LegalHoldRow>> {
        self.conn.all(holds!("released_at IS NULL ORDER BY id"), args![&project.0]).await?.iter().map(hold).collect()
    }
    /// One of a project's holds.
    pub async fn legal_hold_find(&mut self, project: ProjectId, id: HoldId) -> Result<Option<LegalHoldRow>> {
        self.conn.optional(holds!("id = $2"), args![&project.0, &id.0]).await?.as_ref().map(hold).transpose()
    }
    /// What live holds keep of a project's logs beyond its time. A segment that several match counts for the one that was found first.
    pub async fn legal_hold_kept(&mut self, project: ProjectId) -> Result<Vec<KeptRow>> {
        let rows = self.conn.whole(KEPT, args![&project.0]).await?;
        rows.iter().map(|r| Ok(KeptRow { log: log_kind(r.get(0)?)?, hold: HoldId(r.fixed(1)?), segments: r.count(2)?, events: r.count(3)? })).collect()
    }
}

impl WriteTx {
    /// Stores a new hold. Call [`WriteTx::retention_lock`] first: from the commit on nothing that it matches expires.
    pub async fn legal_hold_place(&mut self, project: ProjectId, row: &LegalHoldRow) -> Result<()> {
        self.legal_hold_restore(project, row).await?;
        self.holds_changed(project).await
    }
    /// Stores a hold as it was elsewhere, released or not.
    pub async fn legal_hold_restore(&mut self, project: ProjectId, row: &LegalHoldRow) -> Result<()> {
        let text = "INSERT INTO legal_holds (id, project, case_name, reason, filter, placed_by, created_at, released_by, release_reason, released_at) \
             SELECT $2, no, $3, $4, $5, $6, $7, $8, $9, $10 FROM projects WHERE id = $1";
        let end = row.released.as_ref();
        let values = args![
            &project.0,
            &row.id.0,
            &row.case,
            &row.reason,
            &row.filter,
            &row.placed_by,
            row.created_at.micros(),
            end.map(|r| r.by.as_str()),
            end.map(|r| r.reason.as_str()),
            end.map(|r| r.at.micros()),
        ];
        if self.conn.run(text, values).await? == 1 { Ok(()) } else { Err(Error::not_found("Project")) }
    }
    /// Releases a hold, and what it alone was found to keep is looked at anew. False if the project has no such live hold. Call [`WriteTx::retention_lock`] first.
    pub async fn legal_hold_release(&mut self, project: ProjectId, id: HoldId, end: &HoldEnd) -> Result<bool> {
        let text = "UPDATE legal_holds SET released_by = $3, release_reason = $4, released_at = $5 \
             WHERE id = $2 AND released_at IS NULL AND project = (SELECT no FROM projects WHERE id = $1)";
        if self.conn.run(text, args![&project.0, &id.0, &end.by, &end.reason, end.at.micros()]).await? != 1 {
            return Ok(false);
        }
        // Segments are locked by number, as everywhere.
        let text = format!("UPDATE segments SET held = NULL WHERE id IN (SELECT id FROM segments WHERE held = $1 ORDER BY id{})", self.conn.locking(" FOR UPDATE"));
        self.conn.run(text, args![&id.0]).await?;
        self.holds_changed(project).await?;
        Ok(true)
    }
    /// Notes that a hold keeps a segment, by number and generation, beyond its time; false if it is not live at the generation given.
    pub async fn segment_hold(&mut self, project: ProjectId, log: LogKind, (id, generation): (u64, u64), hold: HoldId) -> Result<bool> {
        let text = "UPDATE segments SET held = $5 WHERE project = (SELECT no FROM projects WHERE id = $1) AND kind = $2 AND id = $3 AND generation = $4 AND expired = 0";
        Ok(self.conn.run(text, args![&project.0, log.code(), signed(id), signed(generation), &hold.0]).await? == 1)
    }
    async fn holds_changed(&mut self, project: ProjectId) -> Result<()> {
        self.conn.run("UPDATE retention SET holds = holds + 1 WHERE project = (SELECT no FROM projects WHERE id = $1)", args![&project.0]).await.map(drop)
    }
}
