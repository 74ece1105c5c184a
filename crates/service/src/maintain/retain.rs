//! Applies retention: by whole segments, and never what a legal hold matches.
//!
//! A hold and an expiry exclude each other by the rows of the project's retention, which both lock: whoever places a hold changes them, and what was found out
//! about segments before that is worth nothing.

use std::sync::atomic::Ordering;

use indelible_archive::keys;
use indelible_archive::segment::hashes_last;
use indelible_model::ids::hex;
use indelible_model::{Error, HoldId, LogKind, ProjectId, Result, Timestamp};
use indelible_store::{RetentionRow, SegmentRow, TaskKind};
use serde_json::{Map, Value, json};

use super::DAY_MICROS;
use crate::audit::Fact;
use crate::caller::Who;
use crate::holds::LiveHold;
use crate::retention::fact;
use crate::{Service, die_on_failed_sync};

/// Logs looked at in one sweep.
const LOGS: u32 = 300;
/// Segments of a log that expire in one transaction, and how many transactions a sweep may take for one log.
const SEGMENTS: u32 = 100;
const STEPS: usize = 5;

/// What a look at a log's oldest segments found.
struct Found {
    /// The retention that it rests on.
    retention: RetentionRow,
    days: u64,
    /// What no hold holds, with the hash of its last event.
    gone: Vec<SegmentRow>,
    last_hash: [u8; 32],
    /// What a hold holds.
    held: Vec<(HoldId, SegmentRow)>,
}

