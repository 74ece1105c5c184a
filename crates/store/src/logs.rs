//! Log heads and batches: the hot tail of each log.

use indelible_model::{Error, LogKind, ProjectId, Result, Timestamp};

use crate::db::{Arg, CHUNK, Row, args, padded, tuples};
use crate::{ReadTx, WriteTx, errors, log_kind, signed};

/// Batches in one statement: their blobs are large.
const BATCH_CHUNK: usize = 16;

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
    /// The month of the last event, as months since the year 0.
    pub month: u64,
    /// How much of the position does not count in that month: the events before it, and the server's own of it.
    pub month_base: u64,
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

const HEAD: &str = "SELECT l.head, l.head_hash, l.last_id, l.received_at, l.hot_batches, l.hot_events, l.hot_bytes, l.quota_month, l.quota_base FROM logs l JOIN projects p ON p.no = l.project \
    WHERE p.id = $1 AND l.kind = $2 AND l.head > 0";
const LOGS: &str = "SELECT l.head, l.head_hash, l.last_id, l.received_at, l.hot_batches, l.hot_events, l.hot_bytes, l.quota_month, l.quota_base, p.id, l.kind FROM logs l JOIN projects p ON p.no = l.project \
    WHERE l.head > 0 ORDER BY l.project, l.kind";
const PROJECT_LOGS: &str = "SELECT head, head_hash, last_id, received_at, hot_batches, hot_events, hot_bytes, quota_month, quota_base, kind, hot_since FROM logs \
    WHERE project = (SELECT no FROM projects WHERE id = $1)";

const DUE: &str = "SELECT p.id, l.kind FROM logs l JOIN projects p ON p.no = l.project WHERE l.hot_since IS NOT NULL \
    AND (l.hot_since < $2 OR l.hot_bytes >= $3 OR l.hot_since < $1 - 86400000000 * (SELECT r.days FROM retention r WHERE r.project = l.project AND r.kind = l.kind)) ORDER BY l.hot_since, l.project, l.kind LIMIT $4";
const HOTTEST: &str = "SELECT p.id, l.kind FROM logs l JOIN projects p ON p.no = l.project WHERE l.hot_batches > 0 ORDER BY l.hot_bytes DESC, l.project, l.kind LIMIT $1";

/// What lies at positions `$3..=$4` of a log: runs that do not overlap, found from the last one that begins at or before `$3`.
macro_rules! span {
    ($table:literal, $columns:literal, $order:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM ",
            $table,
            " WHERE project = (SELECT no FROM projects WHERE id = $1) AND kind = $2 AND first <= $4 AND last >= $3 \
             AND first >= COALESCE((SELECT first FROM ",
            $table,
            " WHERE project = (SELECT no FROM projects WHERE id = $1) AND kind = $2 AND first <= $3 \
             ORDER BY first DESC LIMIT 1), $3) ORDER BY first ",
            $order,
            " LIMIT $5"
        )
    };
}
pub(crate) use span;

const BATCHES: &str = span!("batches", "id, first, last, generation, raw_bytes, min_occurred, max_occurred, envelope, body", "ASC");
const BATCHES_BACK: &str = span!("batches", "id, first, last, generation, raw_bytes, min_occurred, max_occurred, envelope, body", "DESC");

fn head(row: &Row) -> Result<LogHead> {
    Ok(LogHead {
        position: row.count(0)?,
        hash: row.fixed(1)?,
        last_id: row.fixed(2)?,
        received_at: Timestamp::clamped(row.get(3)?),
        hot_batches: row.count(4)?,
        hot_events: row.count(5)?,
        hot_bytes: row.count(6)?,
        month: row.count(7)?,
        month_base: row.count(8)?,
    })
}

fn logs(rows: &[Row]) -> Result<Vec<(ProjectId, LogKind)>> {
    rows.iter().map(|r| Ok((ProjectId(r.fixed(0)?), log_kind(r.get(1)?)?))).collect()
}

fn batch(row: &Row) -> Result<BatchRow> {
    Ok(BatchRow {
        id: row.count(0)?,
        generation: row.count(3)?,
        batch: NewBatch {
            first: row.count(1)?,
            last: row.count(2)?,
            raw_bytes: row.count(4)?,
            min_occurred: Timestamp::clamped(row.get(5)?),
            max_occurred: Timestamp::clamped(row.get(6)?),
            envelope: row.get(7)?,
            body: row.get(8)?,
        },
    })
}

