//! Pages and counts: selection on columns first, then only the lines that are wanted.

use std::collections::VecDeque;
use std::sync::Arc;

use indelible_archive::{Selected, Unit};
use indelible_model::query::{Order, Query};
use indelible_model::{Error, Filter, LogKind, ProjectId, Result};
use tokio::task::JoinHandle;

use super::gather::Gather;
use super::scan::Scan;
use super::{RETRIES, Reader, anew, not_gone};
use crate::Service;
use crate::budget::Reservation;
use crate::caller::{Caller, Reading};

/// Bytes of lines of a unit whose rows are only selected: a whole row group.
const SELECT_BYTES: usize = 16 << 20;
/// Events of a page at most.
const PAGE_EVENTS: u64 = 1000;
/// Bytes of a page's lines at most, unless its first one is longer.
pub(super) const PAGE_BYTES: usize = 8 << 20;

/// Some events in the order asked for: as many as were asked for, or fewer where they are large (8 MiB of lines).
#[derive(Debug, Default)]
pub struct Page {
    /// Stored lines without line feeds.
    pub lines: Vec<Vec<u8>>,
    /// True if more would follow.
    pub has_more: bool,
    /// Position of the last one.
    pub last_position: Option<u64>,
    /// The room that its lines take. It goes on with what is made of them, until that was sent.
    pub held: Vec<Reservation>,
}

/// A unit and those of its rows that pass, in the making.
type Job = JoinHandle<Result<(Unit, Arc<Selected>)>>;

/// Units with the rows of them that pass, in order, selected ahead in parallel.
struct Selection {
    reader: Reader,
    scan: Scan,
    filter: Arc<Filter>,
    text: Arc<str>,
    ahead: VecDeque<Job>,
    ended: bool,
}

impl Selection {
    fn new(reader: &Reader, project: ProjectId, query: &Query, head: u64) -> Self {
        let filter = Arc::new(query.filter.clone());
        let text = format!("{filter:?}").into();
        Self { reader: reader.clone(), scan: Scan::new(reader.clone(), project, query, head), filter, text, ahead: VecDeque::new(), ended: false }
    }
    async fn next(&mut self) -> Result<Option<(Unit, Arc<Selected>)>> {
        if self.filter.is_empty() {
            // The first few rows are all that a page wants.
            return Ok(self.scan.next(1).await?.map(|unit| (unit, Arc::new(Selected::All))));
        }
        while !self.ended && self.ahead.len() <= self.reader.shared.worker_count {
            match self.scan.next(SELECT_BYTES).await? {
                None => self.ended = true,
                Some(unit) => {
                    let (reader, filter, text) = (self.reader.clone(), Arc::clone(&self.filter), Arc::clone(&self.text));
                    self.ahead.push_back(tokio::spawn(async move { reader.select(unit, filter, text).await }));
                }
            }
        }
        match self.ahead.pop_front() {
            Some(job) => job.await.map_err(Error::internal)?.map(Some),
            None => Ok(None),
        }
    }
}

impl Drop for Selection {
    fn drop(&mut self) {
        self.ahead.iter().for_each(JoinHandle::abort);
    }
}

impl Service {
    /// The events of a query after `skip`, up to `limit` (at most a thousand) and 8 MiB of lines. [`indelible_model::Kind::Unavailable`] if there is no room for even the first one.
    pub async fn page<P: Reading>(&self, caller: &Caller<P>, mut query: Query) -> Result<Page> {
        caller.grant().may_read(query.log)?;
        query.filter = caller.grant().narrow(query.filter);
        anew!(self.inner.reader, self.page_once(caller, &query))
    }
    async fn page_once<P: Reading>(&self, caller: &Caller<P>, query: &Query) -> Result<Page> {
        let head = self.inner.reader.head(caller.project(), query.log).await?;
        let limit = usize::try_from(query.limit.unwrap_or(PAGE_EVENTS).min(PAGE_EVENTS)).map_err(Error::internal)?;
        let back = query.order == Order::Descending;
        let mut skip = usize::try_from(query.skip).unwrap_or(usize::MAX);
        let mut selection = Selection::new(&self.inner.reader, caller.project(), query, head);
        let mut gather = Gather::new(&self.inner.reader, back);
        let (mut taken, mut more) = (0, false);
        while let Some((unit, selected)) = selection.next().await? {
            let count = selected.count(&unit);
            if skip >= count {
                skip -= count;
                continue;
            }
            let mut rows = match &*selected {
                Selected::All => unit.rows.clone().collect(),
                Selected::Rows(rows) => rows.clone(),
            };
            if back {
                rows.reverse();
            }
            rows.drain(..std::mem::take(&mut skip));
            more = rows.len() > limit - taken;
            rows.truncate(limit - taken);
            taken += rows.len();
            if !gather.push(&unit, &rows).await? || more {
                break;
            }
        }
        gather.finish(more).await
    }

