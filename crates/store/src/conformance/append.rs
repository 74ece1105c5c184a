//! Log heads, batches, merges.

use indelible_model::{Kind, LogKind};

use super::*;
use crate::{BatchRow, RetentionRow};

fn firsts(rows: &[BatchRow]) -> Vec<u64> {
    rows.iter().map(|r| r.batch.first).collect()
}

pub(super) async fn a_log_begins_with_its_genesis(bench: &Bench) {
    let store = &bench.store;
    for _ in 0..2 {
        let mut tx = store.write().await.unwrap();
        let heads = tx.log_lock(P, &GENESIS).await.unwrap().unwrap();
        let empty = |hash| LogHead { position: 0, hash, last_id: [0; 16], received_at: at(0), hot_batches: 0, hot_events: 0, hot_bytes: 0, month: 0, month_base: 0 };
        assert_eq!(heads, [(LogKind::Events, empty([10; 32])), (LogKind::Activity, empty([11; 32]))]);
        tx.commit().await.unwrap();
    }
    let mut tx = store.read().await.unwrap();
    assert_eq!(tx.log_head(P, LOG).await.unwrap(), None);
    assert!(tx.log_list().await.unwrap().is_empty());
    assert!(tx.log_rows(P).await.unwrap().is_empty());
    drop(tx);

    fill(store, &[(1, 5), (6, 7)]).await;
    let mut tx = store.read().await.unwrap();
    assert_eq!(tx.log_head(P, LOG).await.unwrap(), Some(head(7, 2)));
    assert_eq!(tx.log_head(Q, LOG).await.unwrap(), None);
    let all = tx.log_list().await.unwrap();
    assert_eq!(all.iter().map(|r| (r.project, r.kind, r.head.clone())).collect::<Vec<_>>(), [(P, LOG, head(7, 2))]);
    assert_eq!(tx.log_rows(P).await.unwrap(), [(LOG, head(7, 2), Some(at(1)))]);
    assert_eq!(tx.log_hot_totals().await.unwrap(), (7, 20));
    drop(tx);

    let mut tx = store.write().await.unwrap();
    let heads = tx.log_lock(P, &GENESIS).await.unwrap().unwrap();
    assert_eq!(heads[0], (LOG, head(7, 2)));
    assert_eq!(heads[1].1.hash, [11; 32]);
}

pub(super) async fn a_missing_project_has_no_logs(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    assert_eq!(tx.log_lock(NOBODY, &GENESIS).await.unwrap_err().kind(), Kind::NotFound);
    assert!(tx.batch_range(NOBODY, LOG, 1, 9, 9).await.unwrap().is_empty());
    assert!(tx.segment_range(NOBODY, LOG, 1, 9, false, 9).await.unwrap().is_empty());
    drop(tx);
    let mut tx = bench.store.write().await.unwrap();
    assert_eq!(tx.log_append(NOBODY, LOG, &[batch(1, 1)], &head(1, 1), at(1)).await.unwrap_err().kind(), Kind::NotFound);
}

pub(super) async fn what_is_not_committed_never_was(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    tx.log_lock(P, &GENESIS).await.unwrap().unwrap();
    tx.log_append(P, LOG, &[batch(1, 5)], &head(5, 1), at(1)).await.unwrap();
    assert_eq!(tx.log_head(P, LOG).await.unwrap(), Some(head(5, 1)));
    assert_eq!(bench.store.read().await.unwrap().log_head(P, LOG).await.unwrap(), None);
    drop(tx);
    assert_eq!(bench.store.read().await.unwrap().log_head(P, LOG).await.unwrap(), None);
    fill(&bench.store, &[(1, 3)]).await;
    assert_eq!(bench.store.glance().await.unwrap().log_head(P, LOG).await.unwrap(), Some(head(3, 1)));
}

