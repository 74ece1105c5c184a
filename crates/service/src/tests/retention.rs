//! What retention takes is gone from every file, what a legal hold matches stays, and the log tells of both.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use indelible_model::fields::Field;
use indelible_model::ids::hex;
use indelible_model::line::Line;
use indelible_model::query::Query;
use indelible_model::{EventBatch, EventId, Kind, Limits, LogKind, MemberId, ProjectId, Timestamp};
use serde_json::{Value, json};

use super::{DAY, lines, node, small, valid};
use crate::holds::{HoldFilter, HoldSpec, Holding, Placed};
use crate::retention::{ACTIVITY_LEAST_DAYS, Kept, Marker, Retention};
use crate::{CanManageProject, CanRead, CanReadLogs, CanVerify, CanWrite, Config, Grant, Role, SealConfig, Service, Who, testing, transfer};

/// The delay of a shorter retention, and the grace of files, in microseconds.
const DELAY: i64 = 7 * DAY;
const GRACE: i64 = 600 * 1_000_000;
/// Bytes that are looked for together.
const PIECE: usize = 64;

fn config(dir: &Path) -> Config {
    let config = small(testing::config(dir));
    let seal = SealConfig { orphan_grace_secs: 600, retention_delay_secs: 7 * 86_400, ..config.seal };
    Config { seal, ..config }
}

/// Events of an actor, each with text that is unlike any other's; the ids.
async fn append(service: &Service, grant: &Grant, actor: &str, count: u32) -> Vec<EventId> {
    let mut batch = EventBatch::default();
    for i in 0..count {
        let mut noise = [0; 100];
        service.ids().fill(&mut noise).unwrap();
        let event =
            json!({ "action": format!("doc.{}", i % 3), "actor": { "id": actor }, "target": { "id": format!("t{i}"), "type": "doc" }, "metadata": { "noise": hex(&noise) } });
        batch.push(event.to_string().as_bytes(), &Limits::default()).unwrap();
    }
    let write = grant.permit::<CanWrite>().unwrap();
    let appended = service.append(&write, batch, None).await.unwrap();
    service.appended_lines(&write, appended).await.iter().map(|line| Line::parse(line).unwrap().id).collect()
}

async fn place(service: &Service, grant: &Grant, case: &str, what: Holding) -> Placed {
    // Ids of one millisecond are in no order.
    service.clock().advance(1000);
    service.hold_place(&grant.permit::<CanManageProject>().unwrap(), HoldSpec { case: case.into(), reason: "a letter".into(), what }).await.unwrap()
}

fn of_actor(actor: &str) -> Holding {
    Holding::Matching(HoldFilter { fields: vec![(Field::ActorId, actor.into())], ..HoldFilter::default() })
}

async fn events(service: &Service, grant: &Grant) -> Retention {
    service.retention(&grant.permit::<CanReadLogs>().unwrap()).await.unwrap().remove(0)
}

async fn set(service: &Service, grant: &Grant, days: Option<u64>) -> Retention {
    service.retention_set(&grant.permit::<CanManageProject>().unwrap(), LogKind::Events, days).await.unwrap()
}

/// The server's own events, oldest first.
async fn told(service: &Service, grant: &Grant) -> Vec<Value> {
    service.drain_outbox().await.unwrap();
    let page = service.page(&grant.permit::<CanReadLogs>().unwrap(), Query::all(LogKind::Activity)).await.unwrap();
    page.lines.iter().map(|line| serde_json::from_slice(line).unwrap()).collect()
}

fn actions(told: &[Value]) -> Vec<&str> {
    told.iter().map(|e| e["action"].as_str().unwrap()).collect()
}

fn object(service: &Service, key: &str) -> Vec<u8> {
    tokio::task::block_in_place(|| {
        let object = service.inner.objects.get(key, None).unwrap();
        object.read(0, usize::try_from(object.len()).unwrap()).unwrap()
    })
}

/// The bytes of all objects, and of the database where it is a file.
fn files(service: &Service, dir: &Path) -> Vec<Vec<u8>> {
    let keys = tokio::task::block_in_place(|| service.inner.objects.list("").unwrap());
    let mut all: Vec<_> = keys.iter().map(|key| object(service, key)).collect();
    let local = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).filter(|p| p.is_file());
    all.extend(local.map(|p| std::fs::read(p).unwrap()));
    all
}

