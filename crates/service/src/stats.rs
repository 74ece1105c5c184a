//! Counters of what the service did, for metrics. Relaxed: each is right by itself, not as a set.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter or gauge.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    /// Takes away from a gauge.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }
    /// Sets a gauge.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }
    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counters. Gauges say so.
#[derive(Debug, Default)]
pub struct Stats {
    /// Events committed.
    pub events_accepted: Count,
    /// Events whose external id was stored before.
    pub events_duplicate: Count,
    /// Database commits of the writer.
    pub commits: Count,
    /// Time spent in them, microseconds.
    pub commit_micros: Count,
    /// Time for which logs were locked in them, microseconds.
    pub lock_micros: Count,
    /// Appends that failed.
    pub appends_failed: Count,
    /// Gauge: events in batches, of all logs; refreshed by the maintenance loop.
    pub hot_events: Count,
    /// Gauge: bytes in batches.
    pub hot_bytes: Count,
    /// Gauge: live segments.
    pub segments: Count,
    /// Gauge: events in live segments.
    pub sealed_events: Count,
    /// Segments made from batches.
    pub seals: Count,
    /// Segments made from segments.
    pub compactions: Count,
    /// Batches made from batches.
    pub merges: Count,
    /// Objects deleted.
    pub objects_deleted: Count,
    /// Events whose rows retention took.
    pub expired_events: Count,
    /// Maintenance tasks that failed and will be retried.
    pub task_failures: Count,
    /// Gauge: maintenance tasks that wait or run.
    pub tasks_live: Count,
    /// Gauge: exports and imports that wait, on all nodes.
    pub asked_queued: Count,
    /// Gauge: exports and imports that are being worked on, on all nodes.
    pub asked_running: Count,
    /// Attempts at an export or an import that failed.
    pub asked_failures: Count,
    /// Calls written to the API log.
    pub api_calls: Count,
    /// Calls for which the API log had no room.
    pub api_log_dropped: Count,
    /// Gauge: facts about the server that wait in the outbox.
    pub outbox_facts: Count,
    /// Exports begun.
    pub exports_started: Count,
    /// Exports that broke off by an error.
    pub exports_failed: Count,
    /// Rows exported.
    pub export_rows: Count,
    /// Bytes exported.
    pub export_bytes: Count,
}
