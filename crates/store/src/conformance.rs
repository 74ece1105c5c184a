//! What the store promises, as cases that both databases run: each begins with an empty database of its own that has two projects.
//!
//! What a database can do is asked (`Store::writers`), never its name. `server.rs` has what only a server can meet.
//! PostgreSQL comes from `INDELIBLE_TEST_DATABASE_URL`: `scripts/with-servers cargo nextest run`.

mod append;
mod asked;
mod concurrent;
mod duplicates;
mod holds;
mod members;
mod objects;
mod outbox;
mod projects;
mod rates;
mod restore;
mod retention;
mod schedules;
mod segments;
mod server;
mod signing;
mod store;
mod tasks;
mod tokens;

use std::str::FromStr;

use indelible_model::{LogKind, ProjectId, Timestamp};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, SqlSafeStr};

use crate::{Database, LogHead, NewBatch, NewSegment, SegmentRow, Store};

macro_rules! cases {
    ($($area:ident: $($case:ident)+;)+) => {
        mod on_file {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let bench = super::Bench::new(super::Home::file()).await;
                super::$area::$case(&bench).await;
                bench.end().await;
            })+)+
        }
        mod on_server {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let bench = super::Bench::new(super::Home::server().await).await;
                super::$area::$case(&bench).await;
                bench.end().await;
            })+)+
        }
    };
}

cases! {
    append: a_log_begins_with_its_genesis what_is_not_committed_never_was batches_are_found_by_any_position_they_hold
        batches_that_do_not_follow_the_head_conflict a_large_append_is_one_step merged_batches_count_as_before tails_that_must_be_sealed_are_listed a_missing_project_has_no_logs;
    asked: an_asked_task_is_kept_for_ever who_lost_a_task_changes_nothing asked_tasks_are_fair an_asked_task_can_be_cancelled asked_tasks_are_filtered
        files_of_tasks_are_published_once exports_are_listed_and_expire a_restored_task_is_as_it_was asking_wakes;
    duplicates: external_ids_are_found_within_their_project external_ids_are_listed_in_pages idempotency_keys_expire a_few_keys_are_forgotten_at_a_time idempotency_keys_are_listed_in_pages;
    segments: a_seal_of_changed_batches_does_not_commit a_seal_that_read_before_a_merge_does_not_commit a_merge_that_read_before_a_seal_does_not_commit
        compaction_retires_what_it_replaces a_compaction_of_changed_segments_does_not_commit expired_rows_do_not_come_back
        segments_are_found_by_any_position_they_hold thousands_of_batches_are_sealed_at_once;
    objects: staged_objects_are_published_once a_claimed_object_is_never_published an_unfinished_claim_is_made_again holds_keep_deletion_off uploads_are_told_to_the_collector
        names_are_known what_was_not_published_is_noted_again marks_are_set_and_taken_away;
    outbox: facts_wait_in_order_until_they_are_deleted facts_wake_who_stores_them two_nodes_delete_the_same_facts;
    tasks: a_task_is_enqueued_once a_compaction_asked_for_while_it_runs_runs_again leases_are_exclusive_and_expire enqueueing_wakes;
    projects: projects_have_unique_names keys_belong_to_their_project projects_get_other_names_and_plans the_last_use_of_a_key_is_the_latest
        who_changes_a_projects_people_waits_for_the_other;
    members: a_person_has_one_address passwords_and_operators_are_of_one_project members_belong_to_their_projects who_is_in_no_project_can_be_forgotten
        an_identity_is_one_person;
    tokens: a_token_is_found_with_its_holder what_was_made_from_a_token_goes_with_it a_persons_tokens_are_revoked_together tokens_that_ended_are_forgotten;
    holds: holds_are_listed_for_ever a_restored_hold_is_as_it_was what_a_hold_keeps_is_looked_at_again_when_it_is_released;
    retention: a_project_begins_with_a_retention_of_each_log what_is_announced_is_listed_when_its_time_has_come segments_expire_when_all_of_them_is_old
        who_changes_what_is_kept_waits_for_who_expires;
    schedules: schedules_belong_to_their_project a_schedule_is_due_when_its_last_run_is_over a_run_that_failed_is_due_again who_runs_a_schedule_waits_for_the_other;
    rates: a_bucket_gives_what_fits what_is_given_back_is_there_again a_bucket_fills_with_the_databases_clock full_buckets_are_deleted nodes_take_no_more_than_there_is
        one_statement_alone_is_one_round_trip;
    restore: what_was_read_can_be_restored;
    signing: signing_keys_are_kept_until_they_retire of_two_new_signing_keys_one_is_kept;
    store: an_old_schema_is_refused_or_migrated a_newer_schema_is_refused the_first_schema_is_brought_up_to_date a_read_is_one_snapshot statements_are_counted
        a_store_that_takes_writes_says_so texts_without_nul names_are_unique_errors_are_conflicts
        what_was_deleted_is_in_no_file;
    concurrent: appends_of_many_nodes_are_gapless first_appends_make_one_log projects_wait_for_themselves_only a_writer_that_gives_up_leaves_nothing a_lease_is_given_once nodes_claim_different_objects
        claim_and_publish_exclude_each_other seals_and_appends_lose_nothing two_seals_of_the_same_batches_make_one_segment duplicates_are_seen_under_the_lock;
}

