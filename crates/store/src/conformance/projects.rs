//! Projects and keys.

use indelible_model::{KeyId, Kind};

use super::*;
use crate::{KeyRow, Project};

/// A key of a project, with a member of each kind.
pub(crate) fn key(id: u8, project: ProjectId, created: i64) -> KeyRow {
    let name = if project == P { "default" } else { "other" };
    KeyRow {
        id: KeyId([id; 16]),
        project,
        project_name: name.into(),
        plan: String::new(),
        name: format!("key {id}"),
        face: "aitronos".into(),
        secret_hash: [id; 32],
        hint: "wxyz".into(),
        scopes: 5,
        organizations: Some(r#"["a"]"#.into()),
        per_minute: Some(60),
        created_at: at(created),
        expires_at: Some(at(created + 1000)),
        last_used_at: None,
        revoked_at: None,
    }
}

pub(super) async fn projects_have_unique_names(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    assert!(!tx.project_create(ProjectId([3; 16]), "default", at(3)).await.unwrap());
    assert!(tx.project_create(ProjectId([3; 16]), "third", at(3)).await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = bench.store.read().await.unwrap();
    let third = Project { id: ProjectId([3; 16]), name: "third".into(), created_at: at(3), plan: String::new() };
    let all = tx.project_list().await.unwrap();
    assert_eq!(all.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["default", "other", "third"]);
    assert_eq!(all[2], third);
    assert_eq!(tx.project_by_name("third").await.unwrap(), Some(third.clone()));
    assert_eq!(tx.project_by_name("fourth").await.unwrap(), None);
    assert_eq!(tx.project_by_id(third.id).await.unwrap(), Some(third));
    assert_eq!(tx.project_by_id(NOBODY).await.unwrap(), None);
}

pub(super) async fn keys_belong_to_their_project(bench: &Bench) {
    let (one, two, foreign) = (key(1, P, 20), key(2, P, 10), key(3, Q, 1));
    let mut tx = bench.store.write().await.unwrap();
    for key in [&one, &two, &foreign] {
        tx.key_create(key).await.unwrap();
    }
    assert_eq!(tx.key_create(&key(4, NOBODY, 1)).await.unwrap_err().kind(), Kind::NotFound);
    tx.commit().await.unwrap();
    let mut tx = bench.store.write().await.unwrap();
    assert_eq!(tx.key_list(P).await.unwrap(), [two.clone(), one.clone()]);
    assert_eq!(tx.key_find(&[3; 32]).await.unwrap(), Some(foreign));
    assert_eq!(tx.key_find(&[9; 32]).await.unwrap(), None);
    assert_eq!(tx.key_by_id(P, one.id).await.unwrap(), Some(one.clone()));
    assert_eq!(tx.key_by_id(Q, one.id).await.unwrap(), None);
    assert!(!tx.key_rename(Q, one.id, "no").await.unwrap());
    assert!(tx.key_rename(P, one.id, "new").await.unwrap());
    assert!(!tx.key_revoke(Q, one.id, at(30)).await.unwrap());
    assert!(tx.key_revoke(P, one.id, at(30)).await.unwrap());
    assert!(!tx.key_revoke(P, one.id, at(31)).await.unwrap());
    assert!(!tx.key_rename(P, one.id, "late").await.unwrap());
    assert_eq!(tx.key_list(P).await.unwrap(), [two, KeyRow { name: "new".into(), revoked_at: Some(at(30)), ..one }]);
}

pub(super) async fn projects_get_other_names_and_plans(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    assert!(tx.project_update(P, "first", "pro").await.unwrap());
    assert!(!tx.project_update(NOBODY, "nobody", "").await.unwrap());
    tx.key_create(&key(1, P, 1)).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = bench.store.write().await.unwrap();
    assert_eq!(tx.project_by_id(P).await.unwrap(), Some(Project { id: P, name: "first".into(), created_at: at(0), plan: "pro".into() }));
    let found = tx.key_find(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((found.project_name.as_str(), found.plan.as_str()), ("first", "pro"));
    assert_eq!(tx.project_update(P, "other", "").await.unwrap_err().kind(), Kind::Conflict);
}

pub(super) async fn the_last_use_of_a_key_is_the_latest(bench: &Bench) {
    let (one, two) = (key(1, P, 1), key(2, P, 2));
    let mut tx = bench.store.write().await.unwrap();
    tx.key_create(&one).await.unwrap();
    tx.key_create(&two).await.unwrap();
    tx.key_used(&[(one.id, at(50)), (two.id, at(60)), (KeyId([9; 16]), at(70))].into()).await.unwrap();
    tx.key_used(&[(one.id, at(40)), (two.id, at(80))].into()).await.unwrap();
    let used: Vec<_> = tx.key_list(P).await.unwrap().into_iter().map(|k| k.last_used_at).collect();
    assert_eq!(used, [Some(at(50)), Some(at(80))]);
}

pub(super) async fn who_changes_a_projects_people_waits_for_the_other(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    assert!(tx.project_lock(P).await.unwrap());
    assert!(!tx.project_lock(NOBODY).await.unwrap());
    tx.key_create(&key(1, P, 1)).await.unwrap();
    let node = bench.node().await;
    let waiting = tokio::spawn(async move {
        let mut tx = node.write().await.unwrap();
        assert!(tx.project_lock(P).await.unwrap());
        let seen = tx.key_list(P).await.unwrap().len();
        drop(tx);
        node.close().await;
        seen
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    tx.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap(), 1);
}
