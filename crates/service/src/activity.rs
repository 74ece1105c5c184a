//! The server's own log: facts from the outbox, and the calls that it answered, on their way into the log `activity`.
//!
//! Promises: a fact that was committed with its change is in the log soon after, once, in the order of the changes, whatever is killed in between.
//! A call is in the log within about a second. It waits in a queue of bounded size; one for which there is no room is counted, and the log says how many.
//! Never: holds up the one who is served for longer than a second, keeps room for a call that has not ended, or thins itself out because somebody asked.

mod call;
mod outbox;
mod refused;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use indelible_model::{Error, EventBatch, Kind, Limits, LogKind, ProjectId, Result};
use serde_json::json;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::audit::actor;
use crate::caller::{Caller, CanWrite, Who};
use crate::{Inner, Service};

pub use call::ApiCall;
pub(crate) use refused::Told;

/// How long the first call of a group waits for others.
const GATHER: Duration = Duration::from_millis(300);
/// How long a call waits for room.
const PATIENCE: Duration = Duration::from_secs(1);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(1);
/// How often a loop without work looks whether the service is still there.
const IDLE: Duration = Duration::from_secs(5);
/// How long the end of the process waits for what is not stored yet.
const LAST: Duration = Duration::from_secs(8);
/// The queue counts in these: a call takes one at least.
const UNIT: usize = 1 << 10;
/// Bytes of calls that are read where they are; more of them on a thread that may block.
const INLINE: usize = 64 << 10;

/// What waits to be stored.
pub(crate) struct Activity {
    room: Arc<Semaphore>,
    units: usize,
    queue: Mutex<Queue>,
    filled: Notify,
    /// The last attempt to store failed: nobody waits for room that will not come.
    failing: AtomicBool,
    /// One at a time, so that a project's calls and facts keep their order.
    flushing: tokio::sync::Mutex<()>,
    draining: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Queue {
    calls: Vec<Waiting>,
    /// Calls for which there was no room, not yet told.
    lost: BTreeMap<ProjectId, u64>,
}

/// A call that waits, as an event's JSON text.
struct Waiting {
    project: ProjectId,
    event: String,
    _room: OwnedSemaphorePermit,
}

/// One project's share of the queue.
#[derive(Default)]
struct Group {
    calls: Vec<Waiting>,
    lost: u64,
}

impl Activity {
    pub(crate) fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            room: Arc::new(Semaphore::new(units)),
            units,
            queue: Mutex::default(),
            filled: Notify::new(),
            failing: AtomicBool::new(false),
            flushing: tokio::sync::Mutex::default(),
            draining: tokio::sync::Mutex::default(),
        }
    }
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT).clamp(1, self.units)).unwrap_or(u32::MAX)
    }
    fn is_half_full(&self) -> bool {
        self.room.available_permits() < self.units / 2
    }
    /// All that waits, by project.
    fn take(&self) -> BTreeMap<ProjectId, Group> {
        let Queue { calls, lost } = std::mem::take(&mut *self.queue());
        let mut groups: BTreeMap<ProjectId, Group> = BTreeMap::new();
        for call in calls {
            groups.entry(call.project).or_default().calls.push(call);
        }
        for (project, lost) in lost {
            groups.entry(project).or_default().lost = lost;
        }
        groups
    }
    /// Puts back, before what came meanwhile, what could not be stored.
    fn give_back(&self, project: ProjectId, group: Group) {
        let mut queue = self.queue();
        let later = std::mem::replace(&mut queue.calls, group.calls);
        queue.calls.extend(later);
        *queue.lost.entry(project).or_default() += group.lost;
    }
}

/// Starts the loops; they end when the service is gone.
pub(crate) fn start(service: &Arc<Inner>) {
    tokio::spawn(calls(Arc::downgrade(service)));
    tokio::spawn(outbox::run(Arc::downgrade(service)));
}

async fn calls(weak: Weak<Inner>) {
    loop {
        let Some(activity) = weak.upgrade().map(|inner| Arc::clone(&inner.activity)) else { return };
        if timeout(IDLE, activity.filled.notified()).await.is_err() {
            continue;
        }
        if !activity.is_half_full() {
            sleep(GATHER).await;
        }
        while let Some(inner) = weak.upgrade() {
            let service = Service { inner };
            if service.flush().await {
                break;
            }
            drop(service);
            sleep(AGAIN).await;
        }
    }
}

