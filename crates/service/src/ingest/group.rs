//! One group commit: positions, ids, hashes and rows of all requests of the group, in one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indelible_archive::batch::{Body, BodyWriter, Entry, Envelope};
use indelible_model::ids::EventIds;
use indelible_model::line::Line;
use indelible_model::{Clock, Error, Ids, Kind, LogKind, ProjectId, Result, Timestamp};
use indelible_store::{IdempotencyRow, LogHead, NewBatch, Store, TaskKind, WriteTx};

use super::prepare::{BATCH_BYTES, BATCH_EVENTS};
use super::{Appended, Outcome, Request};
use crate::stats::Stats;
use crate::{SealConfig, in_time};

/// How long an idempotency key is remembered.
pub(crate) const IDEMPOTENCY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// What the writer works with.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) ids: Ids,
    pub(super) seal: Arc<SealConfig>,
    pub(super) stats: Arc<Stats>,
    /// How long a commit of few events may take.
    pub(super) patience: Option<Duration>,
}

type ExternalIds = HashMap<(ProjectId, [u8; 16]), (LogKind, u64)>;

impl Work {
    /// Commits all requests of a group, or none; `None` if somebody else holds the logs. The inner results are each request's own.
    pub(super) async fn commit(&self, requests: &[Request]) -> Result<Option<Vec<Result<Appended>>>> {
        let mut committing = false;
        let events: usize = requests.iter().map(|r| r.prepared.batch.len()).sum();
        let patience = self.patience.map(|p| p + Duration::from_millis(events as u64 / 10));
        let work = in_time(patience, Box::pin(self.place_and_commit(requests, &mut committing))).await;
        // Silence during the commit itself leaves open whether it happened.
        work.map_err(|e| if committing { e.maybe_happened() } else { e })
    }
    async fn place_and_commit(&self, requests: &[Request], committing: &mut bool) -> Result<Option<Vec<Result<Appended>>>> {
        let mut tx = self.store.write().await?;
        let now = self.clock.now();
        let Some(mut logs) = lock_logs(&mut tx, requests, now).await? else { return Ok(None) };
        let locked = Instant::now();
        // Looked up under the locks, so that two nodes cannot both find an id missing.
        let mut externals = known_externals(&mut tx, requests).await?;
        let mut answers = Vec::with_capacity(requests.len());
        let (mut accepted, mut duplicates) = (0, 0);
        for request in requests {
            let answer = self.place(&mut tx, request, &mut logs, &mut externals, now).await?;
            if let Ok(a) = &answer
                && !a.replayed
            {
                let n = a.outcomes.iter().filter(|o| o.duplicate).count() as u64;
                duplicates += n;
                accepted += a.outcomes.len() as u64 - n;
            }
            answers.push(answer);
        }
        for ((project, kind), mut log) in logs {
            log.close_batch()?;
            if log.batches.is_empty() {
                continue;
            }
            tx.log_append(project, kind, &log.batches, &log.head, now).await?;
            tx.external_insert(project, kind, &log.externals).await?;
            if log.head.hot_bytes >= self.seal.seal_bytes {
                tx.task_enqueue(project, kind, TaskKind::Seal, now).await?;
            } else if log.head.hot_batches >= self.seal.merge_batches && log.head.hot_bytes / log.head.hot_batches < BATCH_BYTES as u64 / 8 {
                tx.task_enqueue(project, kind, TaskKind::Merge, now).await?;
            }
        }
        *committing = self.patience.is_some();
        let committed = tx.commit().await;
        *committing = false;
        committed?;
        self.stats.lock_micros.add(u64::try_from(locked.elapsed().as_micros()).unwrap_or(u64::MAX));
        self.stats.events_accepted.add(accepted);
        self.stats.events_duplicate.add(duplicates);
        Ok(Some(answers))
    }

