//! Turns the database's errors into ours.

use indelible_model::{Error, Kind};

/// SQLite's result codes (extended ones carry the primary code in their low byte). 4874 is a full disk met while the WAL's index grows.
const FULL: [i64; 2] = [13, 4874];
const BUSY: i64 = 5;
const FSYNC: [i64; 2] = [1034, 1290];

/// An error of a statement or a commit.
pub(crate) fn map(error: sqlx::Error) -> Error {
    let code = match &error {
        sqlx::Error::Database(e) => e.code().and_then(|c| c.parse().ok()).unwrap_or(0),
        sqlx::Error::PoolTimedOut => BUSY,
        _ => 0,
    };
    match code {
        c if FULL.contains(&c) => Error::new(Kind::StorageFull(5), "The disk is full; nothing was stored. Try again when there is room.").with_internal(error),
        c if c & 0xff == BUSY => Error::new(Kind::Unavailable(1), "The database is busy. Try again shortly.").with_internal(error),
        c if FSYNC.contains(&c) => Error::new(Kind::SyncFailed, "The disk failed to confirm a write (sync).").maybe_happened().with_internal(error),
        _ => Error::internal(error),
    }
}

/// An error of opening the file.
pub(crate) fn open(error: sqlx::Error) -> Error {
    let error = match map(error) {
        e if matches!(e.kind(), Kind::SyncFailed | Kind::StorageFull(_)) => return e,
        e => e.internal_message().unwrap_or_default().to_owned(),
    };
    Error::new(Kind::Internal, "The database cannot be opened. Check the data directory's permissions and free room.").with_internal(error)
}
