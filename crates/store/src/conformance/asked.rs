//! Tasks that somebody asked for, their files, and exports.

use std::time::Duration;

use indelible_model::{ExportId, Kind, LogKind, ScheduleId, TaskId};

use super::*;
use crate::{AskedFilter, AskedTask, ExportFilter, ExportOrder, NewAsked, NewExport, TaskFile, TaskStatus};

pub(super) fn id(n: u8) -> TaskId {
    TaskId([0, 0, 0, 0, 0, n, n, n, n])
}

pub(super) fn asked(n: u8) -> NewAsked {
    NewAsked {
        id: id(n),
        kind: "export".into(),
        log: LogKind::Events,
        spec: "{\"v\":1}".into(),
        asked_by: "{\"id\":\"key_1\"}".into(),
        organizations: None,
        request_id: format!("v-{n}"),
        channel: "API".into(),
        created_at: at(n.into()),
    }
}

pub(super) fn export(n: u8) -> NewExport {
    NewExport { id: ExportId([n; 16]), object: "event".into(), parameters: "{}".into(), link_key: [n; 32], user_id: None, schedule: None, expires_at: Some(at(100 + i64::from(n))) }
}

fn file(n: u8, part: &str) -> TaskFile {
    TaskFile { object: format!("t/{n}/{part}"), part: part.into(), name: "events.csv".into(), bytes: 12, sha256: [n; 32] }
}

fn every() -> AskedFilter {
    AskedFilter { kinds: vec!["export".into(), "import".into()], ..AskedFilter::default() }
}

async fn insert(store: &Store, project: ProjectId, new: &NewAsked) {
    let mut tx = store.write().await.unwrap();
    tx.asked_insert(project, new).await.unwrap();
    tx.commit().await.unwrap();
}

pub(super) async fn lease(store: &Store, now: i64, until: i64, per_project: u32) -> Option<AskedTask> {
    let mut tx = store.write().await.unwrap();
    let task = tx.asked_lease(at(now), at(until), per_project).await.unwrap();
    tx.commit().await.unwrap();
    task
}

async fn find(store: &Store, project: ProjectId, n: u8) -> AskedTask {
    store.glance().await.unwrap().asked_find(project, id(n)).await.unwrap().unwrap()
}

async fn ids(store: &Store, project: ProjectId, filter: &AskedFilter) -> Vec<TaskId> {
    store.glance().await.unwrap().asked_list(project, filter, 99).await.unwrap().iter().map(|t| t.asked.id).collect()
}

pub(super) async fn an_asked_task_is_kept_for_ever(bench: &Bench) {
    let store = &bench.store;
    insert(store, P, &asked(1)).await;
    let new = find(store, P, 1).await;
    assert_eq!((&new.asked, new.project, new.status, new.progress, new.attempts), (&asked(1), P, TaskStatus::Queued, 0, 0));
    assert_eq!((new.result, new.error, new.note, new.cancel, new.started_at, new.finished_at), (None, None, None, false, None, None));
    assert_eq!(store.glance().await.unwrap().asked_find(Q, id(1)).await.unwrap(), None);
    assert!(store.glance().await.unwrap().asked_waiting(at(10), 1).await.unwrap());
    let task = lease(store, 10, 20, 1).await.unwrap();
    assert_eq!((task.status, task.lease, task.attempts, task.started_at), (TaskStatus::Running, 1, 1, Some(at(10))));
    assert_eq!(store.glance().await.unwrap().asked_live().await.unwrap(), (0, 1));
    let mut tx = store.write().await.unwrap();
    assert_eq!(tx.asked_heartbeat(&task, 40, at(11), at(30)).await.unwrap(), Some(false));
    assert_eq!(tx.asked_heartbeat(&task, 30, at(12), at(30)).await.unwrap(), Some(false));
    assert!(tx.asked_note(&task, Some("upload 7")).await.unwrap());
    tx.commit().await.unwrap();
    let now = find(store, P, 1).await;
    assert_eq!((now.progress, now.note.as_deref(), now.updated_at), (40, Some("upload 7"), at(12)));
    let mut tx = store.write().await.unwrap();
    assert!(tx.asked_finish(&task, TaskStatus::Done, Some("{}"), None, at(15)).await.unwrap());
    assert!(!tx.asked_finish(&task, TaskStatus::Failed, None, Some("late"), at(16)).await.unwrap());
    tx.commit().await.unwrap();
    let over = find(store, P, 1).await;
    assert_eq!((over.status, over.progress, over.result.as_deref(), over.error, over.note, over.finished_at), (TaskStatus::Done, 100, Some("{}"), None, None, Some(at(15))));
    assert!(!store.glance().await.unwrap().asked_waiting(at(99), 9).await.unwrap());
    assert_eq!(lease(store, 99, 199, 9).await, None);
    let mut tx = store.write().await.unwrap();
    assert_eq!(tx.asked_insert(NOBODY, &asked(2)).await.unwrap_err().kind(), Kind::NotFound);
}

