//! Schedules.

use std::time::Duration;

use indelible_model::{ExportId, Kind, ScheduleId};

use super::asked::{asked, export, id, lease};
use super::*;
use crate::{ScheduleRow, TaskStatus};

fn schedule(n: u8) -> ScheduleRow {
    ScheduleRow {
        id: ScheduleId([n; 16]),
        project: P,
        name: format!("schedule {n}"),
        spec: "{\"v\":1}".into(),
        destination: None,
        asked_by: "{\"id\":\"key_1\"}".into(),
        organizations: None,
        active: true,
        position: 0,
        last_export: None,
        runs: 0,
        next_at: at(10),
        created_at: at(n.into()),
    }
}

async fn insert(store: &Store, rows: &[ScheduleRow]) {
    let mut tx = store.write().await.unwrap();
    for row in rows {
        tx.schedule_insert(row).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn update(store: &Store, row: &ScheduleRow) {
    let mut tx = store.write().await.unwrap();
    tx.schedule_lock(row.project, row.id).await.unwrap().unwrap();
    tx.schedule_update(row).await.unwrap();
    tx.commit().await.unwrap();
}

async fn due(store: &Store, now: i64, failed_before: i64) -> Vec<u8> {
    let rows = store.glance().await.unwrap().schedule_list_due(at(now), at(failed_before), 9).await.unwrap();
    rows.iter().map(|r| r.id.0[0]).collect()
}

pub(super) async fn schedules_belong_to_their_project(bench: &Bench) {
    let store = &bench.store;
    let other = ScheduleRow { project: Q, destination: Some("{\"bucket\":\"b\"}".into()), organizations: Some("[\"o\"]".into()), ..schedule(3) };
    insert(store, &[schedule(2), schedule(1), other.clone()]).await;
    let mut tx = store.glance().await.unwrap();
    assert_eq!(tx.schedule_list(P).await.unwrap(), [schedule(1), schedule(2)]);
    assert_eq!(tx.schedule_find(Q, other.id).await.unwrap(), Some(other.clone()));
    assert_eq!(tx.schedule_find(P, other.id).await.unwrap(), None);
    drop(tx);
    let changed = ScheduleRow {
        name: "other".into(),
        spec: "{}".into(),
        destination: Some("{}".into()),
        asked_by: "{}".into(),
        active: false,
        position: 7,
        last_export: Some(ExportId([5; 16])),
        runs: 1,
        next_at: at(20),
        ..schedule(1)
    };
    update(store, &changed).await;
    let mut tx = store.write().await.unwrap();
    assert_eq!(tx.schedule_lock(Q, changed.id).await.unwrap(), None);
    assert_eq!(tx.schedule_lock(P, changed.id).await.unwrap(), Some(changed.clone()));
    assert!(!tx.schedule_delete(Q, changed.id).await.unwrap());
    assert!(tx.schedule_delete(P, changed.id).await.unwrap());
    assert!(!tx.schedule_delete(P, changed.id).await.unwrap());
    assert_eq!(tx.schedule_update(&changed).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(tx.schedule_insert(&ScheduleRow { project: NOBODY, ..schedule(4) }).await.unwrap_err().kind(), Kind::NotFound);
    tx.commit().await.unwrap();
    assert_eq!(store.glance().await.unwrap().schedule_list(P).await.unwrap(), [schedule(2)]);
}

/// A schedule whose last export is the one of a number.
async fn with_export(store: &Store, n: u8) -> ScheduleRow {
    let row = ScheduleRow { last_export: Some(export(n).id), ..schedule(n) };
    let mut tx = store.write().await.unwrap();
    tx.asked_insert(P, &asked(n)).await.unwrap();
    tx.export_insert(P, id(n), &export(n), at(1)).await.unwrap();
    tx.schedule_insert(&row).await.unwrap();
    tx.commit().await.unwrap();
    row
}

pub(super) async fn a_schedule_is_due_when_its_last_run_is_over(bench: &Bench) {
    let store = &bench.store;
    insert(store, &[ScheduleRow { next_at: at(11), ..schedule(1) }, schedule(2), ScheduleRow { active: false, ..schedule(3) }]).await;
    let row = with_export(store, 4).await;
    assert_eq!(due(store, 9, 0).await, [0; 0]);
    assert_eq!(due(store, 10, 0).await, [2]);
    assert_eq!(due(store, 11, 0).await, [2, 1], "the most overdue first");
    assert_eq!(store.glance().await.unwrap().schedule_list_due(at(11), at(0), 1).await.unwrap(), [schedule(2)]);
    let task = lease(store, 5, 6, 1).await.unwrap();
    assert_eq!(due(store, 10, 0).await, [2], "one that runs is waited for");
    let mut tx = store.write().await.unwrap();
    assert!(tx.asked_finish(&task, TaskStatus::Done, Some("{}"), None, at(7)).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(due(store, 10, 0).await, [2, 4]);
    let mut tx = store.write().await.unwrap();
    assert!(tx.export_delete(P, export(4).id).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(due(store, 10, 99).await, [2, 4], "a deleted export is waited for no more");
    update(store, &ScheduleRow { next_at: at(30), ..row }).await;
    assert_eq!(due(store, 29, 99).await, [2, 1]);
}

pub(super) async fn a_run_that_failed_is_due_again(bench: &Bench) {
    let store = &bench.store;
    let row = with_export(store, 1).await;
    let task = lease(store, 5, 6, 1).await.unwrap();
    let mut tx = store.write().await.unwrap();
    assert!(tx.asked_finish(&task, TaskStatus::Failed, None, Some("away"), at(7)).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!((due(store, 99, 6).await, due(store, 1, 7).await), (vec![], vec![1]));
    update(store, &ScheduleRow { active: false, ..row }).await;
    assert_eq!(due(store, 99, 99).await, [0; 0]);
}

pub(super) async fn who_runs_a_schedule_waits_for_the_other(bench: &Bench) {
    insert(&bench.store, &[schedule(1)]).await;
    let node = bench.node().await;
    let mut first = bench.store.write().await.unwrap();
    let row = first.schedule_lock(P, schedule(1).id).await.unwrap().unwrap();
    let second = tokio::spawn(async move {
        let mut tx = node.write().await.unwrap();
        let row = tx.schedule_lock(P, schedule(1).id).await.unwrap().unwrap();
        drop(tx);
        node.close().await;
        row.position
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!second.is_finished());
    first.schedule_update(&ScheduleRow { position: 5, ..row }).await.unwrap();
    first.commit().await.unwrap();
    assert_eq!(second.await.unwrap(), 5);
}
