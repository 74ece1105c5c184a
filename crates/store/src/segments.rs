//! The manifest of segments.

use indelible_model::{Error, HoldId, LogKind, ProjectId, Result, Timestamp};

use crate::db::{Row, args};
use crate::logs::span;
use crate::{ReadTx, WriteTx, signed};

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
    /// Greatest `received_at`.
    pub max_received: Timestamp,
}

/// A segment of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    /// The row's number.
    pub id: u64,
    /// Rises when the segment's content is replaced.
    pub generation: u64,
    /// Retention took its rows; its hashes are there still.
    pub expired: bool,
    /// A legal hold that keeps it beyond its time, once that was found out.
    pub held: Option<HoldId>,
    /// When it was published.
    pub created_at: Timestamp,
    /// The segment.
    pub segment: NewSegment,
}

/// Their columns.
macro_rules! segments {
    ($order:literal) => {
        span!(
            "segments",
            "id, generation, first, last, version, name, raw_bytes, rows_bytes, columns_bytes, min_occurred, max_occurred, max_received, expired, created_at, held",
            $order
        )
    };
}

const RANGE: &str = segments!("ASC");
const RANGE_BACK: &str = segments!("DESC");
const EXPIRABLE: &str = "SELECT id, generation, first, last, version, name, raw_bytes, rows_bytes, columns_bytes, min_occurred, max_occurred, max_received, expired, created_at, held \
    FROM segments WHERE project = (SELECT no FROM projects WHERE id = $1) AND kind = $2 AND expired = 0 AND held IS NULL AND max_received < $3 \
    AND (max_occurred < $3 OR max_received < $3 - 86400000000) AND first >= $4 ORDER BY first LIMIT $5";
const FIRST_LIVE: &str = "SELECT first FROM segments WHERE project = (SELECT no FROM projects WHERE id = $1) AND kind = $2 AND expired = 0 ORDER BY first LIMIT 1";
const LAST_EXPIRED: &str = "SELECT id, generation, first, last, version, name, raw_bytes, rows_bytes, columns_bytes, min_occurred, max_occurred, max_received, expired, created_at, held \
    FROM segments WHERE project = (SELECT no FROM projects WHERE id = $1) AND kind = $2 AND expired = 1 AND first < $3 ORDER BY first DESC LIMIT 1";

fn segment(row: &Row) -> Result<SegmentRow> {
    Ok(SegmentRow {
        id: row.count(0)?,
        generation: row.count(1)?,
        expired: row.count(12)? != 0,
        created_at: Timestamp::clamped(row.get(13)?),
        held: row.maybe_fixed(14)?.map(HoldId),
        segment: NewSegment {
            first: row.count(2)?,
            last: row.count(3)?,
            version: row.count(4)?,
            name: row.get(5)?,
            raw_bytes: row.count(6)?,
            rows_bytes: row.count(7)?,
            columns_bytes: row.count(8)?,
            min_occurred: Timestamp::clamped(row.get(9)?),
            max_occurred: Timestamp::clamped(row.get(10)?),
            max_received: Timestamp::clamped(row.get(11)?),
        },
    })
}

impl ReadTx {
    /// Up to `most` segments, expired ones too, that hold positions `from..=to`, in order (`back`: last one first). In a glance ask for a thousand
    /// at most: a statement by itself has four seconds.
    pub async fn segment_range(&mut self, project: ProjectId, log: LogKind, from: u64, to: u64, back: bool, most: u32) -> Result<Vec<SegmentRow>> {
        let text = if back { RANGE_BACK } else { RANGE };
        self.conn.all(text, args![&project.0, log.code(), signed(from), signed(to), i64::from(most)]).await?.iter().map(segment).collect()
    }
    /// How many live segments there are, and how many events in them; expired ones do not count.
    pub async fn segment_totals(&mut self) -> Result<(u64, u64)> {
        let row = self.conn.whole("SELECT COUNT(*), CAST(COALESCE(SUM(last - first + 1), 0) AS BIGINT) FROM segments WHERE expired = 0", args![]).await?;
        row.first().map_or(Ok((0, 0)), |row| Ok((row.count(0)?, row.count(1)?)))
    }
    /// Up to `most` live segments of a log from position `from` on, all of whose events were received, and occurred, before `cut` (or were received one day before that,
    /// whatever they claim), and that no hold was found to keep.
    pub async fn segment_list_expirable(&mut self, project: ProjectId, log: LogKind, cut: Timestamp, from: u64, most: u32) -> Result<Vec<SegmentRow>> {
        let values = args![&project.0, log.code(), cut.micros(), signed(from), i64::from(most)];
        self.conn.all(EXPIRABLE, values).await?.iter().map(segment).collect()
    }
    /// The last segment of the run of expired ones that a log begins with.
    pub async fn segment_last_expired(&mut self, project: ProjectId, log: LogKind) -> Result<Option<SegmentRow>> {
        let live = self.conn.optional(FIRST_LIVE, args![&project.0, log.code()]).await?.map(|r| r.get(0)).transpose()?.unwrap_or(i64::MAX);
        self.conn.optional(LAST_EXPIRED, args![&project.0, log.code(), live]).await?.as_ref().map(segment).transpose()
    }
    /// How many positions of a log lie in expired segments.
    pub async fn expired_events(&mut self, project: ProjectId, log: LogKind) -> Result<u64> {
        let text = "SELECT CAST(COALESCE(SUM(last - first + 1), 0) AS BIGINT) FROM segments WHERE project = (SELECT no FROM projects WHERE id = $1) AND kind = $2 AND expired = 1";
        self.conn.one(text, args![&project.0, log.code()]).await?.count(0)
    }
}

