//! Legal holds.

use indelible_model::{HoldId, Kind, LogKind};

use super::*;
use crate::{HoldEnd, KeptRow, LegalHoldRow};

fn hold(id: u8) -> LegalHoldRow {
    LegalHoldRow {
        id: HoldId([id; 16]),
        case: format!("case {id}"),
        reason: "why".into(),
        filter: "{}".into(),
        placed_by: "{\"a\":1}".into(),
        created_at: at(id.into()),
        released: None,
    }
}

fn end(at_: i64) -> HoldEnd {
    HoldEnd { by: "{\"b\":2}".into(), reason: "over".into(), at: at(at_) }
}

async fn place(store: &Store, project: ProjectId, row: &LegalHoldRow) {
    let mut tx = store.write().await.unwrap();
    tx.retention_lock(project).await.unwrap();
    tx.legal_hold_place(project, row).await.unwrap();
    tx.commit().await.unwrap();
}

async fn release(store: &Store, project: ProjectId, id: u8) -> bool {
    let mut tx = store.write().await.unwrap();
    tx.retention_lock(project).await.unwrap();
    let done = tx.legal_hold_release(project, HoldId([id; 16]), &end(50)).await.unwrap();
    if done {
        tx.commit().await.unwrap();
    }
    done
}

async fn versions(store: &Store, project: ProjectId) -> Vec<u64> {
    store.glance().await.unwrap().retention_list(project).await.unwrap().iter().map(|r| r.holds).collect()
}

pub(super) async fn holds_are_listed_for_ever(bench: &Bench) {
    let store = &bench.store;
    for id in [1, 2, 3] {
        place(store, P, &hold(id)).await;
    }
    place(store, Q, &hold(4)).await;
    assert_eq!((versions(store, P).await, versions(store, Q).await), (vec![3, 3], vec![1, 1]));
    assert!(!release(store, Q, 2).await, "another project's");
    assert!(!release(store, P, 9).await);
    assert!(release(store, P, 2).await);
    assert!(!release(store, P, 2).await, "twice");
    assert_eq!(versions(store, P).await, [4, 4]);
    let released = LegalHoldRow { released: Some(end(50)), ..hold(2) };
    let mut tx = store.read().await.unwrap();
    assert_eq!(tx.legal_hold_list(P, None, 9).await.unwrap(), [hold(3), released.clone(), hold(1)]);
    assert_eq!(tx.legal_hold_list(P, None, 2).await.unwrap(), [hold(3), released.clone()]);
    assert_eq!(tx.legal_hold_list(P, Some(released.id), 2).await.unwrap(), [hold(1)]);
    assert_eq!(tx.legal_hold_live(P).await.unwrap(), [hold(1), hold(3)]);
    assert_eq!(tx.legal_hold_find(P, released.id).await.unwrap(), Some(released));
    assert_eq!(tx.legal_hold_find(Q, hold(1).id).await.unwrap(), None);
    drop(tx);
    let mut tx = store.write().await.unwrap();
    assert_eq!(tx.legal_hold_place(NOBODY, &hold(5)).await.unwrap_err().kind(), Kind::NotFound);
}

pub(super) async fn a_restored_hold_is_as_it_was(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    let rows = [hold(1), LegalHoldRow { released: Some(end(9)), ..hold(2) }];
    for row in &rows {
        tx.legal_hold_restore(P, row).await.unwrap();
    }
    assert_eq!(tx.legal_hold_list(P, None, 9).await.unwrap(), [rows[1].clone(), rows[0].clone()]);
    assert_eq!(tx.legal_hold_live(P).await.unwrap(), rows[..1]);
    tx.commit().await.unwrap();
    assert_eq!(versions(&bench.store, P).await, [0, 0]);
}

pub(super) async fn what_a_hold_keeps_is_looked_at_again_when_it_is_released(bench: &Bench) {
    let store = &bench.store;
    fill(store, &[(1, 5), (6, 9), (10, 10)]).await;
    let rows = batches(store).await;
    for (new, row) in [segment(1, 5), segment(6, 9), segment(10, 10)].iter().zip(&rows) {
        assert!(seal(store, new, &[*row]).await);
    }
    place(store, P, &hold(1)).await;
    place(store, P, &hold(2)).await;
    let all = store.glance().await.unwrap().segment_range(P, LOG, 1, 99, false, 9).await.unwrap();
    let numbers = inputs(&all);
    let mut tx = store.write().await.unwrap();
    assert!(tx.segment_hold(P, LOG, numbers[1], hold(1).id).await.unwrap());
    assert!(tx.segment_hold(P, LOG, numbers[2], hold(2).id).await.unwrap());
    assert!(!tx.segment_hold(P, LOG, (numbers[0].0, 7), hold(1).id).await.unwrap());
    assert!(!tx.segment_hold(Q, LOG, numbers[0], hold(2).id).await.unwrap());
    assert!(!tx.segment_hold(P, LogKind::Activity, numbers[0], hold(2).id).await.unwrap());
    tx.commit().await.unwrap();

    let listed = async || store.glance().await.unwrap().segment_list_expirable(P, LOG, at(1000), 1, 9).await.unwrap().iter().map(|r| r.segment.first).collect::<Vec<_>>();
    let kept = async || store.glance().await.unwrap().legal_hold_kept(P).await.unwrap();
    let of = |hold: HoldId, segments, events| KeptRow { log: LOG, hold, segments, events };
    assert_eq!(listed().await, [1]);
    assert_eq!(kept().await, [of(hold(1).id, 1, 4), of(hold(2).id, 1, 1)]);
    assert_eq!(store.glance().await.unwrap().legal_hold_kept(Q).await.unwrap(), []);
    let now = store.glance().await.unwrap().segment_range(P, LOG, 1, 99, false, 9).await.unwrap();
    assert_eq!(now.iter().map(|r| (r.generation, r.held)).collect::<Vec<_>>(), [(1, None), (1, Some(hold(1).id)), (1, Some(hold(2).id))]);

    assert!(release(store, P, 1).await);
    assert_eq!((listed().await, kept().await), (vec![1, 6], vec![of(hold(2).id, 1, 1)]));

    // One that was replaced, or whose rows are gone, is held no more.
    let mut tx = store.write().await.unwrap();
    assert!(tx.segment_expire(P, LOG, numbers[2], &[], at(1)).await.unwrap());
    assert!(!tx.segment_hold(P, LOG, (numbers[2].0, 2), hold(2).id).await.unwrap());
    assert_eq!(tx.legal_hold_kept(P).await.unwrap(), []);
}
