//! Nodes beside each other. What must come out is the same everywhere; only who waits for whom depends on `Store::writers`.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::{Task, TaskKind};

/// Long enough to see that something waits, and short enough for a test.
const SOON: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(20);

pub(super) async fn appends_of_many_nodes_are_gapless(bench: &Bench) {
    let mut nodes = JoinSet::new();
    for marker in 1..=6u8 {
        let store = if marker % 2 == 0 { bench.store.clone() } else { bench.node().await };
        nodes.spawn(async move {
            for i in 0..15 {
                append_next(&store, P, 1 + i % 3, marker).await;
            }
        });
    }
    while let Some(done) = nodes.join_next().await {
        done.unwrap();
    }
    let mut tx = bench.store.read().await.unwrap();
    let head = tx.log_head(P, LOG).await.unwrap().unwrap();
    let rows = tx.batch_range(P, LOG, 1, u64::MAX, 999).await.unwrap();
    let (mut next, mut hash) = (1, GENESIS[0].1);
    for row in &rows {
        assert_eq!(row.batch.first, next);
        next = row.batch.last + 1;
        hash = chain(hash, row.batch.envelope[0]);
    }
    assert_eq!((rows.len(), next - 1, head.position, head.hash), (90, 180, 180, hash));
    assert_eq!((head.hot_batches, head.hot_events, head.hot_bytes), (90, 180, 900));
}

pub(super) async fn first_appends_make_one_log(bench: &Bench) {
    for round in 0..8u8 {
        let project = ProjectId([100 + round; 16]);
        let mut tx = bench.store.write().await.unwrap();
        assert!(tx.project_create(project, &format!("p{round}"), at(1)).await.unwrap());
        tx.commit().await.unwrap();
        let mut all = JoinSet::new();
        for marker in 1..=3 {
            let store = bench.store.clone();
            all.spawn(async move { append_next(&store, project, 2, marker).await });
        }
        let firsts: BTreeSet<_> = all.join_all().await.into_iter().collect();
        assert_eq!(firsts, BTreeSet::from([1, 3, 5]));
    }
}

pub(super) async fn projects_wait_for_themselves_only(bench: &Bench) {
    append_next(&bench.store, P, 1, 1).await;
    append_next(&bench.store, Q, 1, 1).await;
    let mut holder = bench.store.write().await.unwrap();
    holder.log_lock(P, &GENESIS).await.unwrap().unwrap();
    let store = bench.store.clone();
    let own = tokio::spawn(async move { append_next(&store, P, 5, 2).await });
    let store = bench.store.clone();
    let mut other = tokio::spawn(async move { append_next(&store, Q, 5, 2).await });
    if bench.store.writers() > 1 {
        assert_eq!(timeout(LONG, &mut other).await.unwrap().unwrap(), 2);
    } else {
        assert!(timeout(SOON, &mut other).await.is_err());
    }
    tokio::time::sleep(SOON).await;
    assert!(!own.is_finished());
    holder.log_append(P, LOG, &[batch(2, 4)], &head(4, 2), at(1)).await.unwrap();
    holder.commit().await.unwrap();
    // The one that waited continues what was appended meanwhile.
    assert_eq!(timeout(LONG, own).await.unwrap().unwrap(), 5);
    if !other.is_finished() {
        timeout(LONG, other).await.unwrap().unwrap();
    }
    assert_eq!(bench.store.read().await.unwrap().log_head(P, LOG).await.unwrap().unwrap().position, 9);
}

pub(super) async fn a_writer_that_gives_up_leaves_nothing(bench: &Bench) {
    append_next(&bench.store, P, 1, 1).await;
    let mut holder = bench.store.write().await.unwrap();
    holder.log_lock(P, &GENESIS).await.unwrap().unwrap();
    for _ in 0..3 {
        assert!(timeout(SOON / 4, append_next(&bench.store, P, 5, 2)).await.is_err());
    }
    holder.log_append(P, LOG, &[batch(2, 4)], &head(4, 2), at(1)).await.unwrap();
    holder.commit().await.unwrap();
    assert_eq!(timeout(LONG, append_next(&bench.store, P, 1, 3)).await.unwrap(), 5);
}