pub(super) async fn who_lost_a_task_changes_nothing(bench: &Bench) {
    let store = &bench.store;
    insert(store, P, &asked(1)).await;
    let first = lease(store, 10, 20, 1).await.unwrap();
    assert_eq!(lease(store, 19, 29, 9).await, None);
    let second = lease(store, 20, 30, 1).await.unwrap();
    assert_eq!((second.asked.id, second.lease, second.attempts), (first.asked.id, 2, 2));
    let mut tx = store.write().await.unwrap();
    assert_eq!(tx.asked_heartbeat(&first, 90, at(21), at(99)).await.unwrap(), None);
    assert!(!tx.asked_note(&first, Some("x")).await.unwrap());
    assert!(!tx.asked_finish(&first, TaskStatus::Done, None, None, at(21)).await.unwrap());
    tx.asked_retry(&first, "late", at(21), at(0)).await.unwrap();
    tx.asked_retry(&second, "away", at(22), at(50)).await.unwrap();
    tx.commit().await.unwrap();
    let now = find(store, P, 1).await;
    assert_eq!((now.status, now.error.as_deref(), now.progress), (TaskStatus::Queued, Some("away"), 0));
    assert_eq!(lease(store, 49, 60, 1).await, None);
    assert!(lease(store, 50, 60, 1).await.is_some());
    let mut tx = store.write().await.unwrap();
    assert_eq!(tx.asked_release_all(at(51)).await.unwrap(), 1);
    assert_eq!(tx.asked_release_all(at(51)).await.unwrap(), 0);
    tx.commit().await.unwrap();
    assert_eq!(lease(store, 52, 62, 1).await, None, "what was begun three times waits a while");
    assert_eq!(lease(store, 6_000_051, 6_000_062, 1).await.unwrap().lease, 5, "the one before lost its lease");
}

pub(super) async fn asked_tasks_are_fair(bench: &Bench) {
    let store = &bench.store;
    for n in 1..=6 {
        insert(store, P, &asked(n)).await;
    }
    insert(store, Q, &asked(7)).await;
    insert(store, Q, &asked(8)).await;
    let mut order = Vec::new();
    for now in 10..15 {
        order.push(lease(store, now, 100, 2).await.map(|t| t.asked.id));
    }
    assert!(!store.glance().await.unwrap().asked_waiting(at(15), 2).await.unwrap() && store.glance().await.unwrap().asked_waiting(at(15), 3).await.unwrap());
    assert_eq!((store.glance().await.unwrap().asked_queued(P).await.unwrap(), store.glance().await.unwrap().asked_queued(Q).await.unwrap()), (4, 0));
    assert_eq!(order, [Some(id(1)), Some(id(7)), Some(id(2)), Some(id(8)), None], "two of a project at most, in turns");
    // Turns go by when a project had its last one, not by age.
    let mut tx = store.write().await.unwrap();
    for n in [1, 7] {
        let task = tx.asked_find(if n == 1 { P } else { Q }, id(n)).await.unwrap().unwrap();
        assert!(tx.asked_finish(&task, TaskStatus::Failed, None, Some("no"), at(20)).await.unwrap());
    }
    tx.commit().await.unwrap();
    insert(store, Q, &asked(9)).await;
    assert_eq!(lease(store, 30, 100, 2).await.unwrap().asked.id, id(3));
    assert_eq!(lease(store, 31, 100, 2).await.unwrap().asked.id, id(9));
}

