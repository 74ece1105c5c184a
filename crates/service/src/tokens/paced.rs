//! A value that is fetched anew when it has grown old or lacks something.
//!
//! Promises: one fetch at a time and at most one a `pace`, for whoever asks how often; who asks for a newer value gets one whose fetch began after that.
//! Never: a fetch for each of those who wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use indelible_model::{Error, Kind, Result, Timestamp};
use tokio::sync::Mutex;

/// After a failed fetch the old value goes on for this long before the next attempt.
const RETRY: Duration = Duration::from_secs(30);

pub(super) struct Paced<T> {
    held: RwLock<Option<Held<T>>>,
    /// Fetches begun so far.
    begun: AtomicU64,
    last: Mutex<Last>,
    pace: Duration,
    fresh: Duration,
    keep: Duration,
}

struct Held<T> {
    value: Arc<T>,
    fetched: Timestamp,
    /// When a fetch of something newer was last tried in vain.
    tried: Option<Timestamp>,
}

#[derive(Default)]
struct Last {
    begun: Option<Instant>,
    turn: u64,
}

/// Whatever way the clock went meanwhile.
fn within(from: Timestamp, now: Timestamp, limit: Duration) -> bool {
    u128::from(now.micros().abs_diff(from.micros())) < limit.as_micros()
}

impl<T> Paced<T> {
    /// At most one fetch a `pace`. A value is taken as it is for `fresh`, and for `keep` if there is no newer one to be had.
    pub(super) fn new(pace: Duration, fresh: Duration, keep: Duration) -> Self {
        Self { held: RwLock::new(None), begun: AtomicU64::new(0), last: Mutex::default(), pace, fresh, keep }
    }
    /// The value, fetched if there is none or it is old.
    pub(super) async fn get(&self, now: Timestamp, fetch: impl AsyncFnOnce() -> Result<T>) -> Result<Arc<T>> {
        if let Some(value) = self.held(|h| within(h.fetched, now, self.fresh) || (within(h.fetched, now, self.keep) && h.tried.is_some_and(|t| within(t, now, RETRY)))) {
            return Ok(value);
        }
        match self.newer(now, fetch).await {
            Ok(value) => Ok(value),
            Err(error) => self.held(|h| within(h.fetched, now, self.keep)).inspect(|_| self.note_failure(now)).ok_or(error),
        }
    }
    /// A value whose fetch begins after this call.
    pub(super) async fn newer(&self, now: Timestamp, fetch: impl AsyncFnOnce() -> Result<T>) -> Result<Arc<T>> {
        let asked = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if last.turn > asked {
            // Somebody fetched meanwhile; if in vain, all who waited have waited enough.
            return self.held(|h| h.tried.is_none()).ok_or_else(|| Error::new(Kind::Unavailable(2), "What a token is checked with cannot be had now."));
        }
        if let Some(begun) = last.begun {
            tokio::time::sleep(self.pace.saturating_sub(begun.elapsed())).await;
        }
        last.begun = Some(Instant::now());
        let turn = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let fetched = fetch().await.map(Arc::new).inspect_err(|_| self.note_failure(now));
        // Only now: a fetch whose caller went away counts for nobody.
        last.turn = turn;
        let value = fetched?;
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(Held { value: Arc::clone(&value), fetched: now, tried: None });
        Ok(value)
    }
    fn held(&self, good: impl Fn(&Held<T>) -> bool) -> Option<Arc<T>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).as_ref().filter(|h| good(h)).map(|h| Arc::clone(&h.value))
    }
    fn note_failure(&self, now: Timestamp) {
        if let Some(held) = self.held.write().unwrap_or_else(PoisonError::into_inner).as_mut() {
            held.tried = Some(now);
        }
    }
}

#[cfg(test)]
mod tests;
