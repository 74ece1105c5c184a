//! Buckets that nodes share, in the database.
//!
//! Promises: a bucket costs about a hundred statements a minute, however many requests there are; what a node took and does not use goes back.
//! Never: asks a database that did not answer a moment ago.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indelible_model::ids::hex;
use indelible_model::{Error, Result};
use indelible_store::Store;
use tokio::time::timeout;

use super::Name;
use super::bucket::{Bucket, Hand, Pace, Verdict};

/// How long a request waits for the database, and how long a node then decides alone.
const PATIENCE: Duration = Duration::from_secs(1);
const ALONE_NANOS: u64 = 2_000_000_000;
/// Rows that one sweep deletes at once.
const SWEEP: u32 = 10_000;

/// The way to the shared buckets.
pub(super) struct Shared {
    store: Store,
    pace: Pace,
    alone_until: AtomicU64,
}

fn micros(nanos: u64) -> i64 {
    i64::try_from(nanos / 1000).unwrap_or(i64::MAX)
}

fn nanos(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0).saturating_mul(1000)
}

impl Shared {
    pub(super) fn new(store: Store, pace: Pace) -> Self {
        Self { store, pace, alone_until: AtomicU64::new(0) }
    }
    /// A request out of a shared bucket; out of this node's own while the database does not answer.
    pub(super) async fn take(&self, bucket: &Bucket, name: &Name) -> Verdict {
        if let Some(known) = bucket.out_of_hand(self.pace.nanos()) {
            return known;
        }
        let _asking = bucket.asking.lock().await;
        let now = self.pace.nanos();
        if let Some(known) = bucket.out_of_hand(now) {
            return known;
        }
        if now < self.alone_until.load(Ordering::Relaxed) {
            return bucket.take(&self.pace);
        }
        let asked = timeout(PATIENCE, self.ask(bucket, &hex(name), now)).await;
        match asked.unwrap_or_else(|_| Err(Error::internal("no answer in time"))) {
            Ok(verdict) => verdict,
            Err(error) => {
                tracing::warn!(%error, "the database was not asked for a rate limit; this node decides alone for a moment");
                // Whether it was given back is not known.
                *bucket.hand() = Hand::default();
                self.alone_until.store(self.pace.nanos().saturating_add(ALONE_NANOS), Ordering::Relaxed);
                bucket.take(&self.pace)
            }
        }
    }
    /// Takes what a node takes at once, or else what is left, gives back what was not used, and uses one.
    async fn ask(&self, bucket: &Bucket, name: &str, now: u64) -> Result<Verdict> {
        let rate = bucket.rate;
        let window = rate.window();
        let back = rate.cost(bucket.hand().requests);
        let mut wanted = rate.chunk;
        let mut full_in = self.take_so_many(bucket, name, wanted, back).await?;
        let mut ahead = 0;
        if full_in.is_none() {
            let stored = self.store.glance().await?.rate_ahead(name).await?;
            ahead = nanos(stored.unwrap_or(0)).saturating_sub(back);
            let left = u32::try_from(window.saturating_sub(ahead) / rate.each).unwrap_or(u32::MAX);
            if left > 0 {
                wanted = left.min(rate.chunk);
                full_in = self.take_so_many(bucket, name, wanted, back).await?;
            }
        }
        let mut hand = bucket.hand();
        match full_in {
            Some(full_in) => {
                // Kept for as long as they take to come again: so the whole admits no more than if each were taken when it is used, but for one handful.
                let answered = self.pace.nanos();
                *hand = Hand { requests: wanted - 1, until: now.saturating_add(rate.cost(wanted)), full_at: answered.saturating_add(full_in), refused_until: 0 };
                Ok(bucket.verdict(&hand, answered, None))
            }
            None => {
                let wait = (ahead + rate.cost(rate.chunk)).saturating_sub(window).max(rate.each);
                hand.refused_until = now.saturating_add(wait);
                hand.full_at = now.saturating_add(ahead);
                Ok(bucket.verdict(&hand, now, Some(wait)))
            }
        }
    }
    /// Nanoseconds until the bucket is full, if so many were to be had.
    async fn take_so_many(&self, bucket: &Bucket, name: &str, requests: u32, back: u64) -> Result<Option<u64>> {
        let rate = bucket.rate;
        let mut tx = self.store.write_alone().await?;
        let taken = tx.rate_take(name, micros(rate.cost(requests)), micros(rate.window()), micros(back)).await?;
        tx.commit().await?;
        Ok(taken.map(nanos))
    }
    pub(super) async fn forget(&self, name: &Name) {
        let forget = async {
            let mut tx = self.store.write_alone().await?;
            tx.rate_forget(&hex(name)).await?;
            tx.commit().await
        };
        if let Err(error) = timeout(PATIENCE, forget).await.unwrap_or_else(|_| Err(Error::internal("no answer in time"))) {
            tracing::warn!(%error, "the failed logins of an account were not forgotten");
        }
    }
    pub(super) async fn sweep(&self) -> Result<()> {
        loop {
            let mut tx = self.store.write_alone().await?;
            let gone = tx.rate_expire(SWEEP).await?;
            tx.commit().await?;
            if gone < u64::from(SWEEP) {
                return Ok(());
            }
        }
    }
}
