//! Shared buckets. The database's clock runs, so the cases leave room for it.

use tokio::task::JoinSet;

use super::*;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;

async fn take(store: &Store, name: &str, cost: i64, window: i64, back: i64) -> Option<i64> {
    let mut tx = store.write_alone().await.unwrap();
    let taken = tx.rate_take(name, cost, window, back).await.unwrap();
    tx.commit().await.unwrap();
    taken
}

async fn ahead(store: &Store, name: &str) -> Option<i64> {
    store.glance().await.unwrap().rate_ahead(name).await.unwrap()
}

/// True if what is told is `wanted`, less the time that the test took.
fn about(told: Option<i64>, wanted: i64) -> bool {
    told.is_some_and(|t| t <= wanted && t > wanted - 60 * SECOND)
}

pub(super) async fn a_bucket_gives_what_fits(bench: &Bench) {
    let store = &bench.store;
    assert_eq!(ahead(store, "a").await, None);
    for n in 1..=4 {
        assert!(about(take(store, "a", HOUR, 4 * HOUR, 0).await, n * HOUR));
    }
    assert_eq!(take(store, "a", HOUR, 4 * HOUR, 0).await, None);
    assert!(about(ahead(store, "a").await, 4 * HOUR));
    assert!(about(take(store, "a", 60 * SECOND, 4 * HOUR + 60 * SECOND, 0).await, 4 * HOUR + 60 * SECOND));
    assert!(about(take(store, "b", HOUR, HOUR, 0).await, HOUR));
    assert_eq!(take(store, "b", HOUR, HOUR, 0).await, None);
}

pub(super) async fn what_is_given_back_is_there_again(bench: &Bench) {
    let store = &bench.store;
    take(store, "a", 3 * HOUR, 4 * HOUR, 0).await;
    assert_eq!(take(store, "a", 3 * HOUR, 4 * HOUR, 0).await, None);
    assert!(about(take(store, "a", 3 * HOUR, 4 * HOUR, 2 * HOUR).await, 4 * HOUR));
    // More than was taken makes it full, not fuller.
    assert!(about(take(store, "a", HOUR, 4 * HOUR, 99 * HOUR).await, HOUR));
}

pub(super) async fn a_bucket_fills_with_the_databases_clock(bench: &Bench) {
    let store = &bench.store;
    assert!(take(store, "a", SECOND / 2, SECOND / 2, 0).await.is_some());
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert!(ahead(store, "a").await.unwrap() <= 0);
    assert!(take(store, "a", SECOND / 2, SECOND / 2, 0).await.is_some());
}

pub(super) async fn full_buckets_are_deleted(bench: &Bench) {
    let store = &bench.store;
    for name in ["a", "b", "c"] {
        take(store, name, 1, HOUR, 0).await;
    }
    take(store, "kept", HOUR, HOUR, 0).await;
    take(store, "forgotten", HOUR, HOUR, 0).await;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let mut tx = store.write_alone().await.unwrap();
    tx.rate_forget("forgotten").await.unwrap();
    tx.commit().await.unwrap();
    let mut gone = Vec::new();
    for _ in 0..3 {
        let mut tx = store.write_alone().await.unwrap();
        gone.push(tx.rate_expire(2).await.unwrap());
        tx.commit().await.unwrap();
    }
    assert_eq!(gone, [2, 1, 0]);
    assert!(about(ahead(store, "kept").await, HOUR));
    assert_eq!((ahead(store, "a").await, ahead(store, "forgotten").await), (None, None));
}

pub(super) async fn nodes_take_no_more_than_there_is(bench: &Bench) {
    let mut nodes = JoinSet::new();
    for i in 0..4 {
        let store = if i % 2 == 0 { bench.store.clone() } else { bench.node().await };
        nodes.spawn(async move {
            let mut taken = 0;
            for _ in 0..20 {
                taken += u32::from(take(&store, "a", HOUR, 50 * HOUR, 0).await.is_some());
            }
            taken
        });
    }
    assert_eq!(nodes.join_all().await.into_iter().sum::<u32>(), 50);
}

/// What was written alone is there before the commit where the database can do that, and after it everywhere.
pub(super) async fn one_statement_alone_is_one_round_trip(bench: &Bench) {
    let store = &bench.store;
    let before = store.counters();
    take(store, "a", HOUR, HOUR, 0).await;
    let after = store.counters();
    assert_eq!(after.statements - before.statements, 1);
    assert_eq!(after.transactions - before.transactions, u64::from(store.writers() == 1));
}
