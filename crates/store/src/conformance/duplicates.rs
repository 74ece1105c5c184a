//! External ids and idempotency keys.

use indelible_model::Kind;

use super::*;
use crate::{ExternalHit, IdempotencyRow};

fn digest(i: u64) -> [u8; 16] {
    let mut digest = [0; 16];
    digest[..8].copy_from_slice(&i.to_be_bytes());
    digest
}

pub(super) async fn external_ids_are_found_within_their_project(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    let ids: Vec<_> = (0..30_000).map(|i| (digest(i), i + 1)).collect();
    tx.external_insert(P, LOG, &ids).await.unwrap();
    tx.external_insert(P, LOG, &[]).await.unwrap();
    let digests: Vec<_> = ids.iter().map(|(d, _)| *d).chain([[9; 16]]).collect();
    let hits = tx.external_find(P, &digests).await.unwrap();
    assert_eq!(hits.len(), 30_000);
    assert_eq!(tx.external_find(P, &[digest(1), digest(2), digest(1)]).await.unwrap().len(), 2, "each once");
    assert!(hits.contains(&ExternalHit { digest: ids[7].0, log: LOG, position: 8 }));
    tx.commit().await.unwrap();
    let mut tx = bench.store.read().await.unwrap();
    assert_eq!(tx.external_find(P, &digests[3..6]).await.unwrap().len(), 3);
    assert!(tx.external_find(P, &[]).await.unwrap().is_empty());
    assert!(tx.external_find(Q, &digests).await.unwrap().is_empty());
    drop(tx);
    for (project, kind) in [(P, Kind::Conflict), (NOBODY, Kind::NotFound)] {
        let mut tx = bench.store.write().await.unwrap();
        assert_eq!(tx.external_insert(project, LOG, &[(digest(50_000), 1), (digest(4), 2)]).await.unwrap_err().kind(), kind);
    }
    assert_eq!(bench.store.glance().await.unwrap().external_find(P, &[digest(50_000)]).await.unwrap(), []);
}

pub(super) async fn external_ids_are_listed_in_pages(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    tx.external_insert(P, LOG, &[(digest(3), 1), (digest(0), 2), (digest(300), 3)]).await.unwrap();
    tx.external_insert(Q, LOG, &[(digest(1), 1)]).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = bench.store.read().await.unwrap();
    let page = tx.external_list(P, None, 2).await.unwrap();
    assert_eq!(page.iter().map(|h| h.digest).collect::<Vec<_>>(), [digest(0), digest(3)]);
    assert_eq!(tx.external_list(P, Some(page[1].digest), 2).await.unwrap(), [ExternalHit { digest: digest(300), log: LOG, position: 3 }]);
    assert_eq!(tx.external_list(P, Some(digest(300)), 2).await.unwrap(), []);
}

pub(super) async fn idempotency_keys_expire(bench: &Bench) {
    let row = IdempotencyRow { body_digest: [1; 32], outcome: vec![5] };
    let mut tx = bench.store.write().await.unwrap();
    tx.idempotency_insert(P, "r", "k", &row, at(100)).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = bench.store.read().await.unwrap();
    assert_eq!(tx.idempotency_find(P, "r", "k", at(100)).await.unwrap(), Some(row.clone()));
    assert_eq!(tx.idempotency_find(P, "r", "k", at(101)).await.unwrap(), None);
    assert_eq!(tx.idempotency_find(P, "q", "k", at(0)).await.unwrap(), None);
    assert_eq!(tx.idempotency_find(Q, "r", "k", at(0)).await.unwrap(), None);
    assert!(!tx.idempotency_any_before(at(100)).await.unwrap());
    assert!(tx.idempotency_any_before(at(101)).await.unwrap());
    drop(tx);
    let mut tx = bench.store.write().await.unwrap();
    let again = IdempotencyRow { body_digest: [2; 32], outcome: vec![] };
    tx.idempotency_insert(P, "r", "k", &again, at(200)).await.unwrap();
    assert_eq!(tx.idempotency_find(P, "r", "k", at(200)).await.unwrap(), Some(again));
    assert_eq!(tx.idempotency_expire(at(200), 9).await.unwrap(), 0);
    assert_eq!(tx.idempotency_expire(at(201), 9).await.unwrap(), 1);
    assert_eq!(tx.idempotency_insert(NOBODY, "r", "k", &row, at(1)).await.unwrap_err().kind(), Kind::NotFound);
}

pub(super) async fn a_few_keys_are_forgotten_at_a_time(bench: &Bench) {
    let row = IdempotencyRow { body_digest: [1; 32], outcome: vec![5] };
    let mut tx = bench.store.write().await.unwrap();
    for i in 0..7 {
        tx.idempotency_insert(if i % 2 == 0 { P } else { Q }, "r", &format!("k{i}"), &row, at(i)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let expire = async |before, most| {
        let mut tx = bench.store.write().await.unwrap();
        let forgotten = tx.idempotency_expire(at(before), most).await.unwrap();
        tx.commit().await.unwrap();
        forgotten
    };
    assert_eq!(expire(6, 4).await, 4);
    assert!(!bench.store.glance().await.unwrap().idempotency_any_before(at(4)).await.unwrap(), "the oldest first");
    assert_eq!(expire(6, 4).await, 2);
    assert_eq!(expire(6, 4).await, 0);
    // A key that is used anew while it is being forgotten stays, and two nodes do not wait for each other.
    if bench.store.writers() > 1 {
        let mut user = bench.store.write().await.unwrap();
        user.idempotency_insert(P, "r", "k6", &row, at(100)).await.unwrap();
        assert_eq!(expire(50, 9).await, 0);
        user.commit().await.unwrap();
        assert_eq!(expire(50, 9).await, 0);
        assert!(bench.store.glance().await.unwrap().idempotency_find(P, "r", "k6", at(100)).await.unwrap().is_some());
    }
}

pub(super) async fn idempotency_keys_are_listed_in_pages(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    for (i, (route, key)) in [("b", "a"), ("a", "z"), ("a", "a")].into_iter().enumerate() {
        tx.idempotency_insert(P, route, key, &IdempotencyRow { body_digest: [i as u8; 32], outcome: vec![i as u8] }, at(i as i64)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = bench.store.read().await.unwrap();
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page = tx.idempotency_list(P, after.take(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.route.clone(), last.key.clone()));
        seen.extend(page);
    }
    let order: Vec<_> = seen.iter().map(|e| (e.route.as_str(), e.key.as_str(), e.row.body_digest[0], e.created_at)).collect();
    assert_eq!(order, [("a", "a", 2, at(2)), ("a", "z", 1, at(1)), ("b", "a", 0, at(0))]);
    assert_eq!(seen[0].row.outcome, [2]);
}
