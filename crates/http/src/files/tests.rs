use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use futures_util::StreamExt;
use indelible_model::query::Query;
use indelible_model::{Clock, EventBatch, Ids, Limits, LogKind};
use indelible_service::{Caller, CanExport, CanWrite, Coding, Config, Credential, ExportInfo, ExportOptions, ExportPart, ExportSpec, ExportState, Exported, Format, Service};
use serde_json::json;
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use super::*;
use crate::api_log::ApiLog;
use crate::metrics::Metrics;
use crate::openapi::Pages;
use crate::{HttpConfig, documented};

const KEY: &str = "lp_sk_test_0123456789";
/// More than two pieces.
const EVENTS: usize = 4000;

struct Server {
    _dir: tempfile::TempDir,
    service: Service,
    caller: Caller<CanExport>,
    app: Shared,
    router: Router,
}

async fn server(public_url: &str) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::open(Config::embedded(dir.path()), Clock::fixed(Timestamp::parse("2026-02-10T14:32:15.5Z").unwrap()), Ids::seeded(1)).await.unwrap();
    service.bootstrap(Some(KEY)).await.unwrap().unwrap();
    service.start();
    let grant = service.authenticate(Credential::Secret(KEY)).await.unwrap();
    let mut batch = EventBatch::default();
    for i in 0..EVENTS {
        batch.push(format!(r#"{{"action":"a.{i}","metadata":{{"pad":"{}"}}}}"#, "é".repeat(100)).as_bytes(), &Limits::default()).unwrap();
    }
    service.append(&grant.permit::<CanWrite>().unwrap(), batch, None).await.unwrap();
    let config = HttpConfig { public_url: public_url.to_owned(), ..HttpConfig::default() };
    let document = documented().into_openapi();
    let app = App {
        service: service.clone(),
        metrics: Metrics::new(&service),
        api_log: ApiLog::new(config.api_log.clone(), &document),
        pages: Pages::new(&document),
        config: config.clone(),
    };
    let router = crate::router(service.clone(), config);
    Server { _dir: dir, caller: grant.permit().unwrap(), service, app: Arc::new(app), router }
}

impl Server {
    /// A finished export.
    async fn export(&self, coding: Coding) -> ExportInfo {
        let what = Exported::Events { query: Box::new(Query::all(LogKind::Events)), format: Format::Ndjson, options: ExportOptions { coding, ..ExportOptions::default() } };
        let spec = ExportSpec { object: "event".into(), what, parameters: json!({}), stem: "events".into(), request_id: "r".into(), channel: "API".into(), idempotency: None };
        let asked = self.service.export_start(&self.caller, spec).await.unwrap();
        for _ in 0..600 {
            let info = self.service.export_info(&self.caller, asked.id).await.unwrap();
            if info.state == ExportState::Finished {
                return info;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the export did not end");
    }
    /// Path and query of a link.
    async fn link(&self, info: &ExportInfo, part: ExportPart) -> String {
        absolute(&self.app, &HeaderMap::new(), &self.service.export_link(info, part).await.unwrap().unwrap())
    }
    async fn open(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let request = headers.iter().fold(Request::builder().method(method).uri(path), |request, (name, value)| request.header(*name, *value));
        self.router.clone().oneshot(request.header("x-request-id", "rid-1").body(Body::empty()).unwrap()).await.unwrap()
    }
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        let (parts, body) = self.open(method, path, headers).await.into_parts();
        (parts.status, parts.headers, to_bytes(body, 64 << 20).await.unwrap().into())
    }
    /// Status and S3's code of a refusal.
    async fn refused(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let (status, headers, body) = self.ask(method, path, headers).await;
        let text = String::from_utf8(body).unwrap();
        assert_eq!(headers["content-type"], "application/xml", "{path}: {text}");
        assert!(text.starts_with("<?xml") && text.ends_with("<RequestId>rid-1</RequestId></Error>"), "{text}");
        let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code.to_owned());
        (status.as_u16(), code.unwrap())
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |v| v.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_whole_and_in_parts() {
    let server = server("").await;
    let info = server.export(Coding::Identity).await;
    let file = info.file.clone().unwrap();
    let path = server.link(&info, ExportPart::File).await;
    assert!(path.starts_with(&format!("/files/{}/events-2026-02-10.ndjson?X-Amz-Date=20260210T143215Z&X-Amz-Expires=3600&X-Amz-Signature=", info.id)), "{path}");
    let etag = format!("\"{}\"", file.sha256);
    let (status, headers, whole) = server.ask("GET", &path, &[]).await;
    assert!(whole.len() as u64 > 2 * PIECE && whole.len() as u64 == file.bytes);
    let digest = Sha256::digest(&whole);
    assert_eq!((status.as_u16(), hex(&digest)), (200, file.sha256.clone()));
    for (name, value) in [
        ("etag", etag.as_str()),
        ("accept-ranges", "bytes"),
        ("content-length", &whole.len().to_string()),
        ("content-type", "application/x-ndjson"),
        ("content-disposition", "attachment; filename=\"events-2026-02-10.ndjson\""),
        ("cache-control", "private, no-store"),
        ("x-content-type-options", "nosniff"),
        ("repr-digest", &format!("sha-256=:{}:", STANDARD.encode(digest))),
        ("x-request-id", "rid-1"),
        ("content-range", ""),
    ] {
        assert_eq!(text(&headers, name), value, "{name}");
    }
    // Nobody asks for a credential, and a wrong one does no harm.
    let (status, _, again) = server.ask("GET", &path, &[("authorization", "Bearer lp_sk_wrong"), ("x-api-key", "ak_wrong")]).await;
    assert!(status == StatusCode::OK && again == whole);
    let (status, head, none) = server.ask("HEAD", &path, &[("range", "bytes=0-9")]).await;
    assert!(status == StatusCode::OK && none.is_empty());
    for name in ["etag", "content-length", "content-type", "content-disposition", "repr-digest", "accept-ranges"] {
        assert_eq!(text(&head, name), text(&headers, name), "{name}");
    }
    let len = whole.len();
    let piece = usize::try_from(PIECE).unwrap();
    for start in [0, 1, piece - 1, piece, piece + 1, 2 * piece, len / 2, len - 1] {
        let (status, headers, rest) = server.ask("GET", &path, &[("range", &format!("bytes={start}-")), ("if-range", &etag)]).await;
        assert_eq!(
            (status.as_u16(), text(&headers, "content-range"), text(&headers, "content-length")),
            (206, &*format!("bytes {start}-{}/{len}", len - 1), &*(len - start).to_string())
        );
        assert!(rest == whole[start..], "{start}");
        assert_eq!((text(&headers, "repr-digest"), text(&headers, "etag")), (&*format!("sha-256=:{}:", STANDARD.encode(digest)), &*etag));
    }
    let (status, _, last) = server.ask("GET", &path, &[("range", "bytes=-7")]).await;
    assert!(status == StatusCode::PARTIAL_CONTENT && last == whole[len - 7..]);
    let (status, _, all) = server.ask("GET", &path, &[("range", "bytes=5-"), ("if-range", "\"another\"")]).await;
    assert!(status == StatusCode::OK && all == whole);
    let (status, headers, none) = server.ask("GET", &path, &[("if-none-match", &etag)]).await;
    assert_eq!((status.as_u16(), text(&headers, "etag"), none.len()), (304, &*etag, 0));
    let outside = [("range", &*format!("bytes={len}-"))];
    assert_eq!(server.refused("GET", &path, &outside).await, (416, "InvalidRange".into()));
    assert_eq!(text(&server.ask("GET", &path, &outside).await.1, "content-range"), format!("bytes */{len}"));
    assert_eq!(server.refused("GET", &path, &[("if-match", "\"another\"")]).await, (412, "PreconditionFailed".into()));
    let (status, headers, manifest) = server.ask("GET", &server.link(&info, ExportPart::Manifest).await, &[]).await;
    assert_eq!((status.as_u16(), text(&headers, "content-type")), (200, "application/json"));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&manifest).unwrap()["sha256"], file.sha256);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_refused_as_s3_does() {
    let server = server("").await;
    let (info, other) = (server.export(Coding::Gzip).await, server.export(Coding::Gzip).await);
    let path = server.link(&info, ExportPart::File).await;
    let (place, query) = path.split_once('?').unwrap();
    let denied = (403, "AccessDenied".to_owned());
    let pairs: Vec<&str> = query.split('&').collect();
    for without in 0..3 {
        let rest: Vec<&str> = pairs.iter().enumerate().filter(|(i, _)| *i != without).map(|(_, p)| *p).collect();
        assert_eq!(server.refused("GET", &format!("{place}?{}", rest.join("&")), &[]).await, denied);
        assert_eq!(server.refused("GET", &format!("{path}&{}", pairs[without]), &[]).await, denied, "twice");
    }
    for changed in [
        place.to_owned(),
        format!("{place}?"),
        format!("{path}&more=1"),
        path.replace("143215Z", "143216Z"),
        path.replace("143215Z", "143215"),
        path.replace("20260210T", "20260210x"),
        path.replace("20260210T143215Z", "20260210%54143215Z"),
        path.replace("=3600", "=3601"),
        path.replace("=3600", "=%2B3600"),
        path.replace("=3600", "="),
        path.replace("=3600", "=99999999999999999999999"),
        path.replace(".gz?", ".gz.manifest.json?"),
        path.replace("events", "Events"),
        path.replace(&info.id.to_string(), &other.id.to_string()),
        path.replace(&info.id.to_string(), "exp_000000000000000000000000"),
        path.replace(&info.id.to_string(), "x"),
        path.replace("events", "%FF"),
        format!("{}0", &path[..path.len() - 1]),
        path[..path.len() - 1].to_owned(),
    ] {
        if changed != path {
            assert_eq!(server.refused("GET", &changed, &[]).await, denied, "{changed}");
            assert_eq!(server.ask("HEAD", &changed, &[]).await.0, 403);
        }
    }
    // An encoded letter of the name is the same name.
    assert_eq!(server.ask("GET", &path.replace("events", "%65vents"), &[]).await.0, 200);
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(server.refused(method, &path, &[]).await, (405, "MethodNotAllowed".into()));
    }
    for nowhere in ["/files", "/files/", "/files/x", "/files/x/y/z"] {
        assert_eq!(server.refused("GET", nowhere, &[]).await, (404, "NoSuchKey".into()));
    }
    server.service.clock().advance(3599 * 1_000_000);
    assert_eq!(server.ask("GET", &path, &[]).await.0, 200);
    server.service.clock().advance(1_000_000);
    let (status, _, late) = server.ask("GET", &path, &[]).await;
    assert_eq!(
        (status.as_u16(), String::from_utf8(late).unwrap().as_str()),
        (
            403,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Request has expired</Message>\
             <Expires>2026-02-10T15:32:15.000000Z</Expires><ServerTime>2026-02-10T15:32:15.500000Z</ServerTime><RequestId>rid-1</RequestId></Error>"
        )
    );
    let fresh = server.link(&info, ExportPart::File).await;
    assert_eq!(server.ask("GET", &fresh, &[]).await.0, 200);
    server.service.export_delete(&server.caller, info.id).await.unwrap();
    assert_eq!(server.refused("GET", &fresh, &[]).await, denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_breaks_off_when_its_export_is_deleted() {
    let server = server("").await;
    let info = server.export(Coding::Identity).await;
    let path = server.link(&info, ExportPart::File).await;
    let mut body = server.open("GET", &path, &[]).await.into_body().into_data_stream();
    let first = body.next().await.unwrap().unwrap();
    assert_eq!(first.len() as u64, PIECE);
    server.service.export_delete(&server.caller, info.id).await.unwrap();
    tokio::time::sleep(RECHECK + Duration::from_millis(50)).await;
    assert!(body.next().await.unwrap().is_err());
    assert!(body.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn links_name_the_server_as_clients_know_it() {
    let link = |place| Link { place, expires_at: Timestamp::default() };
    let ours = SignedLink { export: ExportId([1; 16]), name: "a.csv".into(), date: Timestamp::default(), lifetime: 9, signature: "ab".into() };
    let path = format!("/files/{}/a.csv?X-Amz-Date=19700101T000000Z&X-Amz-Expires=9&X-Amz-Signature=ab", ours.export);
    let host = |host: &'static str| HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
    let bare = server("").await;
    assert_eq!(absolute(&bare.app, &host("logs.example:8700"), &link(LinkPlace::Ours(ours.clone()))), format!("http://logs.example:8700{path}"));
    for odd in ["", "a b", "a/b", "a\"b", "<a>"] {
        assert_eq!(absolute(&bare.app, &host(odd), &link(LinkPlace::Ours(ours.clone()))), path, "{odd}");
    }
    let public = server("https://audit.example/x").await;
    assert_eq!(absolute(&public.app, &host("10.0.0.1"), &link(LinkPlace::Ours(ours))), format!("https://audit.example/x{path}"));
    assert_eq!(absolute(&public.app, &host("10.0.0.1"), &link(LinkPlace::Absolute("https://s3/x?y".into()))), "https://s3/x?y");
}

#[test]
fn dates_are_those_of_s3() {
    let at = Timestamp::parse("2026-02-10T14:32:15.999999Z").unwrap();
    assert_eq!(date(at), "20260210T143215Z");
    assert_eq!(read_date("20260210T143215Z"), Timestamp::parse("2026-02-10T14:32:15Z").ok());
    for wrong in ["", "20260210T143215", "20260210T143215ZZ", "20260210t143215Z", "2026-02-10T14:32:15Z", "20261310T143215Z", "20260210T143260Z", "2026é210T143215Z"] {
        assert_eq!(read_date(wrong), None, "{wrong}");
    }
}
