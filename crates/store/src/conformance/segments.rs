//! Seals, compactions, expiry: what changed since it was read is not replaced.

use super::*;
use crate::ReadTx;

async fn all(tx: &mut ReadTx) -> Vec<SegmentRow> {
    tx.segment_range(P, LOG, 1, u64::MAX, false, 999).await.unwrap()
}

/// Two segments of two batches.
async fn two(store: &Store) -> Vec<SegmentRow> {
    fill(store, &[(1, 5), (6, 9)]).await;
    let rows = batches(store).await;
    assert!(seal(store, &segment(1, 5), &rows[..1]).await);
    assert!(seal(store, &segment(6, 9), &rows[1..]).await);
    all(&mut store.glance().await.unwrap()).await
}

/// Replaces segments by one, with objects of this name; true if it was done.
async fn compact(store: &Store, name: &str, inputs: &[(u64, u64)]) -> bool {
    let mut tx = store.write().await.unwrap();
    tx.object_stage(&names(&[name]), at(100)).await.unwrap();
    let done = tx.segment_replace(P, LOG, &segment(1, 9), &names(&[name]), inputs, &names(&["s1-5", "s6-9"]), (at(6), at(50))).await.unwrap();
    if done {
        tx.commit().await.unwrap();
    }
    done
}

pub(super) async fn a_seal_of_changed_batches_does_not_commit(bench: &Bench) {
    let store = &bench.store;
    fill(store, &[(1, 5), (6, 9)]).await;
    let inputs = batches(store).await;
    let stale: Vec<_> = inputs.iter().map(|&(id, generation)| (id, generation + 1)).collect();
    assert!(!seal(store, &segment(1, 9), &stale).await);
    assert!(!seal(store, &segment(1, 9), &[inputs[0], stale[1]]).await);
    assert!(!seal(store, &segment(1, 9), &[inputs[0], (999, 1)]).await);
    let mut tx = store.write().await.unwrap();
    assert!(!tx.segment_publish(P, LOG, &segment(1, 9), &names(&["gone"]), &inputs, at(5)).await.unwrap());
    drop(tx);
    let mut tx = store.write().await.unwrap();
    assert!(!tx.segment_publish(Q, LOG, &segment(1, 9), &[], &inputs, at(5)).await.unwrap());
    drop(tx);
    assert_eq!(batches(store).await, inputs);
    assert!(seal(store, &segment(1, 9), &inputs).await);
    assert!(!seal(store, &segment(1, 9), &inputs).await);
    let mut tx = store.read().await.unwrap();
    let after = tx.log_head(P, LOG).await.unwrap().unwrap();
    assert_eq!((after.position, after.hot_batches, after.hot_events, after.hot_bytes), (9, 0, 0, 0));
    let rows = all(&mut tx).await;
    assert_eq!((rows.len(), rows[0].generation, rows[0].expired, rows[0].created_at), (1, 1, false, at(5)));
    assert_eq!(rows[0].segment, segment(1, 9));
    assert!(!tx.object_any_due(at(1000)).await.unwrap());
}

pub(super) async fn a_seal_that_read_before_a_merge_does_not_commit(bench: &Bench) {
    let store = &bench.store;
    fill(store, &[(1, 5), (6, 9)]).await;
    let read = batches(store).await;
    let mut tx = store.write().await.unwrap();
    assert!(tx.batch_merge(P, LOG, &read, &NewBatch { raw_bytes: 20, ..batch(1, 9) }).await.unwrap());
    tx.commit().await.unwrap();
    assert!(!seal(store, &segment(1, 9), &read).await);
    assert!(all(&mut store.read().await.unwrap()).await.is_empty());
    assert_eq!(batches(store).await.len(), 1);
}

pub(super) async fn a_merge_that_read_before_a_seal_does_not_commit(bench: &Bench) {
    let store = &bench.store;
    fill(store, &[(1, 5), (6, 9)]).await;
    let read = batches(store).await;
    assert!(seal(store, &segment(1, 5), &read[..1]).await);
    let mut tx = store.write().await.unwrap();
    assert!(!tx.batch_merge(P, LOG, &read, &batch(1, 9)).await.unwrap());
    drop(tx);
    assert_eq!(batches(store).await, read[1..]);
    let after = store.glance().await.unwrap().log_head(P, LOG).await.unwrap().unwrap();
    assert_eq!((after.hot_batches, after.hot_events, after.hot_bytes), (1, 4, 10));
}