pub(crate) const P: ProjectId = ProjectId([1; 16]);
pub(crate) const Q: ProjectId = ProjectId([2; 16]);
/// A project that is nowhere.
pub(crate) const NOBODY: ProjectId = ProjectId([9; 16]);
pub(crate) const LOG: LogKind = LogKind::Events;
pub(crate) const GENESIS: [(LogKind, [u8; 32]); 2] = [(LogKind::Events, [10; 32]), (LogKind::Activity, [11; 32])];

pub(crate) fn at(micros: i64) -> Timestamp {
    Timestamp::clamped(micros)
}

pub(crate) fn batch(first: u64, last: u64) -> NewBatch {
    NewBatch { first, last, raw_bytes: 10, min_occurred: at(1), max_occurred: at(2), envelope: vec![1], body: vec![2; 3] }
}

/// The head after batches of 10 bytes.
pub(crate) fn head(position: u64, batches: u64) -> LogHead {
    LogHead { position, hash: [3; 32], last_id: [4; 16], received_at: at(9), hot_batches: batches, hot_events: position, hot_bytes: batches * 10, month: 24_313, month_base: 3 }
}

pub(crate) fn segment(first: u64, last: u64) -> NewSegment {
    NewSegment {
        first,
        last,
        version: 1,
        name: format!("s{first}-{last}"),
        raw_bytes: 1,
        rows_bytes: 2,
        columns_bytes: 3,
        min_occurred: at(1),
        max_occurred: at(2),
        max_received: at(9),
    }
}

pub(crate) fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&n| n.to_owned()).collect()
}

pub(crate) fn inputs(rows: &[SegmentRow]) -> Vec<(u64, u64)> {
    rows.iter().map(|r| (r.id, r.generation)).collect()
}

/// Appends batches with the bounds given to an empty log.
pub(crate) async fn fill(store: &Store, bounds: &[(u64, u64)]) {
    let batches: Vec<_> = bounds.iter().map(|&(first, last)| batch(first, last)).collect();
    let mut tx = store.write().await.unwrap();
    tx.log_lock(P, &GENESIS).await.unwrap().unwrap();
    tx.log_append(P, LOG, &batches, &head(bounds.last().unwrap().1, bounds.len() as u64), at(1)).await.unwrap();
    tx.commit().await.unwrap();
}

/// Number and generation of all batches.
pub(crate) async fn batches(store: &Store) -> Vec<(u64, u64)> {
    let rows = store.glance().await.unwrap().batch_range(P, LOG, 1, u64::MAX, 100_000).await.unwrap();
    rows.iter().map(|r| (r.id, r.generation)).collect()
}

/// Seals batches, staged under the segment's name.
pub(crate) async fn seal(store: &Store, new: &NewSegment, batches: &[(u64, u64)]) -> bool {
    let mut tx = store.write().await.unwrap();
    tx.object_stage(std::slice::from_ref(&new.name), at(100)).await.unwrap();
    let done = tx.segment_publish(P, LOG, new, std::slice::from_ref(&new.name), batches, at(5)).await.unwrap();
    if done {
        tx.commit().await.unwrap();
    }
    done
}

/// Appends one batch of `events` events, continuing what is there.
pub(crate) async fn append_next(store: &Store, project: ProjectId, events: u64, marker: u8) -> u64 {
    let mut tx = store.write().await.unwrap();
    let heads = tx.log_lock(project, &GENESIS).await.unwrap().unwrap();
    let mut head = heads.into_iter().find(|(kind, _)| *kind == LOG).unwrap().1;
    let first = head.position + 1;
    head.position += events;
    head.hot_batches += 1;
    head.hot_events += events;
    head.hot_bytes += 10;
    // A chain: each head's hash counts those before.
    head.hash = chain(head.hash, marker);
    tx.log_append(project, LOG, &[NewBatch { envelope: vec![marker], ..batch(first, head.position) }], &head, at(1)).await.unwrap();
    tx.commit().await.unwrap();
    first
}

