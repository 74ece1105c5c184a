//! Schema versions, transactions, errors.

use indelible_model::{KeyId, Kind, LogKind};

use super::*;
use crate::KeyRow;

/// A second, empty database of the same kind.
async fn empty(bench: &Bench) -> Home {
    match bench.home.database {
        Database::File(_) => Home::file(),
        Database::Server { .. } => Home::server().await,
    }
}

pub(super) async fn an_old_schema_is_refused_or_migrated(bench: &Bench) {
    let home = empty(bench).await;
    let refused = Store::open(&home.database, false).await.unwrap_err();
    assert!(refused.public().contains("version 0") && refused.public().contains("`indelible migrate`"), "{refused}");
    assert_eq!(Store::migrate(&home.database).await.unwrap(), (0, 4));
    assert_eq!(Store::migrate(&home.database).await.unwrap(), (4, 4));
    let store = Store::open(&home.database, false).await.unwrap();
    assert!(store.read().await.unwrap().project_list().await.unwrap().is_empty());
    store.close().await;
    assert!(store.read().await.is_err());
    home.end().await;
}

pub(super) async fn a_newer_schema_is_refused(bench: &Bench) {
    let home = empty(bench).await;
    Store::migrate(&home.database).await.unwrap();
    home.raw("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (7, 'later', TRUE, '', 0)").await;
    for refused in [Store::open(&home.database, true).await.unwrap_err(), Store::migrate(&home.database).await.unwrap_err()] {
        assert!(refused.public().contains("version 7") && refused.public().contains("up to 4"), "{refused}");
    }
    home.end().await;
}

pub(super) async fn the_first_schema_is_brought_up_to_date(bench: &Bench) {
    let home = empty(bench).await;
    crate::open::migrate_to(&home.database, 1).await;
    // How bytes are written is the one thing of this test that differs.
    home.raw(match home.database {
        Database::File(_) => "INSERT INTO projects (id, name, created_at) VALUES (CAST('0123456789abcdef' AS BLOB), 'old', 3)",
        Database::Server { .. } => "INSERT INTO projects (id, name, created_at) VALUES ('0123456789abcdef', 'old', 3)",
    })
    .await;
    home.raw(
        "INSERT INTO segments (project, kind, first, last, generation, version, name, raw_bytes, rows_bytes, columns_bytes, min_occurred, max_occurred, created_at) \
         VALUES (1, 0, 1, 5, 1, 1, 'n', 1, 1, 1, 1, 2, 44); INSERT INTO retired (object, due) VALUES ('claimed', -1)",
    )
    .await;
    let refused = Store::open(&home.database, false).await.unwrap_err();
    assert!(refused.public().contains("version 1"), "{refused}");
    let store = Store::open(&home.database, true).await.unwrap();
    let mut tx = store.write().await.unwrap();
    let project = tx.project_by_name("old").await.unwrap().unwrap();
    assert_eq!(project.created_at, at(3));
    let kept = tx.retention_list(project.id).await.unwrap();
    assert_eq!(kept.iter().map(|r| (r.log, r.days, r.since)).collect::<Vec<_>>(), [(LogKind::Events, None, at(3)), (LogKind::Activity, None, at(3))]);
    let row = tx.segment_range(project.id, LOG, 1, 9, false, 9).await.unwrap().remove(0);
    assert_eq!((row.segment.max_received, row.expired, row.created_at), (at(44), false, at(44)));
    assert_eq!(tx.object_claim_due(at(50), at(60), 9).await.unwrap()[0].object, "claimed");
    drop(tx);
    store.close().await;
    home.end().await;
}

pub(super) async fn a_read_is_one_snapshot(bench: &Bench) {
    let mut read = bench.store.read().await.unwrap();
    let mut glance = bench.store.glance().await.unwrap();
    assert_eq!(read.log_head(P, LOG).await.unwrap(), None);
    assert_eq!(glance.log_head(P, LOG).await.unwrap(), None);
    fill(&bench.store, &[(1, 5)]).await;
    assert_eq!(read.log_head(P, LOG).await.unwrap(), None);
    assert!(read.batch_range(P, LOG, 1, 9, 9).await.unwrap().is_empty());
    assert_eq!(glance.log_head(P, LOG).await.unwrap(), Some(head(5, 1)));
    drop(read);
    assert_eq!(bench.store.read().await.unwrap().log_head(P, LOG).await.unwrap(), Some(head(5, 1)));
}

