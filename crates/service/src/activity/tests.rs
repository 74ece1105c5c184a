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

async fn record(service: &Service, grant: &Grant, id: &str) -> bool {
    let room = service.room(grant.project, 4000).await;
    let has_room = room.is_some();
    room.into_iter().for_each(|room| service.record(room, &call(grant, id)));
    has_room
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
    assert!(details.contains(r#""actor":{"id":"operator","type":"operator"}"#) && details.contains(r#""external_id":"outbox:"#), "{details}");
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
    assert!(record(&service, &grant, "r").await);
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
    let room = service.room(grant.project, 10).await.unwrap();
    let mut call = call(&grant, "r1");
    call.metadata.insert("rows".into(), 3.into());
    service.record(room, &call);
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
    let mut kept = 0;
    // Room is asked for before it is known how much is needed, and what is not needed comes back.
    for i in 0..6 {
        kept += usize::from(record(&service, &grant, &i.to_string()).await);
    }
    assert!((1..=4).contains(&kept), "{kept}");
    assert_eq!(service.stats().api_log_dropped.get(), 6 - kept as u64);
    service.settle().await.unwrap();
    let seen = activity(&service, &grant, before).await;
    assert_eq!(seen.len(), kept + 1);
    let (action, details) = &seen[0];
    assert_eq!(action, "api_log.lost");
    assert!(details.contains(&format!("\"metadata\":{{\"requests\":{}}}", 6 - kept)), "{details}");
    service.settle().await.unwrap();
    assert_eq!(activity(&service, &grant, before).await.len(), kept + 1, "told once");
    assert!(record(&service, &grant, "after").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_now_waits_in_its_order() {
    let (_dir, service, grant) = service(|_| {}).await;
    for i in 0..3 {
        assert!(record(&service, &grant, &i.to_string()).await);
    }
    // Without its writer the service stores nothing.
    service.inner.writer.drain().await;
    assert!(!service.flush().await && !service.flush().await);
    assert!(record(&service, &grant, "3").await);
    let ids: Vec<_> = service.inner.activity.queue().calls.iter().map(|c| c.event.contains("\"request_id\":\"3\"")).collect();
    assert_eq!(ids, [false, false, false, true]);
    facts(&service, &grant, &names("a", 2)).await;
    assert!(service.drain_outbox().await.is_err());
    assert!(waiting(&service).await >= 2);
}
