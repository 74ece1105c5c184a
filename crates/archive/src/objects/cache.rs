//! Keeps what was read of remote objects, up to a number of bytes.
//!
//! Promises: of several threads that miss the same bytes at once, one fetches them and the others wait for it. Objects are
//! immutable and their keys unique, so nothing in here ever goes stale.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use indelible_model::Result;
use quick_cache::Weighter;
use quick_cache::sync::{Cache as Sync, GuardResult};

/// What an entry takes beside its bytes and its key, about.
const ENTRY: usize = 160;
/// Bytes of a large entry. The cache is cut into shards of 32 of them or more, and keeps nothing that is larger than a shard.
const LARGE: usize = 256 << 10;

/// A range of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Chunk {
    object: Arc<str>,
    start: u64,
    end: u64,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Chunk, Bytes> for Weight {
    fn weight(&self, key: &Chunk, value: &Bytes) -> u64 {
        (value.len() + key.object.len() + ENTRY) as u64
    }
}

/// The bytes kept.
#[derive(Debug)]
pub(super) struct Cache {
    kept: Sync<Chunk, Bytes, Weight>,
    patience: Duration,
}

impl Cache {
    /// Up to `bytes`. Who waits for another's fetch longer than `patience` fetches by itself.
    pub(super) fn new(bytes: usize, patience: Duration) -> Self {
        Self { kept: Sync::with_weighter(bytes / LARGE, bytes as u64, Weight), patience }
    }
    /// The bytes of `ranges`, in their order. `fetch` is asked at most once, for all that is missing, in ascending order.
    pub(super) fn get(&self, object: &Arc<str>, ranges: &[Range<u64>], fetch: impl FnOnce(&[Range<u64>]) -> Result<Vec<Bytes>>) -> Result<Vec<Bytes>> {
        let mut order: Vec<usize> = (0..ranges.len()).collect();
        // Two threads that hold some of each other's chunks never wait for each other if both take them in ascending order.
        order.sort_unstable_by_key(|i| (ranges[*i].start, ranges[*i].end));
        order.dedup_by_key(|i| ranges[*i].clone());
        let mut found = Vec::with_capacity(order.len());
        let mut missing = Vec::new();
        for i in order {
            let range = &ranges[i];
            let chunk = Chunk { object: Arc::clone(object), start: range.start, end: range.end };
            match self.kept.get_value_or_guard(&chunk, Some(self.patience)) {
                GuardResult::Value(bytes) => found.push((range.clone(), bytes)),
                GuardResult::Guard(guard) => missing.push((range.clone(), Some(guard))),
                GuardResult::Timeout => missing.push((range.clone(), None)),
            }
        }
        if !missing.is_empty() {
            let wanted: Vec<_> = missing.iter().map(|(range, _)| range.clone()).collect();
            for ((range, guard), bytes) in missing.into_iter().zip(fetch(&wanted)?) {
                if let Some(guard) = guard {
                    // Fails if it was taken out meanwhile; the bytes are good all the same.
                    let _ = guard.insert(bytes.clone());
                }
                found.push((range, bytes));
            }
        }
        Ok(ranges.iter().filter_map(|range| found.iter().find(|(r, _)| r == range).map(|(_, bytes)| bytes.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Instant;

    use indelible_model::Error;

    use super::*;

    fn content(range: &Range<u64>) -> Bytes {
        (range.start..range.end).map(|i| i as u8).collect::<Vec<_>>().into()
    }

    #[test]
    fn many_that_miss_the_same_fetch_it_once_and_overlaps_do_not_lock() {
        let cache = Cache::new(1 << 20, Duration::from_secs(20));
        let (fetched, barrier) = (AtomicUsize::new(0), Barrier::new(8));
        let object: Arc<str> = "o".into();
        thread::scope(|s| {
            for i in 0..8u64 {
                let (cache, fetched, barrier, object) = (&cache, &fetched, &barrier, &object);
                s.spawn(move || {
                    // Each wants six of eight chunks, in an order of its own.
                    let mut ranges: Vec<_> = (0..6).map(|n| (n + i) % 8).map(|n| n * 100..n * 100 + 50).collect();
                    if i % 2 == 0 {
                        ranges.reverse();
                    }
                    barrier.wait();
                    let got = cache.get(object, &ranges, |missing| {
                        fetched.fetch_add(missing.len(), Ordering::Relaxed);
                        thread::sleep(Duration::from_millis(20));
                        Ok(missing.iter().map(content).collect())
                    });
                    assert_eq!(got.unwrap(), ranges.iter().map(content).collect::<Vec<_>>());
                });
            }
        });
        assert_eq!(fetched.load(Ordering::Relaxed), 8);
    }

    #[test]
    fn a_fetch_that_fails_leaves_the_place_free_and_a_slow_one_is_not_waited_for_for_long() {
        let cache = Cache::new(1 << 20, Duration::from_millis(50));
        let object: Arc<str> = "o".into();
        let one = 0..10;
        let range = std::slice::from_ref(&one);
        assert!(cache.get(&object, range, |_| Err(Error::internal("away"))).is_err());
        let barrier = Barrier::new(2);
        thread::scope(|s| {
            s.spawn(|| {
                cache.get(&object, range, |missing| {
                    barrier.wait();
                    thread::sleep(Duration::from_millis(1000));
                    Ok(missing.iter().map(content).collect())
                })
            });
            barrier.wait();
            let since = Instant::now();
            cache.get(&object, range, |missing| Ok(missing.iter().map(content).collect())).unwrap();
            assert!(since.elapsed() < Duration::from_millis(900));
        });
        assert_eq!(cache.get(&object, range, |_| Err(Error::internal("it is kept"))).unwrap(), [content(&one)]);
    }

    #[test]
    fn no_more_is_kept_than_allowed() {
        let cache = Cache::new(1 << 20, Duration::from_secs(1));
        for i in 0..1000u64 {
            cache.get(&format!("object {i}").into(), std::slice::from_ref(&(0..10_000)), |missing| Ok(missing.iter().map(content).collect())).unwrap();
        }
        assert!(cache.kept.weight() <= 1 << 20);
        assert!(cache.kept.len() > 20);
        let small = Cache::new(32 << 20, Duration::from_secs(1));
        small.get(&"o".into(), &[0..4 << 20, 5 << 20..6 << 20], |missing| Ok(missing.iter().map(content).collect())).unwrap();
        assert_eq!(small.kept.len(), 2, "whatever the number of processors");
        let none = Cache::new(0, Duration::from_secs(1));
        assert_eq!(none.get(&"o".into(), &[0..5, 0..5], |missing| Ok(missing.iter().map(content).collect())).unwrap().len(), 2);
    }
}
