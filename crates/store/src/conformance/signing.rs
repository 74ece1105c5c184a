//! Keys that tokens are signed with.

use super::*;
use crate::SigningKeyRow;

fn key(number: u64, id: &str, retires: i64) -> SigningKeyRow {
    SigningKeyRow { number, id: id.into(), private: [number as u8; 32], created_at: at(retires - 50), retires_at: at(retires) }
}

pub(super) async fn signing_keys_are_kept_until_they_retire(bench: &Bench) {
    let (old, new) = (key(1, "old", 100), key(2, "new", 200));
    let mut tx = bench.store.write().await.unwrap();
    assert_eq!(tx.signing_key_list().await.unwrap(), []);
    assert!(tx.signing_key_create(&old).await.unwrap());
    assert!(tx.signing_key_create(&new).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(bench.store.glance().await.unwrap().signing_key_list().await.unwrap(), [new.clone(), old.clone()]);
    let mut tx = bench.store.write().await.unwrap();
    assert_eq!(tx.signing_key_retire(at(99)).await.unwrap(), 0);
    assert_eq!(tx.signing_key_retire(at(100)).await.unwrap(), 1);
    assert_eq!(tx.signing_key_list().await.unwrap(), std::slice::from_ref(&new));
    assert!(!format!("{new:?}").contains("private"));
}

pub(super) async fn of_two_new_signing_keys_one_is_kept(bench: &Bench) {
    let node = bench.node().await;
    let make = async |store: &Store, id: &str| {
        let mut tx = store.write().await.unwrap();
        let made = tx.signing_key_create(&key(7, id, 100)).await.unwrap();
        tx.commit().await.unwrap();
        made
    };
    let (one, two) = tokio::join!(make(&bench.store, "one"), make(&node, "two"));
    assert!(one != two, "{one} {two}");
    let kept = node.read().await.unwrap().signing_key_list().await.unwrap();
    assert_eq!(kept, [key(7, if one { "one" } else { "two" }, 100)]);
    node.close().await;
}
