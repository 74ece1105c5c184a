//! Walks the positions of a log, front to back or back to front, and cuts them into units.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use indelible_archive::{Segment, Source, Unit};
use indelible_model::query::{Filter, Order, Query};
use indelible_model::{Error, Kind, LogKind, ProjectId, Result};

use super::{RETRIES, Reader, not_gone};
use crate::{in_time, patience};

/// Batches that are looked up at once: a slow reader keeps them decoded.
const BATCHES: u32 = 1;

/// The positions of a unit.
pub(super) fn positions(unit: &Unit) -> Range<u64> {
    unit.position(unit.rows.start)..unit.position(unit.rows.end)
}

/// The rest of a scan.
pub(super) struct Scan {
    reader: Reader,
    project: ProjectId,
    log: LogKind,
    /// Positions that are left.
    left: Range<u64>,
    back: bool,
    /// Times outside of which a segment need not be opened. Expired ones never are: their rows are gone.
    filter: Arc<Filter>,
    segment: Option<(Arc<Segment>, Range<usize>)>,
    batches: VecDeque<Unit>,
}

impl Scan {
    /// Positions of `query` up to the snapshot `head`.
    pub(super) fn new(reader: Reader, project: ProjectId, query: &Query, head: u64) -> Self {
        let end = query.before.map_or(head, |b| head.min(b.saturating_sub(1))) + 1;
        let left = (query.after + 1).min(end)..end;
        Self { reader, project, log: query.log, left, back: query.order == Order::Descending, filter: Arc::new(query.filter.clone()), segment: None, batches: VecDeque::new() }
    }
    /// The next unit of about `target` bytes of lines; `None` at the end.
    pub(super) async fn next(&mut self, target: usize) -> Result<Option<Unit>> {
        loop {
            if let Some((segment, rows)) = &mut self.segment {
                if rows.start >= rows.end {
                    self.segment = None;
                    continue;
                }
                let unit = Unit::cut(segment, rows, target, self.back);
                if self.back {
                    rows.end = unit.rows.start;
                    self.left.end = segment.first() + rows.end as u64;
                } else {
                    rows.start = unit.rows.end;
                    self.left.start = segment.first() + rows.start as u64;
                }
                return Ok(Some(unit));
            }
            if let Some(unit) = self.batches.pop_front() {
                if self.back {
                    self.left.end = unit.position(unit.rows.start);
                } else {
                    self.left.start = unit.position(unit.rows.end);
                }
                return Ok(Some(unit));
            }
            if self.left.start >= self.left.end {
                return Ok(None);
            }
            self.resolve().await?;
        }
    }
    /// Finds what holds the next position: a segment, or batches.
    async fn resolve(&mut self) -> Result<()> {
        let mut left = RETRIES;
        loop {
            match self.look().await {
                Err(e) if e.kind() == Kind::Gone && left > 0 => left -= 1,
                other => return other.map_err(not_gone),
            }
        }
    }
    /// Goes back to before a unit that this scan gave, and looks up anew what holds it.
    pub(super) fn rewind(&mut self, unit: &Range<u64>) {
        self.segment = None;
        self.batches.clear();
        if self.back {
            self.left.end = unit.end;
        } else {
            self.left.start = unit.start;
        }
    }
    async fn look(&mut self) -> Result<()> {
        let (from, to) = (self.left.start, self.left.end - 1);
        let next = if self.back { to } else { from };
        let store = &self.reader.shared.store;
        let (found, rows) = in_time(patience(store), async {
            let mut tx = store.read().await?;
            let found = tx.segment_range(self.project, self.log, next, next, self.back, 1).await?;
            let rows = match (found.is_empty(), self.back) {
                (false, _) => Vec::new(),
                (true, true) => tx.batch_range_back(self.project, self.log, from, to, BATCHES).await?,
                (true, false) => tx.batch_range(self.project, self.log, from, to, BATCHES).await?,
            };
            Ok((found, rows))
        })
        .await?;
        if let Some(row) = found.into_iter().next() {
            let s = &row.segment;
            if row.expired || !self.filter.may_pass_within(s.min_occurred, s.max_occurred) {
                if self.back {
                    self.left.end = s.first.max(from)
                } else {
                    self.left.start = (s.last + 1).min(to + 1)
                }
                return Ok(());
            }
            let segment = self.reader.segment(&row).await?;
            let number = |position: u64| usize::try_from(position - s.first).map_err(Error::internal);
            let rows = number(from.max(s.first))?..number(to.min(s.last))? + 1;
            self.segment = Some((segment, rows));
            return Ok(());
        }
        let mut expected = next;
        for row in rows {
            let (first, last) = (row.batch.first, row.batch.last);
            if expected < first || expected > last {
                return Err(Error::corrupt(format!("position {expected} is in no segment and no batch")));
            }
            let batch = self.reader.batch(row).await?;
            let number = |position: u64| usize::try_from(position - first).map_err(Error::internal);
            let rows = number(from.max(first))?..number(to.min(last))? + 1;
            self.batches.push_back(Unit { source: Source::Batch(batch), rows });
            expected = if self.back { first.saturating_sub(1) } else { last + 1 };
        }
        if self.batches.is_empty() {
            return Err(Error::corrupt(format!("position {next} is in no segment and no batch")));
        }
        Ok(())
    }
}
