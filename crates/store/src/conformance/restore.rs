//! Rows of another database.

use indelible_model::{HoldId, Kind, LogKind};

use super::*;
use crate::{KeyRow, Project};

pub(super) async fn what_was_read_can_be_restored(bench: &Bench) {
    let id = ProjectId([7; 16]);
    let project = Project { id, name: "seventh".into(), created_at: at(77), plan: "pro".into() };
    let key = |revoked_at: Option<Timestamp>| {
        let number = if revoked_at.is_some() { 1 } else { 2 };
        KeyRow { project_name: "seventh".into(), plan: "pro".into(), last_used_at: Some(at(6)), revoked_at, ..projects::key(number, id, 5) }
    };
    let head = LogHead { hot_events: 4, ..head(13, 2) };
    let segment = SegmentRow { id: 999, generation: 4, expired: true, held: Some(HoldId([8; 16])), created_at: at(12), segment: segment(1, 9) };
    let (batches, keys) = ([batch(10, 11), batch(12, 13)], [key(Some(at(8))), key(None)]);
    let mut tx = bench.store.write().await.unwrap();
    tx.project_restore(&project).await.unwrap();
    for key in &keys {
        tx.key_restore(key).await.unwrap();
    }
    tx.log_restore(id, LOG, &head, Some(at(3))).await.unwrap();
    tx.batches_restore(id, LOG, &batches).await.unwrap();
    tx.segment_restore(id, LOG, &segment).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = bench.store.read().await.unwrap();
    tx.linger().await.unwrap();
    assert_eq!(tx.project_by_id(id).await.unwrap(), Some(project.clone()));
    assert_eq!(tx.key_list(id).await.unwrap(), keys);
    assert_eq!(tx.log_rows(id).await.unwrap(), [(LOG, head.clone(), Some(at(3)))]);
    assert_eq!(tx.batch_range(id, LOG, 1, 99, 9).await.unwrap().iter().map(|b| (b.batch.first, b.batch.last)).collect::<Vec<_>>(), [(10, 11), (12, 13)]);
    let rows = tx.segment_range(id, LOG, 1, 99, false, 9).await.unwrap();
    assert_eq!(rows, [SegmentRow { id: rows[0].id, ..segment.clone() }]);
    drop(tx);

    // What was restored goes on as it would have done elsewhere.
    let mut tx = bench.store.write().await.unwrap();
    let heads = tx.log_lock(id, &GENESIS).await.unwrap().unwrap();
    assert_eq!(heads[0], (LOG, head.clone()));
    assert_eq!((heads[1].0, heads[1].1.position), (LogKind::Activity, 0));
    tx.log_append(id, LOG, &[batch(14, 14)], &LogHead { position: 14, ..head.clone() }, at(1)).await.unwrap();
    tx.log_restore(id, LOG, &head, None).await.unwrap();
    assert_eq!(tx.log_rows(id).await.unwrap(), [(LOG, head.clone(), None)]);
    drop(tx);

    let conflict = async |of: &Project| bench.store.write().await.unwrap().project_restore(of).await.unwrap_err().kind();
    assert_eq!(conflict(&Project { name: "eighth".into(), ..project.clone() }).await, Kind::Conflict);
    assert_eq!(conflict(&Project { id: NOBODY, ..project.clone() }).await, Kind::Conflict);
    let mut tx = bench.store.write().await.unwrap();
    assert_eq!(tx.log_restore(NOBODY, LOG, &head, None).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(tx.segment_restore(NOBODY, LOG, &segment).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(tx.batches_restore(NOBODY, LOG, &batches).await.unwrap_err().kind(), Kind::NotFound);
}