pub(crate) fn chain(mut hash: [u8; 32], marker: u8) -> [u8; 32] {
    for byte in &mut hash {
        *byte = byte.wrapping_mul(31).wrapping_add(marker);
    }
    hash
}

/// Where an empty database is.
pub(crate) struct Home {
    pub(crate) database: Database,
    _dir: Option<tempfile::TempDir>,
    /// The server's address, and the name of the database to be dropped.
    drop: Option<(String, String)>,
}

impl Home {
    pub(crate) fn file() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { database: Database::File(dir.path().join("t.db")), _dir: Some(dir), drop: None }
    }
    pub(crate) async fn server() -> Self {
        let url = std::env::var("INDELIBLE_TEST_DATABASE_URL").expect("no INDELIBLE_TEST_DATABASE_URL: run `scripts/with-servers cargo nextest run`");
        let random = tempfile::Builder::new().prefix("t").rand_bytes(12).tempdir().unwrap();
        let name = format!("indelible_{}", random.path().file_name().unwrap().to_str().unwrap().to_lowercase());
        admin(&url, format!("CREATE DATABASE {name}")).await;
        let (base, options) = url.split_once('?').map_or((url.as_str(), String::new()), |(b, o)| (b, format!("?{o}")));
        let (scheme, rest) = base.split_once("://").unwrap();
        let host = rest.split('/').next().unwrap();
        let database = Database::Server { url: format!("{scheme}://{host}/{name}{options}"), connections: 8 };
        Self { database, _dir: None, drop: Some((url, name)) }
    }
    pub(crate) async fn end(self) {
        if let Some((url, name)) = self.drop {
            admin(&url, format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
    /// Runs a statement beside the store.
    pub(crate) async fn raw(&self, sql: &'static str) {
        match &self.database {
            Database::File(path) => {
                let mut conn = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path).create_if_missing(true)).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
                conn.close().await.unwrap();
            }
            Database::Server { url, .. } => admin(url, sql.to_owned()).await,
        }
    }
}

async fn admin(url: &str, sql: String) {
    let mut conn = PgConnection::connect_with(&PgConnectOptions::from_str(url).unwrap()).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql).into_sql_str()).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

/// A database with two projects, and one node.
pub(crate) struct Bench {
    pub(crate) home: Home,
    pub(crate) store: Store,
}

impl Bench {
    pub(crate) async fn new(home: Home) -> Self {
        let store = Store::open(&home.database, true).await.unwrap();
        let mut tx = store.write().await.unwrap();
        assert!(tx.project_create(P, "default", at(0)).await.unwrap());
        assert!(tx.project_create(Q, "other", at(0)).await.unwrap());
        tx.commit().await.unwrap();
        Self { home, store }
    }
    /// Another node on the same database.
    pub(crate) async fn node(&self) -> Store {
        Store::open(&self.home.database, false).await.unwrap()
    }
    pub(crate) async fn end(self) {
        self.store.close().await;
        self.home.end().await;
    }
}

/// A method without a case would be one that the two databases may answer differently.
#[test]
fn every_method_has_a_case() {
    let read = |dir: &str| {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
        let files = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "rs"));
        files.map(|p| std::fs::read_to_string(p).unwrap()).collect::<Vec<_>>()
    };
    let suite = read("src/conformance").concat();
    let mut missing = Vec::new();
    let mut seen = 0;
    for source in read("src") {
        let mut of = "";
        for line in source.lines() {
            if let Some(rest) = line.strip_prefix("impl ") {
                of = rest.split(' ').next().unwrap();
            }
            let name = line.strip_prefix("    pub async fn ").or_else(|| line.strip_prefix("    pub fn ")).and_then(|l| l.split('(').next());
            let Some(name) = name.filter(|_| ["ReadTx", "WriteTx", "Store"].contains(&of)) else { continue };
            seen += 1;
            if !suite.contains(&format!(".{name}(")) && !suite.contains(&format!("Store::{name}(")) {
                missing.push(name.to_owned());
            }
        }
    }
    assert!(seen > 50, "{seen} methods found");
    assert_eq!(missing, [""; 0]);
}