/// The stored bytes of some positions of the log `events`: their batch, and once sealed, rows and columns.
async fn stored(service: &Service, project: ProjectId, from: u64, to: u64) -> Vec<Vec<u8>> {
    let mut tx = service.inner.store.read().await.unwrap();
    let batches = tx.batch_range(project, LogKind::Events, from, to, 9).await.unwrap();
    let mut all: Vec<_> = batches.into_iter().map(|b| b.batch.body).collect();
    for row in tx.segment_range(project, LogKind::Events, from, to, false, 9).await.unwrap() {
        for key in indelible_archive::keys::expired(&row.segment.name) {
            all.push(object(service, &key));
        }
    }
    all
}

/// How many pieces of what was stored are in some file.
fn found(pieces: &HashSet<Vec<u8>>, files: &[Vec<u8>]) -> usize {
    files.iter().map(|bytes| bytes.windows(PIECE).filter(|w| pieces.contains(*w)).count()).sum()
}

/// What was stored, in pieces that others do not have as well: files of one kind have much in common.
fn pieces(stored: &[Vec<u8>], others: &[Vec<u8>]) -> HashSet<Vec<u8>> {
    let mut own: HashSet<_> = stored.iter().flat_map(|bytes| bytes.chunks_exact(PIECE)).map(<[u8]>::to_vec).filter(|p| p.iter().any(|b| *b != 0)).collect();
    for piece in others.iter().flat_map(|bytes| bytes.windows(PIECE)) {
        own.remove(piece);
    }
    own
}

