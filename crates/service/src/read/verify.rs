//! Recomputes a log's chain from what is stored. Where retention took rows, their hashes, which stay, carry the chain on.

use std::collections::VecDeque;
use std::ops::Range;

use indelible_archive::segment::hashes_last;
use indelible_archive::{Selected, Unit};
use indelible_model::line::Line;
use indelible_model::query::Query;
use indelible_model::{Error, EventId, Kind, LogKind, ProjectId, Result};
use indelible_proof::{Chain, genesis};
use tokio::task::JoinHandle;

use super::scan::{Scan, positions};
use super::{RETRIES, Reader, not_gone};
use crate::Service;
use crate::caller::{Caller, CanVerify};

/// Bytes of lines of a unit.
const UNIT_BYTES: usize = 2 << 20;

/// What came out of it.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// True if every event passed.
    pub valid: bool,
    /// Events that passed.
    pub events_checked: u64,
    /// Position of the first event: those before it are gone.
    pub verified_from: Option<u64>,
    /// Events whose rows retention took; the chain goes on through the last of their hashes.
    pub events_expired: u64,
    /// The first event.
    pub first_event: Option<EventId>,
    /// The last event that passed.
    pub last_event: Option<EventId>,
    /// The event at which the chain breaks, if it can be read.
    pub broken_at: Option<EventId>,
    /// What is wrong, for people.
    pub reason: Option<String>,
}

/// One unit's part of the chain.
struct Part {
    first: Option<(u64, EventId, [u8; 32])>,
    last: Option<(u64, EventId, [u8; 32])>,
    count: u64,
    broken: Option<(Option<EventId>, String)>,
}

fn check(unit: &Unit) -> Result<Part> {
    let mut part = Part { first: None, last: None, count: 0, broken: None };
    let mut chain = Chain::anywhere();
    let mut position = unit.position(unit.rows.start);
    unit.each_line(&Selected::All, |text| {
        if part.broken.is_some() {
            return;
        }
        let line = Line::parse(text);
        if let Err(e) = chain.push(text) {
            part.broken = Some((line.map(|l| l.id), format!("The event at position {position} {e}.")));
            return;
        }
        if let Some(line) = line {
            part.first.get_or_insert((line.position, line.id, line.previous_hash));
            part.last = Some((line.position, line.id, line.hash));
            part.count += 1;
            position += 1;
        }
    })?;
    Ok(part)
}

/// Parts in the making, each with its positions.
type Ahead = VecDeque<(Range<u64>, JoinHandle<Result<Part>>)>;

impl Reader {
    pub(crate) async fn verify(&self, project: ProjectId, log: LogKind, mut progress: impl FnMut(u64)) -> Result<Verification> {
        let head = self.shared.store.glance().await?.log_head(project, log).await?;
        let mut out = Verification { valid: true, ..Verification::default() };
        let Some(head) = head else { return Ok(out) };
        let mut scan = Scan::new(self.clone(), project, &Query::all(log), head.position);
        let mut expected = (1, genesis(project, log));
        let mut ahead = Ahead::new();
        let (mut ended, mut retries) = (false, RETRIES);
        loop {
            while !ended && ahead.len() <= self.shared.worker_count {
                match scan.next(UNIT_BYTES).await {
                    Ok(Some(unit)) => {
                        let (reader, positions) = (self.clone(), positions(&unit));
                        ahead.push_back((positions, tokio::spawn(async move { reader.work(move || check(&unit)).await })));
                    }
                    Ok(None) => ended = true,
                    Err(e) => {
                        ended = true;
                        ahead.push_back((0..0, tokio::spawn(async move { Err(e) })));
                    }
                }
            }
            let Some((positions, job)) = ahead.pop_front() else { break };
            let part = match job.await.map_err(Error::internal)? {
                Ok(part) => part,
                Err(e) if self.anew(&mut retries, &e) => {
                    ahead.drain(..).for_each(|(_, job)| job.abort());
                    scan.rewind(&positions);
                    ended = false;
                    continue;
                }
                Err(e) if matches!(e.kind(), Kind::Corrupt | Kind::Gone) => {
                    return Ok(Verification { valid: false, reason: Some(not_gone(e).to_string()), ..out });
                }
                Err(e) => return Err(e),
            };
            retries = RETRIES;
            if let Some((position, id, previous)) = part.first {
                out.first_event.get_or_insert(id);
                out.verified_from.get_or_insert(position);
                if position > expected.0
                    && let Some(hash) = self.expired_hash(project, log, expected.0, position - 1).await?
                {
                    out.events_expired += position - expected.0;
                    expected = (position, hash);
                }
                if (position, previous) != expected {
                    let reason = format!("The event at position {position} does not continue the chain at position {}.", expected.0 - 1);
                    return Ok(Verification { valid: false, broken_at: Some(id), reason: Some(reason), ..out });
                }
            }
            out.events_checked += part.count;
            if let Some((position, id, hash)) = part.last {
                out.last_event = Some(id);
                expected = (position + 1, hash);
            }
            if let Some((id, reason)) = part.broken {
                return Ok(Verification { valid: false, broken_at: id, reason: Some(reason), ..out });
            }
            progress(out.events_checked);
        }
        if expected.0 <= head.position
            && let Some(hash) = self.expired_hash(project, log, expected.0, head.position).await?
        {
            out.events_expired += head.position + 1 - expected.0;
            expected = (head.position + 1, hash);
        }
        if expected != (head.position + 1, head.hash) {
            return Ok(Verification { valid: false, reason: Some("The last event does not have the hash that the log's head states.".into()), ..out });
        }
        Ok(out)
    }
    /// The hash at `to` if the rows of all positions of `from..=to` are expired: hashes stay.
    async fn expired_hash(&self, project: ProjectId, log: LogKind, from: u64, to: u64) -> Result<Option<[u8; 32]>> {
        let rows = self.shared.store.glance().await?.segment_range(project, log, from, to, false, u32::MAX).await?;
        let mut next = from;
        for row in &rows {
            if !row.expired || row.segment.first != next {
                return Ok(None);
            }
            next = row.segment.last + 1;
        }
        let Some(last) = rows.last().filter(|_| next == to + 1) else { return Ok(None) };
        let (objects, name, count) = (self.shared.objects.clone(), last.segment.name.clone(), last.segment.last + 1 - last.segment.first);
        tokio::task::spawn_blocking(move || hashes_last(&objects, &name, count)).await.map_err(Error::internal)?.map(Some)
    }
}

impl Service {
    /// Recomputes the chain of a log up to its head. The chain is the whole project's: [`Kind::Forbidden`] for a caller bound to organizations.
    pub async fn verify(&self, caller: &Caller<CanVerify>, log: LogKind) -> Result<Verification> {
        caller.grant().whole_project()?;
        self.inner.reader.verify(caller.project(), log, |_| {}).await
    }
}