pub(super) async fn an_asked_task_can_be_cancelled(bench: &Bench) {
    let store = &bench.store;
    insert(store, P, &asked(1)).await;
    insert(store, P, &asked(2)).await;
    let running = lease(store, 10, 20, 9).await.unwrap();
    let mut tx = store.write().await.unwrap();
    assert_eq!(tx.asked_cancel(Q, id(1), at(11)).await.unwrap(), None);
    assert_eq!(tx.asked_cancel(P, id(1), at(11)).await.unwrap(), Some(TaskStatus::Running));
    assert_eq!(tx.asked_cancel(P, id(2), at(11)).await.unwrap(), Some(TaskStatus::Cancelled));
    assert_eq!(tx.asked_heartbeat(&running, 5, at(12), at(30)).await.unwrap(), Some(true));
    assert!(!tx.asked_finish(&running, TaskStatus::Done, Some("{}"), None, at(13)).await.unwrap(), "what was stopped is not done");
    assert!(tx.asked_finish(&running, TaskStatus::Cancelled, None, None, at(13)).await.unwrap());
    assert_eq!(tx.asked_cancel(P, id(1), at(14)).await.unwrap(), Some(TaskStatus::Cancelled));
    tx.commit().await.unwrap();
    assert_eq!((find(store, P, 1).await.finished_at, find(store, P, 2).await.finished_at), (Some(at(13)), Some(at(11))));
    assert_eq!(lease(store, 99, 199, 9).await, None);
}

pub(super) async fn asked_tasks_are_filtered(bench: &Bench) {
    let store = &bench.store;
    insert(store, P, &asked(1)).await;
    insert(store, P, &NewAsked { kind: "import".into(), organizations: Some("[\"o\"]".into()), ..asked(2) }).await;
    insert(store, P, &NewAsked { log: LogKind::Activity, ..asked(3) }).await;
    insert(store, P, &NewAsked { created_at: at(3), ..asked(4) }).await;
    insert(store, Q, &asked(5)).await;
    let of = async |filter: AskedFilter| ids(store, P, &filter).await;
    assert_eq!(of(every()).await, [id(4), id(3), id(2), id(1)]);
    assert_eq!(of(AskedFilter::default()).await, []);
    assert_eq!(of(AskedFilter { kinds: vec!["import".into()], ..every() }).await, [id(2)]);
    assert_eq!(of(AskedFilter { organizations: Some("[\"o\"]".into()), ..every() }).await, [id(2)]);
    assert_eq!(of(AskedFilter { events_only: true, ..every() }).await, [id(4), id(2), id(1)]);
    assert_eq!(of(AskedFilter { from: Some(at(2)), before: Some(at(3)), ..every() }).await, [id(2)]);
    assert_eq!(of(AskedFilter { before: Some(at(3)), after: Some(id(4)), ..every() }).await, [id(3), id(2), id(1)]);
    assert_eq!(of(AskedFilter { statuses: vec![TaskStatus::Done], ..every() }).await, []);
    assert_eq!(store.glance().await.unwrap().asked_list(P, &every(), 1).await.unwrap().len(), 1);
}

