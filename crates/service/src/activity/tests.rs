use indelible_model::line::Line;
use indelible_model::query::Query;
use indelible_model::{Clock, Ids, Timestamp, json};

use super::*;
use crate::audit::Fact;
use crate::{CanReadLogs, CanVerify, Config, Grant};

async fn service(change: impl FnOnce(&mut Config)) -> (tempfile::TempDir, Service, Grant) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = crate::testing::config(dir.path());
    change(&mut config);
    let service = Service::open(config, Clock::fixed(Timestamp::parse("2026-02-10T14:32:15.5Z").unwrap()), Ids::seeded(1)).await.unwrap();
    let first = service.bootstrap(Some("lp_sk_test_0123456789")).await.unwrap().unwrap();
    let grant = service.operator(first.project).await.unwrap();
    service.settle().await.unwrap();
    (dir, service, grant)
}

/// Action and details of what the log holds after `after`.
async fn activity(service: &Service, grant: &Grant, after: u64) -> Vec<(String, String)> {
    let page = service.page(&grant.permit::<CanReadLogs>().unwrap(), Query { after, ..Query::all(LogKind::Activity) }).await.unwrap();
    let lines = page.lines.iter().map(|l| Line::parse(l).unwrap());
    lines.map(|l| (json::as_str(l.action).unwrap().into_owned(), String::from_utf8_lossy(l.details).into_owned())).collect()
}

async fn actions(service: &Service, grant: &Grant, after: u64) -> Vec<String> {
    activity(service, grant, after).await.into_iter().map(|(action, _)| action).collect()
}