    async fn place(
        &self,
        tx: &mut WriteTx,
        request: &Request,
        logs: &mut BTreeMap<(ProjectId, LogKind), OpenLog>,
        externals: &mut ExternalIds,
        now: Timestamp,
    ) -> Result<Result<Appended>> {
        if let Some(i) = &request.idempotency {
            let since = Timestamp::clamped(now.micros() - IDEMPOTENCY_MICROS);
            if let Some(row) = tx.idempotency_find(request.project, i.route, &i.key, since).await? {
                if row.body_digest != i.body_digest {
                    return Ok(Err(Error::new(Kind::KeyReused, "This Idempotency-Key was used with another body.")));
                }
                let outcomes = read_outcomes(&row.outcome)?;
                return Ok(Ok(Appended { outcomes, replayed: true, lines: Vec::new() }));
            }
        }
        if let Some(refused) = over_quota(request, logs, externals) {
            return Ok(Err(refused));
        }
        let events = request.prepared.batch.events();
        for kind in LogKind::ALL {
            let count = events.iter().filter(|e| e.log == kind).count();
            if count == 0 {
                continue;
            }
            if let Some(log) = logs.get_mut(&(request.project, kind)) {
                log.ids = Some(EventIds::after(log.head.last_id, count, &self.ids)?);
            }
        }
        let appended = place_events(request, logs, externals)?;
        if let Some(i) = &request.idempotency {
            let row = IdempotencyRow { body_digest: i.body_digest, outcome: write_outcomes(&appended.outcomes) };
            tx.idempotency_insert(request.project, i.route, &i.key, &row, now).await?;
        }
        Ok(Ok(appended))
    }
}

/// Locks the logs of all projects of a group, in one order for all nodes, so that none waits for another in a circle.
/// `None` if one is not to be had in time.
async fn lock_logs(tx: &mut WriteTx, requests: &[Request], now: Timestamp) -> Result<Option<BTreeMap<(ProjectId, LogKind), OpenLog>>> {
    let projects: BTreeSet<ProjectId> = requests.iter().map(|r| r.project).collect();
    let mut logs = BTreeMap::new();
    for project in projects {
        let genesis = LogKind::ALL.map(|kind| (kind, indelible_proof::genesis(project, kind)));
        let Some(heads) = tx.log_lock(project, &genesis).await? else { return Ok(None) };
        for (kind, head) in heads {
            logs.insert((project, kind), OpenLog::new(head, now));
        }
    }
    Ok(Some(logs))
}

/// The external ids of a group that are stored already.
async fn known_externals(tx: &mut WriteTx, requests: &[Request]) -> Result<ExternalIds> {
    let mut wanted: BTreeMap<ProjectId, Vec<[u8; 16]>> = BTreeMap::new();
    for request in requests {
        let digests = request.prepared.externals.iter().flatten();
        wanted.entry(request.project).or_default().extend(digests);
    }
    let mut known = HashMap::new();
    for (project, mut digests) in wanted {
        digests.sort_unstable();
        digests.dedup();
        for hit in tx.external_find(project, &digests).await? {
            known.insert((project, hit.digest), (hit.log, hit.position));
        }
    }
    Ok(known)
}

/// The refusal of a request that has more new events than its project may still store this month.
fn over_quota(request: &Request, logs: &BTreeMap<(ProjectId, LogKind), OpenLog>, externals: &ExternalIds) -> Option<Error> {
    let quota = request.quota?;
    let of_project = || LogKind::ALL.into_iter().filter_map(|kind| logs.get(&(request.project, kind)));
    let mut own = HashSet::new();
    let p = &request.prepared;
    let mut is_new = |digest: &Option<[u8; 16]>| digest.is_none_or(|d| !externals.contains_key(&(request.project, d)) && own.insert(d));
    let new = p.externals.iter().filter(|digest| is_new(digest)).count() as u64;
    let left = quota.saturating_sub(of_project().map(|log| log.head.position - log.head.month_base).sum());
    if new <= left {
        return None;
    }
    let at = of_project().map(|log| log.received_at).max()?;
    let wait = u32::try_from((at.next_month().micros() - at.micros()) / 1_000_000 + 1).unwrap_or(u32::MAX);
    let text = format!("The plan allows {quota} events a month (UTC); {left} are left, and this request has {new} new ones. Nothing of it was stored.");
    Some(Error::new(Kind::QuotaExceeded(wait), text))
}