pub(super) async fn statements_are_counted(bench: &Bench) {
    // Where transactions run beside each other, their beginning and end are round trips.
    let framed = u64::from(bench.store.writers() > 1);
    let before = bench.store.counters();
    bench.store.glance().await.unwrap().project_list().await.unwrap();
    let glanced = bench.store.counters();
    assert_eq!((glanced.statements - before.statements, glanced.transactions - before.transactions), (1, 0));
    bench.store.read().await.unwrap().project_list().await.unwrap();
    let read = bench.store.counters();
    assert_eq!((read.statements - glanced.statements, read.transactions - glanced.transactions), (1 + 2 * framed, 1));
    append_next(&bench.store, P, 1, 1).await;
    let made = bench.store.counters();
    append_next(&bench.store, P, 1, 1).await;
    let appended = bench.store.counters();
    assert_eq!((appended.statements - made.statements, appended.transactions - made.transactions), (3 + 2 * framed, 1));
}

pub(super) async fn a_store_that_takes_writes_says_so(bench: &Bench) {
    assert!(bench.store.glance().await.unwrap().writable().await.unwrap());
    assert!(bench.store.read().await.unwrap().writable().await.unwrap());
}

pub(super) async fn texts_without_nul(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    assert_eq!(tx.project_create(NOBODY, "a\0b", at(1)).await.unwrap_err().kind(), Kind::Malformed);
    assert!(tx.project_create(NOBODY, "a\u{1}b\u{fffe}\u{1f600}", at(1)).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(bench.store.glance().await.unwrap().project_by_id(NOBODY).await.unwrap().unwrap().name, "a\u{1}b\u{fffe}\u{1f600}");
}

pub(super) async fn names_are_unique_errors_are_conflicts(bench: &Bench) {
    let key = projects::key(1, P, 1);
    let mut tx = bench.store.write().await.unwrap();
    tx.key_create(&key).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = bench.store.write().await.unwrap();
    let error = tx.key_create(&KeyRow { id: KeyId([2; 16]), ..key }).await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_happened()), (Kind::Conflict, false));
    // A server would answer this commit by rolling back, and not call it an error.
    if bench.store.writers() > 1 {
        assert!(!tx.commit().await.unwrap_err().may_have_happened());
    }
}

pub(super) async fn what_was_deleted_is_in_no_file(bench: &Bench) {
    let store = &bench.store;
    let content: Vec<u8> = (0..40_000u32).map(|i| u8::try_from(i * i % 251).unwrap()).collect();
    let mut tx = store.write().await.unwrap();
    tx.log_lock(P, &GENESIS).await.unwrap().unwrap();
    tx.log_append(P, LOG, &[NewBatch { body: content.clone(), ..batch(1, 5) }], &head(5, 1), at(1)).await.unwrap();
    tx.commit().await.unwrap();
    let Database::File(file) = &bench.home.database else {
        assert!(store.scrub().await.unwrap());
        return;
    };
    let found = || {
        let files = std::fs::read_dir(file.parent().unwrap()).unwrap().map(|f| std::fs::read(f.unwrap().path()).unwrap());
        files.map(|bytes| content.chunks(64).filter(|part| bytes.windows(part.len()).any(|w| w == *part)).count()).sum::<usize>()
    };
    assert!(found() > 500);
    let reader = store.read().await.unwrap();
    assert!(seal(store, &segment(1, 5), &batches(store).await).await);
    drop(reader);
    assert!(store.scrub().await.unwrap());
    assert_eq!(found(), 0);
    // A reader that stays is in the way.
    let mut reader = store.read().await.unwrap();
    reader.project_list().await.unwrap();
    append_next(store, P, 1, 1).await;
    assert!(!store.scrub().await.unwrap());
    drop(reader);
    assert!(store.scrub().await.unwrap());
}
