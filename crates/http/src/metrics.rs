//! Figures for Prometheus: requests by route and status, and the service's own counters.
//!
//! Promises: a bounded set of label values, whatever clients send. Never: a label that names a project, a key or a person.

use std::fmt;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use indelible_model::Error;
use indelible_service::{Count, Service, Stats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::answer;
use crate::app::Shared;
use crate::failed::Answer;

const MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    method: String,
    route: String,
    status: u16,
}

/// Everything that `/metrics` shows.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
}

impl Metrics {
    pub(crate) fn new(service: &Service) -> Self {
        let mut registry = Registry::with_prefix("indelible");
        let requests = Family::default();
        let seconds = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register("http_request_duration_seconds", "Time until the head of the answer", seconds.clone());
        registry.register_collector(Box::new(ServiceStats(service.clone())));
        Self { registry, requests, seconds }
    }
    /// Counts one answer.
    pub(crate) fn record(&self, method: &Method, route: &str, status: StatusCode, elapsed: Duration) {
        let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
        let method = if known.contains(method) { method.as_str() } else { "other" };
        let labels = Labels { method: method.to_owned(), route: route.to_owned(), status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
        self.seconds.get_or_create(&labels).observe(elapsed.as_secs_f64());
    }
}

/// `GET /metrics`.
pub(crate) async fn show(State(app): State<Shared>) -> Answer {
    let mut text = String::new();
    encode(&mut text, &app.metrics.registry).map_err(Error::internal)?;
    Ok(answer::with_type(StatusCode::OK, MEDIA, text))
}

/// Reads the service's counters at each scrape.
struct ServiceStats(Service);

impl fmt::Debug for ServiceStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceStats")
    }
}

type Figure = (&'static str, &'static str, fn(&Stats) -> &Count);

const COUNTERS: &[Figure] = &[
    ("events_accepted", "Events stored", |s| &s.events_accepted),
    ("events_duplicate", "Events whose external id was stored before", |s| &s.events_duplicate),
    ("appends_failed", "Appends that failed", |s| &s.appends_failed),
    ("commits", "Group commits", |s| &s.commits),
    ("commit_micros", "Microseconds spent in group commits", |s| &s.commit_micros),
    ("lock_micros", "Microseconds for which group commits held the locks of their logs", |s| &s.lock_micros),
    ("seals", "Segments made from batches", |s| &s.seals),
    ("compactions", "Segments made from segments", |s| &s.compactions),
    ("merges", "Batches made from batches", |s| &s.merges),
    ("objects_deleted", "Objects deleted", |s| &s.objects_deleted),
    ("expired_events", "Events whose rows retention took", |s| &s.expired_events),
    ("task_failures", "Maintenance tasks that failed and will be retried", |s| &s.task_failures),
    ("tasks_asked_failures", "Attempts at an export or an import that failed", |s| &s.asked_failures),
    ("api_calls", "Calls written to the API log", |s| &s.api_calls),
    ("api_log_dropped", "Calls for which the API log had no room", |s| &s.api_log_dropped),
    ("exports_started", "Exports begun", |s| &s.exports_started),
    ("exports_failed", "Exports cut off by a failure", |s| &s.exports_failed),
    ("export_rows", "Rows exported", |s| &s.export_rows),
    ("export_bytes", "Bytes exported", |s| &s.export_bytes),
];

const GAUGES: &[Figure] = &[
    ("hot_events", "Events in the hot tails", |s| &s.hot_events),
    ("hot_bytes", "Bytes in the hot tails", |s| &s.hot_bytes),
    ("sealed_events", "Events in segments", |s| &s.sealed_events),
    ("segments", "Live segments", |s| &s.segments),
    ("outbox_facts", "Facts about the server that wait for their log", |s| &s.outbox_facts),
    ("tasks_live", "Maintenance tasks that wait or run", |s| &s.tasks_live),
    ("tasks_asked_queued", "Exports and imports that wait, on all nodes", |s| &s.asked_queued),
    ("tasks_asked_running", "Exports and imports that are being worked on, on all nodes", |s| &s.asked_running),
];

impl Collector for ServiceStats {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        for (name, help, read) in COUNTERS {
            let counter = ConstCounter::new(read(stats).get());
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        let (database, objects) = (self.0.database_counters(), self.0.object_calls());
        for (name, help, value) in [
            ("database_statements", "Statements sent to the database, each a round trip where it is a server", database.statements),
            ("database_transactions", "Transactions begun", database.transactions),
            ("object_gets", "Reads asked of the object store", objects.gets),
            ("object_puts", "Objects written whole, and uploads in parts begun or completed", objects.puts),
            ("object_parts", "Parts of uploads", objects.parts),
            ("object_heads", "Look-ups in the object store", objects.heads),
            ("object_deletes", "Deletions asked of the object store", objects.deletes),
            ("object_lists", "Listings asked of the object store", objects.lists),
            ("object_bytes_read", "Bytes read from the object store", objects.bytes_read),
            ("object_bytes_written", "Bytes written to the object store", objects.bytes_written),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        for (name, help, read) in GAUGES {
            let gauge = ConstGauge::new(read(stats).get());
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