fn place_events(request: &Request, logs: &mut BTreeMap<(ProjectId, LogKind), OpenLog>, externals: &mut ExternalIds) -> Result<Appended> {
    let p = &request.prepared;
    let events = p.batch.events();
    let mut outcomes = Vec::with_capacity(events.len());
    let mut lines = Vec::new();
    // A frame made before the lock is taken whole, unless one of its events may turn out to be a duplicate.
    let whole = p.externals.iter().all(Option::is_none);
    let mut frames = p.frames.iter().peekable();
    for (i, event) in events.iter().enumerate() {
        let log = logs.get_mut(&(request.project, event.log)).ok_or_else(|| Error::internal("a log was not loaded"))?;
        if let Some(digest) = p.externals[i] {
            if let Some((log, position)) = externals.get(&(request.project, digest)) {
                outcomes.push(Outcome { log: *log, position: *position, duplicate: true });
                lines.push(None);
                continue;
            }
            externals.insert((request.project, digest), (event.log, log.head.position + 1));
            log.externals.push((digest, log.head.position + 1));
        }
        let (action, details) = (p.batch.slice(&event.action), p.batch.slice(&event.details));
        if whole && frames.peek().is_some_and(|(range, _)| range.start == i) {
            log.close_batch()?;
        }
        let line = log.place(event.occurred_at, &p.salts[i], &p.commitments[i], action, details, !whole || p.frames.is_empty());
        lines.push(request.echo.then(|| {
            let mut text = Vec::new();
            line.write(&mut text);
            text
        }));
        outcomes.push(Outcome { log: event.log, position: log.head.position, duplicate: false });
        log.head.month_base += u64::from(request.own);
        if whole && let Some((_, body)) = frames.next_if(|(range, _)| range.end == i + 1) {
            log.close_with(body)?;
        } else if log.is_full() {
            log.close_batch()?;
        }
    }
    Ok(Appended { outcomes, replayed: false, lines })
}

/// A log while a group is placed in it.
struct OpenLog {
    head: LogHead,
    received_at: Timestamp,
    ids: Option<EventIds>,
    batches: Vec<NewBatch>,
    externals: Vec<([u8; 16], u64)>,
    /// The open batch.
    body: BodyWriter,
    entries: Vec<Entry>,
    previous_hash: [u8; 32],
    occurred: Option<(Timestamp, Timestamp)>,
    scratch: Vec<u8>,
}

