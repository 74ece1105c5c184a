//! What the database keeps: log heads, batches, the manifest of segments, tasks, exports, projects, keys.
//!
//! Promises: a transaction is a value; nothing is visible before [`WriteTx::commit`] returns, and then it is on disk (SQLite in WAL mode with
//! `synchronous=FULL`, PostgreSQL with `synchronous_commit=on`). Dropping a transaction rolls it back. All SQL lives here, in one text that both databases take.
//! Never: knows a rule of the domain, a wire shape, or how a batch's bytes are laid out; opens a transaction of its own accord; lets a driver's type,
//! the database's address or a bound value out.

mod asked;
mod db;
mod errors;
mod exports;
mod holds;
mod ingest;
mod logs;
mod members;
mod objects;
mod open;
mod outbox;
mod projects;
mod rates;
mod restore;
mod retention;
mod schedules;
mod segments;
mod signing;
mod tasks;
mod tokens;
mod wake;

use std::ops::{Deref, DerefMut};

use indelible_model::{Error, LogKind, Result};

pub use asked::{AskedFilter, AskedTask, NewAsked, TaskFile, TaskStatus};
pub use db::Counters;
pub use exports::{ExportFilter, ExportOrder, ExportRow, NewExport};
pub use holds::{HoldEnd, KeptRow, LegalHoldRow};
pub use ingest::{ExternalHit, IdempotencyEntry, IdempotencyRow};
pub use logs::{BatchRow, LogHead, LogRow, NewBatch};
pub use members::{Identity, MemberRow, Membership};
pub use objects::RetiredObject;
pub use open::{Database, Store};
pub use outbox::OutboxRow;
pub use projects::{KeyRow, Project};
pub use retention::RetentionRow;
pub use schedules::ScheduleRow;
pub use segments::{NewSegment, SegmentRow};
pub use signing::SigningKeyRow;
pub use tasks::{Task, TaskKind};
pub use tokens::{Held, Holder, TokenHit, TokenRow};
pub use wake::Wake;

/// A read transaction: one snapshot of the whole database. Keep it short. From [`Store::glance`]: no transaction, each statement sees what is committed.
pub struct ReadTx {
    conn: db::Conn,
}

/// A write transaction. On SQLite there is one at a time, and others wait for it; on PostgreSQL they wait for each other's rows.
pub struct WriteTx {
    // Dropped before the connection goes back to its pool.
    unfinished: open::Unfinished,
    read: ReadTx,
    /// To be rung after the commit, if a task was enqueued.
    wake: Wake,
    enqueued: bool,
    /// To be rung after the commit, if a fact was stored.
    outbox: Wake,
    pushed: bool,
    /// To be rung after the commit, if somebody asked for a task.
    asked_wake: Wake,
    asked: bool,
}

impl ReadTx {
    /// True if the server takes writes: not a standby, nor one that was told to read only.
    pub async fn writable(&mut self) -> Result<bool> {
        if !self.conn.locks() {
            return Ok(true);
        }
        let text = "SELECT CASE WHEN pg_is_in_recovery() OR current_setting('default_transaction_read_only') <> 'off' THEN 0 ELSE 1 END";
        Ok(self.conn.one(text, &[]).await?.get::<i32>(0)? == 1)
    }
    /// Lets this transaction idle: a server otherwise ends one that does nothing for ten seconds. For reads that go on for long, such as copies.
    pub async fn linger(&mut self) -> Result<()> {
        if self.conn.locks() {
            self.conn.run("SET LOCAL idle_in_transaction_session_timeout = 0", &[]).await?;
        }
        Ok(())
    }
}

impl WriteTx {
    /// Makes all changes durable and visible. On an error of `Kind::SyncFailed` the process must end: what the disk holds is unknown.
    /// An error that is marked `may_have_happened` says that the outcome is unknown.
    pub async fn commit(self) -> Result<()> {
        let Self { mut unfinished, read, wake, enqueued, outbox, pushed, asked_wake, asked } = self;
        // Said before the attempt, because a failed one gives the connection back at once.
        unfinished.expect_failure();
        read.conn.commit().await?;
        unfinished.committed();
        if enqueued {
            wake.ring();
        }
        if pushed {
            outbox.ring();
        }
        if asked {
            asked_wake.ring();
        }
        Ok(())
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

fn log_kind(code: i64) -> Result<LogKind> {
    LogKind::from_code(code).ok_or_else(|| Error::corrupt("unknown kind of log"))
}

#[cfg(test)]
mod conformance;
