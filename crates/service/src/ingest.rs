//! Appending: many requests, one open group, one writer, one commit.
//!
//! A request's events are hashed and compressed on its own thread; then they join the open group. The writer takes the
//! group as soon as the commit before has returned, gives positions, ids and chain hashes under the log's lock, and
//! answers when the transaction is on disk. A lone event waits for no timer; under load groups grow by themselves.
//! Where the database takes many writers, each project has a lane of its own: no project waits for another's commit.

mod group;
pub(crate) use group::IDEMPOTENCY_MICROS;
mod prepare;
pub(crate) use prepare::{OWN, may_write};

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use indelible_model::ids::hex;
use indelible_model::{Clock, Error, EventBatch, Ids, Kind, LogKind, ProjectId, Result};
use indelible_store::Store;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};

use crate::caller::{Caller, CanWrite, Grant, Scope, Who};
use crate::read::sees;
use crate::stats::Stats;
use crate::{SealConfig, Service, die_on_failed_sync, in_time, patience};

use prepare::Prepared;

/// Requests that may wait in the queue, and as many that have been taken from it; more wait before they join.
const QUEUE: usize = 4096;
/// Events of one group at most, unless one request alone has more.
const GROUP_EVENTS: usize = 100_000;
/// Requests of one lane, where there are many, that may wait.
const LANE: usize = QUEUE / 4;
/// Events of one group at most where the group holds a lock that other nodes wait for.
const LANE_EVENTS: usize = 20_000;
/// Requests with so few events get their stored lines back from the writer, without a read.
const ECHO_EVENTS: usize = 100;

/// A request's Idempotency-Key and what it is bound to.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// The route; the same key on another route is another key.
    pub route: &'static str,
    /// The key.
    pub key: String,
    /// SHA-256 of the body as sent.
    pub body_digest: [u8; 32],
}

impl Idempotency {
    /// A caller bound to organizations shares keys only with callers bound to the same.
    pub(crate) fn of(self, grant: &Grant) -> Self {
        match &grant.organizations {
            None => self,
            Some(own) => {
                let mut own = own.to_vec();
                own.sort_unstable();
                Self { key: format!("{} {}", hex(&Sha256::digest(own.join("\0"))[..16]), self.key), ..self }
            }
        }
    }
}

/// What became of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The log.
    pub log: LogKind,
    /// Its position; the existing event's for a duplicate.
    pub position: u64,
    /// True if its external id was stored before.
    pub duplicate: bool,
}

/// What became of a request's events, in their order.
#[derive(Debug)]
pub struct Appended {
    /// One for each event.
    pub outcomes: Vec<Outcome>,
    /// True if this is the answer of an earlier request with the same key.
    pub replayed: bool,
    /// The stored lines of small requests, for events that are no duplicates.
    lines: Vec<Option<Vec<u8>>>,
}

struct Request {
    project: ProjectId,
    prepared: Prepared,
    idempotency: Option<Idempotency>,
    /// Events that its project may store in a month.
    quota: Option<u64>,
    /// These are the server's own, which count for nobody.
    own: bool,
    echo: bool,
    since: Instant,
    reply: oneshot::Sender<Result<Appended>>,
}

/// Keys whose first request has not been answered yet.
type InFlight = Arc<Mutex<HashSet<(ProjectId, &'static str, String)>>>;

/// The way to the writer thread.
pub(crate) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    in_flight: InFlight,
    finished: tokio::sync::watch::Receiver<bool>,
}

/// Holds a key as in flight until dropped.
struct Flight {
    all: InFlight,
    key: (ProjectId, &'static str, String),
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

fn stopping() -> Error {
    Error::new(Kind::Unavailable(2), "The server is stopping. Try again shortly.")
}

impl Writer {
    /// Starts the writer on a thread of its own, so that hashing a large group holds up nobody.
    pub(crate) fn start(store: Store, clock: Clock, ids: Ids, seal: SealConfig, stats: Arc<Stats>) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let (ended, finished) = tokio::sync::watch::channel(false);
        let runtime = tokio::runtime::Handle::current();
        let (writers, patience) = (store.writers(), patience(&store));
        let work = group::Work { store, clock, ids, seal: Arc::new(seal), stats, patience };
        std::thread::spawn(move || {
            runtime.block_on(run(receiver, work, writers));
            let _ = ended.send(true);
        });
        Self { queue: Mutex::new(Some(queue)), in_flight: InFlight::default(), finished }
    }
    fn sender(&self) -> Result<mpsc::Sender<Request>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(stopping)
    }
    fn fly(&self, project: ProjectId, idempotency: &Idempotency) -> Result<Flight> {
        let key = (project, idempotency.route, idempotency.key.clone());
        let mut all = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.insert(key.clone()) {
            return Err(Error::new(Kind::InFlight, "A request with this Idempotency-Key is still in flight."));
        }
        Ok(Flight { all: Arc::clone(&self.in_flight), key })
    }
    /// True once the writer takes nothing any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.sender().is_ok_and(|queue| queue.is_closed())
    }
    pub(crate) async fn drain(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut finished = self.finished.clone();
        let _ = finished.wait_for(|ended| *ended).await;
    }
}

