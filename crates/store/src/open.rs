//! Opening a database, its schema's version, and beginning transactions.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indelible_model::{Error, Kind, Result};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row};

use crate::db::{Conn, Counters, Counts};
use crate::wake::{Listener, Wake};
use crate::{ReadTx, WriteTx, errors, unsigned};

static FILE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
static SERVER_MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");
const VERSION: &str = "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM _sqlx_migrations WHERE success";

const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
const WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// A node that freezes must not hold a head's lock for ever, and one that waits must answer in time. A server that only reads refuses a session that
/// asks for `transaction_read_only=off`: after a failover no connection stays with the old one, at no round trip.
const SESSION: [(&str, &str); 5] =
    [("synchronous_commit", "on"), ("idle_in_transaction_session_timeout", "10s"), ("lock_timeout", "1s"), ("statement_timeout", "60s"), ("transaction_read_only", "off")];
const ACQUIRE: Duration = Duration::from_secs(3);
/// How long readers of the file, and its writer, are waited for when its write-ahead log is emptied: others wait meanwhile.
const SCRUB: Duration = Duration::from_millis(200);

/// Which database.
#[derive(Clone)]
pub enum Database {
    /// An SQLite file; made if it is not there.
    File(PathBuf),
    /// A PostgreSQL database.
    Server {
        /// `postgres://user:password@host:port/database?sslmode=...`
        url: String,
        /// The most connections of this process, one for wake-ups apart.
        connections: u32,
    },
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Server { connections, .. } => f.debug_struct("Server").field("connections", connections).finish_non_exhaustive(),
        }
    }
}

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pools: Pools,
    wake: Wake,
    outbox: Wake,
    asked: Wake,
    counts: Arc<Counts>,
}

#[derive(Debug)]
enum Pools {
    File { file: PathBuf, readers: SqlitePool, writer: SqlitePool, reopen: Arc<AtomicBool> },
    Server { pool: PgPool, listening: PgPool, writers: usize, _listener: Listener },
}

/// Has SQLite's writing connection opened anew after a transaction that did not commit: SQLite ends a transaction by itself on
/// some errors (a full disk), and the driver's count of open transactions would be wrong from then on.
pub(crate) struct Unfinished {
    reopen: Option<Arc<AtomicBool>>,
}

