//! The manifest of live segments, and the objects that wait for deletion.

use indelible_model::{Error, LogKind, ProjectId, Result, Timestamp};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::errors::map;
use crate::{ReadTx, WriteTx, signed, unsigned};

/// A segment to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSegment {
    /// First position.
    pub first: u64,
    /// Last position.
    pub last: u64,
    /// Version of the files' layout.
    pub version: u64,
    /// The common part of its objects' keys.
    pub name: String,
    /// Bytes of its lines.
    pub raw_bytes: u64,
    /// Bytes of the rows object.
    pub rows_bytes: u64,
    /// Bytes of the columns object.
    pub columns_bytes: u64,
    /// Least `occurred_at`.
    pub min_occurred: Timestamp,
    /// Greatest `occurred_at`.
    pub max_occurred: Timestamp,
}

/// A live segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    /// The row's number.
    pub id: u64,
    /// Rises when the segment's content is replaced.
    pub generation: u64,
    /// The segment.
    pub segment: NewSegment,
}

const COLUMNS: &str = "SELECT id, generation, first, last, version, name, raw_bytes, rows_bytes, columns_bytes, min_occurred, max_occurred FROM segments ";
const RANGE: &str = "WHERE project = $1 AND kind = $2 AND first <= $4 AND last >= $3 ORDER BY first LIMIT $5";
const RANGE_BACK: &str = "WHERE project = $1 AND kind = $2 AND first <= $4 AND last >= $3 ORDER BY first DESC LIMIT $5";

fn segment(row: &SqliteRow) -> SegmentRow {
    SegmentRow {
        id: unsigned(row.get(0)),
        generation: unsigned(row.get(1)),
        segment: NewSegment {
            first: unsigned(row.get(2)),
            last: unsigned(row.get(3)),
            version: unsigned(row.get(4)),
            name: row.get(5),
            raw_bytes: unsigned(row.get(6)),
            rows_bytes: unsigned(row.get(7)),
            columns_bytes: unsigned(row.get(8)),
            min_occurred: Timestamp::clamped(row.get(9)),
            max_occurred: Timestamp::clamped(row.get(10)),
        },
    }
}

impl ReadTx {
    /// Up to `most` live segments that hold positions `from..=to`, in order (`back`: last one first).
    pub async fn segment_range(&mut self, project: ProjectId, log: LogKind, from: u64, to: u64, back: bool, most: u32) -> Result<Vec<SegmentRow>> {
        let Some(no) = self.project_no(project).await? else { return Ok(Vec::new()) };
        let text = format!("{COLUMNS}{}", if back { RANGE_BACK } else { RANGE });
        let rows = sqlx::query(sqlx::AssertSqlSafe(text)).bind(no).bind(log.code()).bind(signed(from)).bind(signed(to)).bind(i64::from(most));
        Ok(rows.fetch_all(&mut *self.tx).await.map_err(map)?.iter().map(segment).collect())
    }
    /// How many live segments there are, and how many events in them.
    pub async fn segment_totals(&mut self) -> Result<(u64, u64)> {
        let row = sqlx::query("SELECT COUNT(*), CAST(COALESCE(SUM(last - first + 1), 0) AS BIGINT) FROM segments").fetch_one(&mut *self.tx).await.map_err(map)?;
        Ok((unsigned(row.get(0)), unsigned(row.get(1))))
    }
    /// Up to `most` objects that may be deleted at `now`.
    pub async fn object_list_due(&mut self, now: Timestamp, most: u32) -> Result<Vec<String>> {
        let rows = sqlx::query("SELECT object FROM retired WHERE due <= $1 ORDER BY due LIMIT $2").bind(now.micros()).bind(i64::from(most));
        Ok(rows.fetch_all(&mut *self.tx).await.map_err(map)?.iter().map(|r| r.get(0)).collect())
    }
    /// True if a live segment or the list of retired objects knows this name.
    pub async fn object_known(&mut self, segment: &str) -> Result<bool> {
        let text = "SELECT (SELECT COUNT(*) FROM segments WHERE name = $1) + (SELECT COUNT(*) FROM retired WHERE object LIKE $2)";
        let count: i64 = sqlx::query(text).bind(segment).bind(format!("{segment}%")).fetch_one(&mut *self.tx).await.map_err(map)?.get(0);
        Ok(count > 0)
    }
}