pub(super) async fn files_of_tasks_are_published_once(bench: &Bench) {
    let store = &bench.store;
    insert(store, P, &asked(1)).await;
    let (one, two) = (file(1, "file"), file(1, "manifest"));
    let mut tx = store.write().await.unwrap();
    assert!(!tx.task_file_add(P, id(1), &one).await.unwrap(), "not staged");
    drop(tx);
    let mut tx = store.write().await.unwrap();
    tx.object_stage(&[one.object.clone(), two.object.clone()], at(50)).await.unwrap();
    assert!(tx.task_file_add(P, id(1), &one).await.unwrap());
    assert!(tx.task_file_add(P, id(1), &two).await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = store.write().await.unwrap();
    assert_eq!(tx.task_files(P, id(1)).await.unwrap(), [one.clone(), two.clone()]);
    assert_eq!(tx.task_files(Q, id(1)).await.unwrap(), []);
    for (project, part, bytes) in [(P, "file", 12), (P, "other", 0), (Q, "file", 0)] {
        assert_eq!(tx.task_file_bytes(project, part).await.unwrap(), bytes);
    }
    assert_eq!(tx.task_file_list(P, &one.object, 9).await.unwrap(), [(id(1), two.clone())]);
    assert!(tx.object_known("t/1", &one.object).await.unwrap());
    assert!(!tx.object_any_due(at(99)).await.unwrap());
    assert_eq!(tx.task_files_drop(Q, id(1), at(9)).await.unwrap(), Vec::<String>::new());
    let mut dropped = tx.task_files_drop(P, id(1), at(9)).await.unwrap();
    dropped.sort();
    assert_eq!(dropped, [one.object.clone(), two.object.clone()]);
    assert!(tx.object_known("t/1", &one.object).await.unwrap(), "until it is deleted");
    assert!(tx.object_any_due(at(9)).await.unwrap());
    assert_eq!(tx.task_file_restore(NOBODY, id(1), &one).await.unwrap_err().kind(), Kind::NotFound);
}

pub(super) async fn exports_are_listed_and_expire(bench: &Bench) {
    let store = &bench.store;
    let mut tx = store.write().await.unwrap();
    for n in 1..=4 {
        let project = if n == 4 { Q } else { P };
        tx.asked_insert(project, &asked(n)).await.unwrap();
        tx.export_insert(project, id(n), &NewExport { object: if n == 2 { "api_log".into() } else { "event".into() }, ..export(n) }, at(n.into())).await.unwrap();
    }
    assert_eq!(tx.export_insert(NOBODY, id(1), &export(9), at(1)).await.unwrap_err().kind(), Kind::NotFound);
    drop(tx);
    let mut tx = store.write().await.unwrap();
    for n in 1..=4 {
        let project = if n == 4 { Q } else { P };
        let more = NewExport {
            user_id: (n == 3).then(|| "mem_1".into()),
            schedule: (n == 3).then_some(ScheduleId([7; 16])),
            object: if n == 2 { "api_log".into() } else { "event".into() },
            ..export(n)
        };
        tx.asked_insert(project, &asked(n)).await.unwrap();
        tx.export_insert(project, id(n), &more, at(n.into())).await.unwrap();
    }
    let first = tx.asked_lease(at(10), at(20), 9).await.unwrap().unwrap();
    assert!(tx.asked_finish(&first, TaskStatus::Done, Some("{}"), None, at(11)).await.unwrap());
    tx.commit().await.unwrap();

    let mut tx = store.read().await.unwrap();
    let every = ExportFilter { tasks: every(), ..ExportFilter::default() };
    let numbers = |rows: Vec<crate::ExportRow>| rows.iter().map(|r| r.export.id.0[0]).collect::<Vec<_>>();
    assert_eq!(numbers(tx.export_list(P, &every, ExportOrder::Created, 0, 9).await.unwrap()), [1, 2, 3]);
    assert_eq!(numbers(tx.export_list(P, &every, ExportOrder::CreatedBack, 1, 9).await.unwrap()), [2, 1]);
    assert_eq!(numbers(tx.export_list(P, &every, ExportOrder::Status, 0, 9).await.unwrap()), [3, 2, 1]);
    assert_eq!(numbers(tx.export_list(P, &every, ExportOrder::StatusBack, 0, 1).await.unwrap()), [1]);
    for (filter, want) in [
        (ExportFilter { object: Some("api_log".into()), ..every.clone() }, 1),
        (ExportFilter { user_id: Some("mem_1".into()), ..every.clone() }, 1),
        (ExportFilter { schedule: Some(ScheduleId([7; 16])), ..every.clone() }, 1),
        (ExportFilter { states: vec![(TaskStatus::Done, Some(true))], ..every.clone() }, 0),
        (ExportFilter { states: vec![(TaskStatus::Queued, None), (TaskStatus::Done, Some(false))], ..every.clone() }, 3),
        (ExportFilter { tasks: AskedFilter { statuses: vec![TaskStatus::Done], ..every.tasks.clone() }, ..every.clone() }, 1),
    ] {
        assert_eq!(tx.export_count(P, &filter).await.unwrap(), want, "{filter:?}");
        assert_eq!(tx.export_list(P, &filter, ExportOrder::Created, 0, 9).await.unwrap().len() as u64, want, "{filter:?}");
    }
    let found = tx.export_find(P, ExportId([3; 16])).await.unwrap().unwrap();
    assert_eq!(
        (found.export.schedule, found.export.user_id.as_deref(), found.export.expires_at, found.expired, found.task.project),
        (Some(ScheduleId([7; 16])), Some("mem_1"), Some(at(103)), false, P)
    );
    assert_eq!(tx.export_find(Q, ExportId([3; 16])).await.unwrap(), None);
    assert_eq!(tx.export_linked(ExportId([3; 16])).await.unwrap(), Some(found.clone()));
    assert_eq!(tx.export_of_task(P, id(3)).await.unwrap(), Some(found));
    assert_eq!(tx.export_of_task(Q, id(3)).await.unwrap(), None);
    assert_eq!(numbers(tx.export_list_due(at(999), 9).await.unwrap()), [1], "those that are not over do not expire");
    assert_eq!(numbers(tx.export_list_due(at(100), 9).await.unwrap()), Vec::<u8>::new());
    drop(tx);

    let mut tx = store.write().await.unwrap();
    assert!(!tx.export_expire(Q, ExportId([1; 16])).await.unwrap());
    assert!(tx.export_expire(P, ExportId([1; 16])).await.unwrap());
    assert!(!tx.export_expire(P, ExportId([1; 16])).await.unwrap());
    assert_eq!(tx.export_list_due(at(999), 9).await.unwrap(), []);
    assert!(!tx.export_delete(Q, ExportId([2; 16])).await.unwrap());
    assert!(tx.export_delete(P, ExportId([2; 16])).await.unwrap());
    tx.commit().await.unwrap();
    assert!(find(store, P, 2).await.status == TaskStatus::Queued, "its task stays");
}

pub(super) async fn a_restored_task_is_as_it_was(bench: &Bench) {
    let store = &bench.store;
    insert(store, P, &asked(1)).await;
    insert(store, P, &asked(2)).await;
    let done = lease(store, 10, 20, 9).await.unwrap();
    lease(store, 10, 20, 9).await.unwrap();
    let mut tx = store.write().await.unwrap();
    assert!(tx.asked_finish(&done, TaskStatus::Done, Some("{\"rows\":1}"), None, at(12)).await.unwrap());
    tx.commit().await.unwrap();
    let (one, two) = (find(store, P, 1).await, find(store, P, 2).await);
    let mut tx = store.write().await.unwrap();
    let elsewhere = |n: u8, row: &AskedTask| AskedTask { project: Q, asked: NewAsked { id: id(n), ..row.asked.clone() }, ..row.clone() };
    tx.asked_restore(&elsewhere(11, &one)).await.unwrap();
    tx.asked_restore(&elsewhere(12, &two)).await.unwrap();
    assert_eq!(tx.asked_find(Q, id(11)).await.unwrap().unwrap(), AskedTask { lease: 0, attempts: 0, ..elsewhere(11, &one) });
    assert_eq!(tx.asked_find(Q, id(12)).await.unwrap().unwrap().status, TaskStatus::Queued);
}

pub(super) async fn asking_wakes(bench: &Bench) {
    let wake = bench.store.asked_wake();
    while wake.wait(Duration::from_millis(1000)).await {}
    insert(&bench.store, P, &asked(1)).await;
    assert!(wake.wait(Duration::from_secs(20)).await);
}