impl Unfinished {
    pub(crate) fn expect_failure(&mut self) {
        if let Some(reopen) = &self.reopen {
            reopen.store(true, Ordering::SeqCst);
        }
    }
    pub(crate) fn committed(&mut self) {
        if let Some(reopen) = self.reopen.take() {
            reopen.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.expect_failure();
    }
}

impl Store {
    /// Opens a database, and brings its schema up to date or, without `auto_migrate`, refuses one that is not. One that a newer program changed is always refused.
    pub async fn open(database: &Database, auto_migrate: bool) -> Result<Self> {
        let (wake, asked) = (Wake::default(), Wake::default());
        let pools = match database {
            Database::File(file) => open_file(file, auto_migrate).await?,
            Database::Server { url, connections } => open_server(url, (*connections).max(2), auto_migrate, [wake.clone(), asked.clone()]).await?,
        };
        Ok(Self(Arc::new(Inner { pools, wake, outbox: Wake::default(), asked, counts: Arc::default() })))
    }
    /// Brings a database's schema up to date; its version before and after.
    pub async fn migrate(database: &Database) -> Result<(u64, u64)> {
        match database {
            Database::File(file) => {
                let writer = writer(file_options(file), Arc::default()).await?;
                let before = file_schema(&writer, true).await?;
                writer.close().await;
                Ok((before, latest(&FILE_MIGRATIONS)))
            }
            Database::Server { url, .. } => Ok((server_schema(&server_options(url)?, true).await?, latest(&SERVER_MIGRATIONS))),
        }
    }
    /// Begins a read transaction.
    pub async fn read(&self) -> Result<ReadTx> {
        let conn = match &self.0.pools {
            Pools::File { readers, .. } => Conn::file(readers.begin().await.map_err(errors::map)?, &self.0.counts),
            Pools::Server { pool, .. } => Conn::server(pool, Some(READ), &self.0.counts).await?,
        };
        Ok(ReadTx { conn })
    }
    /// For reads of one statement: no transaction, and no snapshot that two statements share.
    pub async fn glance(&self) -> Result<ReadTx> {
        let conn = match &self.0.pools {
            Pools::File { readers, .. } => Conn::glance(readers.acquire().await.map_err(errors::map)?, &self.0.counts),
            Pools::Server { pool, .. } => Conn::server(pool, None, &self.0.counts).await?,
        };
        Ok(ReadTx { conn })
    }
    /// Begins a write transaction; on SQLite it waits for the one before.
    pub async fn write(&self) -> Result<WriteTx> {
        self.writing(Some(WRITE)).await
    }
    /// For a write of one statement that may be made twice: where a server commits it by itself, there is no transaction around it, and the commit costs nothing.
    pub async fn write_alone(&self) -> Result<WriteTx> {
        self.writing(None).await
    }
    async fn writing(&self, begin: Option<&'static str>) -> Result<WriteTx> {
        let (conn, reopen) = match &self.0.pools {
            Pools::File { writer, reopen, .. } => {
                let tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(errors::map)?;
                (Conn::file(tx, &self.0.counts), Some(Arc::clone(reopen)))
            }
            Pools::Server { pool, .. } => (Conn::server(pool, begin, &self.0.counts).await?, None),
        };
        Ok(WriteTx {
            unfinished: Unfinished { reopen },
            read: ReadTx { conn },
            wake: self.0.wake.clone(),
            enqueued: false,
            outbox: self.0.outbox.clone(),
            pushed: false,
            asked_wake: self.0.asked.clone(),
            asked: false,
        })
    }
    /// How many appends of different projects can run at once.
    pub fn writers(&self) -> usize {
        match &self.0.pools {
            Pools::File { .. } => 1,
            Pools::Server { writers, .. } => *writers,
        }
    }
    /// Tells when a task was enqueued, by this process or, on PostgreSQL, by another.
    pub fn wake(&self) -> &Wake {
        &self.0.wake
    }
    /// Tells when this process stored a fact.
    pub fn outbox_wake(&self) -> &Wake {
        &self.0.outbox
    }
    /// Wakes who works on what somebody asked for.
    pub fn asked_wake(&self) -> &Wake {
        &self.0.asked
    }
    /// What was sent to the database so far, by this value and its clones.
    pub fn counters(&self) -> Counters {
        self.0.counts.get()
    }
    /// Empties a file's write-ahead log: deleted rows are overwritten in the file itself, and then nowhere any more. False if somebody was in the way; try again later.
    /// Nothing is done to a server, which keeps its log for its own ends.
    pub async fn scrub(&self) -> Result<bool> {
        let Pools::File { file, .. } = &self.0.pools else { return Ok(true) };
        let mut conn = file_options(file).busy_timeout(SCRUB).connect().await.map_err(errors::map)?;
        let busy: i64 = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut conn).await.map_err(errors::map)?.get(0);
        conn.close().await.map_err(errors::map)?;
        Ok(busy == 0)
    }
    /// Closes all connections; what was committed stays.
    pub async fn close(&self) {
        match &self.0.pools {
            Pools::File { readers, writer, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Server { pool, listening, .. } => {
                listening.close().await;
                pool.close().await;
            }
        }
    }
}

fn file_options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .page_size(8192)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(20))
        .foreign_keys(false)
        .pragma("secure_delete", "ON")
        .pragma("wal_autocheckpoint", "500")
        .pragma("journal_size_limit", "16777216")
        .pragma("cache_size", "-8000")
        .statement_cache_capacity(200)
        .disable_statement_logging()
}

async fn writer(options: SqliteConnectOptions, reopen: Arc<AtomicBool>) -> Result<SqlitePool> {
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None).before_acquire(move |_, _| {
        let usable = !reopen.swap(false, Ordering::SeqCst);
        Box::pin(async move { Ok(usable) })
    });
    pool.connect_with(options).await.map_err(errors::open)
}

async fn open_file(file: &Path, auto_migrate: bool) -> Result<Pools> {
    let options = file_options(file);
    let reopen = Arc::new(AtomicBool::new(false));
    let writer = writer(options.clone(), Arc::clone(&reopen)).await?;
    file_schema(&writer, auto_migrate).await?;
    let readers = SqlitePoolOptions::new().max_connections(4).connect_with(options.read_only(true)).await.map_err(errors::open)?;
    Ok(Pools::File { file: file.to_owned(), readers, writer, reopen })
}