/// Adds an event of the server's own. It may be larger than a client's: nothing of it may be refused.
fn push(batch: &mut EventBatch, event: &str) {
    let limits = Limits { event_bytes: 64 << 20, depth: 512, name_bytes: 1 << 20, text_bytes: 1 << 20, ..Limits::default() };
    if let Err(problem) = batch.push(event.as_bytes(), &limits) {
        // Our own text: that it cannot be read is a mistake in the program, and must not hold up what comes after it.
        tracing::error!(?problem, "an event of the server's own cannot be read and is left out");
    }
}

impl Service {
    /// Waits a little until there is room for a call of about so many bytes. Takes none of it: whoever is slow to take an answer must not fill the queue.
    pub async fn wait_for_room(&self, bytes: usize) {
        let activity = &self.inner.activity;
        let units = activity.units(bytes);
        if activity.room.try_acquire_many(units).is_err() && !activity.failing.load(Ordering::Relaxed) {
            // Without room the call is tried all the same, once it has ended.
            let _late = timeout(PATIENCE, activity.room.acquire_many(units)).await;
        }
    }
    /// Puts a call into the queue. Without room it is lost, which the log will say.
    pub fn record(&self, call: &ApiCall) {
        let activity = &self.inner.activity;
        let (project, event) = (call.grant.project, call.event());
        let Ok(room) = Arc::clone(&activity.room).try_acquire_many_owned(activity.units(event.len())) else {
            return self.lose(project, 1);
        };
        activity.queue().calls.push(Waiting { project, event, _room: room });
        activity.filled.notify_one();
    }
    fn lose(&self, project: ProjectId, calls: u64) {
        self.inner.stats.api_log_dropped.add(calls);
        *self.inner.activity.queue().lost.entry(project).or_default() += calls;
        self.inner.activity.filled.notify_one();
    }
    /// Stores the calls that wait; false if some could not be stored now.
    async fn flush(&self) -> bool {
        let activity = &self.inner.activity;
        let _one = activity.flushing.lock().await;
        let groups = activity.take();
        let stored = join_all(groups.into_iter().map(|(project, group)| self.store_calls(project, group))).await;
        let all = stored.into_iter().all(|s| s);
        activity.failing.store(!all, Ordering::Relaxed);
        all
    }
    /// Stores one project's calls, or gives them back to the queue.
    async fn store_calls(&self, project: ProjectId, group: Group) -> bool {
        let made = if group.calls.iter().map(|c| c.event.len()).sum::<usize>() <= INLINE { Ok(group.batch()) } else { tokio::task::spawn_blocking(|| group.batch()).await };
        let Ok((group, batch)) = made else { return true };
        let Err(error) = Box::pin(self.append_own(project, batch)).await else {
            self.inner.stats.api_calls.add(group.calls.len() as u64);
            return true;
        };
        let calls = group.calls.len();
        if matches!(error.kind(), Kind::Unavailable(_) | Kind::StorageFull(_) | Kind::Internal) {
            tracing::warn!(%error, %project, calls, "the API log could not be written; it will be tried again");
            self.inner.activity.give_back(project, group);
            return false;
        }
        tracing::error!(%error, %project, calls, "a part of the API log cannot be written and is left out");
        self.inner.stats.api_log_dropped.add(calls as u64);
        true
    }
    /// Appends the server's own events to the log `activity`.
    async fn append_own(&self, project: ProjectId, mut batch: EventBatch) -> Result<()> {
        batch.put_in(LogKind::Activity);
        if batch.is_empty() {
            return Ok(());
        }
        self.append(&Caller::<CanWrite>::server(project), batch, None).await.map(drop)
    }
    /// Stores what waits in the queue and in the outbox.
    pub async fn settle(&self) -> Result<()> {
        let all = self.flush().await;
        self.drain_outbox().await?;
        if all { Ok(()) } else { Err(Error::new(Kind::Unavailable(1), "Some of the API log could not be written.")) }
    }
    /// As [`Service::settle`], trying for a while, for the end of the process.
    pub(crate) async fn settle_at_end(&self) {
        let tried = timeout(LAST, async {
            while let Err(error) = self.settle().await {
                tracing::debug!(%error, "what the server reports of itself is not stored yet");
                sleep(AGAIN / 4).await;
            }
        });
        if tried.await.is_err() {
            tracing::error!("the end of the API log could not be written; facts wait for the next start");
        }
    }
}

impl Group {
    fn batch(self) -> (Self, EventBatch) {
        let mut batch = EventBatch::with_capacity(self.calls.iter().map(|c| c.event.len()).sum());
        if self.lost > 0 {
            push(&mut batch, &json!({ "action": "api_log.lost", "actor": actor(&Who::Server), "metadata": { "requests": self.lost } }).to_string());
        }
        self.calls.iter().for_each(|call| push(&mut batch, &call.event));
        (self, batch)
    }
}

#[cfg(test)]
mod tests;