impl OpenLog {
    fn new(mut head: LogHead, now: Timestamp) -> Self {
        // The clock may have stepped back; a log's times of receipt never do.
        let received_at = now.max(head.received_at);
        if received_at.month() != head.month {
            (head.month, head.month_base) = (received_at.month(), head.position);
        }
        Self {
            received_at,
            previous_hash: head.hash,
            head,
            ids: None,
            batches: Vec::new(),
            externals: Vec::new(),
            body: BodyWriter::default(),
            entries: Vec::new(),
            occurred: None,
            scratch: Vec::new(),
        }
    }
    /// Gives one event its place. `record`: its record goes into the open batch's body; otherwise a frame has it already.
    fn place<'a>(&mut self, occurred_at: Option<Timestamp>, salt: &[u8; 16], commitment: &[u8; 32], action: &'a [u8], details: &'a [u8], record: bool) -> Line<'a> {
        let received_at = self.received_at;
        let id = self.ids.as_mut().map_or(indelible_model::EventId(self.head.last_id), |ids| ids.next(received_at));
        let at = occurred_at.unwrap_or(received_at);
        let position = self.head.position + 1;
        let previous_hash = self.head.hash;
        let envelope = indelible_proof::Envelope { action, commitment, id, occurred_at: at, previous_hash: &previous_hash, received_at, position };
        let hash = envelope.hash(&mut self.scratch);
        if record {
            self.body.push(salt, occurred_at, action, details);
        }
        self.entries.push(Entry { id, hash, received_at });
        self.occurred = Some(self.occurred.map_or((at, at), |(min, max)| (min.min(at), max.max(at))));
        self.head.position = position;
        self.head.hash = hash;
        self.head.last_id = id.0;
        self.head.received_at = received_at;
        Line { id, position, action, occurred_at: at, received_at, details, salt: *salt, hash, previous_hash }
    }
    fn is_full(&self) -> bool {
        self.body.raw_len() >= BATCH_BYTES || (self.body.raw_len() > 0 && self.entries.len() >= BATCH_EVENTS)
    }
    /// Closes the open batch with the body that was gathered here.
    fn close_batch(&mut self) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let body = self.body.take()?;
        self.close_with(&body)
    }
    /// Closes the open batch with a body made before.
    fn close_with(&mut self, body: &Body) -> Result<()> {
        let Some((min_occurred, max_occurred)) = self.occurred.take() else { return Err(Error::internal("a batch without events")) };
        let entries = std::mem::take(&mut self.entries);
        let last = self.head.position;
        let first = last + 1 - entries.len() as u64;
        self.head.hot_batches += 1;
        self.head.hot_events += entries.len() as u64;
        self.head.hot_bytes += body.raw_len;
        let envelope = Envelope { first, previous_hash: self.previous_hash, raw_len: body.raw_len, entries }.to_bytes();
        self.previous_hash = self.head.hash;
        self.batches.push(NewBatch { first, last, raw_bytes: body.raw_len, min_occurred, max_occurred, envelope, body: body.bytes.clone() });
        Ok(())
    }
}

/// Outcomes as runs: log and duplicate flag, first position, count.
fn write_outcomes(outcomes: &[Outcome]) -> Vec<u8> {
    let mut runs: Vec<(Outcome, u64)> = Vec::new();
    for o in outcomes {
        match runs.last_mut() {
            Some((first, n)) if first.log == o.log && first.duplicate == o.duplicate && first.position + *n == o.position => *n += 1,
            _ => runs.push((*o, 1)),
        }
    }
    let mut out = vec![1];
    for (o, n) in runs {
        out.push(u8::from(o.log == LogKind::Activity) | u8::from(o.duplicate) << 1);
        out.extend_from_slice(&o.position.to_le_bytes());
        out.extend_from_slice(&n.to_le_bytes());
    }
    out
}

fn read_outcomes(bytes: &[u8]) -> Result<Vec<Outcome>> {
    let bad = || Error::corrupt("an idempotency record is not of version 1");
    let Some((1, runs)) = bytes.split_first() else { return Err(bad()) };
    if !runs.len().is_multiple_of(17) {
        return Err(bad());
    }
    let mut out = Vec::new();
    for run in runs.chunks_exact(17) {
        let word = |at: usize| run[at..at + 8].try_into().map(u64::from_le_bytes).map_err(|_| bad());
        let log = if run[0] & 1 == 1 { LogKind::Activity } else { LogKind::Events };
        let (first, count) = (word(1)?, word(9)?);
        out.extend((0..count).map(|i| Outcome { log, position: first + i, duplicate: run[0] & 2 == 2 }));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_round_trip() {
        let o = |log, position, duplicate| Outcome { log, position, duplicate };
        let all = [o(LogKind::Events, 1, false), o(LogKind::Events, 2, false), o(LogKind::Events, 2, true), o(LogKind::Activity, 3, false), o(LogKind::Events, 9, false)];
        assert_eq!(read_outcomes(&write_outcomes(&all)).unwrap(), all);
        assert_eq!(read_outcomes(&write_outcomes(&[])).unwrap(), []);
        assert!(read_outcomes(&[2]).is_err() && read_outcomes(&[1, 2]).is_err() && read_outcomes(&[]).is_err());
    }
}