impl ReadTx {
    /// A log's head; `None` for a log without events.
    pub async fn log_head(&mut self, project: ProjectId, log: LogKind) -> Result<Option<LogHead>> {
        self.conn.optional(HEAD, args![&project.0, log.code()]).await?.as_ref().map(head).transpose()
    }
    /// All logs that have events.
    pub async fn log_list(&mut self) -> Result<Vec<LogRow>> {
        let one = |r: &Row| Ok(LogRow { project: ProjectId(r.fixed(9)?), kind: log_kind(r.get(10)?)?, head: head(r)? });
        self.conn.whole(LOGS, args![]).await?.iter().map(one).collect()
    }
    /// The project's logs that have events, and since when each has a hot tail.
    pub async fn log_rows(&mut self, project: ProjectId) -> Result<Vec<(LogKind, LogHead, Option<Timestamp>)>> {
        let rows = self.conn.all(format!("{PROJECT_LOGS} AND head > 0 ORDER BY kind"), args![&project.0]).await?;
        rows.iter().map(|r| Ok((log_kind(r.get(9)?)?, head(r)?, r.get::<Option<i64>>(10)?.map(Timestamp::clamped)))).collect()
    }
    /// Events and bytes in the batches of all logs.
    pub async fn log_hot_totals(&mut self) -> Result<(u64, u64)> {
        let row = self.conn.one("SELECT CAST(COALESCE(SUM(hot_events), 0) AS BIGINT), CAST(COALESCE(SUM(hot_bytes), 0) AS BIGINT) FROM logs", args![]).await?;
        Ok((row.count(0)?, row.count(1)?))
    }
    /// Up to `most` batches that hold positions `from..=to`, in order.
    pub async fn batch_range(&mut self, project: ProjectId, log: LogKind, from: u64, to: u64, most: u32) -> Result<Vec<BatchRow>> {
        self.conn.all(BATCHES, args![&project.0, log.code(), signed(from), signed(to), i64::from(most)]).await?.iter().map(batch).collect()
    }
    /// Up to `most` batches that hold positions `from..=to`, last one first.
    pub async fn batch_range_back(&mut self, project: ProjectId, log: LogKind, from: u64, to: u64, most: u32) -> Result<Vec<BatchRow>> {
        self.conn.all(BATCHES_BACK, args![&project.0, log.code(), signed(from), signed(to), i64::from(most)]).await?.iter().map(batch).collect()
    }
    /// Up to `most` logs whose hot tail must be sealed, by project and kind: it began before `hot_before`, or has `seal_bytes`, or began longer ago than its
    /// events are kept. The oldest tails are chosen.
    pub async fn log_list_due(&mut self, now: Timestamp, hot_before: Timestamp, seal_bytes: u64, most: u32) -> Result<Vec<(ProjectId, LogKind)>> {
        let values = args![now.micros(), hot_before.micros(), signed(seal_bytes), i64::from(most)];
        let mut due = logs(&self.conn.all(DUE, values).await?)?;
        due.sort_unstable_by_key(|(project, log)| (project.0, log.code()));
        Ok(due)
    }
    /// Up to `most` logs that have a hot tail, most bytes first.
    pub async fn log_list_hottest(&mut self, most: u32) -> Result<Vec<(ProjectId, LogKind)>> {
        logs(&self.conn.all(HOTTEST, args![i64::from(most)]).await?)
    }
}

