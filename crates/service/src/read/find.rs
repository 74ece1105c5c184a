//! Finds one event by its id. Ids rise with positions within a log, so it is a binary search.

use indelible_archive::batch::Envelope;
use indelible_model::{Error, EventId, LogKind, ProjectId, Result};

use super::{RETRIES, Reader, anew, not_gone};
use crate::Service;
use crate::caller::{Caller, CanRead};

/// Segments looked up at once.
const SEGMENTS: u32 = 100_000;

impl Service {
    /// The stored line of an event, without line feed; [`indelible_model::Kind::NotFound`] if the project has no such event.
    pub async fn event(&self, caller: &Caller<CanRead>, id: EventId) -> Result<Vec<u8>> {
        for log in LogKind::ALL {
            let reader = &self.inner.reader;
            if let Some(position) = anew!(reader, reader.find(caller.project(), log, id))? {
                let found = self.events_at(caller, log, &[position]).await?;
                return found.into_iter().next().ok_or_else(|| Error::not_found("Event"));
            }
        }
        Err(Error::not_found("Event"))
    }
}

impl Reader {
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