/// The schema's version before; afterwards it is up to date.
async fn file_schema(writer: &SqlitePool, migrate: bool) -> Result<u64> {
    let mut conn = writer.acquire().await.map_err(errors::open)?;
    let there: i64 = sqlx::query("SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'").fetch_one(&mut *conn).await.map_err(errors::open)?.get(0);
    let before = if there == 0 { 0 } else { unsigned(sqlx::query(VERSION).fetch_one(&mut *conn).await.map_err(errors::open)?.get(0)) };
    if judge(before, latest(&FILE_MIGRATIONS), migrate)? {
        FILE_MIGRATIONS.run(&mut *conn).await.map_err(unfit)?;
    }
    Ok(before)
}

fn server_options(url: &str) -> Result<PgConnectOptions> {
    let options =
        PgConnectOptions::from_str(url).map_err(|_| Error::new(Kind::Internal, "INDELIBLE_DATABASE_URL cannot be read as postgres://user:password@host:port/database."))?;
    Ok(options.application_name("indelible").statement_cache_capacity(200).disable_statement_logging())
}

async fn open_server(url: &str, connections: u32, auto_migrate: bool, wakes: [Wake; 2]) -> Result<Pools> {
    let options = server_options(url)?;
    server_schema(&options, auto_migrate).await?;
    let options = options.options(SESSION);
    // Not tested before each use, which would be a round trip: a transaction that meets a dead connection begins again on another one.
    let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE).test_before_acquire(false);
    let pool = pool.connect_with(options.clone()).await.map_err(errors::connect)?;
    let listening = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None).acquire_timeout(ACQUIRE).connect_lazy_with(options);
    let listener = Listener::start(listening.clone(), wakes);
    Ok(Pools::Server { pool, listening, writers: (connections as usize / 2).max(2), _listener: listener })
}

/// As [`file_schema`]. Several nodes may start at once: the migrator lets one at a time work, and the session has no time-outs.
async fn server_schema(options: &PgConnectOptions, migrate: bool) -> Result<u64> {
    let connect = tokio::time::timeout(ACQUIRE, PgConnection::connect_with(options)).await;
    let mut conn = connect.map_err(|_| errors::connect(sqlx::Error::PoolTimedOut))?.map_err(errors::connect)?;
    let there: i64 = sqlx::query("SELECT COUNT(to_regclass('_sqlx_migrations'))").fetch_one(&mut conn).await.map_err(errors::connect)?.get(0);
    let before = if there == 0 { 0 } else { unsigned(sqlx::query(VERSION).fetch_one(&mut conn).await.map_err(errors::connect)?.get(0)) };
    if judge(before, latest(&SERVER_MIGRATIONS), migrate)? {
        SERVER_MIGRATIONS.run(&mut conn).await.map_err(unfit)?;
    }
    conn.close().await.map_err(errors::connect)?;
    Ok(before)
}

fn latest(migrations: &Migrator) -> u64 {
    migrations.iter().map(|m| unsigned(m.version)).max().unwrap_or(0)
}

/// True if the schema must be, and may be, brought up to date.
fn judge(have: u64, want: u64, migrate: bool) -> Result<bool> {
    if have > want {
        let text = format!("The database's schema has version {have}, and this program knows versions up to {want}: a newer Indelible has changed it. Use that one.");
        return Err(Error::new(Kind::Conflict, text));
    }
    if have < want && !migrate {
        let text = format!("The database's schema has version {have}, and this program needs version {want}. Run `indelible migrate`, then start again.");
        return Err(Error::new(Kind::Conflict, text));
    }
    Ok(have < want)
}

fn unfit(error: sqlx::migrate::MigrateError) -> Error {
    Error::new(Kind::Internal, "The database's schema does not fit this version of Indelible.").with_internal(error)
}

/// Makes a schema of an older version.
#[cfg(test)]
pub(crate) async fn migrate_to(database: &Database, version: i64) {
    match database {
        Database::File(file) => FILE_MIGRATIONS.run_to(version, &writer(file_options(file), Arc::default()).await.unwrap()).await.unwrap(),
        Database::Server { url, .. } => SERVER_MIGRATIONS.run_to(version, &PgPoolOptions::new().connect(url).await.unwrap()).await.unwrap(),
    }
}