#[tokio::test(flavor = "multi_thread")]
async fn what_should_go_is_gone_from_every_file_and_what_is_held_stays() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&config(dir.path()), 1).await;
    let grant = super::grant(&service).await;
    let is_file = service.inner.store.writers() == 1;
    told(&service, &grant).await;

    append(&service, &grant, "gone", 300).await;
    let mut going = stored(&service, grant.project, 1, 300).await;
    assert!(!is_file || found(&pieces(&going, &[]), &files(&service, dir.path())) > 100, "what is looked for can be found");
    assert!(service.seal_log_once(&grant).await);
    going.extend(stored(&service, grant.project, 1, 300).await);
    let ids = append(&service, &grant, "held", 200).await;
    let mut held = stored(&service, grant.project, 301, 500).await;
    assert!(service.seal_log_once(&grant).await);
    held.extend(stored(&service, grant.project, 301, 500).await);
    let (going, held) = (pieces(&going, &held), pieces(&held, &going));
    let old = lines(&service, &grant).await;
    let previous = Line::parse(old.split_inclusive(|b| *b == b'\n').nth(300).unwrap()).unwrap().previous_hash;

    // Two holds on one record: a filter, and its id.
    let first = place(&service, &grant, "case 1", of_actor("held")).await;
    let second = place(&service, &grant, "case 2", Holding::Events(vec![ids[7], EventId([9; 16])])).await;
    assert_eq!((first.found, second.found), (Some(200), Some(1)));

    service.clock().advance(20 * DAY);
    append(&service, &grant, "fresh", 100).await;
    let all = lines(&service, &grant).await;
    let announced = set(&service, &grant, Some(10)).await;
    let effect = Timestamp::clamped(service.clock().now().micros() + DELAY);
    assert_eq!((announced.days, announced.announced), (None, Some((10, effect))));
    service.clock().advance(DELAY - 1);
    service.sweep_now().await;
    assert!(lines(&service, &grant).await == all, "nothing goes before it was announced for long enough");
    service.clock().advance(1);
    service.sweep_now().await;
    let after = lines(&service, &grant).await;
    assert_eq!(after.split_inclusive(|b| *b == b'\n').count(), 300);
    assert!(found(&going, &files(&service, dir.path())) > 100, "files wait for the end of the grace period");

    service.clock().advance(GRACE + 1);
    service.sweep_now().await;
    assert_eq!(found(&going, &files(&service, dir.path())), 0, "gone from every file");
    assert!(found(&held, &files(&service, dir.path())) > 100);
    let marker = Marker { position: 300, hash: previous };
    let now = events(&service, &grant).await;
    assert_eq!((now.days, now.since, now.announced, now.marker, now.expired), (Some(10), effect, None, Some(marker), 300));
    assert_eq!(now.kept, [Kept { hold: first.hold.id, segments: 1, events: 200 }]);
    assert_eq!(valid(&service, &grant).await, 300);
    let verified = service.verify(&grant.permit::<CanVerify>().unwrap(), LogKind::Events).await.unwrap();
    assert_eq!((verified.verified_from, verified.events_expired), (Some(301), 300));

    let facts = told(&service, &grant).await;
    let since = facts.iter().position(|e| e["action"] == "hold.placed").unwrap();
    assert_eq!(actions(&facts[since..]), ["hold.placed", "hold.placed", "retention.announced", "retention.changed", "retention.applied"]);
    let applied = &facts[facts.len() - 1];
    assert_eq!((&applied["actor"]["type"], &applied["target"]["id"]), (&json!("server"), &json!("events")));
    let certificate = json!({
        "log": "events", "days": 10, "events": 300, "first_position": 1, "last_position": 300, "positions": [[1, 300]], "marker": { "position": 300, "hash": hex(&previous) }
    });
    assert_eq!(applied["metadata"], certificate);
    assert_eq!(facts[since]["metadata"], json!({ "case": "case 1", "reason": "a letter", "filter": { "actor_id": "held" } }));
    assert_eq!(
        facts[since + 2]["diff"],
        json!({ "before": { "days": null, "announced": null }, "after": { "days": null, "announced": { "days": 10, "at": effect.to_string() } } })
    );

    // One is released: the other still holds. Then nothing does.
    let manage = grant.permit::<CanManageProject>().unwrap();
    let released = service.hold_release(&manage, first.hold.id, "settled").await.unwrap().released.unwrap();
    assert_eq!((released.reason.as_str(), &released.by["id"]), ("settled", &first.hold.placed_by["id"]));
    service.sweep_now().await;
    assert_eq!(events(&service, &grant).await.kept, [Kept { hold: second.hold.id, segments: 1, events: 200 }]);
    assert_eq!(valid(&service, &grant).await, 300);
    assert_eq!(service.hold_release(&manage, first.hold.id, "again").await.unwrap_err().kind(), Kind::Conflict);
    service.hold_release(&manage, second.hold.id, "settled as well").await.unwrap();
    service.sweep_now().await;
    service.clock().advance(GRACE + 1);
    service.sweep_now().await;
    assert_eq!(found(&held, &files(&service, dir.path())), 0);
    assert_eq!(valid(&service, &grant).await, 100);
    let now = events(&service, &grant).await;
    assert_eq!((now.marker.map(|m| m.position), now.expired, now.kept), (Some(500), 500, vec![]));
    let hashes = service.manifest(grant.project, LogKind::Events).await.unwrap();
    assert_eq!(hashes.iter().map(|e| (e.expired, e.objects().len())).collect::<Vec<_>>(), [(true, 1), (true, 1)]);
    assert_eq!(actions(&told(&service, &grant).await[facts.len()..]), ["hold.released", "hold.released", "retention.applied"]);
    let (list, more) = service.holds(&grant.permit::<CanReadLogs>().unwrap(), None, 9).await.unwrap();
    assert_eq!((list.iter().map(|h| h.released.is_some()).collect::<Vec<_>>(), more), (vec![true, true], false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_keeps_what_a_list_with_its_filter_shows() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&config(dir.path()), 1).await;
    let grant = super::grant(&service).await;
    let stamp = |text: &str| Some(Timestamp::parse(text).unwrap());
    let one = |event: Value| {
        let mut batch = EventBatch::default();
        batch.push(event.to_string().as_bytes(), &Limits::default()).unwrap();
        batch
    };
    let write = grant.permit::<CanWrite>().unwrap();
    let both = [
        json!({ "action": "user.login", "actor": { "id": "a" }, "occurred_at": "2026-01-01T00:00:00Z" }),
        json!({ "action": "user.logout", "actor": { "id": "b" }, "organization": { "id": "o" }, "occurred_at": "2026-02-01T00:00:00Z" }),
        json!({ "action": "doc.read", "actor": { "id": "a" }, "target": { "type": "doc", "id": "7" }, "http": { "method": "GET" } }),
    ];
    for event in both {
        service.append(&write, one(event), None).await.unwrap();
    }
    let filter = |log: Option<LogKind>, fields: &[(Field, &str)]| HoldFilter { log, fields: fields.iter().map(|(f, v)| (*f, (*v).to_owned())).collect(), ..HoldFilter::default() };
    let from = HoldFilter { from: stamp("2026-01-15T00:00:00Z"), to: stamp("2026-02-01T00:00:00Z"), ..HoldFilter::default() };
    for sealed in [false, true] {
        if sealed {
            service.seal_all().await.unwrap();
        }
        for (filter, want) in [
            (filter(None, &[(Field::ActorId, "a")]), 2),
            (filter(Some(LogKind::Events), &[(Field::ActorId, "a")]), 1),
            (filter(None, &[(Field::Action, "user.*")]), 2),
            (filter(None, &[(Field::Action, "user.*"), (Field::OrganizationId, "o")]), 1),
            (filter(None, &[(Field::TargetType, "doc"), (Field::TargetId, "7")]), 1),
            (filter(Some(LogKind::Events), &[]), 2),
            (from.clone(), 1),
        ] {
            let placed = place(&service, &grant, "c", Holding::Matching(filter.clone())).await;
            assert_eq!(placed.found, Some(want), "{filter:?}");
            let shown = service.hold(&grant.permit::<CanReadLogs>().unwrap(), placed.hold.id).await.unwrap();
            assert_eq!(shown.what, Holding::Matching(filter));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_and_an_expiry_exclude_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&config(dir.path()), 1).await;
    let other = node(&Config { auto_migrate: false, ..service.inner.config.clone() }, 2).await;
    let grant = super::grant(&service).await;
    set(&service, &grant, Some(1)).await;
    service.clock().advance(DELAY);
    service.sweep_now().await;
    let (mut kept, mut gone) = (0, 0);
    for round in 0..12 {
        let actor = format!("a{round}");
        append(&service, &grant, &actor, 20).await;
        assert!(service.seal_log_once(&grant).await);
        service.clock().advance(2 * DAY);
        other.clock().advance(service.clock().now().micros() - other.clock().now().micros());
        let pause = |n: u64| tokio::time::sleep(Duration::from_millis(n));
        let placing = async {
            pause(round % 3).await;
            place(&service, &grant, &actor, of_actor(&actor)).await
        };
        let sweeping = async {
            pause(2 - round % 3).await;
            other.sweep_now().await;
        };
        let (placed, ()) = tokio::join!(placing, sweeping);
        service.sweep_now().await;
        let mut query = Query::all(LogKind::Events);
        query.filter.equals(Field::ActorId, actor);
        let there = service.count(&grant.permit::<CanRead>().unwrap(), &query).await.unwrap();
        assert_eq!(placed.found, Some(there), "what was promised is there, and what is there was promised");
        if there == 20 { kept += 1 } else { gone += 1 }
    }
    assert_eq!(kept + gone, 12);
    assert_eq!(events(&service, &grant).await.kept.len(), kept);
    assert_eq!(valid(&service, &grant).await, kept as u64 * 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_and_retention_are_the_whole_projects_and_go_with_a_copy() {
    let (dir, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = node(&config(dir.path()), 1).await;
    let grant = super::grant(&service).await;
    append(&service, &grant, "a", 10).await;
    assert!(service.seal_log_once(&grant).await);
    let hold = place(&service, &grant, "c", of_actor("a")).await.hold;
    let released = place(&service, &grant, "d", Holding::Matching(HoldFilter::default())).await.hold;
    let (read, manage) = (grant.permit::<CanReadLogs>().unwrap(), grant.permit::<CanManageProject>().unwrap());
    service.hold_release(&manage, released.id, "over").await.unwrap();
    set(&service, &grant, Some(1)).await;

    // Another project's holds are as if they were not there, and a bound credential has no part in any.
    let foreign = ProjectId([7; 16]);
    let mut tx = service.inner.store.write().await.unwrap();
    assert!(tx.project_create(foreign, "other", service.clock().now()).await.unwrap());
    tx.commit().await.unwrap();
    let foreign = Grant { project: foreign, ..grant.clone() };
    assert_eq!(service.hold(&foreign.permit().unwrap(), hold.id).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(service.hold_release(&foreign.permit().unwrap(), hold.id, "no").await.unwrap_err().kind(), Kind::NotFound);
    assert!(service.holds(&foreign.permit().unwrap(), None, 9).await.unwrap().0.is_empty());
    let bound = Grant { organizations: Some(["o".to_owned()].into_iter().collect()), ..grant.clone() };
    let refused = [
        service.retention(&bound.permit().unwrap()).await.unwrap_err(),
        service.retention_set(&bound.permit().unwrap(), LogKind::Events, None).await.unwrap_err(),
        service.hold(&bound.permit().unwrap(), hold.id).await.unwrap_err(),
        service.holds(&bound.permit().unwrap(), None, 9).await.unwrap_err(),
        service.hold_release(&bound.permit().unwrap(), hold.id, "no").await.unwrap_err(),
        service.hold_place(&bound.permit().unwrap(), HoldSpec { case: "c".into(), reason: "r".into(), what: of_actor("a") }).await.unwrap_err(),
    ];
    assert!(refused.iter().all(|e| e.kind() == Kind::Forbidden));
    for bad in [Holding::Events(vec![]), Holding::Matching(HoldFilter { fields: vec![(Field::ActorId, String::new())], ..HoldFilter::default() })] {
        let error = service.hold_place(&manage, HoldSpec { case: " ".into(), reason: String::new(), what: bad }).await.unwrap_err();
        assert_eq!((error.kind(), error.violations().len()), (Kind::Invalid, 3));
    }
    assert_eq!(service.retention_set(&manage, LogKind::Events, Some(0)).await.unwrap_err().kind(), Kind::Invalid);

    // A copy goes on as the source would have done.
    let to = config(there.path());
    let target = Service::open_unfinished(to.clone(), service.clock().clone(), indelible_model::Ids::seeded(5)).await.unwrap();
    transfer::copy(&service, &target, false, &mut |_| {}).await.unwrap();
    let copy = node(&to, 6).await;
    assert_eq!(copy.retention(&read).await.unwrap(), service.retention(&read).await.unwrap());
    let holds = async |of: &Service| format!("{:?}", of.holds(&read, None, 9).await.unwrap());
    assert_eq!(holds(&copy).await, holds(&service).await);
    copy.clock().advance(DELAY + 2 * DAY);
    copy.sweep_now().await;
    assert_eq!(events(&copy, &grant).await.kept, [Kept { hold: hold.id, segments: 1, events: 10 }]);
    copy.hold_release(&manage, hold.id, "over").await.unwrap();
    copy.sweep_now().await;
    assert_eq!(events(&copy, &grant).await.expired, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_operator_thins_the_log_that_watches() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&config(dir.path()), 1).await;
    let grant = super::grant(&service).await;
    let put = async |grant: &Grant, log, days| service.retention_set(&grant.permit::<CanManageProject>().unwrap(), log, days).await;
    assert!(matches!(grant.who, Who::Key { .. }));
    let member = |operator| Who::Member { id: MemberId([1; 16]), email: "a@b.c".into(), name: "a".into(), role: Role::Owner, operator };
    for who in [grant.who.clone(), member(false)] {
        let grant = Grant { who, ..grant.clone() };
        for days in [1, ACTIVITY_LEAST_DAYS - 1] {
            let error = put(&grant, LogKind::Activity, Some(days)).await.unwrap_err();
            assert!(error.kind() == Kind::Forbidden && error.to_string().contains("184 days"), "{error}");
        }
        for days in [Some(400), Some(ACTIVITY_LEAST_DAYS), None] {
            put(&grant, LogKind::Activity, days).await.unwrap();
        }
        put(&grant, LogKind::Events, Some(1)).await.unwrap();
    }
    for who in [Who::Operator, Who::Server, member(true)] {
        assert_eq!(put(&Grant { who, ..grant.clone() }, LogKind::Activity, Some(7)).await.unwrap().announced.unwrap().0, 7);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_claims_the_future_keeps_its_segment_for_one_day() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&config(dir.path()), 1).await;
    let grant = super::grant(&service).await;
    set(&service, &grant, Some(10)).await;
    service.clock().advance(DELAY);
    let mut batch = EventBatch::default();
    batch.push(br#"{"action":"a"}"#, &Limits::default()).unwrap();
    batch.push(br#"{"action":"b","occurred_at":"2999-01-01T00:00:00Z"}"#, &Limits::default()).unwrap();
    service.append(&grant.permit::<CanWrite>().unwrap(), batch, None).await.unwrap();
    assert!(service.seal_log_once(&grant).await);
    let gone = async |later| {
        service.clock().advance(later);
        service.sweep_now().await;
        events(&service, &grant).await.expired
    };
    assert_eq!((gone(10 * DAY + 1).await, gone(DAY - 1).await, gone(1).await), (0, 0, 2));
}
