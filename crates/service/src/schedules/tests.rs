//! What schedules must keep: runs follow each other without gap and repetition, whenever they are made, and end with the rights of who asked.

use std::path::Path;

use indelible_model::line::Line;
use indelible_model::{Clock, EventBatch, Ids, Limits, Query};
use indelible_store::AskedTask;
use serde_json::json;

use super::*;
use crate::exports::{ExportInfo, ExportState};
use crate::keys::KeySpec;
use crate::{CanManageKeys, CanReadLogs, CanWrite, Config, Credential, S3Place, Scope, Scopes, SealConfig, TaskConfig, TaskStatus, testing};

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// A Tuesday.
const START: &str = "2026-02-10T00:00:00Z";

fn config(dir: &Path) -> Config {
    let seal = SealConfig { seal_bytes: 1 << 40, ..SealConfig::default() };
    Config { seal, tasks: TaskConfig { export_endpoints: vec!["http://127.0.0.1:9".into()], ..TaskConfig::default() }, ..testing::config(dir) }
}

async fn node(config: &Config, clock: &Clock, seed: u64) -> Service {
    Service::open(config.clone(), clock.clone(), Ids::seeded(seed)).await.unwrap()
}

async fn grant(service: &Service) -> Grant {
    let first = service.bootstrap(Some("lp_sk_test_0123456789")).await.unwrap().unwrap();
    service.authenticate(Credential::Secret(&first.secret)).await.unwrap()
}

fn daily(at: &str) -> ScheduleSpec {
    let timing = Timing { every: Every::Day, minute: Timing::read_minute(at).unwrap() };
    let what = Scheduled { timing, log: LogKind::Events, format: Format::Ndjson, coding: Coding::Identity, fields: Vec::new(), search: None };
    ScheduleSpec { name: "nightly".into(), what, destination: None }
}

async fn make(service: &Service, grant: &Grant, spec: ScheduleSpec) -> Schedule {
    service.schedule_create(&grant.permit().unwrap(), spec).await.unwrap()
}

