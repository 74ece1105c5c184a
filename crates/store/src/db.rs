//! Where the two databases meet: connections, rows, bound values. Everywhere else is SQL text that both take.
//!
//! What differs is told by [`Conn::locks`], for PostgreSQL runs several write transactions at once and is asked to lock rows, and by [`Conn::lists`].

use std::borrow::Cow;
use std::convert::identity;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indelible_model::{Error, Kind, Result};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Decode, Postgres, Row as _, SqlSafeStr, SqlStr, Sqlite, Transaction, Type};
use tokio::runtime::Handle;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::errors;

/// How long the server may take for a BEGIN, for a statement by itself, for any other (its own `statement_timeout` is shorter), and for a ROLLBACK that nobody waits for.
const BEGIN: Duration = Duration::from_millis(1500);
const GLANCE: Duration = Duration::from_secs(4);
const STATEMENT: Duration = Duration::from_secs(65);
const ROLLBACK: Duration = Duration::from_secs(5);

/// What was sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Statements; on PostgreSQL the beginning and the end of a transaction too, so each is one round trip.
    pub statements: u64,
    /// Transactions begun.
    pub transactions: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    statements: AtomicU64,
    transactions: AtomicU64,
}

impl Counts {
    pub(crate) fn get(&self) -> Counters {
        Counters { statements: self.statements.load(Ordering::Relaxed), transactions: self.transactions.load(Ordering::Relaxed) }
    }
    fn statement(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }
}

/// A value to bind.
#[derive(Clone, Copy)]
pub(crate) enum Arg<'a> {
    Int(i64),
    MaybeInt(Option<i64>),
    Text(&'a str),
    MaybeText(Option<&'a str>),
    Bytes(&'a [u8]),
    MaybeBytes(Option<&'a [u8]>),
    /// Lists, where [`Conn::lists`] says so.
    Ints(&'a [i64]),
    Digests(&'a [[u8; 16]]),
}

macro_rules! from {
    ($($type:ty => $variant:ident),* $(,)?) => {
        $(impl<'a> From<$type> for Arg<'a> {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        })*
    };
}
from!(i64 => Int, Option<i64> => MaybeInt, &'a str => Text, &'a String => Text, Option<&'a str> => MaybeText, &'a [u8] => Bytes, &'a Vec<u8> => Bytes,
    Option<&'a [u8]> => MaybeBytes, &'a [i64] => Ints, &'a [[u8; 16]] => Digests);

impl<'a, const N: usize> From<&'a [u8; N]> for Arg<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Self::Bytes(value)
    }
}

/// The list of values of a statement.
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::db::Arg::from($value)),*] };
}
pub(crate) use args;

/// A statement's text: fixed, or made of fixed pieces.
pub(crate) struct Text(Cow<'static, str>);

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl Text {
    fn sql(self) -> SqlStr {
        match self.0 {
            Cow::Borrowed(text) => text.into_sql_str(),
            Cow::Owned(text) => sqlx::AssertSqlSafe(text).into_sql_str(),
        }
    }
}

/// A row of an answer.
pub(crate) enum Row {
    File(SqliteRow),
    Server(PgRow),
}

impl Row {
    /// A column's value.
    pub(crate) fn get<'r, T>(&'r self, column: usize) -> Result<T>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::File(row) => row.try_get(column),
            Self::Server(row) => row.try_get(column),
        }
        .map_err(|e| Error::corrupt(format!("column {column}: {e}")))
    }
    /// A number that is not negative.
    pub(crate) fn count(&self, column: usize) -> Result<u64> {
        self.get(column).map(crate::unsigned)
    }
    /// Bytes of a fixed width.
    pub(crate) fn fixed<const N: usize>(&self, column: usize) -> Result<[u8; N]> {
        let bytes: &[u8] = self.get(column)?;
        fixed(bytes)
    }
    /// Bytes of a fixed width, or nothing.
    pub(crate) fn maybe_fixed<const N: usize>(&self, column: usize) -> Result<Option<[u8; N]>> {
        self.get::<Option<&[u8]>>(column)?.map(fixed).transpose()
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| Error::corrupt(format!("a column has {} bytes instead of {N}", bytes.len())))
}