impl WriteTx {
    /// Publishes a staged segment in place of batches. False (drop the transaction then) unless every batch is still live
    /// at the generation given and the staged objects were not collected in between.
    pub async fn segment_publish(&mut self, project: ProjectId, log: LogKind, new: &NewSegment, staged: &[String], batches: &[(u64, u64)], now: Timestamp) -> Result<bool> {
        if !self.unstage(staged).await? {
            return Ok(false);
        }
        let Some(bytes) = self.take_batches(project, log, batches).await? else { return Ok(false) };
        self.segment_insert(project, log, new, now).await?;
        let text = "UPDATE logs SET hot_batches = hot_batches - $3, hot_events = hot_events - $4, hot_bytes = CASE WHEN hot_batches = $3 THEN 0 ELSE hot_bytes - $5 END, \
             hot_since = CASE WHEN hot_batches = $3 THEN NULL ELSE $6 END WHERE project = (SELECT no FROM projects WHERE id = $1) AND kind = $2";
        let less = args![&project.0, log.code(), signed(batches.len() as u64), signed(new.last - new.first + 1), signed(bytes), now.micros()];
        self.conn.run(text, less).await?;
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
        if !self.unstage(staged).await? || self.take("segments", project, log, inputs).await?.is_none() {
            return Ok(false);
        }
        self.segment_insert(project, log, new, now).await?;
        self.object_stage(retired, due).await?;
        Ok(true)
    }
    /// Retention takes the rows of a segment: it stays as expired, at its next generation, and the objects named may be deleted from `due` on.
    /// False, and nothing changes, if it is not live at the generation given.
    pub async fn segment_expire(&mut self, project: ProjectId, log: LogKind, (id, generation): (u64, u64), retired: &[String], due: Timestamp) -> Result<bool> {
        let text = "UPDATE segments SET expired = 1, held = NULL, generation = generation + 1, rows_bytes = 0, columns_bytes = 0 \
             WHERE project = (SELECT no FROM projects WHERE id = $1) AND kind = $2 AND id = $3 AND generation = $4 AND expired = 0";
        if self.conn.run(text, args![&project.0, log.code(), signed(id), signed(generation)]).await? != 1 {
            return Ok(false);
        }
        self.object_stage(retired, due).await?;
        Ok(true)
    }
    /// Stores a row of the manifest as it was elsewhere, under a number of its own.
    pub async fn segment_restore(&mut self, project: ProjectId, log: LogKind, row: &SegmentRow) -> Result<()> {
        let new = &row.segment;
        let text = "INSERT INTO segments (project, kind, first, last, generation, version, name, raw_bytes, rows_bytes, columns_bytes, min_occurred, max_occurred, max_received, expired, created_at, held) \
             SELECT no, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16 FROM projects WHERE id = $1";
        let values = args![
            &project.0,
            log.code(),
            signed(new.first),
            signed(new.last),
            signed(row.generation),
            signed(new.version),
            &new.name,
            signed(new.raw_bytes),
            signed(new.rows_bytes),
            signed(new.columns_bytes),
            new.min_occurred.micros(),
            new.max_occurred.micros(),
            new.max_received.micros(),
            i64::from(row.expired),
            row.created_at.micros(),
            row.held.as_ref().map(|h| &h.0[..]),
        ];
        if self.conn.run(text, values).await? == 1 { Ok(()) } else { Err(Error::not_found("Project")) }
    }
    async fn segment_insert(&mut self, project: ProjectId, log: LogKind, new: &NewSegment, now: Timestamp) -> Result<()> {
        self.segment_restore(project, log, &SegmentRow { id: 0, generation: 1, expired: false, held: None, created_at: now, segment: new.clone() }).await
    }
}
