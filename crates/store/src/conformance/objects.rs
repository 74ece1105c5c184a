//! Staged and retired objects, holds, marks.

use indelible_model::Kind;

use super::*;
use crate::RetiredObject;

async fn stage(store: &Store, objects: &[&str], due: i64) {
    let mut tx = store.write().await.unwrap();
    tx.object_stage(&names(objects), at(due)).await.unwrap();
    tx.commit().await.unwrap();
}

async fn claim(store: &Store, now: i64, until: i64, most: u32) -> Vec<String> {
    let mut tx = store.write().await.unwrap();
    let mut claimed: Vec<_> = tx.object_claim_due(at(now), at(until), most).await.unwrap().into_iter().map(|r| r.object).collect();
    tx.commit().await.unwrap();
    claimed.sort();
    claimed
}

pub(super) async fn staged_objects_are_published_once(bench: &Bench) {
    let store = &bench.store;
    stage(store, &["a", "b", "c"], 100).await;
    let mut tx = store.write().await.unwrap();
    assert_eq!(tx.object_stage(&names(&["d", "b"]), at(100)).await.unwrap_err().kind(), Kind::Conflict);
    drop(tx);
    fill(store, &[(1, 1), (2, 2)]).await;
    let rows = batches(store).await;
    let mut tx = store.write().await.unwrap();
    tx.object_stage(&[], at(1)).await.unwrap();
    assert!(tx.segment_publish(P, LOG, &segment(1, 1), &names(&["a", "b", "c"]), &rows[..1], at(5)).await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = store.write().await.unwrap();
    assert!(!tx.segment_publish(P, LOG, &segment(2, 2), &names(&["a"]), &rows[1..], at(5)).await.unwrap());
    drop(tx);
    assert!(!store.glance().await.unwrap().object_any_due(at(1000)).await.unwrap());
}

pub(super) async fn a_claimed_object_is_never_published(bench: &Bench) {
    let store = &bench.store;
    stage(store, &["a"], 100).await;
    stage(store, &["b"], 90).await;
    let mut tx = store.write().await.unwrap();
    assert!(tx.object_extend(&names(&["b"]), at(100)).await.unwrap());
    assert!(!tx.object_extend(&names(&["b", "nowhere"]), at(500)).await.unwrap());
    drop(tx);
    let mut tx = store.write().await.unwrap();
    assert!(tx.object_extend(&names(&["a"]), at(200)).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(claim(store, 89, 300, 9).await, [""; 0]);
    assert_eq!(claim(store, 150, 300, 9).await, ["b"]);
    fill(store, &[(1, 1)]).await;
    let rows = batches(store).await;
    let mut tx = store.write().await.unwrap();
    assert!(!tx.object_extend(&names(&["b"]), at(500)).await.unwrap());
    assert!(!tx.object_upload("b", "u").await.unwrap());
    assert!(!tx.segment_publish(P, LOG, &segment(1, 1), &names(&["a", "b"]), &rows, at(5)).await.unwrap());
    drop(tx);
    assert!(seal(store, &NewSegment { name: "x".into(), ..segment(1, 1) }, &rows).await);
}

pub(super) async fn an_unfinished_claim_is_made_again(bench: &Bench) {
    let store = &bench.store;
    stage(store, &["a", "b", "c"], 100).await;
    assert_eq!(claim(store, 100, 200, 2).await.len(), 2);
    assert_eq!(claim(store, 100, 200, 9).await.len(), 1);
    assert!(!store.glance().await.unwrap().object_any_due(at(199)).await.unwrap());
    assert_eq!(claim(store, 199, 300, 9).await, [""; 0]);
    assert!(store.glance().await.unwrap().object_any_due(at(200)).await.unwrap());
    assert_eq!(claim(store, 200, 300, 9).await, ["a", "b", "c"]);
    let mut tx = store.write().await.unwrap();
    tx.object_forget(&names(&["a", "c", "nowhere"])).await.unwrap();
    tx.object_forget(&[]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(claim(store, 1000, 2000, 9).await, ["b"]);
}

pub(super) async fn holds_keep_deletion_off(bench: &Bench) {
    let store = &bench.store;
    stage(store, &["a"], 100).await;
    let mut tx = store.write().await.unwrap();
    tx.hold_put("backup", at(150)).await.unwrap();
    tx.hold_put("other", at(120)).await.unwrap();
    tx.hold_put("backup", at(160)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!store.glance().await.unwrap().object_any_due(at(159)).await.unwrap());
    assert_eq!(claim(store, 159, 300, 9).await, [""; 0]);
    assert!(store.glance().await.unwrap().object_any_due(at(160)).await.unwrap());
    let mut tx = store.write().await.unwrap();
    tx.hold_drop("backup").await.unwrap();
    tx.hold_drop("nowhere").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(claim(store, 119, 300, 9).await, [""; 0]);
    assert_eq!(claim(store, 130, 300, 9).await, ["a"]);
}

pub(super) async fn uploads_are_told_to_the_collector(bench: &Bench) {
    let store = &bench.store;
    stage(store, &["a", "b"], 100).await;
    let mut tx = store.write().await.unwrap();
    assert!(tx.object_upload("a", "upload-1").await.unwrap());
    assert!(!tx.object_upload("nowhere", "upload-1").await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = store.write().await.unwrap();
    let mut claimed = tx.object_claim_due(at(100), at(200), 9).await.unwrap();
    claimed.sort_by(|a, b| a.object.cmp(&b.object));
    let expected = [("a", Some("upload-1")), ("b", None)].map(|(o, u)| RetiredObject { object: o.into(), upload: u.map(Into::into) });
    assert_eq!(claimed, expected);
}

pub(super) async fn names_are_known(bench: &Bench) {
    let store = &bench.store;
    stage(store, &["p/a_b/rows"], 100).await;
    fill(store, &[(1, 1), (2, 2)]).await;
    let rows = batches(store).await;
    assert!(seal(store, &segment(1, 1), &rows[..1]).await);
    assert!(seal(store, &segment(2, 2), &rows[1..]).await);
    let mut tx = store.write().await.unwrap();
    let expired = tx.segment_range(P, LOG, 2, 2, false, 9).await.unwrap().remove(0);
    assert!(tx.segment_expire(P, LOG, (expired.id, expired.generation), &[], at(50)).await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = store.read().await.unwrap();
    let known = [("p/a_b", "p/a_b/rows"), ("s1-1", "s1-1/rows"), ("s1-1", "s1-1/hashes"), ("s2-2", "s2-2/hashes")];
    let unknown =
        [("p/a_b", "p/a_b/columns"), ("p/axb", "p/axb/rows"), ("s1", "s1-1/rows"), ("s1-1", "s1-1"), ("s1-1", "s2-2/rows"), ("s2-2", "s2-2/rows"), ("s2-2", "s1-1/hashes")];
    for (segment, object) in known {
        assert!(tx.object_known(segment, object).await.unwrap(), "{segment} {object}");
    }
    for (segment, object) in unknown {
        assert!(!tx.object_known(segment, object).await.unwrap(), "{segment} {object}");
    }
}

pub(super) async fn what_was_not_published_is_noted_again(bench: &Bench) {
    let store = &bench.store;
    let note = async |objects: &[&str], due| {
        let mut tx = store.write().await.unwrap();
        tx.object_note(&names(objects), at(due)).await.unwrap();
        tx.commit().await.unwrap();
    };
    // One that waits keeps its time; one that was collected and forgotten comes back; a repetition changes nothing.
    stage(store, &["waits"], 500).await;
    note(&["waits", "forgotten", "forgotten"], 100).await;
    note(&[], 100).await;
    assert_eq!(claim(store, 200, 300, 9).await, ["forgotten"]);
    // Written after its claimer found nothing to delete, and before it forgot the name.
    note(&["forgotten"], 210).await;
    let mut tx = store.write().await.unwrap();
    tx.object_forget(&names(&["forgotten"])).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(claim(store, 220, 320, 9).await, ["forgotten"]);
    let mut tx = store.write().await.unwrap();
    tx.object_forget(&names(&["forgotten"])).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(claim(store, 600, 700, 9).await, ["waits"]);
}

pub(super) async fn marks_are_set_and_taken_away(bench: &Bench) {
    let store = &bench.store;
    for value in [Some("one"), Some("two"), None, None] {
        let mut tx = store.write().await.unwrap();
        tx.mark_set("copy", value).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(store.glance().await.unwrap().mark("copy").await.unwrap().as_deref(), value);
        assert_eq!(store.glance().await.unwrap().mark("other").await.unwrap(), None);
    }
}
