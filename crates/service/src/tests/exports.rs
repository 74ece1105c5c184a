//! What exports as files must keep: the bytes of the stream, the moment of asking, one end, and nothing left behind.

use std::io::Read;

use flate2::read::GzDecoder;
use indelible_encode::Layout;
use indelible_model::{Filter, KeyId};
use indelible_store::AskedTask;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::exports::{ExportInfo, ExportSpec, ExportState, Exported, ExportsFilter};
use crate::tasks::TaskFilter;
use crate::{AskedKind, Caller, Coding, ExportOrder, Idempotency, KeySpec, Scope, Scopes, TaskStatus};

fn caller(grant: &Grant) -> Caller<CanExport> {
    grant.permit().unwrap()
}

fn spec(format: Format, coding: Coding) -> ExportSpec {
    let what = Exported::Events { query: Box::new(Query::all(LogKind::Events)), format, options: ExportOptions { coding, ..ExportOptions::default() } };
    ExportSpec { object: "event".into(), what, parameters: json!({ "a": 1 }), stem: "events".into(), request_id: "v-1".into(), channel: "API".into(), idempotency: None }
}

async fn start(service: &Service, grant: &Grant, spec: ExportSpec) -> ExportInfo {
    service.export_start(&caller(grant), spec).await.unwrap()
}

/// Works on what waits until nothing does.
async fn work(service: &Service) {
    while let Some(task) = service.next_task().await.unwrap() {
        service.run_asked(task).await;
    }
}

async fn info(service: &Service, grant: &Grant, export: &ExportInfo) -> ExportInfo {
    service.export_info(&caller(grant), export.id).await.unwrap()
}

async fn object(service: &Service, key: String) -> Vec<u8> {
    let objects = service.inner.objects.clone();
    tokio::task::spawn_blocking(move || {
        let object = objects.get(&key, None).unwrap();
        object.read(0, usize::try_from(object.len()).unwrap()).unwrap()
    })
    .await
    .unwrap()
}

/// The file and the manifest.
async fn files(service: &Service, export: &ExportInfo) -> (Vec<u8>, Value) {
    let files = service.export_files(export).await.unwrap();
    let of = |part: &str| files.iter().find(|f| f.part == part).unwrap().object.clone();
    (object(service, of("file")).await, serde_json::from_slice(&object(service, of("manifest")).await).unwrap())
}

async fn objects(service: &Service) -> Vec<String> {
    let objects = service.inner.objects.clone();
    let mut keys = tokio::task::spawn_blocking(move || objects.list("").unwrap()).await.unwrap();
    keys.retain(|k| k.contains("/tasks/"));
    keys
}

