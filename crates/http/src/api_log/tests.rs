use axum::Router;
use axum::body::to_bytes;
use axum::http::StatusCode;
use indelible_model::{Clock, Ids};
use indelible_service::{CanManageKeys, Config, KeySpec, Scope, Scopes, Service};
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::HttpConfig;

const KEY: &str = "lp_sk_test_0123456789";
const QUEUE: usize = 8 << 10;

struct Server {
    _dir: tempfile::TempDir,
    service: Service,
    router: Router,
}

async fn server() -> Server {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { api_log_queue_bytes: QUEUE, ..Config::embedded(dir.path()) };
    let service = Service::open(config, Clock::fixed(Timestamp::parse("2026-02-10T14:32:15.5Z").unwrap()), Ids::seeded(1)).await.unwrap();
    service.bootstrap(Some(KEY)).await.unwrap().unwrap();
    let router = crate::router(service.clone(), HttpConfig::default());
    Server { _dir: dir, service, router }
}

fn request(method: &str, path: &str, id: &str, key: &str) -> Request {
    let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}")).header("x-request-id", id);
    request.header("content-type", "application/json").body(Body::from(if method == "POST" { "{}" } else { "" })).unwrap()
}

impl Server {
    async fn open(&self, method: &str, path: &str, id: &str) -> Response {
        self.router.clone().oneshot(request(method, path, id, KEY)).await.unwrap()
    }
    /// Status and body.
    async fn ask(&self, method: &str, path: &str, id: &str) -> (StatusCode, Vec<u8>) {
        let response = self.open(method, path, id).await;
        (response.status(), to_bytes(response.into_body(), 1 << 20).await.unwrap().into())
    }
    /// The entries whose request ids begin so, oldest first.
    async fn entries(&self, ids: &str) -> Vec<Value> {
        self.service.settle().await.unwrap();
        let (status, body) = self.ask("GET", "/v1/logs?per_page=100", "list").await;
        assert_eq!(status, StatusCode::OK);
        let page: Value = serde_json::from_slice(&body).unwrap();
        let mut entries = page["data"].as_array().unwrap().clone();
        entries.retain(|e| e["http"]["request_id"].as_str().is_some_and(|id| id.starts_with(ids)));
        entries.reverse();
        entries
    }
}

fn endpoints(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|e| e["http"]["endpoint"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_no_answer_takes_no_room() {
    let server = server().await;
    let mut open = Vec::new();
    let begun = Instant::now();
    for i in 0..40 {
        open.push(server.open("GET", "/v1/events", &format!("slow-{i}")).await);
    }
    assert!(begun.elapsed().as_secs() < 10);
    server.ask("GET", "/v1/events", "quick").await;
    assert_eq!(server.entries("quick").await.len(), 1);
    assert_eq!(server.service.stats().api_log_dropped.get(), 0);
    open.truncate(1);
    assert!(server.service.stats().api_log_dropped.get() > 0, "the queue is small, and nobody waited");
    assert!(!server.entries("slow").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_route_is_a_known_caller_is_counted_and_recorded() {
    let server = server().await;
    for (method, path, status, endpoint) in [
        ("GET", "/nothing/here", 404, "GET_unmatched"),
        ("GET", "/v1/nothing", 404, "GET_unmatched"),
        ("DELETE", "/v1/events", 405, "DELETE_v1_events"),
        ("eyJ0123456789012345678901234567890123456789", "/nothing", 404, "***_unmatched"),
    ] {
        let response = server.open(method, path, "r").await;
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        assert!(response.headers().contains_key("x-ratelimit-remaining"), "{method} {path}");
        drop(response);
        let seen = server.entries("r").await;
        assert_eq!(endpoints(&seen).last(), Some(&endpoint));
        assert_eq!(seen.last().unwrap()["http"]["status"], status);
    }
    let stranger = server.router.clone().oneshot(request("GET", "/nothing", "s", "lp_sk_nobody_0123456789")).await.unwrap();
    assert_eq!((stranger.status().as_u16(), stranger.headers().contains_key("x-ratelimit-remaining")), (404, false));
    drop(stranger);
    assert!(server.entries("s").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_above_its_limit_fills_no_log() {
    let server = server().await;
    let project = server.service.authenticate(indelible_service::Credential::Secret(KEY)).await.unwrap();
    let spec = KeySpec { per_minute: Some(2), ..KeySpec::new("few", Scopes::of(&[Scope::EventsRead])) };
    let few = server.service.key_create(&project.permit::<CanManageKeys>().unwrap(), spec).await.unwrap().secret;
    for (round, path) in ["/v1/events", "/nothing"].into_iter().cycle().take(20).enumerate() {
        let _answer = server.router.clone().oneshot(request("GET", path, &format!("few-{round}"), &few)).await.unwrap();
    }
    let seen = server.entries("few").await;
    let ids: Vec<_> = seen.iter().map(|e| e["http"]["request_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["few-0", "few-1", "few-2"]);
    assert_eq!(seen[2]["http"]["status"], 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_by_post_keep_no_answer_and_heads_no_outcome() {
    let server = server().await;
    let (status, _) = server.ask("POST", "/v1/organizations/org_1/dashboard/change-logs", "read").await;
    assert_eq!(status, StatusCode::OK);
    let read = server.entries("read").await.remove(0);
    assert_eq!((&read["action"], &read["http"]["request_body"], &read["http"]["response_body"]), (&"events.searched".into(), &Value::Object(Map::new()), &Value::Null));
    for (id, path, action) in [("list", "/v1/events", "events.listed"), ("export", "/v1/events/export?format=ndjson", "events.exported")] {
        let (status, body) = server.ask("HEAD", path, &format!("head-{id}")).await;
        assert_eq!((status, body.len()), (StatusCode::OK, 0));
        let head = server.entries(&format!("head-{id}")).await.remove(0);
        assert_eq!((&head["action"], &head["http"]["method"], &head["metadata"]["outcome"]), (&action.into(), &"HEAD".into(), &Value::Null));
    }
}

#[test]
fn long_texts_are_cut_before_they_are_masked() {
    let plain = |text: &str, chars| masked(text, chars, mask::plain);
    assert_eq!(plain(&"ä".repeat(10), 10), "ä".repeat(10));
    assert_eq!(plain(&"ä".repeat(11), 10), format!("{}…", "ä".repeat(10)));
    assert_eq!(plain(&"ä".repeat(1000), 10), format!("{}…", "ä".repeat(10)));
    // Wherever it stands, no more of a credential is kept than makes it known as one.
    for before in 0..400 {
        let kept = plain(&format!("{}lp_sk_hunter2hunter2{}", "- ".repeat(before), " -".repeat(200)), 300);
        assert!(!kept.contains("hunter") && kept.chars().count() <= 301, "{before}: {kept}");
        let kept = plain(&format!("{} lp_sk_{}", "eyJ0123456789012345678901234567890 ".repeat(before), "hunter2".repeat(100)), 300);
        assert!(!kept.contains("hunter"), "{before}: {kept}");
    }
    let begun = Instant::now();
    let long = format!("/x?x{}", "ak_".repeat(20_000));
    assert!(url(&long.parse().unwrap()).chars().count() <= URL_CHARS + 1);
    assert!(begun.elapsed().as_millis() < 500);
}
