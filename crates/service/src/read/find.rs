//! Finds one event by its id, and where a log was at some time. Ids rise with positions within a log and times of receipt never fall, so it is a binary search.

use indelible_archive::batch::Envelope;
use indelible_model::fields::{Field, Fields};
use indelible_model::line::Line;
use indelible_model::{Error, EventId, LogKind, ProjectId, Result, Timestamp};

use super::{RETRIES, Reader, anew, not_gone};
use crate::Service;
use crate::caller::{Caller, Grant, Reading};

/// Segments looked up at once.
const SEGMENTS: u32 = 100_000;

impl Service {
    /// The stored line of an event of one of the project's logs, without line feed; [`indelible_model::Kind::NotFound`] if there is none that the caller sees.
    pub async fn event<P: Reading>(&self, caller: &Caller<P>, logs: &[LogKind], id: EventId) -> Result<Vec<u8>> {
        for &log in logs.iter().filter(|log| caller.grant().may_read(**log).is_ok()) {
            let reader = &self.inner.reader;
            if let Some(position) = anew!(reader, reader.find(caller.project(), log, id))? {
                let found = self.events_at(caller, log, &[position]).await?.into_iter().next();
                return found.filter(|line| sees(caller.grant(), line)).ok_or_else(|| Error::not_found("Event"));
            }
        }
        Err(Error::not_found("Event"))
    }
    /// Where an event of the project is; `None` if it is not there, or no more.
    pub(crate) async fn place(&self, project: ProjectId, id: EventId) -> Result<Option<(LogKind, u64)>> {
        for log in LogKind::ALL {
            let reader = &self.inner.reader;
            if let Some(position) = anew!(reader, reader.find(project, log, id))? {
                return Ok(Some((log, position)));
            }
        }
        Ok(None)
    }
}

impl Service {
    /// The last position of a log that was received before a time; 0 if there is none. Where retention took the events around that time, the last before them.
    pub(crate) async fn last_before(&self, project: ProjectId, log: LogKind, at: Timestamp) -> Result<u64> {
        let reader = &self.inner.reader;
        anew!(reader, reader.last_before(project, log, at))
    }
}

/// True if the credential sees the event of a stored line.
pub(crate) fn sees(grant: &Grant, line: &[u8]) -> bool {
    grant.organizations.is_none() || Line::parse(line).is_some_and(|line| grant.sees(Fields::read(line.action, line.details).get(Field::OrganizationId)))
}

impl Reader {
    async fn last_before(&self, project: ProjectId, log: LogKind, at: Timestamp) -> Result<u64> {
        let mut tx = self.shared.store.read().await?;
        let Some(head) = tx.log_head(project, log).await? else { return Ok(0) };
        if head.received_at < at {
            return Ok(head.position);
        }
        let rows = tx.segment_range(project, log, 1, head.position, false, SEGMENTS).await?;
        let later = rows.partition_point(|r| r.segment.max_received < at);
        if let Some(row) = rows.get(later) {
            drop(tx);
            if row.expired {
                return Ok(row.segment.first - 1);
            }
            let segment = self.segment(row).await?;
            let count = self.work(move || segment.received_before(at)).await?;
            return Ok(row.segment.first - 1 + count as u64);
        }
        let (mut low, mut high) = (rows.last().map_or(1, |r| r.segment.last + 1), head.position);
        while low <= high {
            let middle = low + (high - low) / 2;
            let Some(row) = tx.batch_range(project, log, middle, middle, 1).await?.into_iter().next() else { break };
            let envelope = Envelope::from_bytes(&row.batch.envelope)?;
            match envelope.entries.partition_point(|e| e.received_at < at) {
                0 if row.batch.first > low => high = row.batch.first - 1,
                count if count == envelope.entries.len() => low = row.batch.last + 1,
                count => return Ok(row.batch.first - 1 + count as u64),
            }
        }
        Ok(low - 1)
    }
    async fn find(&self, project: ProjectId, log: LogKind, id: EventId) -> Result<Option<u64>> {
        let mut tx = self.shared.store.read().await?;
        let Some(head) = tx.log_head(project, log).await? else { return Ok(None) };
        if id.0 > head.last_id {
            return Ok(None);
        }
        let rows = tx.segment_range(project, log, 1, head.position, false, SEGMENTS).await?;
        let hot_first = rows.last().map_or(1, |r| r.segment.last + 1);
        // The hot tail: narrow down to the one batch by first positions, then look into it.
        let (mut low, mut high) = (hot_first, head.position);
        while low <= high {
            let middle = low + (high - low) / 2;
            let Some(row) = tx.batch_range(project, log, middle, middle, 1).await?.into_iter().next() else { break };
            let envelope = Envelope::from_bytes(&row.batch.envelope)?;
            match envelope.entries.binary_search_by(|e| e.id.cmp(&id)) {
                Ok(at) => return Ok(Some(row.batch.first + at as u64)),
                Err(0) if row.batch.first > low => high = row.batch.first - 1,
                Err(at) if at == envelope.entries.len() => low = row.batch.last + 1,
                Err(_) => break,
            }
        }
        drop(tx);
        let rows: Vec<_> = rows.into_iter().filter(|r| !r.expired).collect();
        let (mut low, mut high) = (0, rows.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let segment = self.segment(&rows[middle]).await?;
            let wanted = id;
            let found = self.work(move || segment.find(wanted)).await?;
            match found {
                Ok(row) => return Ok(Some(rows[middle].segment.first + row as u64)),
                Err(std::cmp::Ordering::Less) => high = middle,
                Err(std::cmp::Ordering::Greater) => low = middle + 1,
                Err(std::cmp::Ordering::Equal) => return Ok(None),
            }
        }
        Ok(None)
    }
}
