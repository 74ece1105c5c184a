//! Buckets of this process alone, by governor; and what a node holds of a shared one.
//!
//! Promises: as many buckets as fit in a bounded cache; one lock for each bucket, none for all of them.
//! Never: asks anybody else.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::Clock as GovernorClock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use indelible_model::Clock;
use quick_cache::sync::Cache;

use super::Name;

/// Buckets of one kind that are kept. One that is pushed out begins anew as a full one.
const BUCKETS: usize = 50_000;
const NANOS: u64 = 1_000_000_000;
/// A node takes a hundredth of a minute's requests at once.
const CHUNKS_PER_MINUTE: u64 = 100;

/// The time that limits are measured in: it does not jump with the wall clock, except in tests, which set that by hand.
#[derive(Clone, Debug)]
pub(super) enum Pace {
    Running(Instant),
    Fixed(Clock),
}

impl Pace {
    pub(super) fn of(clock: &Clock) -> Self {
        match clock {
            Clock::System => Self::Running(Instant::now()),
            fixed @ Clock::Fixed(_) => Self::Fixed(fixed.clone()),
        }
    }
    /// Nanoseconds since some beginning.
    pub(super) fn nanos(&self) -> u64 {
        match self {
            Self::Running(since) => u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX),
            Self::Fixed(clock) => u64::try_from(clock.now().micros()).unwrap_or(0).saturating_mul(1000),
        }
    }
}

impl GovernorClock for Pace {
    type Instant = Nanos;
    fn now(&self) -> Nanos {
        self.nanos().into()
    }
}

/// How large a bucket is, and how fast it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// Requests that fit in it.
    pub(super) burst: u32,
    /// Nanoseconds until one more fits.
    pub(super) each: u64,
    /// Requests that a node takes of a shared one at once.
    pub(super) chunk: u32,
}

impl Rate {
    /// `count` requests in `secs` seconds, and `burst` at once.
    pub(super) fn new(count: u64, secs: u64, burst: u64) -> Self {
        let (count, burst) = (count.max(1), u32::try_from(burst.max(1)).unwrap_or(u32::MAX));
        let chunk = (count * 60).div_ceil(secs * CHUNKS_PER_MINUTE);
        Self { burst, each: (secs * NANOS / count).max(1), chunk: u32::try_from(chunk).unwrap_or(u32::MAX).min(burst) }
    }
    /// Nanoseconds until so many more fit.
    pub(super) fn cost(self, requests: u32) -> u64 {
        self.each.saturating_mul(requests.into())
    }
    /// Nanoseconds until an empty one is full.
    pub(super) fn window(self) -> u64 {
        self.cost(self.burst)
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Requests that are left.
    pub(super) left: u64,
    /// Nanoseconds until the bucket is full.
    pub(super) full_in: u64,
    /// Nanoseconds until a request is admitted, if this one was not.
    pub(super) refused_for: Option<u64>,
}

type Local = RateLimiter<NotKeyed, InMemoryState, Pace, StateInformationMiddleware>;

/// One bucket.
pub(super) struct Bucket {
    pub(super) rate: Rate,
    local: Local,
    hand: Mutex<Hand>,
    /// Held by the one who asks the database for more; the others wait for what comes.
    pub(super) asking: tokio::sync::Mutex<()>,
}

/// What a node has of a shared bucket, and knows of the rest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hand {
    /// Requests that were taken and not used.
    pub(super) requests: u32,
    /// When they are to be given back.
    pub(super) until: u64,
    /// When the bucket will be full, as far as is known.
    pub(super) full_at: u64,
    /// Nothing is to be had before.
    pub(super) refused_until: u64,
}

impl Bucket {
    fn new(rate: Rate, pace: &Pace) -> Self {
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(Duration::from_nanos(rate.each)).unwrap_or(Quota::per_second(burst)).allow_burst(burst);
        let local = RateLimiter::direct_with_clock(quota, pace.clone()).with_middleware::<StateInformationMiddleware>();
        Self { rate, local, hand: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }
    /// A request, where nobody shares the bucket.
    pub(super) fn take(&self, pace: &Pace) -> Verdict {
        match self.local.check() {
            Ok(state) => {
                let left = state.remaining_burst_capacity().min(self.rate.burst);
                Verdict { left: left.into(), full_in: self.rate.cost(self.rate.burst - left), refused_for: None }
            }
            Err(until) => {
                let wait = u64::try_from(until.wait_time_from(pace.now()).as_nanos()).unwrap_or(u64::MAX);
                Verdict { left: 0, full_in: wait.saturating_add(self.rate.cost(self.rate.burst - 1)), refused_for: Some(wait) }
            }
        }
    }
    pub(super) fn hand(&self) -> MutexGuard<'_, Hand> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Keeps a request that was taken and is not used, for as long as it would take to come again.
    pub(super) fn give_back(&self, now: u64) {
        let mut hand = self.hand();
        hand.requests = if now < hand.until { hand.requests.saturating_add(1).min(self.rate.burst) } else { 1 };
        hand.until = hand.until.max(now.saturating_add(self.rate.each));
    }
    /// A request out of the hand, or a refusal that is known; `None` if the database must be asked.
    pub(super) fn out_of_hand(&self, now: u64) -> Option<Verdict> {
        let mut hand = self.hand();
        if hand.requests > 0 && now < hand.until {
            hand.requests -= 1;
            return Some(self.verdict(&hand, now, None));
        }
        let wait = hand.refused_until.saturating_sub(now);
        (wait > 0).then(|| self.verdict(&hand, now, Some(wait)))
    }
    /// What is left in the bucket and in the hand.
    pub(super) fn verdict(&self, hand: &Hand, now: u64, refused_for: Option<u64>) -> Verdict {
        let full_in = hand.full_at.saturating_sub(now);
        let left = self.rate.window().saturating_sub(full_in) / self.rate.each + u64::from(hand.requests);
        Verdict { left: if refused_for.is_some() { 0 } else { left.min(self.rate.burst.into()) }, full_in, refused_for }
    }
}

/// Buckets by name.
pub(super) struct Buckets {
    cache: Cache<Name, Arc<Bucket>>,
    pace: Pace,
}

impl Buckets {
    pub(super) fn new(pace: Pace) -> Self {
        Self { cache: Cache::new(BUCKETS), pace }
    }
    /// The bucket of a name; a full one, if there is none of this rate.
    pub(super) fn get(&self, name: Name, rate: Rate) -> Arc<Bucket> {
        if let Some(bucket) = self.cache.get(&name).filter(|b| b.rate == rate) {
            return bucket;
        }
        self.cache.remove_if(&name, |b| b.rate != rate);
        let fresh = || Ok::<_, std::convert::Infallible>(Arc::new(Bucket::new(rate, &self.pace)));
        match self.cache.get_or_insert_with(&name, fresh) {
            Ok(bucket) => bucket,
            Err(never) => match never {},
        }
    }
    pub(super) fn forget(&self, name: &Name) {
        self.cache.remove(name);
    }
}
