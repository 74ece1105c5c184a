//! What the database keeps: log heads, batches, the manifest of segments, tasks, projects, keys.
//!
//! Promises: a transaction is a value; nothing is visible before [`WriteTx::commit`] returns, and then it is on disk
//! (SQLite in WAL mode with `synchronous=FULL`). Dropping a transaction rolls it back. All SQL lives here, in one
//! text that both databases take.
//! Never: knows a rule of the domain, a wire shape, or how a batch's bytes are laid out; never opens a transaction of its own accord.

mod errors;
mod ingest;
mod logs;
mod projects;
mod segments;
mod tasks;

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indelible_model::{Error, Kind, Result};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, Transaction};

pub use ingest::{ExternalHit, IdempotencyRow};
pub use logs::{BatchRow, LogHead, LogRow, NewBatch};
pub use projects::{KeyRow, Project};
pub use segments::{NewSegment, SegmentRow};
pub use tasks::{Task, TaskKind};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    readers: SqlitePool,
    writer: SqlitePool,
    reopen: Arc<AtomicBool>,
}

/// A read transaction: one snapshot of the whole database. Keep it short.
pub struct ReadTx {
    tx: Transaction<'static, Sqlite>,
}

/// The write transaction: there is one at a time, and others wait for it.
pub struct WriteTx {
    // Dropped before the connection goes back to its pool.
    unfinished: Unfinished,
    read: ReadTx,
}

/// Has the writing connection opened anew after a transaction that did not commit: SQLite ends a transaction by itself on
/// some errors (a full disk), and the driver's count of open transactions would be wrong from then on.
struct Unfinished {
    reopen: Arc<AtomicBool>,
    committed: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.committed {
            self.reopen.store(true, Ordering::SeqCst);
        }
    }
}

impl Store {
    /// Opens or creates the database file and brings its schema up to date.
    pub async fn open(file: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .page_size(8192)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(20))
            .foreign_keys(false)
            .pragma("wal_autocheckpoint", "500")
            .pragma("journal_size_limit", "16777216")
            .pragma("cache_size", "-8000")
            .statement_cache_capacity(200);
        let reopen = Arc::new(AtomicBool::new(false));
        let broken = Arc::clone(&reopen);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .before_acquire(move |_, _| {
                let usable = !broken.swap(false, Ordering::SeqCst);
                Box::pin(async move { Ok(usable) })
            })
            .connect_with(options.clone())
            .await
            .map_err(errors::open)?;
        MIGRATIONS.run(&writer).await.map_err(|e| Error::new(Kind::Internal, "The database's schema does not fit this version of Indelible.").with_internal(e))?;
        let readers = SqlitePoolOptions::new().max_connections(4).connect_with(options.read_only(true)).await.map_err(errors::open)?;
        Ok(Self { readers, writer, reopen })
    }
    /// Begins a read transaction.
    pub async fn read(&self) -> Result<ReadTx> {
        Ok(ReadTx { tx: self.readers.begin().await.map_err(errors::map)? })
    }
    /// Begins the write transaction, waiting for the one before.
    pub async fn write(&self) -> Result<WriteTx> {
        let tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(errors::map)?;
        Ok(WriteTx { unfinished: Unfinished { reopen: Arc::clone(&self.reopen), committed: false }, read: ReadTx { tx } })
    }
    /// Closes all connections; what was committed stays.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl WriteTx {
    /// Makes all changes durable and visible. On an error of [`Kind::SyncFailed`] the process must end: what the disk holds is unknown.
    pub async fn commit(self) -> Result<()> {
        let Self { mut unfinished, read } = self;
        // Said before the attempt, because a failed one gives the connection back at once.
        unfinished.reopen.store(true, Ordering::SeqCst);
        let committed = read.tx.commit().await.map_err(errors::map);
        unfinished.committed = committed.is_ok();
        if unfinished.committed {
            unfinished.reopen.store(false, Ordering::SeqCst);
        }
        committed
    }
}

impl Deref for WriteTx {
    type Target = ReadTx;
    fn deref(&self) -> &ReadTx {
        &self.read
    }
}

impl DerefMut for WriteTx {
    fn deref_mut(&mut self) -> &mut ReadTx {
        &mut self.read
    }
}

/// Numbers in the database are signed; ours are not.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Bytes of a fixed width from a column.
fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| Error::corrupt(format!("a column has {} bytes instead of {N}", bytes.len())))
}

#[cfg(test)]
mod tests;
