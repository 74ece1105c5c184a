//! How long logs are kept.

use std::time::Duration;

use indelible_model::{Kind, LogKind};
use tokio::time::timeout;

use super::*;
use crate::RetentionRow;

fn row(log: LogKind, days: Option<u64>) -> RetentionRow {
    RetentionRow { log, days, since: at(0), next: None, holds: 0 }
}

async fn put(store: &Store, project: ProjectId, row: &RetentionRow) {
    let mut tx = store.write().await.unwrap();
    tx.retention_restore(project, row).await.unwrap();
    tx.commit().await.unwrap();
}

pub(super) async fn a_project_begins_with_a_retention_of_each_log(bench: &Bench) {
    let first = [row(LogKind::Events, None), row(LogKind::Activity, Some(184))];
    assert_eq!(bench.store.glance().await.unwrap().retention_list(P).await.unwrap(), first);
    let mut tx = bench.store.write().await.unwrap();
    assert_eq!(tx.retention_lock(Q).await.unwrap(), first);
    assert_eq!(tx.retention_lock(NOBODY).await.unwrap(), []);
    assert_eq!(tx.retention_restore(NOBODY, &first[0]).await.unwrap_err().kind(), Kind::NotFound);
}

pub(super) async fn what_is_announced_is_listed_when_its_time_has_come(bench: &Bench) {
    let store = &bench.store;
    let changed = RetentionRow { days: Some(90), since: at(5), next: Some((30, at(70))), holds: 3, ..row(LOG, None) };
    put(store, P, &changed).await;
    put(store, Q, &RetentionRow { next: Some((1, at(60))), ..row(LogKind::Activity, None) }).await;
    assert_eq!(store.glance().await.unwrap().retention_list(P).await.unwrap()[0], changed);
    let due = async |now, most| store.glance().await.unwrap().retention_due(at(now), most).await.unwrap();
    assert_eq!(due(59, 9).await, []);
    assert_eq!(due(60, 9).await, [(Q, LogKind::Activity)]);
    assert_eq!(due(70, 9).await, [(Q, LogKind::Activity), (P, LOG)]);
    assert_eq!(due(70, 1).await, [(Q, LogKind::Activity)]);
    put(store, P, &row(LOG, Some(30))).await;
    assert_eq!(due(70, 9).await, [(Q, LogKind::Activity)]);
}

pub(super) async fn segments_expire_when_all_of_them_is_old(bench: &Bench) {
    const DAY: i64 = 86_400_000_000;
    let store = &bench.store;
    fill(store, &[(1, 1), (2, 2), (3, 3), (4, 4)]).await;
    let rows = batches(store).await;
    let times = [(10, 10), (10, 30), (30, 10), (9, 9)];
    for (i, (&(received, occurred), row)) in times.iter().zip(&rows).enumerate() {
        let position = i as u64 + 1;
        let new = NewSegment { max_received: at(received), max_occurred: at(occurred), ..segment(position, position) };
        assert!(seal(store, &new, &[*row]).await);
    }
    // The other log of P, and the same log of Q, have a segment as old.
    let mut tx = store.write().await.unwrap();
    let other = |name: &str| SegmentRow { id: 0, generation: 1, expired: false, held: None, created_at: at(1), segment: NewSegment { name: name.into(), ..segment(1, 1) } };
    tx.segment_restore(P, LogKind::Activity, &other("a")).await.unwrap();
    tx.segment_restore(Q, LOG, &other("q")).await.unwrap();
    tx.commit().await.unwrap();

    let logs = async |now, most| store.glance().await.unwrap().retention_expirable(at(now), most).await.unwrap();
    let now = 2 * DAY;
    assert_eq!(logs(now + 40, 9).await, [], "kept for ever, and for long");
    put(store, P, &row(LOG, Some(2))).await;
    assert_eq!(logs(now + 9, 9).await, []);
    assert_eq!(logs(now + 10, 9).await, [(P, LOG)]);
    put(store, Q, &row(LOG, Some(1))).await;
    put(store, P, &row(LogKind::Activity, Some(1))).await;
    assert_eq!(logs(now + 10, 9).await, [(P, LOG), (P, LogKind::Activity), (Q, LOG)]);
    assert_eq!(logs(now + 10, 1).await, [(P, LOG)]);

    let firsts = async |cut, from, most| {
        let rows = store.glance().await.unwrap().segment_list_expirable(P, LOG, at(cut), from, most).await.unwrap();
        rows.iter().map(|r| r.segment.first).collect::<Vec<_>>()
    };
    assert_eq!(firsts(9, 1, 9).await, [0u64; 0]);
    assert_eq!(firsts(10, 1, 9).await, [4]);
    assert_eq!(firsts(11, 1, 9).await, [1, 4]);
    assert_eq!(firsts(31, 1, 3).await, [1, 2, 3]);
    assert_eq!(firsts(31, 2, 9).await, [2, 3, 4]);
    // Whatever its events claim, it is old enough a day after they came.
    assert_eq!(firsts(DAY + 10, 2, 9).await, [2, 3, 4]);

    // What expired is not listed again, and ends the run of expired ones that the log begins with.
    let last = async || store.glance().await.unwrap().segment_last_expired(P, LOG).await.unwrap().map(|r| r.segment.first);
    let expire = async |position: u64| {
        let mut tx = store.write().await.unwrap();
        let row = tx.segment_range(P, LOG, position, position, false, 1).await.unwrap().remove(0);
        assert!(tx.segment_expire(P, LOG, (row.id, row.generation), &[], at(1)).await.unwrap());
        tx.commit().await.unwrap();
    };
    assert_eq!(last().await, None);
    expire(2).await;
    assert_eq!((firsts(31, 1, 9).await, last().await), (vec![1, 3, 4], None));
    expire(1).await;
    assert_eq!((firsts(31, 1, 9).await, last().await), (vec![3, 4], Some(2)));
    expire(3).await;
    expire(4).await;
    assert_eq!((logs(now + 40, 1).await, last().await), (vec![(P, LogKind::Activity)], Some(4)));
}

pub(super) async fn who_changes_what_is_kept_waits_for_who_expires(bench: &Bench) {
    let mut expiring = bench.store.write().await.unwrap();
    expiring.retention_lock(P).await.unwrap();
    let store = bench.store.clone();
    let mut changing = tokio::spawn(async move { store.write().await.unwrap().retention_lock(P).await.unwrap() });
    assert!(timeout(Duration::from_millis(100), &mut changing).await.is_err());
    expiring.retention_restore(P, &RetentionRow { holds: 7, ..row(LOG, Some(3)) }).await.unwrap();
    expiring.commit().await.unwrap();
    assert_eq!(changing.await.unwrap()[0], RetentionRow { holds: 7, ..row(LOG, Some(3)) });
}
