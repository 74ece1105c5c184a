//! Recomputes a log's chain from what is stored.

use std::collections::VecDeque;

use indelible_archive::{Selected, Unit};
use indelible_model::line::Line;
use indelible_model::query::Query;
use indelible_model::{Error, EventId, LogKind, ProjectId, Result};
use indelible_proof::{Chain, genesis};

use super::Reader;
use super::scan::Scan;
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

impl Reader {
    pub(crate) async fn verify(&self, project: ProjectId, log: LogKind, mut progress: impl FnMut(u64)) -> Result<Verification> {
        let head = self.shared.store.read().await?.log_head(project, log).await?;
        let mut out = Verification { valid: true, ..Verification::default() };
        let Some(head) = head else { return Ok(out) };
        let mut scan = Scan::new(self.clone(), project, &Query::all(log), head.position);
        let mut expected = (1, genesis(project, log));
        let mut ahead: VecDeque<tokio::task::JoinHandle<Result<Part>>> = VecDeque::new();
        let mut ended = false;
        loop {
            while !ended && ahead.len() <= self.shared.worker_count {
                match scan.next(UNIT_BYTES).await {
                    Ok(Some(unit)) => {
                        let reader = self.clone();
                        ahead.push_back(tokio::spawn(async move { reader.work(move || check(&unit)).await }));
                    }
                    Ok(None) => ended = true,
                    Err(e) => {
                        ended = true;
                        ahead.push_back(tokio::spawn(async move { Err(e) }));
                    }
                }
            }
            let Some(job) = ahead.pop_front() else { break };
            let part = match job.await.map_err(Error::internal)? {
                Ok(part) => part,
                Err(e) if e.kind() == indelible_model::Kind::Corrupt => {
                    return Ok(Verification { valid: false, reason: Some(e.to_string()), ..out });
                }
                Err(e) => return Err(e),
            };
            if let Some((position, id, previous)) = part.first {
                out.first_event.get_or_insert(id);
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
        if expected != (head.position + 1, head.hash) {
            return Ok(Verification { valid: false, reason: Some("The last event does not have the hash that the log's head states.".into()), ..out });
        }
        Ok(out)
    }
}

impl Service {
    /// Recomputes the chain of a log up to its head.
    pub async fn verify(&self, caller: &Caller<CanVerify>, log: LogKind) -> Result<Verification> {
        self.inner.reader.verify(caller.project(), log, |_| {}).await
    }
}