/// Transactions lock in one order, so that none waits in a circle: staged objects, batches by number, segments by number, the rows of a project's logs
/// by kind, tasks. Appends begin at the logs and only add batches; a seal, merge or compaction, which may have thousands of batches to delete, comes to
/// the head last and holds it shortly. What it changes there is relative, for the head may have moved since it read.
impl WriteTx {
    /// The heads of all logs of a project, locked until the transaction ends: who appends to it, or looks up its duplicates, comes here first.
    /// `genesis` has the first hash of every kind of log, and logs that are not there yet begin with it. `None` if another held them for too long
    /// (a second): the transaction is of no more use then and must be dropped, but a new one may try again.
    pub async fn log_lock(&mut self, project: ProjectId, genesis: &[(LogKind, [u8; 32])]) -> Result<Option<Vec<(LogKind, LogHead)>>> {
        match self.lock_heads(project, genesis).await {
            Err(_) if self.conn.locked_out() => Ok(None),
            heads => heads.map(Some),
        }
    }
    async fn lock_heads(&mut self, project: ProjectId, genesis: &[(LogKind, [u8; 32])]) -> Result<Vec<(LogKind, LogHead)>> {
        let text = format!("{PROJECT_LOGS} ORDER BY kind{}", self.conn.locking(" FOR UPDATE"));
        let mut rows = self.conn.all(text.clone(), args![&project.0]).await?;
        if rows.len() < genesis.len() {
            let mut args = vec![Arg::from(&project.0), Arg::from(&[0; 16])];
            for (log, hash) in genesis {
                args.extend([Arg::from(log.code()), Arg::from(hash)]);
            }
            let add = format!(
                "INSERT INTO logs (project, kind, head, head_hash, last_id, received_at, hot_batches, hot_events, hot_bytes) \
                 SELECT p.no, v.column1, 0, v.column2, $2, 0, 0, 0, 0 FROM projects p, (VALUES {}) v WHERE p.id = $1 ORDER BY v.column1 ON CONFLICT DO NOTHING",
                tuples(3, 2, genesis.len())
            );
            self.conn.run(add, &args).await?;
            rows = self.conn.all(text, args![&project.0]).await?;
        }
        if rows.is_empty() {
            return Err(Error::not_found("Project"));
        }
        rows.iter().map(|r| Ok((log_kind(r.get(9)?)?, head(r)?))).collect()
    }
    /// Appends batches and moves the head, in one step. The batches must follow the head that [`WriteTx::log_lock`] gave, without gaps: otherwise an error of `Kind::Conflict`.
    pub async fn log_append(&mut self, project: ProjectId, log: LogKind, batches: &[NewBatch], head: &LogHead, now: Timestamp) -> Result<()> {
        let Some(before) = batches.first().map(|b| b.first.saturating_sub(1)) else { return Ok(()) };
        self.batches_restore(project, log, batches).await?;
        let text = "UPDATE logs SET head = $3, head_hash = $4, last_id = $5, received_at = $6, hot_batches = $7, hot_events = $8, hot_bytes = $9, hot_since = COALESCE(hot_since, $10), \
             quota_month = $12, quota_base = $13 WHERE project = (SELECT no FROM projects WHERE id = $1) AND kind = $2 AND head = $11";
        let moved = args![
            &project.0,
            log.code(),
            signed(head.position),
            &head.hash,
            &head.last_id,
            head.received_at.micros(),
            signed(head.hot_batches),
            signed(head.hot_events),
            signed(head.hot_bytes),
            now.micros(),
            signed(before),
            signed(head.month),
            signed(head.month_base),
        ];
        if self.conn.run(text, moved).await? == 1 { Ok(()) } else { Err(errors::conflict().with_internal("the batches do not follow the log's head")) }
    }
    /// Replaces batches by one with the same positions. False, and the transaction must be dropped, unless every one is still live at the generation given.
    pub async fn batch_merge(&mut self, project: ProjectId, log: LogKind, inputs: &[(u64, u64)], merged: &NewBatch) -> Result<bool> {
        let Some(bytes) = self.take_batches(project, log, inputs).await? else { return Ok(false) };
        self.batches_restore(project, log, std::slice::from_ref(merged)).await?;
        let text = "UPDATE logs SET hot_batches = hot_batches - $3, hot_bytes = hot_bytes - $4 WHERE project = (SELECT no FROM projects WHERE id = $1) AND kind = $2";
        let (fewer, less) = (signed(inputs.len() as u64) - 1, signed(bytes) - signed(merged.raw_bytes));
        self.conn.run(text, args![&project.0, log.code(), fewer, less]).await?;
        Ok(true)
    }
    /// Stores rows of batches and leaves the head as it is.
    pub async fn batches_restore(&mut self, project: ProjectId, log: LogKind, batches: &[NewBatch]) -> Result<()> {
        for chunk in batches.chunks(BATCH_CHUNK) {
            let mut args = vec![Arg::from(&project.0), Arg::from(log.code())];
            let mut rows = Vec::new();
            for b in chunk {
                let next = args.len() + 1;
                args.extend([Arg::from(signed(b.first)), Arg::from(signed(b.last)), Arg::from(signed(b.raw_bytes))]);
                args.extend([Arg::from(b.min_occurred.micros()), Arg::from(b.max_occurred.micros()), Arg::from(&b.envelope), Arg::from(&b.body)]);
                let list: Vec<_> = (next..=args.len()).map(|n| format!("${n}")).collect();
                rows.push(format!("((SELECT no FROM projects WHERE id = $1), $2, 1, {})", list.join(", ")));
            }
            // Values by themselves, for SQLite copies those of a table expression once more.
            let columns = "project, kind, generation, first, last, raw_bytes, min_occurred, max_occurred, envelope, body";
            self.conn.run(format!("INSERT INTO batches ({columns}) VALUES {}", rows.join(", ")), &args).await?;
        }
        Ok(())
    }
    /// Deletes batches at the generations given, and tells their bytes; `None` if one is gone or changed (the transaction must then be dropped).
    pub(crate) async fn take_batches(&mut self, project: ProjectId, log: LogKind, inputs: &[(u64, u64)]) -> Result<Option<u64>> {
        self.take("batches", project, log, inputs).await
    }
    pub(crate) async fn take(&mut self, table: &'static str, project: ProjectId, log: LogKind, inputs: &[(u64, u64)]) -> Result<Option<u64>> {
        let mut inputs = inputs.to_vec();
        inputs.sort_unstable();
        let mut bytes = 0;
        for chunk in inputs.chunks(CHUNK) {
            let mut args = vec![Arg::from(&project.0), Arg::from(log.code())];
            for (id, generation) in padded(chunk) {
                args.extend([Arg::from(signed(*id)), Arg::from(signed(*generation))]);
            }
            let text = format!(
                "DELETE FROM {table} WHERE id IN (SELECT t.id FROM (VALUES {}) v JOIN {table} t ON t.id = v.column1 AND t.generation = v.column2 \
                 WHERE t.project = (SELECT no FROM projects WHERE id = $1) AND t.kind = $2 ORDER BY t.id{}) RETURNING raw_bytes",
                tuples(3, 2, args.len() / 2 - 1),
                self.conn.locking(" FOR UPDATE OF t")
            );
            let gone = self.conn.all(text, &args).await?;
            if gone.len() != chunk.len() {
                return Ok(None);
            }
            for row in &gone {
                bytes += row.count(0)?;
            }
        }
        Ok(Some(bytes))
    }
}