async fn facts(service: &Service, grant: &Grant, names: &[String]) {
    let mut tx = service.inner.store.write().await.unwrap();
    for name in names {
        service.audit(&mut tx, grant.project, &Who::Operator, &Fact { action: name, ..Fact::default() }).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn names(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{name}.{i}")).collect()
}

async fn waiting(service: &Service) -> u64 {
    service.inner.store.glance().await.unwrap().outbox_count().await.unwrap()
}

fn call(grant: &Grant, id: &str) -> ApiCall {
    ApiCall {
        grant: Arc::new(grant.clone()),
        action: "events.listed",
        at: Timestamp::parse("2026-02-10T14:32:15Z").unwrap(),
        micros: 1234,
        ip: Some("192.0.2.1".into()),
        user_agent: None,
        request_id: id.into(),
        method: "GET".into(),
        endpoint: "GET_v1_events".into(),
        url: "/v1/events?search=x".into(),
        status: 200,
        channel: "API".into(),
        client_app_id: None,
        request_body: None,
        response_body: Some("{\"n\":12345678901234567890}".into()),
        metadata: serde_json::Map::new(),
    }
}

/// True if there was room for it.
fn record(service: &Service, grant: &Grant, id: &str) -> bool {
    let lost = service.stats().api_log_dropped.get();
    service.record(&call(grant, id));
    service.stats().api_log_dropped.get() == lost
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_reach_the_log_once_and_in_order() {
    let (_dir, service, grant) = service(|_| {}).await;
    let before = actions(&service, &grant, 0).await.len() as u64;
    facts(&service, &grant, &names("a", 450)).await;
    // A crash between the append and the deletion: the first rows are in the log and still in the outbox.
    let rows = service.inner.store.glance().await.unwrap().outbox_list(0, 120).await.unwrap();
    service.append_facts(grant.project, &rows).await.unwrap();
    assert_eq!(waiting(&service).await, 450);
    facts(&service, &grant, &names("b", 3)).await;
    let (one, two) = tokio::join!(service.drain_outbox(), service.drain_outbox());
    one.and(two).unwrap();
    assert_eq!(waiting(&service).await, 0);
    assert_eq!(actions(&service, &grant, before).await, [names("a", 450), names("b", 3)].concat());
    let (_, details) = activity(&service, &grant, before).await.remove(0);
    assert!(details.contains(r#""actor":{"id":"operator","type":"operator"}"#) && details.contains(r#""external_id":"indelible:"#), "{details}");
    assert!(service.verify(&grant.permit::<CanVerify>().unwrap(), LogKind::Activity).await.unwrap().valid);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_store_a_fact_once() {
    let (dir, service, grant) = service(|_| {}).await;
    let before = actions(&service, &grant, 0).await.len() as u64;
    let mut config = service.inner.config.clone();
    config.auto_migrate = false;
    let other = Service::open(config, service.clock().clone(), Ids::seeded(2)).await.unwrap();
    for round in 0..10 {
        facts(&service, &grant, &names(&format!("r{round}"), 20)).await;
        let (one, two) = tokio::join!(service.drain_outbox(), other.drain_outbox());
        one.and(two).unwrap();
    }
    assert_eq!(waiting(&service).await, 0);
    let want: Vec<String> = (0..10).flat_map(|round| names(&format!("r{round}"), 20)).collect();
    assert_eq!(actions(&service, &grant, before).await, want);
    drop(dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loops_bring_facts_and_calls_soon() {
    let (_dir, service, grant) = service(|_| {}).await;
    service.start();
    let before = actions(&service, &grant, 0).await.len() as u64;
    facts(&service, &grant, &names("a", 1)).await;
    assert!(record(&service, &grant, "r"));
    let mut left = 200;
    let mut seen = Vec::new();
    while seen.len() < 2 && left > 0 {
        left -= 1;
        sleep(Duration::from_millis(10)).await;
        seen = actions(&service, &grant, before).await;
    }
    seen.sort_unstable();
    assert_eq!(seen, ["a.0", "events.listed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_an_event_with_all_that_is_known_of_it() {
    let (_dir, service, mut grant) = service(|_| {}).await;
    let before = actions(&service, &grant, 0).await.len() as u64;
    grant.organizations = Some(["org_1".to_owned()].into());
    let mut call = call(&grant, "r1");
    call.metadata.insert("rows".into(), 3.into());
    service.record(&call);
    grant.organizations = None;
    service.drain().await;
    let (action, details) = activity(&service, &grant, before).await.remove(0);
    assert_eq!(action, "events.listed");
    assert_eq!(
        details,
        r#""actor":{"id":"operator","type":"operator"},"target":null,"context":{"ip":"192.0.2.1","request_id":"r1"},"diff":null,"metadata":{"rows":3},"organization":{"id":"org_1"},"http":{"method":"GET","endpoint":"GET_v1_events","url":"/v1/events?search=x","status":200,"channel":"API","duration_ms":1.234,"request_id":"r1","response_body":{"n":12345678901234567890}}"#
    );
    assert_eq!(service.stats().api_calls.get(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_without_room_are_counted_and_told() {
    let (_dir, service, grant) = service(|c| c.api_log_queue_bytes = 4 << 10).await;
    let before = actions(&service, &grant, 0).await.len() as u64;
    let kept = (0..6).filter(|i| record(&service, &grant, &i.to_string())).count();
    assert_eq!(kept, 4);
    assert_eq!(service.stats().api_log_dropped.get(), 2);
    service.settle().await.unwrap();
    let seen = activity(&service, &grant, before).await;
    assert_eq!(seen.len(), kept + 1);
    let (action, details) = &seen[0];
    assert_eq!(action, "api_log.lost");
    assert!(details.contains(r#""metadata":{"requests":2}"#), "{details}");
    service.settle().await.unwrap();
    assert_eq!(activity(&service, &grant, before).await.len(), kept + 1, "told once");
    assert!(record(&service, &grant, "after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_now_waits_in_its_order() {
    let (_dir, service, grant) = service(|_| {}).await;
    for i in 0..3 {
        assert!(record(&service, &grant, &i.to_string()));
    }
    // Without its writer the service stores nothing.
    service.inner.writer.drain().await;
    assert!(!service.flush().await && !service.flush().await);
    assert!(record(&service, &grant, "3"));
    let ids: Vec<_> = service.inner.activity.queue().calls.iter().map(|c| c.event.contains("\"request_id\":\"3\"")).collect();
    assert_eq!(ids, [false, false, false, true]);
    facts(&service, &grant, &names("a", 2)).await;
    assert!(service.drain_outbox().await.is_err());
    assert!(waiting(&service).await >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_room_takes_none() {
    let (_dir, service, grant) = service(|c| c.api_log_queue_bytes = 4 << 10).await;
    for _ in 0..20 {
        service.wait_for_room(4 << 10).await;
    }
    assert_eq!(service.inner.activity.room.available_permits(), 4);
    for i in 0..4 {
        assert!(record(&service, &grant, &i.to_string()));
    }
    let (waiting, ()) = tokio::join!(timeout(PATIENCE / 2, service.wait_for_room(10)), async {
        sleep(PATIENCE / 10).await;
        service.settle().await.unwrap();
    });
    waiting.unwrap();
    for i in 0..4 {
        assert!(record(&service, &grant, &i.to_string()));
    }
    let waited = std::time::Instant::now();
    service.wait_for_room(10).await;
    assert!((PATIENCE..PATIENCE * 3).contains(&waited.elapsed()), "{:?}", waited.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_caller_is_told_of_once_a_minute() {
    let (_dir, service, grant) = service(|_| {}).await;
    let key = |name: &str, n| Grant { who: Who::Key { id: indelible_model::KeyId([n; 16]), name: name.to_owned(), face: crate::Face::LogProof }, ..grant.clone() };
    let due = |grant: &Grant| service.tells_of_limit(grant);
    assert_eq!([due(&key("a", 1)), due(&key("a", 1)), due(&key("b", 2)), due(&key("b", 2))], [true, false, true, false]);
    service.clock().advance(60_000_000);
    assert_eq!([due(&key("a", 1)), due(&key("a", 1))], [true, false]);
}
