//! Facts on their way into the log.

use std::time::Duration;

use indelible_model::Kind;

use super::*;

async fn push(store: &Store, facts: &[(ProjectId, u8, &str)]) {
    let mut tx = store.write().await.unwrap();
    for (project, digest, event) in facts {
        tx.outbox_push(*project, &[*digest; 16], event, at(i64::from(*digest))).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn list(store: &Store, after: u64, most: u32) -> Vec<(u64, ProjectId, u8, String)> {
    let rows = store.glance().await.unwrap().outbox_list(after, most).await.unwrap();
    rows.into_iter()
        .map(|r| {
            assert_eq!(r.created_at, at(i64::from(r.digest[0])));
            (r.id, r.project, r.digest[0], r.event)
        })
        .collect()
}

pub(super) async fn facts_wait_in_order_until_they_are_deleted(bench: &Bench) {
    assert_eq!(list(&bench.store, 0, 9).await, []);
    push(&bench.store, &[(P, 1, "a"), (Q, 2, "b")]).await;
    push(&bench.store, &[(P, 3, "{\"ü\":1}")]).await;
    let mut lost = bench.store.write().await.unwrap();
    lost.outbox_push(P, &[4; 16], "d", at(4)).await.unwrap();
    drop(lost);
    let rows = list(&bench.store, 0, 9).await;
    assert_eq!(rows.iter().map(|(_, p, d, e)| (*p, *d, e.as_str())).collect::<Vec<_>>(), [(P, 1, "a"), (Q, 2, "b"), (P, 3, "{\"ü\":1}")]);
    assert_eq!(list(&bench.store, 0, 2).await, rows[..2]);
    assert_eq!(list(&bench.store, rows[0].0, 9).await, rows[1..]);
    assert_eq!(bench.store.glance().await.unwrap().outbox_count().await.unwrap(), 3);
    for _again in 0..2 {
        let mut tx = bench.store.write().await.unwrap();
        tx.outbox_delete(&[rows[2].0, rows[0].0]).await.unwrap();
        tx.outbox_delete(&[]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(list(&bench.store, 0, 9).await, rows[1..2]);
    }
    // A number is never given twice: who deletes late must not delete another fact.
    let mut tx = bench.store.write().await.unwrap();
    tx.outbox_delete(&[rows[1].0]).await.unwrap();
    tx.commit().await.unwrap();
    push(&bench.store, &[(Q, 5, "e")]).await;
    assert!(list(&bench.store, 0, 9).await[0].0 > rows[2].0);
    let mut tx = bench.store.write().await.unwrap();
    assert_eq!(tx.outbox_push(NOBODY, &[6; 16], "f", at(6)).await.unwrap_err().kind(), Kind::NotFound);
}

pub(super) async fn facts_wake_who_stores_them(bench: &Bench) {
    let wake = bench.store.outbox_wake().clone();
    assert!(!wake.wait(Duration::from_millis(20)).await);
    let mut lost = bench.store.write().await.unwrap();
    lost.outbox_push(P, &[1; 16], "a", at(1)).await.unwrap();
    drop(lost);
    assert!(!wake.wait(Duration::from_millis(20)).await);
    push(&bench.store, &[(P, 2, "b")]).await;
    assert!(wake.wait(Duration::from_secs(20)).await);
    assert!(!wake.wait(Duration::from_millis(20)).await);
}

pub(super) async fn two_nodes_delete_the_same_facts(bench: &Bench) {
    if bench.store.writers() == 1 {
        return;
    }
    push(&bench.store, &[(P, 1, "a"), (P, 2, "b")]).await;
    let ids: Vec<u64> = list(&bench.store, 0, 9).await.iter().map(|r| r.0).collect();
    let node = bench.node().await;
    let mut first = bench.store.write().await.unwrap();
    first.outbox_delete(&ids[..1]).await.unwrap();
    let mut second = node.write().await.unwrap();
    second.outbox_delete(&ids).await.unwrap();
    second.commit().await.unwrap();
    first.commit().await.unwrap();
    assert_eq!(list(&bench.store, 0, 9).await, []);
    node.close().await;
}
