use indelible_model::{LogKind, ProjectId, Timestamp};

use super::*;

async fn store() -> (tempfile::TempDir, Store, ProjectId) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("t.db")).await.unwrap();
    let project = ProjectId([1; 16]);
    let mut tx = store.write().await.unwrap();
    assert!(tx.project_create(project, "default", at(0)).await.unwrap());
    assert!(!tx.project_create(ProjectId([2; 16]), "default", at(0)).await.unwrap());
    tx.commit().await.unwrap();
    (dir, store, project)
}

fn at(micros: i64) -> Timestamp {
    Timestamp::clamped(micros)
}

fn batch(first: u64, last: u64) -> NewBatch {
    NewBatch { first, last, raw_bytes: 10, min_occurred: at(1), max_occurred: at(2), envelope: vec![1], body: vec![2] }
}

fn head(position: u64, batches: u64) -> LogHead {
    LogHead { position, hash: [3; 32], last_id: [4; 16], received_at: at(9), hot_batches: batches, hot_events: position, hot_bytes: batches * 10 }
}

fn segment(first: u64, last: u64) -> NewSegment {
    NewSegment { first, last, version: 1, name: format!("s{first}"), raw_bytes: 1, rows_bytes: 1, columns_bytes: 1, min_occurred: at(1), max_occurred: at(2) }
}

const LOG: LogKind = LogKind::Events;

#[tokio::test]
async fn what_is_not_committed_never_was() {
    let (_dir, store, project) = store().await;
    let mut tx = store.write().await.unwrap();
    tx.log_append(project, LOG, &[batch(1, 5)], &head(5, 1), at(1)).await.unwrap();
    drop(tx);
    assert_eq!(store.read().await.unwrap().log_head(project, LOG).await.unwrap(), None);
}

#[tokio::test]
async fn batches_are_found_by_any_position_they_hold() {
    let (_dir, store, project) = store().await;
    let mut tx = store.write().await.unwrap();
    tx.log_append(project, LOG, &[batch(1, 5), batch(6, 6), batch(7, 20)], &head(20, 3), at(1)).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.read().await.unwrap();
    let firsts = |rows: Vec<BatchRow>| rows.iter().map(|r| r.batch.first).collect::<Vec<_>>();
    assert_eq!(firsts(tx.batch_range(project, LOG, 3, 6, 9).await.unwrap()), [1, 6]);
    assert_eq!(firsts(tx.batch_range(project, LOG, 6, 99, 9).await.unwrap()), [6, 7]);
    assert_eq!(firsts(tx.batch_range_back(project, LOG, 1, 19, 2).await.unwrap()), [7, 6]);
    assert_eq!(firsts(tx.batch_range(ProjectId([9; 16]), LOG, 1, 99, 9).await.unwrap()), [0u64; 0]);
    assert_eq!(tx.log_head(project, LOG).await.unwrap().unwrap(), head(20, 3));
}

