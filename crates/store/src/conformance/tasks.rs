//! Leases and wake-ups.

use std::time::{Duration, Instant};

use indelible_model::LogKind;

use super::*;
use crate::TaskKind;

pub(super) async fn a_task_is_enqueued_once(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    assert!(!tx.task_waiting(at(1)).await.unwrap());
    tx.task_enqueue(P, LOG, TaskKind::Seal, at(1)).await.unwrap();
    tx.task_enqueue(P, LOG, TaskKind::Seal, at(2)).await.unwrap();
    tx.task_enqueue(P, LOG, TaskKind::Merge, at(2)).await.unwrap();
    tx.task_enqueue(P, LogKind::Activity, TaskKind::Seal, at(2)).await.unwrap();
    tx.task_enqueue(Q, LOG, TaskKind::Compact, at(2)).await.unwrap();
    tx.task_enqueue(NOBODY, LOG, TaskKind::Seal, at(2)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(bench.store.glance().await.unwrap().task_live().await.unwrap(), 4);
    let mut seen = Vec::new();
    let mut tx = bench.store.write().await.unwrap();
    while let Some(task) = tx.task_lease(at(10), at(20)).await.unwrap() {
        if task.kind != TaskKind::Compact {
            tx.task_enqueue(task.project, task.log, task.kind, at(11)).await.unwrap();
        }
        assert!(tx.task_finish(&task).await.unwrap());
        assert_eq!((task.lease, task.attempts), (1, 1));
        seen.push((task.project, task.log, task.kind));
    }
    assert_eq!(seen, [(P, LOG, TaskKind::Seal), (P, LOG, TaskKind::Merge), (P, LogKind::Activity, TaskKind::Seal), (Q, LOG, TaskKind::Compact)]);
    assert_eq!(tx.task_live().await.unwrap(), 0);
}

pub(super) async fn a_compaction_asked_for_while_it_runs_runs_again(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    tx.task_enqueue(P, LOG, TaskKind::Compact, at(1)).await.unwrap();
    tx.task_enqueue(P, LOG, TaskKind::Compact, at(1)).await.unwrap();
    let first = tx.task_lease(at(10), at(20)).await.unwrap().unwrap();
    tx.task_enqueue(P, LOG, TaskKind::Compact, at(11)).await.unwrap();
    assert_eq!(tx.task_lease(at(11), at(20)).await.unwrap(), None);
    assert!(tx.task_finish(&first).await.unwrap());
    let second = tx.task_lease(at(12), at(20)).await.unwrap().unwrap();
    assert_eq!((second.id, second.lease, second.attempts), (first.id, 2, 1));
    assert!(!tx.task_finish(&first).await.unwrap());
    assert!(tx.task_finish(&second).await.unwrap());
    assert_eq!(tx.task_live().await.unwrap(), 0);
}

pub(super) async fn leases_are_exclusive_and_expire(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    tx.task_enqueue(P, LOG, TaskKind::Seal, at(1)).await.unwrap();
    assert!(tx.task_waiting(at(10)).await.unwrap());
    let first = tx.task_lease(at(10), at(20)).await.unwrap().unwrap();
    assert!(!tx.task_waiting(at(15)).await.unwrap());
    assert_eq!(tx.task_lease(at(15), at(25)).await.unwrap(), None);
    assert!(tx.task_waiting(at(20)).await.unwrap());
    let second = tx.task_lease(at(20), at(30)).await.unwrap().unwrap();
    assert_eq!((second.id, second.attempts), (first.id, 2));
    // The one that was frozen past its lease changes nothing.
    assert!(!tx.task_heartbeat(&first, at(40)).await.unwrap());
    assert!(!tx.task_finish(&first).await.unwrap());
    tx.task_retry(&first, "late", at(0)).await.unwrap();
    assert!(tx.task_heartbeat(&second, at(40)).await.unwrap());
    assert_eq!(tx.task_lease(at(39), at(50)).await.unwrap(), None);
    tx.task_retry(&second, "why", at(60)).await.unwrap();
    assert_eq!(tx.task_lease(at(59), at(99)).await.unwrap(), None);
    let third = tx.task_lease(at(60), at(99)).await.unwrap().unwrap();
    assert!(tx.task_finish(&third).await.unwrap());
    assert_eq!(tx.task_live().await.unwrap(), 0);
}

pub(super) async fn enqueueing_wakes(bench: &Bench) {
    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(50);
    let enqueue = async |kind, commit| {
        let mut tx = bench.store.write().await.unwrap();
        tx.task_enqueue(P, LOG, kind, at(1)).await.unwrap();
        if commit {
            tx.commit().await.unwrap();
        }
    };
    // Quiet begins when nothing rings any more: a listener rings once by itself when it begins to hear.
    let quiet = async |store: &Store| while store.wake().wait(Duration::from_millis(1000)).await {};
    let began = Instant::now();
    quiet(&bench.store).await;
    assert!(began.elapsed() >= SHORT);
    // A ring between two waits is not lost, and what is not committed, or was there, does not ring.
    enqueue(TaskKind::Seal, true).await;
    assert!(bench.store.wake().wait(LONG).await);
    quiet(&bench.store).await;
    enqueue(TaskKind::Seal, true).await;
    enqueue(TaskKind::Merge, false).await;
    assert!(!bench.store.wake().wait(Duration::from_millis(300)).await);
    // Nodes that can run beside each other wake each other.
    if bench.store.writers() > 1 {
        let node = bench.node().await;
        quiet(&node).await;
        let wake = node.wake().clone();
        let waiting = tokio::spawn(async move { wake.wait(LONG).await });
        enqueue(TaskKind::Compact, true).await;
        assert!(waiting.await.unwrap());
        node.close().await;
    }
}
