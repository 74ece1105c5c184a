//! Turns the databases' errors into ours. An error never carries the database's address or a bound value.

use indelible_model::{Error, Kind};
use sqlx::error::ErrorKind;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// SQLite's result codes (extended ones carry the primary code in their low byte). 4874 is a full disk met while the WAL's index grows.
const FULL: [i64; 2] = [13, 4874];
const BUSY: i64 = 5;
const FSYNC: [i64; 2] = [1034, 1290];

/// PostgreSQL's: a lock that was not obtained in time; a server that only reads (after a failover); who may not come in, or finds no such database.
const LOCKED: &str = "55P03";
const READ_ONLY: &str = "25006";
const NOT_LET_IN: [&str; 2] = ["28", "3D"];
/// Lock and statement time-outs, serialisation, deadlock.
const PASSING: [&str; 4] = [LOCKED, "57014", "40001", "40P01"];

fn told(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error().and_then(|e| e.try_downcast_ref())
}

fn sqlstate(error: &sqlx::Error) -> Option<&str> {
    told(error).map(PgDatabaseError::code)
}

/// True if the connection to the server is no more, or is one to a server that only reads: the address may lead to another one by now.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => true,
        e => told(e).is_some_and(|e| matches!(e.severity(), PgSeverity::Fatal | PgSeverity::Panic) || e.code().starts_with("08") || e.code() == READ_ONLY),
    }
}

/// True if a lock was not obtained in time.
pub(crate) fn is_locked(error: &sqlx::Error) -> bool {
    sqlstate(error) == Some(LOCKED)
}

/// An error of a statement or a commit.
pub(crate) fn map(error: sqlx::Error) -> Error {
    if let Some(state) = sqlstate(&error) {
        return server(state, &error);
    }
    if error.as_database_error().is_some_and(|e| e.is_unique_violation()) {
        return conflict().with_internal(error);
    }
    if error.as_database_error().is_some_and(|e| e.kind() == ErrorKind::NotNullViolation) {
        return no_project().with_internal(error);
    }
    let code = match &error {
        sqlx::Error::Database(e) => e.code().and_then(|c| c.parse().ok()).unwrap_or(0),
        sqlx::Error::PoolTimedOut => BUSY,
        _ => 0,
    };
    match code {
        c if FULL.contains(&c) => full().with_internal(error),
        c if c & 0xff == BUSY => Error::new(Kind::Unavailable(1), "The database is busy. Try again shortly.").with_internal(error),
        c if FSYNC.contains(&c) => Error::new(Kind::SyncFailed, "The disk failed to confirm a write (sync).").maybe_happened().with_internal(error),
        _ if is_lost(&error) || matches!(error, sqlx::Error::PoolClosed) => away().with_internal(error),
        _ => Error::internal(error),
    }
}

fn server(state: &str, error: &sqlx::Error) -> Error {
    let internal = format!("SQLSTATE {state}: {error}");
    match state {
        "53100" => full().with_internal(internal),
        "23502" => no_project().with_internal(internal),
        "23505" => conflict().with_internal(internal),
        s if NOT_LET_IN.iter().any(|class| s.starts_with(class)) => Error::internal(internal),
        s if s.starts_with("53") || PASSING.contains(&s) || is_lost(error) => away().with_internal(internal),
        _ => Error::internal(internal),
    }
}

/// The database does not answer now.
pub(crate) fn away() -> Error {
    Error::new(Kind::Unavailable(2), "The database is not available. Try again shortly.")
}

fn full() -> Error {
    Error::new(Kind::StorageFull(5), "The disk is full; nothing was stored. Try again when there is room.")
}

/// The only value that can be missing where there must be one is the number of a project that was looked up by its id.
fn no_project() -> Error {
    Error::not_found("Project")
}

/// A unique name, number or position is taken.
pub(crate) fn conflict() -> Error {
    Error::new(Kind::Conflict, "The same was stored already, or is being stored now.")
}

/// An error of opening the file.
pub(crate) fn open(error: sqlx::Error) -> Error {
    let error = match map(error) {
        e if matches!(e.kind(), Kind::SyncFailed | Kind::StorageFull(_)) => return e,
        e => e.internal_message().unwrap_or_default().to_owned(),
    };
    Error::new(Kind::Internal, "The database cannot be opened. Check the data directory's permissions and free room.").with_internal(error)
}

/// An error of reaching the server for the first time.
pub(crate) fn connect(error: sqlx::Error) -> Error {
    let timed_out = matches!(error, sqlx::Error::PoolTimedOut);
    let error = map(error);
    let kind = if timed_out || matches!(error.kind(), Kind::Unavailable(_)) { Kind::Unavailable(2) } else { Kind::Internal };
    Error::new(kind, "The database server cannot be used. Check INDELIBLE_DATABASE_URL and the server.").with_internal(error.internal_message().unwrap_or_default())
}
