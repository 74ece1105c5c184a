//! Appending: many requests, one open group, one writer, one commit.
//!
//! A request's events are hashed and compressed on its own thread; then they join the open group. The writer takes the
//! group as soon as the commit before has returned, gives positions, ids and chain hashes under the log's lock, and
//! answers when the transaction is on disk. A lone event waits for no timer; under load groups grow by themselves.

mod group;
pub(crate) use group::IDEMPOTENCY_MICROS;
mod prepare;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use indelible_model::{Clock, Error, EventBatch, Ids, Kind, LogKind, ProjectId, Result};
use indelible_store::Store;
use tokio::sync::{mpsc, oneshot};

use crate::caller::{Caller, CanWrite};
use crate::stats::Stats;
use crate::{SealConfig, Service, die_on_failed_sync};

use prepare::Prepared;

/// Requests that may wait for the writer; more wait before they join.
const QUEUE: usize = 4096;
/// Events of one group at most, unless one request alone has more.
const GROUP_EVENTS: usize = 100_000;
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
    echo: bool,
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
        let work = group::Work { store, clock, ids, seal, stats };
        std::thread::spawn(move || {
            runtime.block_on(run(receiver, work));
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
            return Err(Error::new(Kind::Conflict, "A request with this Idempotency-Key is still in flight."));
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

async fn run(mut receiver: mpsc::Receiver<Request>, work: group::Work) {
    while let Some(first) = receiver.recv().await {
        let mut events = first.prepared.batch.len();
        let mut requests = vec![first];
        while events < GROUP_EVENTS {
            let Ok(next) = receiver.try_recv() else { break };
            events += next.prepared.batch.len();
            requests.push(next);
        }
        let begun = Instant::now();
        match work.commit(&requests).await {
            Ok(answers) => {
                work.stats.commits.add(1);
                work.stats.commit_micros.add(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
                for (request, answer) in requests.into_iter().zip(answers) {
                    let _ = request.reply.send(answer);
                }
            }
            Err(error) => {
                die_on_failed_sync(&error);
                work.stats.appends_failed.add(requests.len() as u64);
                tracing::warn!(%error, requests = requests.len(), "a group of appends was not committed");
                for request in requests {
                    let again = Error::new(error.kind(), error.public());
                    let _ = request.reply.send(Err(if error.may_have_happened() { again.maybe_happened() } else { again }));
                }
            }
        }
    }
}

impl Service {
    /// Appends events, all or none, and returns when they are on disk.
    ///
    /// Events whose external id is stored already are not stored again; their outcome names the existing event. With an
    /// idempotency key a repeat within 24 hours gets the first answer; [`Kind::KeyReused`] if the body differs and
    /// [`Kind::Conflict`] while the first is in flight. On [`Kind::StorageFull`] and [`Kind::Unavailable`] nothing was stored.
    pub async fn append(&self, caller: &Caller<CanWrite>, batch: EventBatch, idempotency: Option<Idempotency>) -> Result<Appended> {
        let _flight = idempotency.as_ref().map(|i| self.inner.writer.fly(caller.project(), i)).transpose()?;
        let queue = self.inner.writer.sender()?;
        let echo = batch.len() <= ECHO_EVENTS;
        let ids = self.inner.ids.clone();
        let prepared = if batch.len() <= prepare::INLINE_EVENTS && batch.bytes() <= prepare::INLINE_BYTES {
            Prepared::new(batch, &ids)?
        } else {
            tokio::task::spawn_blocking(move || Prepared::new(batch, &ids)).await.map_err(Error::internal)??
        };
        let (reply, answer) = oneshot::channel();
        let project = caller.project();
        queue.send(Request { project, prepared, idempotency, echo, reply }).await.map_err(|_| stopping())?;
        drop(queue);
        answer.await.map_err(|_| Error::new(Kind::Unavailable(2), "The server stopped before it confirmed the events.").maybe_happened())?
    }
    /// The stored lines of a request's events, in their order, without line feeds.
    pub async fn appended_lines(&self, caller: &Caller<CanWrite>, mut appended: Appended) -> Result<Vec<Vec<u8>>> {
        let mut out = Vec::with_capacity(appended.outcomes.len());
        for (i, outcome) in appended.outcomes.iter().enumerate() {
            match appended.lines.get_mut(i).and_then(Option::take) {
                Some(line) => out.push(line),
                None => out.extend(self.events_at(caller, outcome.log, &[outcome.position]).await?),
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
