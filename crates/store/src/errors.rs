//! Turns the database's errors into ours.

use indelible_model::{Error, Kind};

const FULL: &str = "13";
const BUSY: &str = "5";
const FSYNC: [&str; 2] = ["1034", "1290"];

/// An error of a statement or a commit.
pub(crate) fn map(error: sqlx::Error) -> Error {
    let code = match &error {
        sqlx::Error::Database(e) => e.code().map(|c| c.into_owned()).unwrap_or_default(),
        sqlx::Error::PoolTimedOut => BUSY.to_owned(),
        _ => String::new(),
    };
    match code.as_str() {
        FULL => Error::new(Kind::StorageFull(5), "The disk is full; nothing was stored. Try again when there is room.").with_internal(error),
        BUSY => Error::new(Kind::Unavailable(1), "The database is busy. Try again shortly.").with_internal(error),
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
