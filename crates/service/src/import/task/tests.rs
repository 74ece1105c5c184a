use std::io::Write;

use bytes::Bytes;
use indelible_model::query::Query;
use indelible_model::{Clock, Ids, Timestamp};
use indelible_store::TaskStatus;

use super::*;
use crate::import::{ImportInfo, ImportPart, ImportSpec};
use crate::{CanExport, CanVerify, Config, Credential, ExportOptions, Format, SealConfig, Service, TaskConfig, testing};

async fn service_with(change: impl FnOnce(&mut Config)) -> (tempfile::TempDir, Service, Grant) {
    let dir = tempfile::tempdir().unwrap();
    let seal = SealConfig { seal_bytes: 1 << 40, orphan_grace_secs: 0, ..SealConfig::default() };
    let mut config = Config { seal, ..testing::config(dir.path()) };
    change(&mut config);
    let clock = Clock::fixed(Timestamp::parse("2026-02-10T14:32:15.5Z").unwrap());
    let service = Service::open(config, clock, Ids::seeded(1)).await.unwrap();
    let first = service.bootstrap(Some("lp_sk_test_0123456789")).await.unwrap().unwrap();
    let grant = service.authenticate(Credential::Secret(&first.secret)).await.unwrap();
    (dir, service, grant)
}

async fn service() -> (tempfile::TempDir, Service, Grant) {
    service_with(|_| {}).await
}

fn spec(mapping: &str) -> ImportSpec {
    ImportSpec { mapping: ImportMapping::parse(mapping).unwrap(), request_id: "r1".into(), channel: "API".into(), idempotency_key: None }
}

async fn upload(service: &Service, grant: &Grant, name: &str, spec: ImportSpec, bytes: &[u8]) -> Result<(ImportInfo, bool)> {
    let mut upload = service.import_begin(&grant.permit().unwrap(), name).await?;
    for chunk in bytes.chunks(100_000) {
        upload.write(Bytes::copy_from_slice(chunk)).await?;
    }
    upload.finish(spec).await
}

/// Sends a file and runs its task.
async fn import(service: &Service, grant: &Grant, mapping: &str, bytes: &[u8]) -> ImportInfo {
    let (asked, replayed) = upload(service, grant, "a.ndjson", spec(mapping), bytes).await.unwrap();
    assert_eq!((asked.task.status, replayed), (TaskStatus::Queued, false));
    work(service).await;
    service.import(grant, asked.task.id).await.unwrap()
}

async fn work(service: &Service) {
    let task = service.next_task().await.unwrap().unwrap();
    service.run_asked(task).await;
}

async fn events(service: &Service, grant: &Grant, log: LogKind) -> Vec<Value> {
    let mut export = service.export(&grant.permit::<CanExport>().unwrap(), Query::all(log), Format::Ndjson, ExportOptions::default()).await.unwrap();
    let mut out = Vec::new();
    while let Some(chunk) = export.next().await {
        out.extend_from_slice(&chunk.unwrap());
    }
    let lines = out.split(|b| *b == b'\n').filter(|l| !l.is_empty());
    lines.map(|l| serde_json::from_slice(l).unwrap()).collect()
}

async fn text(service: &Service, grant: &Grant, id: TaskId, part: ImportPart) -> Result<Vec<u8>> {
    let download = service.import_file(grant, id, part).await?;
    Ok(download.read(0, usize::try_from(download.bytes).unwrap()).await?.to_vec())
}

async fn report(service: &Service, grant: &Grant, id: TaskId) -> Vec<Value> {
    let text = text(service, grant, id, ImportPart::Report).await.unwrap();
    text.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect()
}

fn counts(info: &ImportInfo) -> [u64; 3] {
    let result = info.task.result.as_ref().unwrap();
    ["done_count", "duplicate_count", "failed_count"].map(|name| result[name].as_u64().unwrap())
}