async fn streamed(service: &Service, grant: &Grant, format: Format) -> Vec<u8> {
    let mut export = service.export(&caller(grant), Query::all(LogKind::Events), format, ExportOptions::default()).await.unwrap();
    let mut out = Vec::new();
    while let Some(chunk) = export.next().await {
        out.extend_from_slice(&chunk.unwrap());
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_the_stream_in_every_form() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&small(testing::config(dir.path())), 1).await;
    let grant = grant(&service).await;
    append(&service, &grant, 0, 2000).await;
    service.seal_all().await.unwrap();
    append(&service, &grant, 2000, 2500).await;
    for format in [Format::Ndjson, Format::Json, Format::Csv(Layout::LogProof), Format::Records(Layout::LoyaltyDog), Format::Parquet] {
        let plain = streamed(&service, &grant, format).await;
        for (coding, end) in [(Coding::Identity, ""), (Coding::Gzip, ".gz"), (Coding::Zstd, ".zst")] {
            let export = start(&service, &grant, spec(format, coding)).await;
            assert_eq!((export.state, export.file.clone(), export.progress), (ExportState::Queued, None, 0));
            work(&service).await;
            let done = info(&service, &grant, &export).await;
            assert_eq!((done.state, done.progress), (ExportState::Finished, 100), "{format:?} {coding:?}: {:?}", done.error);
            let (bytes, manifest) = files(&service, &done).await;
            let file = done.file.unwrap();
            assert!(file.name.starts_with("events-2026-02-10.") && file.name.ends_with(end), "{}", file.name);
            assert_eq!((file.rows, file.snapshot, file.positions, file.bytes), (2500, 2500, Some((1, 2500)), bytes.len() as u64));
            assert_eq!(file.sha256, indelible_model::ids::hex(&Sha256::digest(&bytes)));
            assert_eq!((&manifest["sha256"], &manifest["rows"], &manifest["last"]), (&json!(file.sha256), &json!(2500), &json!(2500)));
            let decoded = match coding {
                Coding::Identity => bytes,
                Coding::Gzip => {
                    let mut out = Vec::new();
                    GzDecoder::new(&bytes[..]).read_to_end(&mut out).unwrap();
                    out
                }
                Coding::Zstd => {
                    let mut out = Vec::new();
                    zstd::stream::read::Decoder::new(&bytes[..]).unwrap().read_to_end(&mut out).unwrap();
                    out
                }
            };
            assert!(decoded == plain, "{format:?} {coding:?}: {} bytes instead of {}", decoded.len(), plain.len());
        }
    }
    valid(&service, &grant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_what_was_there_when_it_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&small(testing::config(dir.path())), 1).await;
    let grant = grant(&service).await;
    append(&service, &grant, 0, 10).await;
    let export = start(&service, &grant, spec(Format::Ndjson, Coding::Identity)).await;
    let before = streamed(&service, &grant, Format::Ndjson).await;
    append(&service, &grant, 10, 30).await;
    service.seal_all().await.unwrap();
    work(&service).await;
    let done = info(&service, &grant, &export).await;
    assert_eq!(files(&service, &done).await.0, before);
    // Nothing at all is a file as well.
    let mut none = spec(Format::Csv(Layout::LogProof), Coding::Identity);
    let mut filter = Filter::default();
    filter.equals(indelible_model::fields::Field::Action, "nowhere");
    none.what = Exported::Events { query: Box::new(Query { filter, ..Query::all(LogKind::Events) }), format: Format::Csv(Layout::LogProof), options: ExportOptions::default() };
    let none = start(&service, &grant, none).await;
    let header = start(&service, &grant, ExportSpec { what: Exported::Header("ID,Code\r\n".into()), object: "voucher".into(), ..spec(Format::Json, Coding::Identity) }).await;
    work(&service).await;
    let none = info(&service, &grant, &none).await;
    assert_eq!((none.state, none.file.as_ref().map(|f| (f.rows, f.positions))), (ExportState::Finished, Some((0, None))));
    let header = info(&service, &grant, &header).await;
    assert_eq!(files(&service, &header).await.0, b"ID,Code\r\n");
    assert!(header.file.unwrap().name.ends_with(".csv"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_is_one_export() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&small(testing::config(dir.path())), 1).await;
    let grant = grant(&service).await;
    let with = |digest: u8| ExportSpec { idempotency: Some(Idempotency { route: "POST /x", key: "k".into(), body_digest: [digest; 32] }), ..spec(Format::Json, Coding::Identity) };
    let one = start(&service, &grant, with(1)).await;
    assert_eq!(start(&service, &grant, with(1)).await.id, one.id);
    assert_eq!(service.export_start(&caller(&grant), with(2)).await.unwrap_err().kind(), Kind::KeyReused);
    let (list, total) = service.exports(&caller(&grant), &ExportsFilter::default(), ExportOrder::CreatedBack, 0, 10).await.unwrap();
    assert_eq!((list.len(), total), (1, 1));
    // Both at once.
    let mut tries = Vec::new();
    for _ in 0..6 {
        let (service, grant) = (service.clone(), grant.clone());
        let spec = ExportSpec { idempotency: Some(Idempotency { route: "POST /x", key: "other".into(), body_digest: [1; 32] }), ..spec(Format::Json, Coding::Identity) };
        tries.push(tokio::spawn(async move { service.export_start(&caller(&grant), spec).await.unwrap().id }));
    }
    let mut ids = Vec::new();
    for attempt in tries {
        ids.push(attempt.await.unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_export_is_gone_with_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&small(testing::config(dir.path())), 1).await;
    let grant = grant(&service).await;
    append(&service, &grant, 0, 10).await;
    let (one, two) = (start(&service, &grant, spec(Format::Ndjson, Coding::Identity)).await, start(&service, &grant, spec(Format::Ndjson, Coding::Identity)).await);
    work(&service).await;
    assert_eq!(objects(&service).await.len(), 4);
    service.export_delete(&caller(&grant), one.id).await.unwrap();
    assert_eq!(objects(&service).await.len(), 2, "at once");
    assert_eq!(service.export_info(&caller(&grant), one.id).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(service.export_delete(&caller(&grant), one.id).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(service.task(&grant, one.task).await.unwrap().status, TaskStatus::Done);
    // One that waits never runs.
    let three = start(&service, &grant, spec(Format::Ndjson, Coding::Identity)).await;
    service.export_delete(&caller(&grant), three.id).await.unwrap();
    assert!(service.next_task().await.unwrap().is_none());
    assert_eq!(service.task(&grant, three.task).await.unwrap().status, TaskStatus::Cancelled);
    // The other one's time comes.
    service.clock().advance(180 * DAY + 1);
    service.sweep_now().await;
    let old = info(&service, &grant, &two).await;
    assert_eq!((old.state, old.file.map(|f| f.rows)), (ExportState::Expired, Some(10)));
    assert_eq!(objects(&service).await, Vec::<String>::new());
    valid(&service, &grant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_worker_died_is_done_once_by_another() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&small(testing::config(dir.path())), 1).await;
    let grant = grant(&service).await;
    append(&service, &grant, 0, 100).await;
    let export = start(&service, &grant, spec(Format::Ndjson, Coding::Identity)).await;
    let lost = service.next_task().await.unwrap().unwrap();
    assert!(service.next_task().await.unwrap().is_none(), "leased");
    service.clock().advance(61_000_000);
    let taken = service.next_task().await.unwrap().unwrap();
    assert_eq!((taken.asked.id, taken.attempts), (lost.asked.id, 2));
    // The one that was frozen wakes up: it makes its file, and cannot publish it.
    service.run_asked(lost).await;
    assert_eq!(info(&service, &grant, &export).await.state, ExportState::Running);
    service.run_asked(taken).await;
    let done = info(&service, &grant, &export).await;
    assert_eq!(done.state, ExportState::Finished);
    assert_eq!(files(&service, &done).await.0, streamed(&service, &grant, Format::Ndjson).await);
    // What the frozen one made is collected.
    service.clock().advance(DAY);
    service.sweep_now().await;
    assert_eq!(objects(&service).await.len(), 2);
    valid(&service, &grant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&small(testing::config(dir.path())), 1).await;
    let grant = grant(&service).await;
    append(&service, &grant, 0, 100).await;
    let export = start(&service, &grant, spec(Format::Ndjson, Coding::Identity)).await;
    let running = service.next_task().await.unwrap().unwrap();
    assert_eq!(service.task_cancel(&grant, export.task).await.unwrap().status, TaskStatus::Running);
    // Time goes by, so that the work gives a sign of life and learns of it.
    service.clock().advance(2_000_000);
    let told = AskedTask { cancel: true, ..running };
    service.run_asked(told).await;
    let stopped = info(&service, &grant, &export).await;
    assert_eq!((stopped.state, stopped.file), (ExportState::Cancelled, None));
    assert_eq!(service.task_cancel(&grant, export.task).await.unwrap_err().kind(), Kind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_bound_sees_the_exports_of_that_binding() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&small(testing::config(dir.path())), 1).await;
    let grant = grant(&service).await;
    let mut batch = EventBatch::default();
    for i in 0..30 {
        batch.push(format!(r#"{{"action":"a","organization":{{"id":"o{}"}}}}"#, i % 3).as_bytes(), &Limits::default()).unwrap();
    }
    service.append(&grant.permit::<CanWrite>().unwrap(), batch, None).await.unwrap();
    let key = async |name: &str, scopes: Scopes, organizations: Option<Vec<String>>| {
        let spec = KeySpec { name: name.into(), scopes, face: crate::Face::LogProof, organizations, expires_at: None, per_minute: None, secret: None };
        let made = service.key_create(&grant.permit().unwrap(), spec).await.unwrap();
        service.authenticate(Credential::Secret(&made.secret)).await.unwrap()
    };
    let bound = key("bound", Scopes::all(), Some(vec!["o1".into()])).await;
    let other = key("other", Scopes::all(), Some(vec!["o2".into()])).await;
    let reader = key("reader", Scopes::of(&[Scope::EventsRead]), None).await;
    let exporter = key("exporter", Scopes::of(&[Scope::Export]), None).await;
    let (mine, whole) = (start(&service, &bound, spec(Format::Ndjson, Coding::Identity)).await, start(&service, &grant, spec(Format::Ndjson, Coding::Identity)).await);
    let logs = ExportSpec {
        what: Exported::Events { query: Box::new(Query::all(LogKind::Activity)), format: Format::Ndjson, options: ExportOptions::default() },
        ..spec(Format::Ndjson, Coding::Identity)
    };
    assert_eq!(service.export_start(&caller(&exporter), logs.clone()).await.unwrap_err().kind(), Kind::Forbidden);
    let activity = start(&service, &grant, logs).await;
    work(&service).await;
    assert_eq!(info(&service, &bound, &mine).await.file.unwrap().rows, 10);
    assert_eq!(info(&service, &grant, &mine).await.file.unwrap().rows, 10);
    assert_eq!(info(&service, &grant, &whole).await.file.unwrap().rows, 30);
    let missing = async |grant: &Grant, export: &ExportInfo| {
        assert_eq!(service.export_info(&caller(grant), export.id).await.unwrap_err().kind(), Kind::NotFound);
        assert_eq!(service.task(grant, export.task).await.unwrap_err().kind(), Kind::NotFound);
        assert_eq!(service.export_delete(&caller(grant), export.id).await.unwrap_err().kind(), Kind::NotFound);
        assert_eq!(service.task_cancel(grant, export.task).await.unwrap_err().kind(), Kind::NotFound);
    };
    missing(&bound, &whole).await;
    missing(&other, &mine).await;
    missing(&exporter, &activity).await;
    let listed = async |grant: &Grant| {
        let tasks = service.tasks(grant, &TaskFilter::default(), 99).await.unwrap();
        let (exports, total) = service.exports(&caller(grant), &ExportsFilter::default(), ExportOrder::Created, 0, 99).await.unwrap();
        assert_eq!(total, exports.len() as u64);
        assert!(tasks.iter().all(|t| t.kind == AskedKind::Export));
        (tasks.len(), exports.len())
    };
    assert_eq!((listed(&grant).await, listed(&bound).await, listed(&other).await, listed(&exporter).await), ((3, 3), (1, 1), (0, 0), (2, 2)));
    assert_eq!(service.tasks(&reader, &TaskFilter::default(), 9).await.unwrap_err().kind(), Kind::Forbidden);
    assert!(grant.who != bound.who && matches!(bound.who, crate::Who::Key { id: KeyId(_), .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_are_copied_with_the_store() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = node(&small(testing::config(dir.path())), 1).await;
    let grant = grant(&service).await;
    append(&service, &grant, 0, 10).await;
    let done = start(&service, &grant, spec(Format::Ndjson, Coding::Zstd)).await;
    work(&service).await;
    let waiting = start(&service, &grant, spec(Format::Ndjson, Coding::Identity)).await;
    let target = Service::open_unfinished(small(testing::config(other.path())), Clock::fixed(Timestamp::parse(START).unwrap()), Ids::seeded(9)).await.unwrap();
    transfer::copy(&service, &target, false, &mut |_| {}).await.unwrap();
    let copied = info(&target, &grant, &done).await;
    assert_eq!(copied.state, ExportState::Finished);
    assert_eq!(files(&target, &copied).await, files(&service, &info(&service, &grant, &done).await).await);
    assert_eq!(info(&target, &grant, &waiting).await.state, ExportState::Queued);
    work(&target).await;
    assert_eq!(info(&target, &grant, &waiting).await.state, ExportState::Finished);
    valid(&target, &grant).await;
}