impl Service {
    /// Lets announced changes take effect, then takes the rows of segments whose events are all older than they are kept; their hashes stay.
    pub(super) async fn retain(&self, now: Timestamp) -> Result<()> {
        for (project, log) in self.inner.store.glance().await?.retention_due(now, LOGS).await? {
            self.change_announced(project, log, now).await?;
        }
        let mut failed = Ok(());
        for (project, log) in self.inner.store.glance().await?.retention_expirable(now, LOGS).await? {
            // One log that cannot be read must not keep the others.
            if let Err(error) = self.retain_log(project, log, now).await {
                die_on_failed_sync(&error);
                tracing::warn!(%error, %project, %log, "retention could not be applied to a log; it will be tried again");
                failed = Err(error);
            }
        }
        failed
    }
    async fn change_announced(&self, project: ProjectId, log: LogKind, now: Timestamp) -> Result<()> {
        let mut tx = self.inner.store.write().await?;
        let Some(before) = tx.retention_lock(project).await?.into_iter().find(|r| r.log == log) else { return Ok(()) };
        let Some((days, _)) = before.next.filter(|(_, at)| *at <= now) else { return Ok(()) };
        let after = RetentionRow { days: Some(days), since: now, next: None, ..before.clone() };
        tx.retention_restore(project, &after).await?;
        self.audit(&mut tx, project, &Who::Server, &fact("retention.changed", &before, &after)).await?;
        tx.commit().await
    }
    async fn retain_log(&self, project: ProjectId, log: LogKind, now: Timestamp) -> Result<()> {
        let (mut from, mut failed) = (1, Ok(()));
        for _ in 0..STEPS {
            let (found, next) = self.look(project, log, now, from, &mut failed).await?;
            if let Some(found) = found {
                self.expire(project, log, now, &found).await?;
            }
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
        failed
    }
    /// Tests the next segments whose time is over against the project's holds. Gives the position to go on from, if there may be more.
    async fn look(&self, project: ProjectId, log: LogKind, now: Timestamp, from: u64, failed: &mut Result<()>) -> Result<(Option<Found>, Option<u64>)> {
        let mut tx = self.inner.store.read().await?;
        let retention = tx.retention_list(project).await?.into_iter().find(|r| r.log == log);
        let Some((retention, days)) = retention.and_then(|r| r.days.map(|days| (r, days))) else { return Ok((None, None)) };
        let cut = Timestamp::clamped(now.micros().saturating_sub(i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY_MICROS)));
        let holds = tx.legal_hold_live(project).await?.iter().map(LiveHold::new).collect::<Result<Vec<_>>>()?;
        let rows = tx.segment_list_expirable(project, log, cut, from, SEGMENTS).await?;
        drop(tx);
        let next = rows.last().filter(|_| rows.len() == SEGMENTS as usize).map(|r| r.segment.last + 1);
        let (mut gone, mut held) = (Vec::new(), Vec::new());
        for row in rows {
            match self.holder(project, log, &row.segment, &holds).await {
                Ok(None) => gone.push(row),
                Ok(Some(hold)) => held.push((hold, row)),
                // What cannot be read may be held.
                Err(error) => *failed = Err(error),
            }
        }
        let last_hash = match gone.last() {
            None if held.is_empty() => return Ok((None, next)),
            None => [0; 32],
            Some(last) => {
                let (objects, name, count) = (self.inner.objects.clone(), last.segment.name.clone(), last.segment.last + 1 - last.segment.first);
                tokio::task::spawn_blocking(move || hashes_last(&objects, &name, count)).await.map_err(Error::internal)??
            }
        };
        Ok((Some(Found { retention, days, gone, last_hash, held }), next))
    }
    /// In one transaction: the segments expire, and the log says so. Nothing happens if a hold, the retention or a segment changed since it was looked at;
    /// the next sweep looks again.
    async fn expire(&self, project: ProjectId, log: LogKind, now: Timestamp, found: &Found) -> Result<()> {
        let due = Timestamp::clamped(now.micros().saturating_add(self.inner.grace_micros()));
        let mut tx = self.inner.store.write().await?;
        if !tx.retention_lock(project).await?.contains(&found.retention) {
            return Ok(());
        }
        // By number, as everywhere.
        let held = found.held.iter().map(|(hold, row)| (row, Some(*hold)));
        let mut rows: Vec<_> = found.gone.iter().map(|row| (row, None)).chain(held).collect();
        rows.sort_unstable_by_key(|(row, _)| row.id);
        for (row, hold) in rows {
            let input = (row.id, row.generation);
            let done = match hold {
                Some(hold) => tx.segment_hold(project, log, input, hold).await?,
                None => tx.segment_expire(project, log, input, &keys::expired(&row.segment.name), due).await?,
            };
            if !done {
                return Ok(());
            }
        }
        let events = found.gone.iter().map(|r| r.segment.last + 1 - r.segment.first).sum();
        if !found.gone.is_empty() {
            // Compaction also publishes the manifest.
            tx.task_enqueue(project, log, TaskKind::Compact, now).await?;
            let target = Some(("log", log.name().to_owned(), None));
            self.audit(&mut tx, project, &Who::Server, &Fact { action: "retention.applied", target, metadata: certificate(found, events), ..Fact::default() }).await?;
        }
        tx.commit().await?;
        // What came in long before went through the database as well.
        self.inner.unscrubbed.fetch_or(events > 0, Ordering::SeqCst);
        self.inner.stats.expired_events.add(events);
        Ok(())
    }
}

/// What the log says about what went.
fn certificate(found: &Found, events: u64) -> Map<String, Value> {
    let mut runs: Vec<[u64; 2]> = Vec::new();
    for s in found.gone.iter().map(|r| &r.segment) {
        match runs.last_mut() {
            Some(run) if run[1] + 1 == s.first => run[1] = s.last,
            _ => runs.push([s.first, s.last]),
        }
    }
    let (first, last) = (runs.first().map_or(0, |r| r[0]), runs.last().map_or(0, |r| r[1]));
    let mut out = Map::new();
    out.insert("log".to_owned(), found.retention.log.name().into());
    out.insert("days".to_owned(), found.days.into());
    out.insert("events".to_owned(), events.into());
    out.insert("first_position".to_owned(), first.into());
    out.insert("last_position".to_owned(), last.into());
    out.insert("positions".to_owned(), json!(runs));
    out.insert("marker".to_owned(), json!({ "position": last, "hash": hex(&found.last_hash) }));
    out
}

#[cfg(test)]
mod tests;