impl WriteTx {
    /// Notes objects before they are written, so that a crash leaves them to be collected from `due` on.
    pub async fn object_stage(&mut self, objects: &[String], due: Timestamp) -> Result<()> {
        for object in objects {
            sqlx::query("INSERT INTO retired (object, due) VALUES ($1, $2)").bind(object).bind(due.micros()).execute(&mut *self.tx).await.map_err(map)?;
        }
        Ok(())
    }
    /// Claims objects for deletion: from the commit on nobody can publish them any more. They stay due until they are forgotten.
    pub async fn object_claim(&mut self, objects: &[String]) -> Result<()> {
        for object in objects {
            sqlx::query("UPDATE retired SET due = -1 WHERE object = $1").bind(object).execute(&mut *self.tx).await.map_err(map)?;
        }
        Ok(())
    }
    /// Forgets objects that were deleted.
    pub async fn object_forget(&mut self, objects: &[String]) -> Result<()> {
        for object in objects {
            sqlx::query("DELETE FROM retired WHERE object = $1").bind(object).execute(&mut *self.tx).await.map_err(map)?;
        }
        Ok(())
    }
    /// Publishes a staged segment in place of batches. False (drop the transaction then) unless every batch is still live
    /// at the generation given and the staged objects were not collected in between.
    pub async fn segment_publish(&mut self, project: ProjectId, log: LogKind, new: &NewSegment, staged: &[String], batches: &[(u64, u64)], now: Timestamp) -> Result<bool> {
        let no = self.project_no(project).await?.ok_or_else(|| Error::not_found("Project"))?;
        if !self.unstage(staged).await? || !self.batch_delete(no, log, batches).await? {
            return Ok(false);
        }
        self.segment_insert(no, log, new, now).await?;
        sqlx::query(
            "UPDATE logs SET hot_batches = hot_batches - $3, hot_events = hot_events - $4, \
             hot_since = CASE WHEN hot_batches = $3 THEN NULL ELSE $5 END WHERE project = $1 AND kind = $2",
        )
        .bind(no)
        .bind(log.code())
        .bind(signed(batches.len() as u64))
        .bind(signed(new.last - new.first + 1))
        .bind(now.micros())
        .execute(&mut *self.tx)
        .await
        .map_err(map)?;
        let left = sqlx::query(
            "UPDATE logs SET hot_bytes = (SELECT CAST(COALESCE(SUM(raw_bytes), 0) AS BIGINT) FROM batches WHERE project = $1 AND kind = $2) WHERE project = $1 AND kind = $2",
        );
        left.bind(no).bind(log.code()).execute(&mut *self.tx).await.map_err(map)?;
        Ok(true)
    }
    /// Publishes a staged segment in place of others, whose objects may be deleted from `due` on. False as for [`WriteTx::segment_publish`].
    pub async fn segment_replace(
        &mut self,
        project: ProjectId,
        log: LogKind,
        new: &NewSegment,
        staged: &[String],
        inputs: &[(u64, u64)],
        retired: &[String],
        (now, due): (Timestamp, Timestamp),
    ) -> Result<bool> {
        let no = self.project_no(project).await?.ok_or_else(|| Error::not_found("Project"))?;
        if !self.unstage(staged).await? {
            return Ok(false);
        }
        for (id, generation) in inputs {
            let done = sqlx::query("DELETE FROM segments WHERE project = $1 AND kind = $2 AND id = $3 AND generation = $4");
            let done = done.bind(no).bind(log.code()).bind(signed(*id)).bind(signed(*generation)).execute(&mut *self.tx).await.map_err(map)?;
            if done.rows_affected() != 1 {
                return Ok(false);
            }
        }
        self.segment_insert(no, log, new, now).await?;
        self.object_stage(retired, due).await?;
        Ok(true)
    }
    async fn unstage(&mut self, staged: &[String]) -> Result<bool> {
        for object in staged {
            let done = sqlx::query("DELETE FROM retired WHERE object = $1 AND due >= 0").bind(object).execute(&mut *self.tx).await.map_err(map)?;
            if done.rows_affected() != 1 {
                return Ok(false);
            }
        }
        Ok(true)
    }
    async fn segment_insert(&mut self, no: i64, log: LogKind, new: &NewSegment, now: Timestamp) -> Result<()> {
        sqlx::query(
            "INSERT INTO segments (project, kind, first, last, generation, version, name, raw_bytes, rows_bytes, columns_bytes, min_occurred, max_occurred, created_at) \
             VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(no)
        .bind(log.code())
        .bind(signed(new.first))
        .bind(signed(new.last))
        .bind(signed(new.version))
        .bind(&new.name)
        .bind(signed(new.raw_bytes))
        .bind(signed(new.rows_bytes))
        .bind(signed(new.columns_bytes))
        .bind(new.min_occurred.micros())
        .bind(new.max_occurred.micros())
        .bind(now.micros())
        .execute(&mut *self.tx)
        .await
        .map_err(map)?;
        Ok(())
    }
}
