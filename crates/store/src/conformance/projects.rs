//! Projects and keys.

use indelible_model::{KeyId, Kind};

use super::*;
use crate::{KeyRow, Project};

fn key(id: u8, project: ProjectId, created: i64) -> KeyRow {
    let name = if project == P { "default" } else { "other" };
    KeyRow { id: KeyId([id; 16]), project, project_name: name.into(), name: format!("key {id}"), secret_hash: [id; 32], scopes: 5, created_at: at(created), revoked_at: None }
}

pub(super) async fn projects_have_unique_names(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    assert!(!tx.project_create(ProjectId([3; 16]), "default", at(3)).await.unwrap());
    assert!(tx.project_create(ProjectId([3; 16]), "third", at(3)).await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = bench.store.read().await.unwrap();
    let third = Project { id: ProjectId([3; 16]), name: "third".into(), created_at: at(3), retention_days: None };
    let all = tx.project_list().await.unwrap();
    assert_eq!(all.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["default", "other", "third"]);
    assert_eq!(all[2], third);
    assert_eq!(tx.project_by_name("third").await.unwrap(), Some(third.clone()));
    assert_eq!(tx.project_by_name("fourth").await.unwrap(), None);
    assert_eq!(tx.project_by_id(third.id).await.unwrap(), Some(third));
    assert_eq!(tx.project_by_id(NOBODY).await.unwrap(), None);
}

pub(super) async fn retention_is_kept(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    assert!(!tx.project_retain(NOBODY, Some(1)).await.unwrap());
    for days in [Some(90), None, Some(7)] {
        assert!(tx.project_retain(P, days).await.unwrap());
        assert_eq!(tx.project_by_id(P).await.unwrap().unwrap().retention_days, days);
    }
    assert_eq!(tx.project_by_id(Q).await.unwrap().unwrap().retention_days, None);
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
    assert!(!tx.key_rename(Q, one.id, "no").await.unwrap());
    assert!(tx.key_rename(P, one.id, "new").await.unwrap());
    assert!(!tx.key_revoke(Q, one.id, at(30)).await.unwrap());
    assert!(tx.key_revoke(P, one.id, at(30)).await.unwrap());
    assert!(!tx.key_revoke(P, one.id, at(31)).await.unwrap());
    assert!(!tx.key_rename(P, one.id, "late").await.unwrap());
    assert_eq!(tx.key_list(P).await.unwrap(), [two, KeyRow { name: "new".into(), revoked_at: Some(at(30)), ..one }]);
}