/// A connection, in a transaction or not.
pub(crate) struct Conn {
    link: Link,
    counts: Arc<Counts>,
}

enum Link {
    File(Transaction<'static, Sqlite>),
    Glance(PoolConnection<Sqlite>),
    Server(ServerLink),
}

/// SQLite takes no list; a statement that gives it one was refused before.
fn unlisted<T>(_: T) -> Option<i64> {
    None
}

/// Binds values to a statement of either driver, lists by way of `$list`.
macro_rules! query {
    ($sql:expr, $args:expr, $list:expr) => {{
        let mut query = sqlx::query($sql);
        for arg in $args {
            query = match *arg {
                Arg::Int(v) => query.bind(v),
                Arg::MaybeInt(v) => query.bind(v),
                Arg::Text(v) => query.bind(v),
                Arg::MaybeText(v) => query.bind(v),
                Arg::Bytes(v) => query.bind(v),
                Arg::MaybeBytes(v) => query.bind(v),
                Arg::Ints(v) => query.bind($list(v)),
                Arg::Digests(v) => query.bind($list(v)),
            };
        }
        query
    }};
}

impl Conn {
    pub(crate) fn file(tx: Transaction<'static, Sqlite>, counts: &Arc<Counts>) -> Self {
        counts.transactions.fetch_add(1, Ordering::Relaxed);
        Self { link: Link::File(tx), counts: Arc::clone(counts) }
    }
    pub(crate) fn glance(conn: PoolConnection<Sqlite>, counts: &Arc<Counts>) -> Self {
        Self { link: Link::Glance(conn), counts: Arc::clone(counts) }
    }
    /// A connection to the server, in a transaction if `begin` is given.
    pub(crate) async fn server(pool: &PgPool, begin: Option<&'static str>, counts: &Arc<Counts>) -> Result<Self> {
        let link = ServerLink::open(pool, begin, counts).await?;
        Ok(Self { link: Link::Server(link), counts: Arc::clone(counts) })
    }
    /// True if other write transactions run beside this one: rows are then locked by name, and wake-ups sent.
    pub(crate) fn locks(&self) -> bool {
        matches!(self.link, Link::Server(_))
    }
    /// True if a list can be bound as one value.
    pub(crate) fn lists(&self) -> bool {
        matches!(self.link, Link::Server(_))
    }
    /// True if a lock was not obtained in time; the transaction is of no more use then.
    pub(crate) fn locked_out(&self) -> bool {
        matches!(&self.link, Link::Server(link) if link.locked_out)
    }
    /// `yes` where rows must be locked.
    pub(crate) fn locking(&self, yes: &'static str) -> &'static str {
        if self.locks() { yes } else { "" }
    }
    /// All rows.
    pub(crate) async fn all(&mut self, text: impl Into<Text>, args: &[Arg<'_>]) -> Result<Vec<Row>> {
        self.fetch(text.into(), args, GLANCE).await
    }
    /// All rows of a statement whose work grows with what is stored: it may take its time even by itself.
    pub(crate) async fn whole(&mut self, text: impl Into<Text>, args: &[Arg<'_>]) -> Result<Vec<Row>> {
        self.fetch(text.into(), args, STATEMENT).await
    }
    async fn fetch(&mut self, text: Text, args: &[Arg<'_>], by_itself: Duration) -> Result<Vec<Row>> {
        self.check(args)?;
        let sql = text.sql();
        match &mut self.link {
            Link::Server(link) => link.all(sql, args, by_itself).await,
            file => {
                self.counts.statement();
                let rows = query!(sql, args, unlisted).fetch_all(file.conn()?).await.map_err(errors::map)?;
                Ok(rows.into_iter().map(Row::File).collect())
            }
        }
    }
    /// The first row, if there is one.
    pub(crate) async fn optional(&mut self, text: impl Into<Text>, args: &[Arg<'_>]) -> Result<Option<Row>> {
        Ok(self.all(text, args).await?.into_iter().next())
    }
    /// The row of a statement that always has one.
    pub(crate) async fn one(&mut self, text: impl Into<Text>, args: &[Arg<'_>]) -> Result<Row> {
        self.optional(text, args).await?.ok_or_else(|| Error::internal("a statement that always has a row had none"))
    }
    /// Runs a change; how many rows it touched.
    pub(crate) async fn run(&mut self, text: impl Into<Text>, args: &[Arg<'_>]) -> Result<u64> {
        self.check(args)?;
        let sql = text.into().sql();
        match &mut self.link {
            Link::Server(link) => link.run(sql, args).await,
            file => {
                self.counts.statement();
                Ok(query!(sql, args, unlisted).execute(file.conn()?).await.map_err(errors::map)?.rows_affected())
            }
        }
    }
    /// Ends the transaction with its changes.
    pub(crate) async fn commit(self) -> Result<()> {
        match self.link {
            Link::File(tx) => tx.commit().await.map_err(errors::map),
            Link::Glance(_) => Ok(()),
            Link::Server(link) => link.commit().await,
        }
    }
    /// PostgreSQL keeps no NUL in a text, and both databases must keep the same.
    fn check(&self, args: &[Arg<'_>]) -> Result<()> {
        if !self.lists() && args.iter().any(|a| matches!(a, Arg::Ints(_) | Arg::Digests(_))) {
            return Err(Error::internal("a list for a database that takes none"));
        }
        let nul = args.iter().any(|a| matches!(a, Arg::Text(t) | Arg::MaybeText(Some(t)) if t.contains('\0')));
        if nul { Err(Error::new(Kind::Malformed, "A text holds the character NUL, which cannot be stored.")) } else { Ok(()) }
    }
}

impl Link {
    fn conn(&mut self) -> Result<&mut SqliteConnection> {
        match self {
            Self::File(tx) => Ok(&mut **tx),
            Self::Glance(conn) => Ok(&mut **conn),
            Self::Server(_) => Err(Error::internal("not a file")),
        }
    }
}

/// A pooled connection to the server. Its transactions are not the driver's, which would wait without limit for a server that does not answer.
struct ServerLink {
    conn: Option<PoolConnection<Postgres>>,
    pool: PgPool,
    counts: Arc<Counts>,
    /// In a transaction.
    open: bool,
    /// A statement is on its way.
    busy: bool,
    /// A statement failed, or was given up: the server would answer a COMMIT by rolling back.
    failed: bool,
    /// The connection is of no more use.
    broken: bool,
    /// The connection was lost, so that another one may do better.
    lost: bool,
    /// A lock was not obtained in time.
    locked_out: bool,
}

impl ServerLink {
    async fn open(pool: &PgPool, begin: Option<&'static str>, counts: &Arc<Counts>) -> Result<Self> {
        // After a restart of the server every idle connection is a dead one.
        for _ in 0..=pool.options().get_max_connections() {
            let conn = pool.acquire().await.map_err(unreachable)?;
            let mut link =
                Self { conn: Some(conn), pool: pool.clone(), counts: Arc::clone(counts), open: false, busy: false, failed: false, broken: false, lost: false, locked_out: false };
            let Some(begin) = begin else { return Ok(link) };
            link.open = true;
            match link.simple(begin, BEGIN).await {
                Ok(()) => {
                    counts.transactions.fetch_add(1, Ordering::Relaxed);
                    return Ok(link);
                }
                Err(_) if link.lost => {}
                Err(error) => return Err(error),
            }
        }
        Err(errors::away())
    }
    async fn all(&mut self, sql: SqlStr, args: &[Arg<'_>], by_itself: Duration) -> Result<Vec<Row>> {
        for _ in 0..=self.pool.options().get_max_connections() {
            let most = if self.open { STATEMENT } else { by_itself };
            let done = timeout(most, query!(sql.clone(), args, identity).fetch_all(self.begun()?)).await;
            match self.ended(done) {
                Ok(rows) => return Ok(rows.into_iter().map(Row::Server).collect()),
                Err(_) if self.lost && !self.open => *self = Self::open(&self.pool, None, &self.counts).await?,
                Err(error) => return Err(error),
            }
        }
        Err(errors::away())
    }
    async fn run(&mut self, sql: SqlStr, args: &[Arg<'_>]) -> Result<u64> {
        let done = timeout(STATEMENT, query!(sql, args, identity).execute(self.begun()?)).await;
        Ok(self.ended(done)?.rows_affected())
    }
    async fn simple(&mut self, sql: &'static str, most: Duration) -> Result<()> {
        let done = timeout(most, sqlx::raw_sql(sql).execute(self.begun()?)).await;
        self.ended(done).map(drop)
    }
    async fn commit(mut self) -> Result<()> {
        if self.failed || self.busy {
            return Err(Error::internal("commit after a statement that failed"));
        }
        if !self.open {
            return Ok(());
        }
        let done = self.simple("COMMIT", STATEMENT).await;
        self.open = done.is_err();
        // An answer of a server that goes on says that nothing was stored. One that broke off may have stored it first, whatever its last words were.
        if self.broken { done.map_err(|e| errors::away().maybe_happened().with_internal(e.internal_message().unwrap_or_default())) } else { done }
    }
    fn begun(&mut self) -> Result<&mut PgConnection> {
        self.counts.statement();
        // A statement that was given up midway may have failed.
        self.failed |= self.busy;
        self.busy = true;
        self.conn.as_deref_mut().ok_or_else(errors::away)
    }
    fn ended<T>(&mut self, done: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T> {
        self.busy = false;
        let error = match done {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => {
                self.lost = errors::is_lost(&error);
                self.locked_out |= errors::is_locked(&error);
                self.broken |= self.lost || error.as_database_error().is_none();
                errors::map(error)
            }
            Err(_) => {
                self.broken = true;
                errors::away().with_internal("the server did not answer in time")
            }
        };
        self.failed = true;
        Err(error)
    }
}

impl Drop for ServerLink {
    fn drop(&mut self) {
        let Some(mut conn) = self.conn.take() else { return };
        if self.broken {
            conn.close_on_drop();
            return;
        }
        let open = self.open;
        if !open && !self.busy {
            return;
        }
        self.counts.statement();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let end = async { if open { sqlx::raw_sql("ROLLBACK").execute(&mut *conn).await.map(drop) } else { conn.ping().await } };
                if !matches!(timeout(ROLLBACK, end).await, Ok(Ok(()))) {
                    conn.close_on_drop();
                }
            });
        }
    }
}

fn unreachable(error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::PoolTimedOut => errors::away().with_internal(error),
        error => errors::map(error),
    }
}

/// Rows in one statement: both databases take this many parameters, eight a row.
pub(crate) const CHUNK: usize = 512;
/// Items of a list that is bound as one value.
pub(crate) const LIST: usize = 10_000;

/// The items and the last one again, up to a power of two: few shapes, so that prepared statements are found again. Only for lists where a repetition changes nothing.
pub(crate) fn padded<T>(items: &[T]) -> impl Iterator<Item = &T> {
    items.iter().chain(items.last().into_iter().cycle().take(items.len().next_power_of_two() - items.len()))
}

/// `($3, $4), ($5, $6)`: rows of parameters from `$first` on.
pub(crate) fn tuples(first: usize, width: usize, rows: usize) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(rows * width * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..width {
            let comma = if column == 0 { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(text, "{comma}${}", first + row * width + column);
        }
        text.push(')');
    }
    text
}