fn ndjson(from: usize, to: usize) -> Vec<u8> {
    (from..to)
        .flat_map(|i| {
            format!("{{\"action\":\"a.{}\",\"actor\":{{\"id\":\"u{}\"}},\"context\":{{\"n\":-9214364837600034816.0}},\"metadata\":{{\"i\":{i}}}}}\n", i % 3, i % 11).into_bytes()
        })
        .collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_mapped_is_stored_and_the_rest_is_reported() {
    let (_dir, service, grant) = service().await;
    let bad = b"{\"action\":\"\"}\nno json\n{\"action\":\"x\",\"actor\":5,\"target\":6}\n{\"action\":\"x\",\"external_id\":\"indelible:x\"}\n";
    let plain = [&ndjson(0, 3000)[..], bad, &ndjson(3000, 4500)].concat();
    let mut stored = 0;
    for packed in [plain.clone(), gzip(&[&plain[..], b"{\"action\":\"more\"}\n"].concat()), zstd::bulk::compress(&[&plain[..], b" "].concat(), 1).unwrap()] {
        let info = import(&service, &grant, "native", &packed).await;
        let id = info.task.id;
        assert_eq!((info.task.status, info.report, info.task.error.clone()), (TaskStatus::Done, true, None));
        let [done, duplicates, refused] = counts(&info);
        assert_eq!((duplicates, refused), (0, 4), "another file has other ids");
        let result = info.task.result.as_ref().unwrap();
        assert_eq!(result["records"], done + 4);
        assert_eq!(result["positions"], json!({ "events": { "first": stored + 1, "last": stored + done } }));
        let listed = report(&service, &grant, id).await;
        assert_eq!(
            listed.iter().map(|l| (l["line"].as_u64().unwrap(), l["member"].as_str().unwrap())).collect::<Vec<_>>(),
            [(3001, "action"), (3002, ""), (3003, "actor"), (3004, "external_id")]
        );
        assert_eq!(listed[2]["reason"], "must be an object. target must be an object.");
        assert_eq!(text(&service, &grant, id, ImportPart::Original).await.unwrap(), packed);
        let all = events(&service, &grant, LogKind::Events).await;
        let mine = &all[usize::try_from(stored).unwrap()..];
        assert_eq!(mine[3000]["context"]["import"], json!({ "task": id.to_string(), "line": 3005 }));
        assert_eq!(mine.len() as u64, done);
        stored += done;
    }
    assert!(service.verify(&grant.permit::<CanVerify>().unwrap(), LogKind::Events).await.unwrap().valid);
    // The same file again: all of it is known.
    let info = import(&service, &grant, "native", &plain).await;
    assert_eq!(counts(&info), [0, 4500, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_csv_go_by_the_mapping_that_came_along() {
    let (_dir, service, grant) = service().await;
    let mapping = "action = \"shop.{what}\"\noccurred_at = \"{at}\"\n[time]\nassume_zone = \"UTC\"\n[actor]\nid = \"{who}\"\n[http]\nmethod = \"{method}\"\n";
    let csv = b"what,at,who,method\nbuy,2026-01-02 03:04:05,ann,\nsell,soon,bob,\nbuy,2026-01-02 03:04:06,eve\n,2026-01-02 03:04:06,eve,\nget,2026-01-02 03:04:07,kim,GET\n";
    let info = import(&service, &grant, mapping, &gzip(csv)).await;
    assert_eq!((info.mapping.as_str(), counts(&info)), ("inline", [2, 0, 3]));
    assert_eq!(info.task.result.as_ref().unwrap()["positions"], json!({ "events": { "first": 1, "last": 1 }, "activity": { "first": 1, "last": 1 } }));
    let listed = report(&service, &grant, info.task.id).await;
    assert_eq!(listed.iter().map(|l| (l["line"].as_u64().unwrap(), l["member"].as_str().unwrap())).collect::<Vec<_>>(), [(3, "occurred_at"), (4, ""), (5, "action")]);
    let event = &events(&service, &grant, LogKind::Events).await[0];
    assert_eq!((&event["action"], &event["context"]), (&json!("shop.buy"), &json!({ "import": { "task": info.task.id.to_string(), "line": 2 } })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_after_a_crash_stores_nothing_twice_and_says_the_same() {
    let (_dir, service, grant) = service_with(|config| config.limits.bulk_events = 50_000).await;
    let bytes = [&ndjson(0, 7000)[..], b"bad\n", &ndjson(7000, 20_000), b"bad\n"].concat();
    let (asked, _) = upload(&service, &grant, "a", spec("native"), &bytes).await.unwrap();
    let task = service.next_task().await.unwrap().unwrap();
    let running = tokio::spawn({
        let service = service.clone();
        async move { service.run_asked(task).await }
    });
    while service.stats().events_accepted.get() < 6000 {
        tokio::task::yield_now().await;
    }
    running.abort();
    let _ended = running.await;
    service.clock().advance(3_600_000_000);
    work(&service).await;
    let info = service.import(&grant, asked.task.id).await.unwrap();
    assert_eq!((info.task.status, counts(&info)), (TaskStatus::Done, [20_000, 0, 2]));
    assert_eq!(info.task.result.as_ref().unwrap()["positions"]["events"], json!({ "first": 1, "last": 20_000 }));
    let listed = report(&service, &grant, asked.task.id).await;
    assert_eq!(listed.iter().map(|l| l["line"].as_u64().unwrap()).collect::<Vec<_>>(), [7001, 20_002]);
    let all = events(&service, &grant, LogKind::Events).await;
    assert!(all.iter().enumerate().all(|(i, e)| e["metadata"]["i"] == i) && all.len() == 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_import_says_what_it_stored() {
    let (_dir, service, grant) = service().await;
    let (asked, _) = upload(&service, &grant, "a", spec("native"), &[&ndjson(0, 1)[..], b"bad\n", &ndjson(1, 200_000)].concat()).await.unwrap();
    let task = service.next_task().await.unwrap().unwrap();
    let running = tokio::spawn({
        let service = service.clone();
        async move { service.run_asked(task).await }
    });
    while service.stats().events_accepted.get() < 4000 {
        tokio::task::yield_now().await;
    }
    service.task_cancel(&grant, asked.task.id).await.unwrap();
    service.clock().advance(10_000_000);
    running.await.unwrap();
    let info = service.import(&grant, asked.task.id).await.unwrap();
    assert_eq!(info.task.status, TaskStatus::Cancelled);
    let [done, _, refused] = counts(&info);
    assert!((4000..200_000).contains(&done) && refused == 1, "{done}");
    assert_eq!(events(&service, &grant, LogKind::Events).await.len() as u64, done);
    assert_eq!(report(&service, &grant, asked.task.id).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_fails_and_says_where() {
    let (_dir, service, grant) = service().await;
    let packed = gzip(&ndjson(0, 60_000));
    for (bytes, want) in
        [(&packed[..packed.len() - 1000], "The file cannot be read on at line "), (b"a,a\n1,2\n", "The file is neither NDJSON nor CSV: the header names the column `a` twice.")]
    {
        let info = import(&service, &grant, "native", bytes).await;
        let error = info.task.error.clone().unwrap();
        assert_eq!(info.task.status, TaskStatus::Failed, "{error}");
        let [done, ..] = counts(&info);
        assert!(error.starts_with(want) && error.contains(&format!(" {done} events were stored before")), "{error}");
        assert_eq!(text(&service, &grant, info.task.id, ImportPart::Original).await.unwrap(), bytes);
    }
    assert!(events(&service, &grant, LogKind::Events).await.len() > 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn used_up_events_end_an_import() {
    let (_dir, service, grant) = service_with(|config| config.plans = crate::Plans::new(None, "free").unwrap()).await;
    let info = import(&service, &grant, "native", &ndjson(0, 11_999)).await;
    assert_eq!((info.task.status, counts(&info)[0]), (TaskStatus::Failed, 10_000));
    assert!(info.task.error.unwrap().starts_with("The plan's events for this month (UTC) are used up. 10000 events were stored before"));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_refused_records_than_are_listed_are_counted() {
    let (_dir, service, grant) = service().await;
    let info = import(&service, &grant, "native", &b"{\"action\":1}\n".repeat(12_345)).await;
    assert_eq!(counts(&info), [0, 0, 12_345]);
    assert_eq!(info.task.result.as_ref().unwrap()["failed_listed"], 10_000);
    let listed = report(&service, &grant, info.task.id).await;
    assert_eq!((listed.len(), &listed[10_000]), (10_001, &json!({ "not_listed": 2345 })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_stored_whole_or_not_at_all() {
    let (_dir, service, grant) = service_with(|config| config.tasks = TaskConfig { import_bytes: 1000, ..TaskConfig::default() }).await;
    let spec = || spec("native");
    assert_eq!(upload(&service, &grant, "a", spec(), &[b'x'; 1001]).await.map_err(|e| e.kind()).err(), Some(Kind::TooLarge));
    assert_eq!(upload(&service, &grant, "a", spec(), b"").await.map_err(|e| e.kind()).err(), Some(Kind::Invalid));
    assert!(service.next_task().await.unwrap().is_none());
    let keyed = |key: &str| ImportSpec { idempotency_key: Some(key.into()), ..spec() };
    let (first, _) = upload(&service, &grant, "dir\\Übersicht 1.csv", keyed("k"), b"a\n1\n").await.unwrap();
    assert_eq!(first.file.name, "Übersicht 1.csv");
    let (again, replayed) = upload(&service, &grant, "dir\\Übersicht 1.csv", keyed("k"), b"a\n1\n").await.unwrap();
    assert_eq!((again.task.id, replayed), (first.task.id, true));
    assert_eq!(upload(&service, &grant, "Übersicht 1.csv", keyed("k"), b"a\n2\n").await.map_err(|e| e.kind()).err(), Some(Kind::KeyReused));
    let (other, _) = upload(&service, &grant, "b", keyed("k2"), b"a\n1\n").await.unwrap();
    let listed = service.imports(&grant, &crate::ImportsFilter::default(), 10).await.unwrap();
    assert_eq!(listed.iter().map(|i| i.task.id).collect::<std::collections::BTreeSet<_>>(), [first.task.id, other.task.id].into());
    let after = crate::ImportsFilter { after: Some(listed[0].task.id), ..Default::default() };
    assert_eq!(service.imports(&grant, &after, 10).await.unwrap().iter().map(|i| i.task.id).collect::<Vec<_>>(), [listed[1].task.id]);
    // What came to nothing is collected, at once where it was whole; what is published stays.
    service.sweep_now().await;
    assert_eq!(service.stats().objects_deleted.get(), 2);
    service.clock().advance(3_600_000_000);
    service.sweep_now().await;
    assert_eq!(service.stats().objects_deleted.get(), 4);
    assert_eq!(text(&service, &grant, first.task.id, ImportPart::Original).await.unwrap(), b"a\n1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_bound_writes_and_sees_what_is_theirs() {
    let (_dir, service, grant) = service().await;
    let bound = |name: &str| Grant { organizations: Some(vec![name.to_owned()].into()), ..grant.clone() };
    let (acme, other) = (bound("acme"), bound("other"));
    let bytes = b"{\"action\":\"a\",\"organization\":{\"id\":\"acme\"}}\n{\"action\":\"a\",\"organization\":{\"id\":\"other\"}}\n{\"action\":\"a\"}\n";
    let info = import(&service, &acme, "native", bytes).await;
    assert_eq!(counts(&info), [1, 0, 2]);
    assert_eq!(report(&service, &acme, info.task.id).await[0]["member"], "organization.id");
    assert_eq!(service.import(&other, info.task.id).await.map_err(|e| e.kind()).err(), Some(Kind::NotFound));
    assert_eq!(service.imports(&other, &Default::default(), 9).await.unwrap().len(), 0);
    assert_eq!(service.imports(&grant, &Default::default(), 9).await.unwrap().len(), 1);
    // Who may write alone sees what came of it, and not the file.
    let writer = Grant { scopes: Scopes::of(&[Scope::EventsWrite]), ..grant.clone() };
    assert_eq!(text(&service, &writer, info.task.id, ImportPart::Original).await.map_err(|e| e.kind()), Err(Kind::Forbidden));
    assert_eq!(report(&service, &writer, info.task.id).await.len(), 2);
    // What became no event may be of anybody, and of any log.
    let only = |grant: &Grant, scopes: &[Scope]| Grant { scopes: Scopes::of(scopes), ..grant.clone() };
    let (reader, auditor) = (only(&grant, &[Scope::EventsRead]), only(&grant, &[Scope::EventsRead, Scope::LogsRead]));
    for part in [ImportPart::Original, ImportPart::Report] {
        assert_eq!(text(&service, &reader, info.task.id, part).await.map_err(|e| e.kind()), Err(Kind::Forbidden));
        assert_eq!(text(&service, &only(&acme, &[Scope::EventsRead, Scope::LogsRead]), info.task.id, part).await.map_err(|e| e.kind()), Err(Kind::Forbidden));
        assert!(text(&service, &auditor, info.task.id, part).await.is_ok());
    }
    assert_eq!(text(&service, &acme, info.task.id, ImportPart::Original).await.map_err(|e| e.kind()), Err(Kind::Forbidden));
    let own = import(&service, &acme, "native", bytes.split_inclusive(|b| *b == b'\n').next().unwrap()).await;
    for grant in [&acme, &reader, &only(&acme, &[Scope::EventsRead])] {
        assert!(text(&service, grant, own.task.id, ImportPart::Original).await.is_ok());
    }
    let queued = upload(&service, &grant, "a", spec("native"), b"{}").await.unwrap().0;
    assert_eq!(
        text(&service, &reader, queued.task.id, ImportPart::Original).await.map_err(|e| e.kind()),
        Err(Kind::Forbidden),
        "it may hold what only readers of the API log may see"
    );
    work(&service).await;
    let exporter = Grant { scopes: Scopes::of(&[Scope::Export]), ..grant.clone() };
    assert_eq!(service.import(&exporter, info.task.id).await.map_err(|e| e.kind()).err(), Some(Kind::Forbidden));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_were_there_before_are_for_readers_of_the_api_log() {
    let (_dir, service, grant) = service().await;
    let bytes = br#"{"action":"a","external_id":"e","http":{"method":"GET"}}"#;
    let reader = Grant { scopes: Scopes::of(&[Scope::EventsRead]), ..grant.clone() };
    for (bytes, want) in [(bytes.to_vec(), [1, 0, 0]), ([&bytes[..], b"\n"].concat(), [0, 1, 0])] {
        let info = import(&service, &grant, "native", &bytes).await;
        assert_eq!((counts(&info), &info.task.result.as_ref().unwrap()["logs"]), (want, &json!(["activity"])));
        assert_eq!(text(&service, &reader, info.task.id, ImportPart::Original).await.map_err(|e| e.kind()), Err(Kind::Forbidden));
        assert_eq!(text(&service, &grant, info.task.id, ImportPart::Original).await.unwrap(), bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_keeps_so_many_bytes() {
    let (_dir, service, grant) = service_with(|config| config.tasks = TaskConfig { import_project_bytes: 10, ..TaskConfig::default() }).await;
    let send = async |bytes: &[u8], key: &str| upload(&service, &grant, "a", ImportSpec { idempotency_key: Some(key.into()), ..spec("native") }, bytes).await.map(|r| r.1);
    assert!(!send(b"a\n1\n2\n", "k").await.unwrap());
    let error = send(b"a\n3\n4\n", "l").await.unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
    assert!(error.public().contains("have 6 bytes, and may have 10 with this one (import_project_bytes)"), "{error}");
    service.sweep_now().await;
    assert_eq!(service.stats().objects_deleted.get(), 1);
    assert!(send(b"a\n1\n2\n", "k").await.unwrap(), "a repeat needs no room");
    assert!(!send(b"a\n5\n", "m").await.unwrap());
    assert_eq!(service.import_begin(&grant.permit().unwrap(), "a").await.map(drop).map_err(|e| e.kind()), Err(Kind::TooLarge));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_bytes_are_not_unpacked_for_ever() {
    let (_dir, service, grant) = service_with(|config| config.limits.inflation_ratio = 10).await;
    let packed = zstd::bulk::compress(&[&b"{}\n"[..], &vec![b'\n'; 65 << 20]].concat(), 1).unwrap();
    let info = import(&service, &grant, "native", &packed).await;
    assert_eq!(info.task.status, TaskStatus::Failed);
    assert!(info.task.error.as_ref().unwrap().contains("67108864 bytes, too many for its size (inflation_ratio)"), "{:?}", info.task.error);
}