/// Requests that are committed together, one group after another. Where one writer serves all, there is one lane.
type Lane = Option<ProjectId>;

/// What waits for each lane, and which lanes are committing.
struct Lanes {
    work: group::Work,
    /// Commits at once.
    writers: usize,
    waiting: HashMap<Lane, VecDeque<Request>>,
    /// Lanes that may commit, in the order of their first request.
    ready: VecDeque<Lane>,
    busy: HashSet<Lane>,
    /// Requests in `waiting`.
    count: usize,
}

/// How a lane's turn ended.
enum Turn {
    /// All of its requests are answered.
    Over,
    /// Somebody else holds the project's logs: these go on waiting.
    Locked(Vec<Request>),
    /// The database does not answer.
    Away(Error),
}

type Running = Pin<Box<dyn Future<Output = (Lane, Turn)> + Send>>;

async fn run(mut receiver: mpsc::Receiver<Request>, work: group::Work, writers: usize) {
    let mut lanes = Lanes { work, writers, waiting: HashMap::new(), ready: VecDeque::new(), busy: HashSet::new(), count: 0 };
    let mut running: FuturesUnordered<Running> = FuturesUnordered::new();
    let mut open = true;
    loop {
        while lanes.count < QUEUE
            && let Ok(request) = receiver.try_recv()
        {
            lanes.join(request);
        }
        while running.len() < lanes.writers
            && let Some((lane, requests)) = lanes.next_group()
        {
            running.push(lanes.commit(lane, requests));
        }
        tokio::select! {
            request = receiver.recv(), if open && lanes.count < QUEUE => match request {
                Some(request) => lanes.join(request),
                None => open = false,
            },
            Some((lane, turn)) = running.next() => lanes.ended(lane, turn),
            else => return,
        }
    }
}

impl Lanes {
    fn join(&mut self, request: Request) {
        let lane = (self.writers > 1).then_some(request.project);
        let waiting = self.waiting.entry(lane).or_default();
        if lane.is_some() && waiting.len() >= LANE {
            return self.refuse([request], &Error::new(Kind::Unavailable(1), "Too many requests of this project wait. Try again shortly."));
        }
        if waiting.is_empty() && !self.busy.contains(&lane) {
            self.ready.push_back(lane);
        }
        waiting.push_back(request);
        self.count += 1;
    }
    fn refuse(&self, requests: impl IntoIterator<Item = Request>, error: &Error) {
        for request in requests {
            self.work.stats.appends_failed.add(1);
            let _ = request.reply.send(Err(again(error)));
        }
    }
    /// The requests of the lane whose turn it is.
    fn next_group(&mut self) -> Option<(Lane, Vec<Request>)> {
        while let Some(lane) = self.ready.pop_front() {
            let Some(waiting) = self.waiting.get_mut(&lane) else { continue };
            let (mut events, mut requests, mut late) = (0, Vec::new(), Vec::new());
            let most = if self.work.patience.is_some() { LANE_EVENTS } else { GROUP_EVENTS };
            while events < most
                && let Some(next) = waiting.pop_front()
            {
                self.count -= 1;
                if self.work.patience.is_some_and(|p| next.since.elapsed() > p) {
                    late.push(next);
                    continue;
                }
                events += next.prepared.batch.len();
                requests.push(next);
            }
            if waiting.is_empty() {
                self.waiting.remove(&lane);
            }
            self.refuse(late, &Error::new(Kind::Unavailable(1), "The log was busy for too long; nothing was stored. Try again shortly."));
            if !requests.is_empty() {
                self.busy.insert(lane);
                return Some((lane, requests));
            }
            if self.waiting.contains_key(&lane) {
                self.ready.push_back(lane);
            }
        }
        None
    }
    /// One turn. Many writers hash on many threads, so that none delays another that holds a lock.
    fn commit(&self, lane: Lane, requests: Vec<Request>) -> Running {
        let work = self.work.clone();
        let turn = async move { commit(&work, requests).await };
        if lane.is_none() {
            return Box::pin(async move { (lane, turn.await) });
        }
        let turn = tokio::spawn(turn);
        Box::pin(async move { (lane, turn.await.unwrap_or(Turn::Over)) })
    }
    /// If the database is away, nobody waits to find it away again.
    fn ended(&mut self, lane: Lane, turn: Turn) {
        self.busy.remove(&lane);
        match turn {
            Turn::Over => {}
            Turn::Locked(requests) => {
                self.count += requests.len();
                let waiting = self.waiting.entry(lane).or_default();
                requests.into_iter().rev().for_each(|request| waiting.push_front(request));
            }
            Turn::Away(error) => {
                self.ready.clear();
                self.count = 0;
                let waiting: Vec<Request> = self.waiting.drain().flat_map(|(_, requests)| requests).collect();
                self.refuse(waiting, &Error::new(error.kind(), error.public()));
            }
        }
        if self.waiting.contains_key(&lane) {
            self.ready.push_back(lane);
        }
    }
}