pub(super) async fn batches_are_found_by_any_position_they_hold(bench: &Bench) {
    fill(&bench.store, &[(1, 5), (6, 6), (7, 20)]).await;
    let mut tx = bench.store.read().await.unwrap();
    assert_eq!(firsts(&tx.batch_range(P, LOG, 3, 6, 9).await.unwrap()), [1, 6]);
    assert_eq!(firsts(&tx.batch_range(P, LOG, 6, 99, 9).await.unwrap()), [6, 7]);
    assert_eq!(firsts(&tx.batch_range(P, LOG, 1, u64::MAX, 2).await.unwrap()), [1, 6]);
    assert_eq!(firsts(&tx.batch_range(P, LOG, 21, 99, 9).await.unwrap()), [0u64; 0]);
    assert_eq!(firsts(&tx.batch_range_back(P, LOG, 1, 19, 2).await.unwrap()), [7, 6]);
    assert_eq!(firsts(&tx.batch_range_back(P, LOG, 4, 6, 9).await.unwrap()), [6, 1]);
    assert_eq!(firsts(&tx.batch_range_back(P, LOG, 20, 99, 9).await.unwrap()), [7]);
    assert_eq!(firsts(&tx.batch_range(P, LogKind::Activity, 1, 99, 9).await.unwrap()), [0u64; 0]);
    assert_eq!(firsts(&tx.batch_range(Q, LOG, 1, 99, 9).await.unwrap()), [0u64; 0]);
    let row = tx.batch_range(P, LOG, 6, 6, 1).await.unwrap().remove(0);
    assert_eq!((row.generation, row.batch.last, row.batch.raw_bytes, row.batch.min_occurred, row.batch.max_occurred), (1, 6, 10, at(1), at(2)));
    assert_eq!((row.batch.envelope, row.batch.body), (vec![1], vec![2; 3]));
}

pub(super) async fn batches_that_do_not_follow_the_head_conflict(bench: &Bench) {
    let append = async |first, last, batches| {
        let mut tx = bench.store.write().await.unwrap();
        tx.log_lock(P, &GENESIS).await.unwrap().unwrap();
        let done = tx.log_append(P, LOG, &[batch(first, last)], &head(last, batches), at(1)).await;
        match done {
            Ok(()) => tx.commit().await.map_err(|e| e.kind()),
            Err(error) => Err(error.kind()),
        }
    };
    // The head of a log that nobody locked is not moved.
    let mut tx = bench.store.write().await.unwrap();
    assert_eq!(tx.log_append(P, LOG, &[batch(1, 1)], &head(1, 1), at(1)).await.unwrap_err().kind(), Kind::Conflict);
    drop(tx);
    assert_eq!(append(2, 5, 1).await, Err(Kind::Conflict));
    assert_eq!(append(1, 5, 1).await, Ok(()));
    assert_eq!(append(1, 5, 1).await, Err(Kind::Conflict));
    assert_eq!(append(3, 7, 2).await, Err(Kind::Conflict));
    assert_eq!(append(7, 9, 2).await, Err(Kind::Conflict));
    assert_eq!(append(6, 9, 2).await, Ok(()));
    assert_eq!(bench.store.glance().await.unwrap().log_head(P, LOG).await.unwrap(), Some(head(9, 2)));
    assert_eq!(batches(&bench.store).await.len(), 2);
}

pub(super) async fn a_large_append_is_one_step(bench: &Bench) {
    let body: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
    let batches: Vec<_> = (1..=37).map(|i| NewBatch { body: body.clone(), ..batch(i, i) }).collect();
    let mut tx = bench.store.write().await.unwrap();
    tx.log_lock(P, &GENESIS).await.unwrap().unwrap();
    tx.log_append(P, LOG, &[], &head(0, 0), at(1)).await.unwrap();
    let before = bench.store.counters().statements;
    tx.log_append(P, LOG, &batches, &head(37, 37), at(1)).await.unwrap();
    assert_eq!(bench.store.counters().statements - before, 4);
    tx.commit().await.unwrap();
    let rows = bench.store.read().await.unwrap().batch_range(P, LOG, 1, 37, 99).await.unwrap();
    assert_eq!(firsts(&rows), (1..=37).collect::<Vec<_>>());
    assert!(rows.iter().all(|r| r.batch.body == body));
}

