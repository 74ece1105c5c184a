//! What several nodes on one store, a change of store and retention must keep: positions, the chain, the bytes.

use indelible_model::query::Query;
use indelible_model::{Clock, EventBatch, Ids, Kind, Limits, LogKind, Timestamp};

use crate::{CanExport, CanRead, CanVerify, CanWrite, Config, Credential, ExportOptions, Format, Grant, MemberSpec, Role, SealConfig, Service, testing, transfer};

mod bindings;
mod exports;
mod keys;
mod links;
mod members;
mod retention;
mod sessions;

const START: &str = "2026-02-10T14:32:15.5Z";
const DAY: i64 = 86_400_000_000;

fn small(config: Config) -> Config {
    let seal = SealConfig { seal_bytes: 1 << 40, segment_bytes: 1 << 20, merge_batches: 1 << 40, orphan_grace_secs: 0, retention_delay_secs: 0, ..SealConfig::default() };
    Config { seal, ..config }
}

async fn node(config: &Config, seed: u64) -> Service {
    Service::open(config.clone(), Clock::fixed(Timestamp::parse(START).unwrap()), Ids::seeded(seed)).await.unwrap()
}

async fn grant(service: &Service) -> Grant {
    let first = service.bootstrap(Some("lp_sk_test_0123456789")).await.unwrap().unwrap();
    service.authenticate(Credential::Secret(&first.secret)).await.unwrap()
}

