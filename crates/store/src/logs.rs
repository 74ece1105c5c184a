//! Log heads and batches: the hot tail of each log.

use indelible_model::{Error, LogKind, ProjectId, Result, Timestamp};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::errors::map;
use crate::{ReadTx, WriteTx, fixed, signed, unsigned};

/// The head of a log: where it ends and what the next event must continue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// The last position; 0 for an empty log.
    pub position: u64,
    /// The last leaf hash; the genesis hash for an empty log.
    pub hash: [u8; 32],
    /// The last event's id; zeros for an empty log.
    pub last_id: [u8; 16],
    /// The last `received_at`.
    pub received_at: Timestamp,
    /// Rows in the hot tail.
    pub hot_batches: u64,
    /// Events in the hot tail.
    pub hot_events: u64,
    /// Bytes of details in the hot tail.
    pub hot_bytes: u64,
}

/// A log and its head.
#[derive(Clone, Debug)]
pub struct LogRow {
    /// The project.
    pub project: ProjectId,
    /// Which log.
    pub kind: LogKind,
    /// Its head.
    pub head: LogHead,
}

/// A batch to be stored. Its two blobs are opaque here.
#[derive(Clone, Debug)]
pub struct NewBatch {
    /// First position.
    pub first: u64,
    /// Last position.
    pub last: u64,
    /// Bytes of details.
    pub raw_bytes: u64,
    /// Least `occurred_at`.
    pub min_occurred: Timestamp,
    /// Greatest `occurred_at`.
    pub max_occurred: Timestamp,
    /// What is made under the lock.
    pub envelope: Vec<u8>,
    /// What is made before the lock.
    pub body: Vec<u8>,
}

/// A stored batch.
#[derive(Clone, Debug)]
pub struct BatchRow {
    /// The row's number: never used twice for different bytes.
    pub id: u64,
    /// Rises when the row's content is replaced.
    pub generation: u64,
    /// The batch.
    pub batch: NewBatch,
}

const HEAD: &str = "SELECT l.head, l.head_hash, l.last_id, l.received_at, l.hot_batches, l.hot_events, l.hot_bytes FROM logs l JOIN projects p ON p.no = l.project WHERE p.id = $1 AND l.kind = $2";
const LOGS: &str = "SELECT l.head, l.head_hash, l.last_id, l.received_at, l.hot_batches, l.hot_events, l.hot_bytes, p.id, l.kind FROM logs l JOIN projects p ON p.no = l.project ORDER BY l.project, l.kind";
const BATCHES: &str = "SELECT id, first, last, generation, raw_bytes, min_occurred, max_occurred, envelope, body FROM batches \
    WHERE project = $1 AND kind = $2 AND first >= $3 AND first <= $4 ORDER BY first LIMIT $5";
/// The batch that holds a position, or the first one after it.
const START: &str = "SELECT COALESCE((SELECT first FROM batches WHERE project = $1 AND kind = $2 AND first <= $3 AND last >= $3 ORDER BY first DESC LIMIT 1), $3)";
const BEFORE: &str = "SELECT id, first, last, generation, raw_bytes, min_occurred, max_occurred, envelope, body FROM batches \
    WHERE project = $1 AND kind = $2 AND first <= $3 AND last >= $4 ORDER BY first DESC LIMIT $5";

fn head(row: &SqliteRow) -> Result<LogHead> {
    Ok(LogHead {
        position: unsigned(row.get(0)),
        hash: fixed(row.get(1))?,
        last_id: fixed(row.get(2))?,
        received_at: Timestamp::clamped(row.get(3)),
        hot_batches: unsigned(row.get(4)),
        hot_events: unsigned(row.get(5)),
        hot_bytes: unsigned(row.get(6)),
    })
}

fn batch(row: &SqliteRow) -> BatchRow {
    BatchRow {
        id: unsigned(row.get(0)),
        generation: unsigned(row.get(3)),
        batch: NewBatch {
            first: unsigned(row.get(1)),
            last: unsigned(row.get(2)),
            raw_bytes: unsigned(row.get(4)),
            min_occurred: Timestamp::clamped(row.get(5)),
            max_occurred: Timestamp::clamped(row.get(6)),
            envelope: row.get(7),
            body: row.get(8),
        },
    }
}

