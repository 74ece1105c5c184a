//! Tiny batches into one, inside the database: a log of ten events a day must not be a thousand rows.

use indelible_archive::batch;
use indelible_model::{LogKind, ProjectId, Result};
use indelible_store::{BatchRow, NewBatch};

use super::superseded;
use crate::Service;

/// Bytes of records of a batch below which it is tiny, and that a merged one has at most.
const TINY: u64 = MERGED / 2;
const MERGED: u64 = 1 << 20;
const MERGED_EVENTS: u64 = 2048;
/// Batches read at once.
const BATCHES: u32 = 512;

impl Service {
    /// Merges runs of tiny neighbours of a log's hot tail.
    pub(super) async fn merge_log(&self, project: ProjectId, log: LogKind) -> Result<()> {
        let mut next = 1;
        loop {
            let rows = self.inner.store.read().await?.batch_range(project, log, next, u64::MAX, BATCHES).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            next = last.batch.last + 1;
            let mut rest = &rows[..];
            while !rest.is_empty() {
                let (mut bytes, mut events) = (0, 0);
                let run = rest
                    .iter()
                    .take_while(|r| {
                        bytes += r.batch.raw_bytes;
                        events += r.batch.last - r.batch.first + 1;
                        r.batch.raw_bytes < TINY && bytes <= MERGED && events <= MERGED_EVENTS
                    })
                    .count();
                if run >= 2 && !self.merge(project, log, &rest[..run]).await? {
                    return Err(superseded("The batches changed while they were merged."));
                }
                rest = &rest[run.max(1)..];
            }
            if rows.len() < BATCHES as usize {
                return Ok(());
            }
        }
    }
    async fn merge(&self, project: ProjectId, log: LogKind, rows: &[BatchRow]) -> Result<bool> {
        let parts: Vec<_> = rows.iter().map(|r| (&r.batch.envelope[..], &r.batch.body[..])).collect();
        let (envelope, body) = batch::join(&parts)?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(true) };
        let merged = NewBatch {
            first: first.batch.first,
            last: last.batch.last,
            raw_bytes: body.raw_len,
            min_occurred: rows.iter().map(|r| r.batch.min_occurred).min().unwrap_or_default(),
            max_occurred: rows.iter().map(|r| r.batch.max_occurred).max().unwrap_or_default(),
            envelope: envelope.to_bytes(),
            body: body.bytes,
        };
        let inputs: Vec<_> = rows.iter().map(|r| (r.id, r.generation)).collect();
        let mut tx = self.inner.store.write().await?;
        let done = tx.batch_merge(project, log, &inputs, &merged).await?;
        if done {
            tx.commit().await?;
            self.inner.stats.merges.add(1);
        }
        Ok(done)
    }
}