pub(super) async fn a_lease_is_given_once(bench: &Bench) {
    const TASKS: usize = 40;
    let mut tx = bench.store.write().await.unwrap();
    for i in 0..TASKS as u8 {
        let project = ProjectId([50 + i; 16]);
        tx.project_create(project, &format!("p{i}"), at(1)).await.unwrap();
        tx.task_enqueue(project, LOG, TaskKind::Seal, at(1)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut workers = JoinSet::new();
    for i in 0..4 {
        let store = if i % 2 == 0 { bench.store.clone() } else { bench.node().await };
        workers.spawn(async move {
            let mut leased: Vec<Task> = Vec::new();
            loop {
                let mut tx = store.write().await.unwrap();
                let task = tx.task_lease(at(10), at(20)).await.unwrap();
                tx.commit().await.unwrap();
                let Some(task) = task else { return leased };
                leased.push(task);
            }
        });
    }
    let leased: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    let ids: BTreeSet<_> = leased.iter().map(|t| t.id).collect();
    assert_eq!((leased.len(), ids.len()), (TASKS, TASKS));

    // A task whose lease is being given now is passed over, where leases are given side by side.
    if bench.store.writers() > 1 {
        let mut one = bench.store.write().await.unwrap();
        let first = one.task_lease(at(30), at(40)).await.unwrap().unwrap();
        let mut two = bench.store.write().await.unwrap();
        let second = timeout(LONG, two.task_lease(at(30), at(40))).await.unwrap().unwrap().unwrap();
        assert_ne!(first.id, second.id);
    }
}

pub(super) async fn nodes_claim_different_objects(bench: &Bench) {
    let objects: Vec<_> = (0..100).map(|i| format!("o{i:03}")).collect();
    let mut tx = bench.store.write().await.unwrap();
    tx.object_stage(&objects, at(100)).await.unwrap();
    tx.commit().await.unwrap();
    let mut nodes = JoinSet::new();
    for _ in 0..4 {
        let store = bench.node().await;
        nodes.spawn(async move {
            let mut claimed = Vec::new();
            loop {
                let mut tx = store.write().await.unwrap();
                let some = tx.object_claim_due(at(200), at(300), 7).await.unwrap();
                tx.commit().await.unwrap();
                if some.is_empty() {
                    return claimed;
                }
                let some: Vec<_> = some.into_iter().map(|r| r.object).collect();
                let mut tx = store.write().await.unwrap();
                tx.object_forget(&some).await.unwrap();
                tx.commit().await.unwrap();
                claimed.extend(some);
            }
        });
    }
    let mut claimed: Vec<_> = nodes.join_all().await.into_iter().flatten().collect();
    claimed.sort();
    assert_eq!(claimed, objects);
}

pub(super) async fn claim_and_publish_exclude_each_other(bench: &Bench) {
    const ROUNDS: u64 = 12;
    let (store, other) = (&bench.store, bench.node().await);
    fill(store, &(1..=ROUNDS).map(|i| (i, i)).collect::<Vec<_>>()).await;
    let rows = batches(store).await;
    for round in 1..=ROUNDS {
        let name = format!("o{round}");
        let mut tx = store.write().await.unwrap();
        tx.object_stage(std::slice::from_ref(&name), at(100)).await.unwrap();
        tx.commit().await.unwrap();
        let publish = async {
            let mut tx = store.write().await.unwrap();
            let new = NewSegment { name: name.clone(), ..segment(round, round) };
            let done = tx.segment_publish(P, LOG, &new, std::slice::from_ref(&name), &rows[round as usize - 1..][..1], at(5)).await.unwrap();
            if done {
                tx.commit().await.unwrap();
            }
            done
        };
        let claim = async {
            let mut tx = other.write().await.unwrap();
            let claimed = tx.object_claim_due(at(200), at(i64::MAX / 4), 99).await.unwrap();
            tx.commit().await.unwrap();
            claimed.iter().any(|r| r.object == name)
        };
        let (published, claimed) = tokio::join!(publish, claim);
        assert!(!(published && claimed), "round {round}");
        let known = store.glance().await.unwrap().segment_range(P, LOG, round, round, false, 9).await.unwrap();
        assert_eq!(known.len(), usize::from(published));
    }

    // The two orders, step by step, where both can be under way at once.
    if store.writers() > 1 {
        let mut tx = store.write().await.unwrap();
        tx.object_stage(&names(&["late"]), at(100)).await.unwrap();
        tx.commit().await.unwrap();
        let mut publisher = store.write().await.unwrap();
        assert!(publisher.object_extend(&names(&["late"]), at(100)).await.unwrap());
        let mut claimer = other.write().await.unwrap();
        let passed = timeout(LONG, claimer.object_claim_due(at(200), at(300), 9)).await.unwrap().unwrap();
        assert!(passed.is_empty(), "one that is being published is passed over");
        drop(claimer);
        drop(publisher);
        let mut claimer = other.write().await.unwrap();
        assert_eq!(claimer.object_claim_due(at(200), at(300), 9).await.unwrap().len(), 1);
        let store = store.clone();
        let publisher = tokio::spawn(async move { store.write().await.unwrap().object_extend(&names(&["late"]), at(500)).await.unwrap() });
        tokio::time::sleep(SOON).await;
        assert!(!publisher.is_finished(), "it waits for the claim");
        claimer.commit().await.unwrap();
        assert!(!publisher.await.unwrap());
    }
}

pub(super) async fn seals_and_appends_lose_nothing(bench: &Bench) {
    append_next(&bench.store, P, 1, 1).await;
    let (store, sealer) = (bench.store.clone(), bench.node().await);
    let appending = tokio::spawn(async move {
        for _ in 0..60 {
            append_next(&store, P, 2, 3).await;
        }
    });
    let mut sealed = 0;
    while !appending.is_finished() || sealed < 121 {
        let rows = sealer.glance().await.unwrap().batch_range(P, LOG, 1, u64::MAX, 4).await.unwrap();
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { continue };
        let new = segment(first.batch.first, last.batch.last);
        let inputs: Vec<_> = rows.iter().map(|r| (r.id, r.generation)).collect();
        assert!(seal(&sealer, &new, &inputs).await);
        assert_eq!(new.first, sealed + 1);
        sealed = new.last;
    }
    appending.await.unwrap();
    let head = bench.store.glance().await.unwrap().log_head(P, LOG).await.unwrap().unwrap();
    assert_eq!((head.position, head.hot_batches, head.hot_events, head.hot_bytes), (121, 0, 0, 0));
    assert_eq!(bench.store.glance().await.unwrap().log_list_due(at(i64::MAX / 4), at(i64::MAX / 4), 0, 9).await.unwrap(), []);
}

pub(super) async fn two_seals_of_the_same_batches_make_one_segment(bench: &Bench) {
    let other = bench.node().await;
    fill(&bench.store, &(1..=600).map(|i| (i, i)).collect::<Vec<_>>()).await;
    let rows = batches(&bench.store).await;
    let mut back = rows.clone();
    back.reverse();
    let (new, thawed) = (segment(1, 600), NewSegment { name: "thawed".into(), ..segment(1, 600) });
    let (one, two) = tokio::join!(seal(&bench.store, &new, &rows), seal(&other, &thawed, &back));
    assert!(one != two, "{one} {two}");
    assert_eq!(bench.store.glance().await.unwrap().segment_totals().await.unwrap(), (1, 600));
    let head = bench.store.glance().await.unwrap().log_head(P, LOG).await.unwrap().unwrap();
    assert_eq!((head.hot_batches, head.hot_events, head.hot_bytes), (0, 0, 0));
}

pub(super) async fn duplicates_are_seen_under_the_lock(bench: &Bench) {
    let mut all = JoinSet::new();
    for i in 0..6 {
        let store = if i % 2 == 0 { bench.store.clone() } else { bench.node().await };
        all.spawn(async move {
            let mut tx = store.write().await.unwrap();
            tx.log_lock(P, &GENESIS).await.unwrap().unwrap();
            let is_new = tx.external_find(P, &[[5; 16]]).await.unwrap().is_empty();
            if is_new {
                tx.external_insert(P, LOG, &[([5; 16], 1)]).await.unwrap();
            }
            tx.commit().await.unwrap();
            is_new
        });
    }
    assert_eq!(all.join_all().await.into_iter().filter(|n| *n).count(), 1);
}