fn again(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.public());
    if error.may_have_happened() { copy.maybe_happened() } else { copy }
}

/// Commits a group and answers its requests.
async fn commit(work: &group::Work, requests: Vec<Request>) -> Turn {
    let begun = Instant::now();
    let error = match work.commit(&requests).await {
        Ok(Some(answers)) => {
            work.stats.commits.add(1);
            work.stats.commit_micros.add(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
            for (request, answer) in requests.into_iter().zip(answers) {
                let _ = request.reply.send(answer);
            }
            return Turn::Over;
        }
        Ok(None) => return Turn::Locked(requests),
        Err(error) => error,
    };
    die_on_failed_sync(&error);
    work.stats.appends_failed.add(requests.len() as u64);
    tracing::warn!(%error, requests = requests.len(), "a group of appends was not committed");
    for request in requests {
        let _ = request.reply.send(Err(again(&error)));
    }
    if work.patience.is_some() && matches!(error.kind(), Kind::Unavailable(_)) { Turn::Away(error) } else { Turn::Over }
}

/// True if the credential may read what others stored in a log.
fn reads(grant: &Grant, log: LogKind) -> bool {
    grant.scopes.has(match log {
        LogKind::Events => Scope::EventsRead,
        LogKind::Activity => Scope::LogsRead,
    })
}

impl Service {
    /// Appends events, all or none, and returns when they are on disk.
    ///
    /// Events whose external id is stored already are not stored again; their outcome names the existing event. With an
    /// idempotency key a repeat within 24 hours gets the first answer; [`Kind::KeyReused`] if the body differs and
    /// [`Kind::InFlight`] while the first is in flight. On [`Kind::StorageFull`], [`Kind::Unavailable`] and [`Kind::QuotaExceeded`] nothing was stored.
    pub async fn append(&self, caller: &Caller<CanWrite>, batch: EventBatch, idempotency: Option<Idempotency>) -> Result<Appended> {
        let idempotency = idempotency.map(|i| i.of(caller.grant()));
        // What the server reports of itself is little, and must not be refused.
        if caller.grant().who != Who::Server && self.inner.stats.hot_bytes.get() > self.inner.config.seal.hot_bytes {
            return Err(Error::new(Kind::Unavailable(5), "Too many events wait to be sealed (hot_bytes); nothing was stored. Try again later."));
        }
        let _flight = idempotency.as_ref().map(|i| self.inner.writer.fly(caller.project(), i)).transpose()?;
        let queue = self.inner.writer.sender()?;
        let echo = batch.len() <= ECHO_EVENTS;
        let ids = self.inner.ids.clone();
        let prepared = if batch.len() <= prepare::INLINE_EVENTS && batch.bytes() <= prepare::INLINE_BYTES {
            Prepared::new(batch, caller.grant(), &ids)?
        } else {
            let caller = caller.clone();
            tokio::task::spawn_blocking(move || Prepared::new(batch, caller.grant(), &ids)).await.map_err(Error::internal)??
        };
        let (reply, answer) = oneshot::channel();
        let project = caller.project();
        let (quota, own) = (caller.grant().events_per_month(), caller.grant().who == Who::Server);
        queue.send(Request { project, prepared, idempotency, quota, own, echo, since: Instant::now(), reply }).await.map_err(|_| stopping())?;
        drop(queue);
        answer.await.map_err(|_| Error::new(Kind::Unavailable(2), "The server stopped before it confirmed the events.").maybe_happened())?
    }
    /// The stored lines of a request's events, in their order, without line feeds. The events are stored, whatever happens here: of one that
    /// cannot be read back now (retention took it, or the object store is away) the line is an object that states its position alone. So it is of one
    /// that was stored before, for a caller who may not read it: an external id that somebody guessed gives nothing away.
    pub async fn appended_lines(&self, caller: &Caller<CanWrite>, mut appended: Appended) -> Vec<Vec<u8>> {
        let mut out = Vec::with_capacity(appended.outcomes.len());
        let mut readable = true;
        for (i, outcome) in appended.outcomes.iter().enumerate() {
            let mut line = appended.lines.get_mut(i).and_then(Option::take);
            let may_read = !outcome.duplicate || reads(caller.grant(), outcome.log);
            if line.is_none() && may_read && readable {
                let read = in_time(patience(&self.inner.store), Box::pin(self.events_at(caller, outcome.log, &[outcome.position]))).await;
                // What is away is not asked again for each event.
                readable = read.as_ref().err().is_none_or(|e| e.kind() == Kind::NotFound);
                line = read.ok().and_then(|lines| lines.into_iter().next()).filter(|line| !outcome.duplicate || sees(caller.grant(), line));
            }
            out.push(line.unwrap_or_else(|| format!("{{\"sequence_number\":{}}}", outcome.position).into_bytes()));
        }
        out
    }
}

#[cfg(test)]
mod tests;