#[tokio::test]
async fn a_seal_or_merge_of_changed_inputs_does_not_commit() {
    let (_dir, store, project) = store().await;
    let mut tx = store.write().await.unwrap();
    tx.log_append(project, LOG, &[batch(1, 5), batch(6, 9)], &head(9, 2), at(1)).await.unwrap();
    tx.object_stage(&["s1/rows".into()], at(100)).await.unwrap();
    tx.commit().await.unwrap();
    let rows = store.read().await.unwrap().batch_range(project, LOG, 1, 9, 9).await.unwrap();
    let inputs: Vec<_> = rows.iter().map(|r| (r.id, r.generation)).collect();
    let stale: Vec<_> = rows.iter().map(|r| (r.id, r.generation + 1)).collect();
    let staged = ["s1/rows".to_owned()];
    let mut tx = store.write().await.unwrap();
    assert!(!tx.segment_publish(project, LOG, &segment(1, 9), &staged, &stale, at(5)).await.unwrap());
    drop(tx);
    let mut tx = store.write().await.unwrap();
    assert!(!tx.segment_publish(project, LOG, &segment(1, 9), &["gone".to_owned()], &inputs, at(5)).await.unwrap());
    drop(tx);
    let mut tx = store.write().await.unwrap();
    assert!(tx.segment_publish(project, LOG, &segment(1, 9), &staged, &inputs, at(5)).await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = store.write().await.unwrap();
    assert!(!tx.batch_merge(project, LOG, &inputs, &batch(1, 9)).await.unwrap());
    drop(tx);
    let mut tx = store.read().await.unwrap();
    let after = tx.log_head(project, LOG).await.unwrap().unwrap();
    assert_eq!((after.hot_batches, after.hot_events, after.hot_bytes), (0, 0, 0));
    assert_eq!(tx.segment_range(project, LOG, 4, 4, false, 9).await.unwrap().len(), 1);
    assert!(tx.object_list_due(at(1000), 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn compaction_retires_what_it_replaces() {
    let (_dir, store, project) = store().await;
    let mut tx = store.write().await.unwrap();
    tx.log_append(project, LOG, &[batch(1, 5), batch(6, 9)], &head(9, 2), at(1)).await.unwrap();
    tx.object_stage(&["a".into(), "b".into(), "c".into()], at(100)).await.unwrap();
    let rows = tx.batch_range(project, LOG, 1, 9, 9).await.unwrap();
    assert!(tx.segment_publish(project, LOG, &segment(1, 5), &["a".into()], &[(rows[0].id, 1)], at(5)).await.unwrap());
    assert!(tx.segment_publish(project, LOG, &segment(6, 9), &["b".into()], &[(rows[1].id, 1)], at(5)).await.unwrap());
    let inputs: Vec<_> = tx.segment_range(project, LOG, 1, 9, false, 9).await.unwrap().iter().map(|r| (r.id, r.generation)).collect();
    assert!(tx.segment_replace(project, LOG, &segment(1, 9), &["c".into()], &inputs, &["a".into(), "b".into()], (at(6), at(50))).await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = store.read().await.unwrap();
    assert_eq!(tx.segment_totals().await.unwrap(), (1, 9));
    assert_eq!(tx.object_list_due(at(50), 9).await.unwrap(), ["a", "b"]);
    assert!(tx.object_list_due(at(49), 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn leases_are_exclusive_and_expire() {
    let (_dir, store, project) = store().await;
    let mut tx = store.write().await.unwrap();
    tx.task_enqueue(project, LOG, TaskKind::Seal, at(1)).await.unwrap();
    tx.task_enqueue(project, LOG, TaskKind::Seal, at(1)).await.unwrap();
    let first = tx.task_lease(at(10), at(20)).await.unwrap().unwrap();
    assert_eq!(tx.task_lease(at(15), at(25)).await.unwrap(), None);
    let second = tx.task_lease(at(20), at(30)).await.unwrap().unwrap();
    assert_eq!((second.id, second.attempts), (first.id, 2));
    assert!(!tx.task_heartbeat(&first, at(40)).await.unwrap());
    assert!(!tx.task_finish(&first).await.unwrap());
    assert!(tx.task_heartbeat(&second, at(40)).await.unwrap());
    tx.task_retry(&second, "why", at(60)).await.unwrap();
    assert_eq!(tx.task_lease(at(59), at(99)).await.unwrap(), None);
    let third = tx.task_lease(at(60), at(99)).await.unwrap().unwrap();
    assert!(tx.task_finish(&third).await.unwrap());
    assert_eq!(tx.task_live().await.unwrap(), 0);
}

#[tokio::test]
async fn duplicates_are_found_within_their_project_and_time() {
    let (_dir, store, project) = store().await;
    let mut tx = store.write().await.unwrap();
    let ids: Vec<_> = (0..1000u64)
        .map(|i| {
            let mut d = [0; 16];
            d[..8].copy_from_slice(&i.to_be_bytes());
            (d, i + 1)
        })
        .collect();
    tx.external_insert(project, LOG, &ids).await.unwrap();
    let digests: Vec<_> = ids.iter().map(|(d, _)| *d).chain([[9; 16]]).collect();
    let hits = tx.external_find(project, &digests).await.unwrap();
    assert_eq!(hits.len(), 1000);
    assert!(hits.contains(&ExternalHit { digest: ids[7].0, log: LOG, position: 8 }));
    assert!(tx.external_find(ProjectId([2; 16]), &digests).await.unwrap().is_empty());
    let row = IdempotencyRow { body_digest: [1; 32], outcome: vec![5] };
    tx.idempotency_insert(project, "r", "k", &row, at(100)).await.unwrap();
    assert_eq!(tx.idempotency_find(project, "r", "k", at(100)).await.unwrap(), Some(row));
    assert_eq!(tx.idempotency_find(project, "r", "k", at(101)).await.unwrap(), None);
    assert_eq!(tx.idempotency_find(project, "q", "k", at(0)).await.unwrap(), None);
    assert_eq!(tx.idempotency_expire(at(101)).await.unwrap(), 1);
}