pub(super) async fn merged_batches_count_as_before(bench: &Bench) {
    fill(&bench.store, &[(1, 5), (6, 6), (7, 9)]).await;
    let rows = batches(&bench.store).await;
    let merged = NewBatch { raw_bytes: 20, body: vec![7], ..batch(1, 6) };
    let mut tx = bench.store.write().await.unwrap();
    assert!(tx.batch_merge(P, LOG, &rows[..2], &merged).await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = bench.store.read().await.unwrap();
    assert_eq!(tx.log_head(P, LOG).await.unwrap(), Some(LogHead { hot_batches: 2, ..head(9, 3) }));
    let after = tx.batch_range(P, LOG, 1, 9, 9).await.unwrap();
    assert_eq!((firsts(&after), &after[0].batch.body), (vec![1, 7], &vec![7]));
    assert!(after[0].id > rows[2].0, "a number is not used again");
    drop(tx);
    let mut tx = bench.store.write().await.unwrap();
    assert!(!tx.batch_merge(P, LOG, &rows[..2], &merged).await.unwrap());
    drop(tx);
    let mut tx = bench.store.write().await.unwrap();
    assert!(!tx.batch_merge(Q, LOG, &[(after[0].id, 1), (after[1].id, 1)], &batch(1, 9)).await.unwrap());
}

pub(super) async fn tails_that_must_be_sealed_are_listed(bench: &Bench) {
    const DAY: i64 = 86_400_000_000;
    let store = &bench.store;
    // P began at 1 and has 20 bytes, Q began at 1 and has 10.
    fill(store, &[(1, 5), (6, 7)]).await;
    append_next(store, Q, 1, 1).await;
    let due = async |now, before, bytes, most| store.glance().await.unwrap().log_list_due(at(now), at(before), bytes, most).await.unwrap();
    assert_eq!(due(100 * DAY, 1, 21, 9).await, []);
    assert_eq!(due(100 * DAY, 2, 21, 9).await, [(P, LOG), (Q, LOG)]);
    assert_eq!(due(100 * DAY, 2, 21, 1).await, [(P, LOG)]);
    assert_eq!(due(100 * DAY, 1, 20, 9).await, [(P, LOG)]);
    let mut tx = store.write().await.unwrap();
    tx.retention_restore(Q, &RetentionRow { log: LOG, days: Some(7), since: at(1), next: None, holds: 0 }).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(7 * DAY + 1, 1, 21, 9).await, []);
    assert_eq!(due(7 * DAY + 2, 1, 21, 9).await, [(Q, LOG)]);
    assert_eq!(due(7 * DAY + 2, 2, 20, 9).await, [(P, LOG), (Q, LOG)], "each once");

    let hottest = async |most| store.glance().await.unwrap().log_list_hottest(most).await.unwrap();
    assert_eq!(hottest(9).await, [(P, LOG), (Q, LOG)]);
    append_next(store, Q, 1, 1).await;
    append_next(store, Q, 1, 1).await;
    assert_eq!(hottest(9).await, [(Q, LOG), (P, LOG)]);
    assert_eq!(hottest(1).await, [(Q, LOG)]);
    assert!(seal(store, &segment(1, 7), &batches(store).await).await);
    assert_eq!(hottest(9).await, [(Q, LOG)]);
    assert_eq!(due(100 * DAY, 99, 1, 9).await, [(Q, LOG)]);

    // The oldest are chosen, and told in the order of their projects.
    let first = ProjectId([0; 16]);
    let mut tx = store.write().await.unwrap();
    assert!(tx.project_create(first, "first", at(1)).await.unwrap());
    tx.log_lock(first, &GENESIS).await.unwrap().unwrap();
    tx.log_append(first, LOG, &[batch(1, 1)], &head(1, 1), at(2)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(100, 99, 99, 1).await, [(Q, LOG)]);
    assert_eq!(due(100, 99, 99, 2).await, [(first, LOG), (Q, LOG)]);
}