    /// How many events match, whatever skip and limit say.
    pub async fn count<P: Reading>(&self, caller: &Caller<P>, query: &Query) -> Result<u64> {
        caller.grant().may_read(query.log)?;
        let range = (query.after + 1, query.before.map_or(u64::MAX, |b| b.saturating_sub(1)));
        self.matching(caller.project(), query.log, &caller.grant().narrow(query.filter.clone()), range, u64::MAX).await
    }
    /// How many events at positions `from..=to` match; counting ends when `most` are found.
    pub(crate) async fn matching(&self, project: ProjectId, log: LogKind, filter: &Filter, range: (u64, u64), most: u64) -> Result<u64> {
        anew!(self.inner.reader, self.matching_once(project, log, filter, range, most))
    }
    async fn matching_once(&self, project: ProjectId, log: LogKind, filter: &Filter, (from, to): (u64, u64), most: u64) -> Result<u64> {
        let head = self.inner.reader.head(project, log).await?.min(to);
        if filter.is_empty() {
            return Ok((head + 1).saturating_sub(from) - self.expired(project, log, from, head).await?);
        }
        let query = Query { filter: filter.clone(), after: from.saturating_sub(1), ..Query::all(log) };
        let mut selection = Selection::new(&self.inner.reader, project, &query, head);
        let mut total = 0;
        while let Some((unit, selected)) = selection.next().await?.filter(|_| total < most) {
            total += selected.count(&unit) as u64;
        }
        Ok(total)
    }

    /// Positions of `from..=to` whose rows retention took.
    async fn expired(&self, project: ProjectId, log: LogKind, from: u64, to: u64) -> Result<u64> {
        if self.inner.store.glance().await?.expired_events(project, log).await? == 0 || from > to {
            return Ok(0);
        }
        let rows = self.inner.store.glance().await?.segment_range(project, log, from, to, false, u32::MAX).await?;
        Ok(rows.iter().filter(|r| r.expired).map(|r| r.segment.last.min(to) + 1 - r.segment.first.max(from)).sum())
    }

    /// Stored lines of positions, without line feeds, in the order asked for.
    pub(crate) async fn events_at<P>(&self, caller: &Caller<P>, log: LogKind, positions: &[u64]) -> Result<Vec<Vec<u8>>> {
        anew!(self.inner.reader, self.events_at_once(caller, log, positions))
    }
    async fn events_at_once<P>(&self, caller: &Caller<P>, log: LogKind, positions: &[u64]) -> Result<Vec<Vec<u8>>> {
        let head = self.inner.reader.head(caller.project(), log).await?;
        let mut out = Vec::with_capacity(positions.len());
        for position in positions {
            let query = Query { after: position.saturating_sub(1), before: Some(position + 1), ..Query::all(log) };
            let unit = Scan::new(self.inner.reader.clone(), caller.project(), &query, head).next(1).await?;
            let unit = unit.ok_or_else(|| Error::not_found("Event"))?;
            let rows = unit.rows.clone().collect();
            out.extend(self.inner.reader.work(move || lines(&unit, rows, false)).await?);
        }
        Ok(out)
    }
}

/// The lines of some rows of a unit in the order given (ascending, or descending if `back`).
pub(super) fn lines(unit: &Unit, mut rows: Vec<usize>, back: bool) -> Result<Vec<Vec<u8>>> {
    if back {
        rows.reverse();
    }
    let mut out = Vec::with_capacity(rows.len());
    unit.each_line(&Selected::Rows(rows), |line| out.push(line.strip_suffix(b"\n").unwrap_or(line).to_vec()))?;
    if back {
        out.reverse();
    }
    Ok(out)
}