impl ReadTx {
    /// A log's head; `None` for a log without events.
    pub async fn log_head(&mut self, project: ProjectId, log: LogKind) -> Result<Option<LogHead>> {
        let row = sqlx::query(HEAD).bind(&project.0[..]).bind(log.code()).fetch_optional(&mut *self.tx).await.map_err(map)?;
        row.as_ref().map(head).transpose()
    }
    /// All logs that have events.
    pub async fn log_list(&mut self) -> Result<Vec<LogRow>> {
        let rows = sqlx::query(LOGS).fetch_all(&mut *self.tx).await.map_err(map)?;
        let one = |r: &SqliteRow| {
            let kind = LogKind::from_code(r.get(8)).ok_or_else(|| Error::corrupt("unknown kind of log"))?;
            Ok(LogRow { project: ProjectId(fixed(r.get(7))?), kind, head: head(r)? })
        };
        rows.iter().map(one).collect()
    }
    /// Events and bytes in the batches of all logs.
    pub async fn log_hot_totals(&mut self) -> Result<(u64, u64)> {
        let text = "SELECT CAST(COALESCE(SUM(hot_events), 0) AS BIGINT), CAST(COALESCE(SUM(hot_bytes), 0) AS BIGINT) FROM logs";
        let row = sqlx::query(text).fetch_one(&mut *self.tx).await.map_err(map)?;
        Ok((unsigned(row.get(0)), unsigned(row.get(1))))
    }
    /// Up to `most` batches that hold positions `from..=to`, in order.
    pub async fn batch_range(&mut self, project: ProjectId, log: LogKind, from: u64, to: u64, most: u32) -> Result<Vec<BatchRow>> {
        let Some(no) = self.project_no(project).await? else { return Ok(Vec::new()) };
        let start: i64 = sqlx::query(START).bind(no).bind(log.code()).bind(signed(from)).fetch_one(&mut *self.tx).await.map_err(map)?.get(0);
        let rows = sqlx::query(BATCHES).bind(no).bind(log.code()).bind(start).bind(signed(to)).bind(i64::from(most));
        Ok(rows.fetch_all(&mut *self.tx).await.map_err(map)?.iter().map(batch).collect())
    }
    /// Up to `most` batches that hold positions `from..=to`, last one first.
    pub async fn batch_range_back(&mut self, project: ProjectId, log: LogKind, from: u64, to: u64, most: u32) -> Result<Vec<BatchRow>> {
        let Some(no) = self.project_no(project).await? else { return Ok(Vec::new()) };
        let rows = sqlx::query(BEFORE).bind(no).bind(log.code()).bind(signed(to)).bind(signed(from)).bind(i64::from(most));
        Ok(rows.fetch_all(&mut *self.tx).await.map_err(map)?.iter().map(batch).collect())
    }
    /// The logs whose hot tail began before `since`.
    pub async fn log_list_hot_since(&mut self, since: Timestamp, most: u32) -> Result<Vec<(ProjectId, LogKind)>> {
        let rows = sqlx::query("SELECT p.id, l.kind FROM logs l JOIN projects p ON p.no = l.project WHERE l.hot_since < $1 ORDER BY l.hot_since LIMIT $2");
        let rows = rows.bind(since.micros()).bind(i64::from(most)).fetch_all(&mut *self.tx).await.map_err(map)?;
        rows.iter().map(|r| Ok((ProjectId(fixed(r.get(0))?), LogKind::from_code(r.get(1)).ok_or_else(|| Error::corrupt("unknown kind of log"))?))).collect()
    }
}

impl WriteTx {
    /// Appends batches and moves the head, in one step. The batches must follow the head that this transaction read, without gaps.
    pub async fn log_append(&mut self, project: ProjectId, log: LogKind, batches: &[NewBatch], head: &LogHead, now: Timestamp) -> Result<()> {
        let no = self.project_no(project).await?.ok_or_else(|| Error::not_found("Project"))?;
        for batch in batches {
            self.batch_insert(no, log, batch).await?;
        }
        sqlx::query(
            "INSERT INTO logs (project, kind, head, head_hash, last_id, received_at, hot_batches, hot_events, hot_bytes, hot_since) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT (project, kind) DO UPDATE SET head = excluded.head, head_hash = excluded.head_hash, last_id = excluded.last_id, received_at = excluded.received_at, \
             hot_batches = excluded.hot_batches, hot_events = excluded.hot_events, hot_bytes = excluded.hot_bytes, hot_since = COALESCE(logs.hot_since, excluded.hot_since)",
        )
        .bind(no)
        .bind(log.code())
        .bind(signed(head.position))
        .bind(&head.hash[..])
        .bind(&head.last_id[..])
        .bind(head.received_at.micros())
        .bind(signed(head.hot_batches))
        .bind(signed(head.hot_events))
        .bind(signed(head.hot_bytes))
        .bind(now.micros())
        .execute(&mut *self.tx)
        .await
        .map_err(map)?;
        Ok(())
    }
    /// Replaces batches by one with the same positions. False, and nothing changes, unless every one is still live at the generation given.
    pub async fn batch_merge(&mut self, project: ProjectId, log: LogKind, inputs: &[(u64, u64)], merged: &NewBatch) -> Result<bool> {
        let no = self.project_no(project).await?.ok_or_else(|| Error::not_found("Project"))?;
        if !self.batch_delete(no, log, inputs).await? {
            return Ok(false);
        }
        self.batch_insert(no, log, merged).await?;
        let fewer = signed(inputs.len() as u64 - 1);
        sqlx::query("UPDATE logs SET hot_batches = hot_batches - $3 WHERE project = $1 AND kind = $2")
            .bind(no)
            .bind(log.code())
            .bind(fewer)
            .execute(&mut *self.tx)
            .await
            .map_err(map)?;
        Ok(true)
    }
    async fn batch_insert(&mut self, no: i64, log: LogKind, b: &NewBatch) -> Result<()> {
        sqlx::query(
            "INSERT INTO batches (project, kind, first, last, generation, raw_bytes, min_occurred, max_occurred, envelope, body) VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9)",
        )
        .bind(no)
        .bind(log.code())
        .bind(signed(b.first))
        .bind(signed(b.last))
        .bind(signed(b.raw_bytes))
        .bind(b.min_occurred.micros())
        .bind(b.max_occurred.micros())
        .bind(&b.envelope[..])
        .bind(&b.body[..])
        .execute(&mut *self.tx)
        .await
        .map_err(map)?;
        Ok(())
    }
    /// Deletes batches at the generations given; false if one is gone or changed (the transaction must then be dropped).
    pub(crate) async fn batch_delete(&mut self, no: i64, log: LogKind, inputs: &[(u64, u64)]) -> Result<bool> {
        for (id, generation) in inputs {
            let done = sqlx::query("DELETE FROM batches WHERE project = $1 AND kind = $2 AND id = $3 AND generation = $4");
            let done = done.bind(no).bind(log.code()).bind(signed(*id)).bind(signed(*generation)).execute(&mut *self.tx).await.map_err(map)?;
            if done.rows_affected() != 1 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