pub(super) async fn compaction_retires_what_it_replaces(bench: &Bench) {
    let rows = two(&bench.store).await;
    assert!(compact(&bench.store, "c", &inputs(&rows)).await);
    let mut tx = bench.store.read().await.unwrap();
    assert_eq!(tx.segment_totals().await.unwrap(), (1, 9));
    assert_eq!(all(&mut tx).await[0].created_at, at(6));
    assert!(!tx.object_any_due(at(49)).await.unwrap());
    drop(tx);
    let mut tx = bench.store.write().await.unwrap();
    let claimed = tx.object_claim_due(at(50), at(60), 9).await.unwrap();
    let mut claimed: Vec<_> = claimed.into_iter().map(|r| r.object).collect();
    claimed.sort();
    assert_eq!(claimed, ["s1-5", "s6-9"]);
}

pub(super) async fn a_compaction_of_changed_segments_does_not_commit(bench: &Bench) {
    let rows = two(&bench.store).await;
    let read = inputs(&rows);
    assert!(!compact(&bench.store, "c", &[read[0], (read[1].0, 2)]).await);
    assert!(!compact(&bench.store, "c", &[read[0], (99, 1)]).await);
    assert!(compact(&bench.store, "c", &read).await);
    assert!(!compact(&bench.store, "d", &read).await, "twice");
    assert_eq!(bench.store.glance().await.unwrap().segment_totals().await.unwrap(), (1, 9));
}

pub(super) async fn expired_rows_do_not_come_back(bench: &Bench) {
    let store = &bench.store;
    let rows = two(store).await;
    let read = inputs(&rows);
    let mut tx = store.write().await.unwrap();
    assert!(!tx.segment_expire(P, LOG, (read[0].0, 2), &names(&["x"]), at(50)).await.unwrap());
    assert!(!tx.segment_expire(Q, LOG, read[0], &names(&["x"]), at(50)).await.unwrap());
    assert!(tx.segment_expire(P, LOG, read[0], &names(&["s1-5/rows", "s1-5/columns"]), at(50)).await.unwrap());
    tx.commit().await.unwrap();

    // One that read before, and one that read the new generation but names it twice.
    assert!(!compact(store, "c", &read).await);
    let mut tx = store.write().await.unwrap();
    assert!(!tx.segment_expire(P, LOG, (read[0].0, 2), &[], at(50)).await.unwrap(), "expired already");
    assert!(tx.object_any_due(at(50)).await.unwrap());
    drop(tx);

    let mut tx = store.read().await.unwrap();
    let after = all(&mut tx).await;
    assert_eq!(after.iter().map(|r| (r.id, r.generation, r.expired)).collect::<Vec<_>>(), [(read[0].0, 2, true), (read[1].0, 1, false)]);
    assert_eq!((after[0].segment.rows_bytes, after[0].segment.columns_bytes), (0, 0));
    assert_eq!(after[0].segment.name, "s1-5");
    assert_eq!(tx.segment_totals().await.unwrap(), (1, 4));
    assert_eq!(tx.expired_events(P, LOG).await.unwrap(), 5);
    assert_eq!(tx.expired_events(Q, LOG).await.unwrap(), 0);
}

pub(super) async fn segments_are_found_by_any_position_they_hold(bench: &Bench) {
    two(&bench.store).await;
    let mut tx = bench.store.read().await.unwrap();
    let mut firsts = async |from, to, back, most| {
        let rows = tx.segment_range(P, LOG, from, to, back, most).await.unwrap();
        rows.iter().map(|r| r.segment.first).collect::<Vec<_>>()
    };
    assert_eq!(firsts(5, 6, false, 9).await, [1, 6]);
    assert_eq!(firsts(5, 6, true, 9).await, [6, 1]);
    assert_eq!(firsts(2, 2, true, 9).await, [1]);
    assert_eq!(firsts(6, u64::MAX, false, 9).await, [6]);
    assert_eq!(firsts(1, 99, true, 1).await, [6]);
    assert_eq!(firsts(10, 99, false, 9).await, [0u64; 0]);
}

pub(super) async fn thousands_of_batches_are_sealed_at_once(bench: &Bench) {
    let store = &bench.store;
    let bounds: Vec<_> = (1..=1300).map(|i| (i, i)).collect();
    fill(store, &bounds).await;
    let mut rows = batches(store).await;
    rows.reverse();
    let before = store.counters().statements;
    assert!(seal(store, &segment(101, 1300), &rows[..1200]).await);
    assert!(store.counters().statements - before <= 9);
    let after = store.glance().await.unwrap().log_head(P, LOG).await.unwrap().unwrap();
    assert_eq!((after.hot_batches, after.hot_events, after.hot_bytes), (100, 100, 1000));
    assert_eq!(batches(store).await.len(), 100);
}