async fn append(service: &Service, grant: &Grant, from: usize, to: usize) {
    let mut batch = EventBatch::default();
    for i in from..to {
        batch.push(format!(r#"{{"action":"a.{}","external_id":"x{i}","metadata":{{"pad":"{}"}}}}"#, i % 3, "p".repeat(200)).as_bytes(), &Limits::default()).unwrap();
    }
    service.append(&grant.permit::<CanWrite>().unwrap(), batch, None).await.unwrap();
}

async fn retain(service: &Service, grant: &Grant, days: u64) {
    service.retention_set(&grant.permit().unwrap(), LogKind::Events, Some(days)).await.unwrap();
}

async fn lines(service: &Service, grant: &Grant) -> Vec<u8> {
    let caller = grant.permit::<CanExport>().unwrap();
    let mut export = service.export(&caller, Query::all(LogKind::Events), Format::Ndjson, ExportOptions::default()).await.unwrap();
    let mut out = Vec::new();
    while let Some(chunk) = export.next().await {
        out.extend_from_slice(&chunk.unwrap());
    }
    out
}

async fn valid(service: &Service, grant: &Grant) -> u64 {
    let verified = service.verify(&grant.permit::<CanVerify>().unwrap(), LogKind::Events).await.unwrap();
    assert!(verified.valid, "{verified:?}");
    let mut notes = Vec::new();
    let report = service.doctor(&mut |n| notes.push(n.what)).await.unwrap();
    assert_eq!(report.problems, 0, "{notes:?}");
    verified.events_checked
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_append_to_one_chain_and_find_each_others_duplicates() {
    let dir = tempfile::tempdir().unwrap();
    let config = small(testing::config(dir.path()));
    let (a, b) = (node(&config, 1).await, node(&config, 2).await);
    let grant = grant(&a).await;
    let mut both = Vec::new();
    for (node, start) in [(a.clone(), 0), (b.clone(), 1)] {
        let grant = grant.clone();
        both.push(tokio::spawn(async move {
            for i in (start..60).step_by(2) {
                append(&node, &grant, i * 10, i * 10 + 10).await;
            }
        }));
    }
    for one in both {
        one.await.unwrap();
    }
    append(&b, &grant, 0, 100).await;
    assert_eq!((a.stored_events().await.unwrap(), valid(&a, &grant).await), (600, 600));
    assert!(a.seal_log_once(&grant).await);
    assert_eq!(valid(&b, &grant).await, 600);
    assert_eq!(lines(&a, &grant).await, lines(&b, &grant).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_goes_on_when_what_it_reads_was_compacted_and_collected() {
    let dir = tempfile::tempdir().unwrap();
    let config = small(testing::config(dir.path()));
    let (a, b) = (node(&config, 1).await, node(&config, 2).await);
    let grant = grant(&a).await;
    for i in 0..4 {
        append(&a, &grant, i * 300, i * 300 + 300).await;
        a.seal_log_once(&grant).await;
    }
    let before = lines(&a, &grant).await;
    let caller = grant.permit::<CanExport>().unwrap();
    let mut export = a.export(&caller, Query::all(LogKind::Events), Format::Ndjson, ExportOptions::default()).await.unwrap();
    let mut out = export.next().await.unwrap().unwrap().to_vec();
    assert!(b.seal_all().await.unwrap().compactions > 0);
    b.clock().advance(3_600_000_000);
    b.sweep_now().await;
    assert!(b.stats().objects_deleted.get() > 0);
    while let Some(chunk) = export.next().await {
        out.extend_from_slice(&chunk.unwrap());
    }
    assert!(out == before);
    // The node that did not compact has the old footers in its cache.
    assert_eq!(a.page(&grant.permit::<CanRead>().unwrap(), Query { limit: Some(5), ..Query::all(LogKind::Events) }).await.unwrap().lines.len(), 5);
    assert_eq!(valid(&a, &grant).await, 1200);
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_takes_rows_and_leaves_what_proves_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&small(testing::config(dir.path())), 1).await;
    let grant = grant(&service).await;
    append(&service, &grant, 0, 500).await;
    service.seal_log_once(&grant).await;
    let old = lines(&service, &grant).await;
    service.clock().advance(20 * DAY);
    append(&service, &grant, 500, 900).await;
    service.seal_log_once(&grant).await;
    append(&service, &grant, 900, 1000).await;
    let all = lines(&service, &grant).await;
    retain(&service, &grant, 30).await;
    service.sweep_now().await;
    assert!(lines(&service, &grant).await == all, "nothing is older than thirty days");
    retain(&service, &grant, 10).await;
    service.sweep_now().await;
    service.sweep_now().await;
    assert!(lines(&service, &grant).await == all[old.len()..]);
    assert_eq!(valid(&service, &grant).await, 500);
    let read = grant.permit::<CanRead>().unwrap();
    let query = Query::all(LogKind::Events);
    assert_eq!(service.count(&read, &query).await.unwrap(), 500);
    assert_eq!(service.count(&read, &Query { after: 400, before: Some(601), ..query.clone() }).await.unwrap(), 100);
    let page = service.page(&read, Query { limit: Some(3), ..query }).await.unwrap();
    assert_eq!(page.last_position, Some(503));
    let first = indelible_model::line::Line::parse(old.split_inclusive(|b| *b == b'\n').next().unwrap()).unwrap().id;
    assert_eq!(service.event(&read, &LogKind::ALL, first).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(service.stored_events().await.unwrap(), 1000);
    // What is gone is still a duplicate, and is answered with what is known of it.
    let mut batch = EventBatch::default();
    batch.push(br#"{"action":"a","external_id":"x3"}"#, &Limits::default()).unwrap();
    let write = grant.permit::<CanWrite>().unwrap();
    let again = service.append(&write, batch, None).await.unwrap();
    assert!(again.outcomes[0].duplicate);
    assert_eq!(service.appended_lines(&write, again).await, [b"{\"sequence_number\":4}"]);
    assert_eq!(service.manifest(grant.project, LogKind::Events).await.unwrap().iter().map(|e| (e.expired, e.objects().len())).collect::<Vec<_>>(), [(true, 1), (false, 3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_does_not_keep_what_retention_takes() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&small(testing::config(dir.path())), 1).await;
    let grant = grant(&service).await;
    retain(&service, &grant, 10).await;
    for day in 0..60 {
        append(&service, &grant, day * 10, day * 10 + 10).await;
        service.seal_all().await.unwrap();
        service.sweep_now().await;
        let page = service.page(&grant.permit::<CanRead>().unwrap(), Query { limit: Some(1), ..Query::all(LogKind::Events) }).await.unwrap();
        let oldest = indelible_model::line::Line::parse(&[&page.lines[0][..], b"\n"].concat()).unwrap().received_at;
        let age = (service.clock().now().micros() - oldest.micros()) / DAY;
        assert!(age <= 14 && (day < 20 || age >= 10), "day {day}: the oldest event is {age} days old");
        service.clock().advance(DAY);
    }
    assert!(service.stats().compactions.get() > 0 || service.stats().seals.get() == 60);
    valid(&service, &grant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_the_source_and_is_not_opened_before_it_is_whole() {
    let (here, there, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = node(&small(Config::embedded(here.path())), 1).await;
    let grant = grant(&source).await;
    append(&source, &grant, 0, 700).await;
    source.seal_log_once(&grant).await;
    append(&source, &grant, 700, 1000).await;
    let people = source.operator(grant.project).await.unwrap().permit().unwrap();
    let ann = MemberSpec { password: Some(sessions::PASSWORD.to_owned()), ..members::spec("ann@example.com", Role::Auditor) };
    source.member_create(&people, ann).await.unwrap();
    let mut quiet = |_| {};
    let open = async |config: &Config| Service::open_unfinished(config.clone(), Clock::System, Ids::System).await.unwrap();
    let (other, again) = (small(testing::config(there.path())), small(Config::embedded(back.path())));
    let copied = transfer::copy(&source, &open(&other).await, false, &mut quiet).await.unwrap();
    assert_eq!((copied.projects, copied.events, copied.segments, copied.objects), (1, 1000, 1, 3));
    transfer::copy(&open(&other).await, &open(&again).await, false, &mut quiet).await.unwrap();
    let want = lines(&source, &grant).await;
    for config in [&other, &again] {
        let copy = node(config, 3).await;
        let same = copy.authenticate(Credential::Secret("lp_sk_test_0123456789")).await.unwrap();
        assert!(lines(&copy, &same).await == want);
        assert_eq!(valid(&copy, &same).await, 1000);
        assert_eq!(sessions::come(&copy, "ann@example.com", sessions::PASSWORD).await.unwrap().grant.scopes, Role::Auditor.scopes());
        append(&copy, &same, 990, 1010).await;
        assert_eq!(copy.stored_events().await.unwrap(), 1010);
    }
    assert_eq!(transfer::copy(&source, &open(&other).await, false, &mut quiet).await.unwrap_err().kind(), Kind::Conflict);
    // Without its objects a copy is not a store, but a store can be made of it where the objects are.
    let (rows, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let rows = small(Config::embedded(rows.path()));
    transfer::copy(&source, &open(&rows).await, true, &mut quiet).await.unwrap();
    assert!(Service::open(rows.clone(), Clock::System, Ids::System).await.is_err_and(|e| e.kind() == Kind::Conflict));
    let objects = small(Config::embedded(here.path())).objects;
    let made = Config { objects, ..small(Config::embedded(whole.path())) };
    transfer::copy(&open(&rows).await, &open(&made).await, false, &mut quiet).await.unwrap();
    assert!(lines(&node(&made, 4).await, &grant).await == want);
}