async fn append(service: &Service, grant: &Grant, count: usize) {
    let mut batch = EventBatch::default();
    for i in 0..count {
        batch.push(format!(r#"{{"action":"a.{}","organization":{{"id":"o{}"}}}}"#, i % 3, i % 2).as_bytes(), &Limits::default()).unwrap();
    }
    service.append(&grant.permit::<CanWrite>().unwrap(), batch, None).await.unwrap();
}

/// Sweeps, and works on what waits until nothing does.
async fn round(service: &Service) {
    // What is asked for in one millisecond is in no order.
    service.clock().advance(1000);
    service.sweep_schedules(service.clock().now()).await.unwrap();
    while let Some(task) = service.next_task().await.unwrap() {
        service.run_asked(task).await;
    }
}

async fn shown(service: &Service, grant: &Grant, id: ScheduleId) -> Schedule {
    service.schedule(&grant.permit().unwrap(), id).await.unwrap()
}

/// The exports of a schedule, oldest first.
async fn exports(service: &Service, grant: &Grant, id: ScheduleId) -> Vec<ExportInfo> {
    let filter = crate::ExportsFilter { schedule: Some(id), ..crate::ExportsFilter::default() };
    service.exports(&grant.permit().unwrap(), &filter, crate::ExportOrder::Created, 0, 1000).await.unwrap().0
}

async fn files(service: &Service, export: &ExportInfo) -> (Vec<u8>, Value) {
    let files = service.export_files(export).await.unwrap();
    let objects = service.inner.objects.clone();
    let read = move |part: &str| {
        let object = objects.get(&files.iter().find(|f| f.part == part).unwrap().object, None).unwrap();
        object.read(0, usize::try_from(object.len()).unwrap()).unwrap()
    };
    let (file, manifest) = tokio::task::spawn_blocking(move || (read("file"), read("manifest"))).await.unwrap();
    (file, serde_json::from_slice(&manifest).unwrap())
}

fn positions(file: &[u8]) -> Vec<u64> {
    file.split_inclusive(|b| *b == b'\n').map(|line| Line::parse(line).unwrap().position).collect()
}

async fn facts(service: &Service, grant: &Grant) -> Vec<Value> {
    service.drain_outbox().await.unwrap();
    let page = service.page(&grant.permit::<CanReadLogs>().unwrap(), Query::all(LogKind::Activity)).await.unwrap();
    let all = page.lines.iter().map(|line| serde_json::from_slice::<Value>(line).unwrap());
    all.filter(|e| e["action"].as_str().unwrap().starts_with("schedule.")).collect()
}

/// Appends at known times: ten events an hour.
async fn fill(service: &Service, grant: &Grant, hours: usize) {
    for _ in 0..hours {
        append(service, grant, 10).await;
        service.clock().advance(HOUR);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_runs_are_made_up_as_they_would_have_been() {
    let mut kept = Vec::new();
    for on_time in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(Timestamp::parse(START).unwrap());
        let service = node(&config(dir.path()), &clock, 1).await;
        let grant = grant(&service).await;
        let schedule = make(&service, &grant, daily("02:30")).await;
        assert_eq!(schedule.next_at.to_string(), "2026-02-10T02:30:00.000000Z");
        for hour in 0..75 {
            fill(&service, &grant, 1).await;
            if hour % 20 == 7 {
                service.seal_log_once(&grant).await;
            }
            if on_time {
                round(&service).await;
            }
        }
        if !on_time {
            for _ in 0..5 {
                round(&service).await;
            }
        }
        let made = exports(&service, &grant, schedule.id).await;
        let now = shown(&service, &grant, schedule.id).await;
        // Runs of four mornings: 02:30 of the 10th to the 13th.
        assert_eq!((made.len(), now.runs, now.position, now.next_at.to_string().as_str()), (4, 4, 750, "2026-02-14T02:30:00.000000Z"));
        let mut all = Vec::new();
        let mut previous = Value::Null;
        for export in &made {
            assert_eq!(
                (export.state, export.object.as_str(), export.channel.as_str(), &export.parameters["schedule"]),
                (ExportState::Finished, "event", "schedule", &json!(schedule.id.to_string()))
            );
            let (file, manifest) = files(&service, export).await;
            let whole = export.file.clone().unwrap();
            assert_eq!(manifest["previous"], previous);
            previous = json!({ "export": export.id.to_string(), "name": whole.name, "sha256": whole.sha256, "rows": whole.rows });
            assert_eq!(manifest["schedule"]["first"], json!(all.len() + 1));
            all.extend(positions(&file));
            assert_eq!(manifest["schedule"]["last"], json!(all.len()));
            kept.push((whole.name, file.split(|b| *b == b'\n').count()));
        }
        assert_eq!(all, (1..=750).collect::<Vec<_>>());
    }
    let (on_time, later) = kept.split_at(4);
    assert_eq!(on_time, later, "the same cuts and names, on time or not");
    assert_eq!(on_time[0].0, "events-2026-02-10T02-30-1-30.ndjson");
    assert_eq!(on_time[1].0, "events-2026-02-11T02-30-31-270.ndjson");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cut_is_by_the_time_of_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(Timestamp::parse(START).unwrap());
    let service = node(&config(dir.path()), &clock, 1).await;
    let grant = grant(&service).await;
    let begin = clock.now().micros();
    let last = async |micros: i64| service.last_before(grant.project, LogKind::Events, Timestamp::clamped(begin + micros)).await.unwrap();
    assert_eq!(last(HOUR).await, 0);
    fill(&service, &grant, 6).await;
    for sealed in [false, true] {
        for (hour, want) in [(0, 0), (1, 10), (3, 30), (5, 50), (6, 60)] {
            assert_eq!(last(hour * HOUR).await, want, "sealed: {sealed}, hour {hour}");
            assert_eq!(last(hour * HOUR + 1).await, (want + 10).min(60), "sealed: {sealed}, after hour {hour}");
        }
        assert_eq!((last(-HOUR).await, last(DAY).await), (0, 60));
        if !sealed {
            assert!(service.seal_log_once(&grant).await);
        }
    }
    fill(&service, &grant, 2).await;
    assert_eq!((last(6 * HOUR).await, last(6 * HOUR + 1).await, last(7 * HOUR).await, last(8 * HOUR).await), (60, 70, 70, 80));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_events_shows_that_there_were_none() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(Timestamp::parse(START).unwrap());
    let service = node(&config(dir.path()), &clock, 1).await;
    let grant = grant(&service).await;
    append(&service, &grant, 5).await;
    let schedule = make(&service, &grant, daily("02:30")).await;
    clock.advance(2 * HOUR + 30 * MINUTE);
    round(&service).await;
    assert_eq!(exports(&service, &grant, schedule.id).await.len(), 0, "what was received before its time may not be committed yet");
    clock.advance(DAY + MINUTE);
    round(&service).await;
    round(&service).await;
    let made = exports(&service, &grant, schedule.id).await;
    let second = made[1].file.clone().unwrap();
    assert_eq!((made.len(), second.rows, second.bytes, second.name.as_str()), (2, 0, 0, "events-2026-02-11T02-30-6-5.ndjson"));
    let (_, manifest) = files(&service, &made[1]).await;
    assert_eq!((&manifest["rows"], &manifest["schedule"]["run"]), (&json!(0), &json!("2026-02-11T02:30:00.000000Z")));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_run_a_schedule_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let clock = Clock::fixed(Timestamp::parse(START).unwrap());
    let (a, b) = (node(&config, &clock, 1).await, node(&config, &clock, 2).await);
    let grant = grant(&a).await;
    append(&a, &grant, 30).await;
    let schedules = [make(&a, &grant, daily("02:30")).await, make(&a, &grant, daily("02:31")).await];
    for day in 1..=5 {
        clock.advance(DAY);
        let now = clock.now();
        let (one, two) = tokio::join!(a.sweep_schedules(now), b.sweep_schedules(now));
        one.and(two).unwrap();
        while let Some(task) = b.next_task().await.unwrap() {
            b.run_asked(task).await;
        }
        for schedule in &schedules {
            assert_eq!(exports(&a, &grant, schedule.id).await.len(), day);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_failed_is_made_again_before_any_later_one() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(Timestamp::parse(START).unwrap());
    let service = node(&config(dir.path()), &clock, 1).await;
    let grant = grant(&service).await;
    let schedule = make(&service, &grant, daily("02:30")).await;
    append(&service, &grant, 5).await;
    clock.advance(3 * HOUR);
    service.sweep_schedules(clock.now()).await.unwrap();
    let task = service.next_task().await.unwrap().unwrap();
    let mut tx = service.inner.store.write().await.unwrap();
    assert!(tx.asked_finish(&task, TaskStatus::Failed, None, Some("no"), clock.now()).await.unwrap());
    tx.commit().await.unwrap();
    append(&service, &grant, 5).await;
    clock.advance(59 * MINUTE);
    round(&service).await;
    assert_eq!(exports(&service, &grant, schedule.id).await.len(), 1);
    clock.advance(DAY);
    round(&service).await;
    round(&service).await;
    let made = exports(&service, &grant, schedule.id).await;
    let names: Vec<_> = made[1..].iter().map(|e| e.file.clone().unwrap().name).collect();
    assert_eq!(names, ["events-2026-02-10T02-30-1-5.ndjson", "events-2026-02-11T02-30-6-10.ndjson"]);
    assert_eq!(shown(&service, &grant, schedule.id).await.runs, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_has_the_rights_of_who_asked() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(Timestamp::parse(START).unwrap());
    let service = node(&config(dir.path()), &clock, 1).await;
    let grant = grant(&service).await;
    append(&service, &grant, 10).await;
    let scopes = Scopes::of(&[Scope::Export, Scope::ProjectManage]);
    let spec = KeySpec { organizations: Some(vec!["o1".into()]), ..KeySpec::new("bound", scopes) };
    let made = service.key_create(&grant.permit::<CanManageKeys>().unwrap(), spec).await.unwrap();
    let bound = service.authenticate(Credential::Secret(&made.secret)).await.unwrap();
    let schedule = make(&service, &bound, ScheduleSpec { name: "bound".into(), ..daily("02:30") }).await;
    let activity = ScheduleSpec { what: Scheduled { log: LogKind::Activity, ..daily("02:30").what }, ..daily("02:30") };
    assert_eq!(service.schedule_create(&bound.permit().unwrap(), activity).await.unwrap_err().kind(), Kind::Forbidden);
    let own = make(&service, &grant, daily("02:30")).await;
    assert_eq!(service.schedules(&bound.permit().unwrap()).await.unwrap().len(), 1);
    assert_eq!(service.schedule(&bound.permit().unwrap(), own.id).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(service.schedule_delete(&bound.permit().unwrap(), own.id).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(service.schedules(&grant.permit().unwrap()).await.unwrap().len(), 2);

    clock.advance(DAY);
    round(&service).await;
    let (file, _) = files(&service, &exports(&service, &bound, schedule.id).await[0]).await;
    assert_eq!(positions(&file), [2, 4, 6, 8, 10]);

    service.key_revoke(&grant.permit::<CanManageKeys>().unwrap(), made.key.id).await.unwrap();
    clock.advance(DAY);
    round(&service).await;
    let stopped = shown(&service, &grant, schedule.id).await;
    assert_eq!((stopped.active, stopped.runs, shown(&service, &grant, own.id).await.active), (false, 1, true));
    // Somebody else lets it run again, still bound as it was, and with what it missed.
    append(&service, &grant, 2).await;
    let again = ScheduleChange { active: Some(true), ..ScheduleChange::default() };
    let woken = service.schedule_change(&grant.permit().unwrap(), schedule.id, again).await.unwrap();
    assert_eq!((woken.active, woken.asked_by["id"] == actor(&grant.who)["id"]), (true, true));
    clock.advance(DAY);
    round(&service).await;
    let made = exports(&service, &grant, schedule.id).await;
    let (file, _) = files(&service, &made[1]).await;
    assert_eq!((made.len(), positions(&file)), (2, vec![12]));
    let told = facts(&service, &grant).await;
    assert_eq!(told.iter().map(|e| e["action"].as_str().unwrap()).collect::<Vec<_>>(), ["schedule.created", "schedule.created", "schedule.stopped", "schedule.updated"]);
    assert_eq!(told[2]["actor"]["type"], "server");
}

fn bucket(endpoint: Option<&str>) -> Destination {
    let place =
        S3Place { bucket: "audit-1".into(), prefix: "a/b".into(), endpoint: endpoint.map(Into::into), region: "eu-central-1".into(), public_endpoint: None, path_style: true };
    Destination { place, credentials: S3Credentials { access_key_id: "AK".into(), secret_access_key: "hidden-secret".into() } }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_is_checked_and_its_secret_never_told() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(Timestamp::parse(START).unwrap());
    let service = node(&config(dir.path()), &clock, 1).await;
    let grant = grant(&service).await;
    let refused = async |destination: Destination| {
        let error = service.schedule_create(&grant.permit().unwrap(), ScheduleSpec { destination: Some(destination), ..daily("02:30") }).await.unwrap_err();
        error.violations().iter().map(|v| v.member.clone()).collect::<Vec<_>>().join(" ")
    };
    for endpoint in ["http://169.254.169.254", "http://127.0.0.1:91", "http://127.0.0.1:9/x", "http://127.0.0.1:9@evil.example"] {
        assert_eq!(refused(bucket(Some(endpoint))).await, "destination.endpoint", "{endpoint}");
    }
    let with = |change: fn(&mut S3Place)| {
        let mut destination = bucket(None);
        change(&mut destination.place);
        destination
    };
    assert_eq!(refused(with(|p| p.bucket = "evil.example/".into())).await, "destination.bucket");
    assert_eq!(refused(with(|p| p.bucket = "-ab".into())).await, "destination.bucket");
    assert_eq!(refused(with(|p| p.region = "x.evil.example/".into())).await, "destination.region");
    assert_eq!(refused(with(|p| p.prefix = "a/../b".into())).await, "destination.prefix");
    let schedule = make(&service, &grant, ScheduleSpec { destination: Some(bucket(Some("http://127.0.0.1:9"))), ..daily("02:30") }).await;
    let kept = shown(&service, &grant, schedule.id).await;
    assert_eq!(kept.destination, Some(bucket(Some("http://127.0.0.1:9"))));
    let change = ScheduleChange { destination: Some(Some(bucket(None))), name: Some("other".into()), ..ScheduleChange::default() };
    service.schedule_change(&grant.permit().unwrap(), schedule.id, change).await.unwrap();
    service.schedule_delete(&grant.permit().unwrap(), schedule.id).await.unwrap();
    assert_eq!(service.schedule(&grant.permit().unwrap(), schedule.id).await.unwrap_err().kind(), Kind::NotFound);
    let told = facts(&service, &grant).await;
    assert_eq!(told.iter().map(|e| e["action"].as_str().unwrap()).collect::<Vec<_>>(), ["schedule.created", "schedule.updated", "schedule.deleted"]);
    let all = format!("{told:?} {kept:?}");
    assert!(all.contains("audit-1") && !all.contains("hidden"));
}

/// A server that refuses everything. Its address.
fn refusing() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Read::read(&mut stream, &mut [0; 8192]);
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_refuses_fails_the_run_at_once_and_stops_the_schedule() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(Timestamp::parse(START).unwrap());
    let endpoint = refusing();
    let tasks = TaskConfig { export_endpoints: vec![endpoint.clone()], ..TaskConfig::default() };
    let service = node(&Config { tasks, ..config(dir.path()) }, &clock, 1).await;
    let grant = grant(&service).await;
    let schedule = make(&service, &grant, ScheduleSpec { destination: Some(bucket(Some(&endpoint))), ..daily("02:30") }).await;
    append(&service, &grant, 5).await;
    clock.advance(3 * HOUR);
    for failures in 1..=5 {
        round(&service).await;
        let made = exports(&service, &grant, schedule.id).await;
        assert_eq!(made.len(), failures.min(3));
        assert!(made.iter().all(|e| e.state == ExportState::Failed && e.error.as_deref().unwrap().contains("refuses the file")), "{made:?}");
        assert_eq!(shown(&service, &grant, schedule.id).await.active, failures < 4);
        clock.advance(HOUR);
    }
    let any = service.inner.store.glance().await.unwrap().object_any_due(Timestamp::clamped(clock.now().micros() + 1000 * DAY)).await.unwrap();
    assert!(!any, "nothing was made for it");
    let told = facts(&service, &grant).await;
    assert_eq!(told[1]["action"], "schedule.stopped");
    assert!(told[1]["metadata"]["reason"].as_str().unwrap().contains("refuses the file"), "{told:?}");
    // Mended and let run again, it makes what is missing.
    let mended = ScheduleChange { active: Some(true), destination: Some(None), ..ScheduleChange::default() };
    service.schedule_change(&grant.permit().unwrap(), schedule.id, mended).await.unwrap();
    round(&service).await;
    let last = exports(&service, &grant, schedule.id).await.pop().unwrap();
    assert_eq!((last.state, last.file.unwrap().name.as_str()), (ExportState::Finished, "events-2026-02-10T02-30-1-5.ndjson"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_a_bucket_that_is_left_is_not_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(Timestamp::parse(START).unwrap());
    let service = node(&config(dir.path()), &clock, 1).await;
    let grant = grant(&service).await;
    let schedule = make(&service, &grant, daily("02:30")).await;
    clock.advance(DAY);
    service.sweep_schedules(clock.now()).await.unwrap();
    let task = service.next_task().await.unwrap().unwrap();
    let mut tx = service.inner.store.write().await.unwrap();
    let note = json!({ "bucket": "was", "endpoint": "http://127.0.0.1:9", "prefix": "p", "key": "k", "upload": "u" }).to_string();
    assert!(tx.asked_note(&task, Some(&note)).await.unwrap());
    tx.commit().await.unwrap();
    service.run_asked(AskedTask { note: Some(note), ..task }).await;
    assert_eq!(exports(&service, &grant, schedule.id).await[0].state, ExportState::Finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_store_has_the_schedules() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = Clock::fixed(Timestamp::parse(START).unwrap());
    let source = node(&config(here.path()), &clock, 1).await;
    let grant = grant(&source).await;
    let schedule = make(&source, &grant, ScheduleSpec { destination: Some(bucket(None)), ..daily("02:30") }).await;
    let copy = Service::open_unfinished(Config::embedded(there.path()), clock.clone(), Ids::seeded(2)).await.unwrap();
    crate::transfer::copy(&source, &copy, false, &mut |_| {}).await.unwrap();
    assert_eq!(shown(&copy, &grant, schedule.id).await.destination, schedule.destination);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_keep_the_place_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(Timestamp::parse(START).unwrap());
    let service = node(&config(dir.path()), &clock, 1).await;
    let grant = grant(&service).await;
    let schedule = make(&service, &grant, daily("02:30")).await;
    append(&service, &grant, 5).await;
    clock.advance(DAY);
    round(&service).await;
    let timing = Timing { every: Every::Week(4), minute: 0 };
    let change = ScheduleChange { timing: Some(timing), ..ScheduleChange::default() };
    let changed = service.schedule_change(&grant.permit().unwrap(), schedule.id, change).await.unwrap();
    assert_eq!((changed.position, changed.what.timing, changed.next_at.to_string().as_str()), (5, timing, "2026-02-13T00:00:00.000000Z"));
    let off = ScheduleChange { active: Some(false), ..ScheduleChange::default() };
    service.schedule_change(&grant.permit().unwrap(), schedule.id, off).await.unwrap();
    clock.advance(30 * DAY);
    round(&service).await;
    assert_eq!(exports(&service, &grant, schedule.id).await.len(), 1);
    let on = ScheduleChange { active: Some(true), ..ScheduleChange::default() };
    let woken = service.schedule_change(&grant.permit().unwrap(), schedule.id, on).await.unwrap();
    assert!(woken.next_at > clock.now(), "what nobody wanted is not made up");
    let wrong = ScheduleChange { name: Some(" ".into()), timing: Some(Timing { every: Every::Month(0), minute: 0 }), ..ScheduleChange::default() };
    let refused = service.schedule_change(&grant.permit().unwrap(), schedule.id, wrong).await.unwrap_err();
    assert_eq!(refused.violations().iter().map(|v| v.member.as_str()).collect::<Vec<_>>(), ["name", "day"]);
}
