//! Buckets of requests that nodes share (GCRA): for each, when it will be full again. One that is full has no row.
//!
//! The database's own clock counts, so that nodes whose clocks differ agree. Each change is one statement: see [`Store::write_alone`](crate::Store::write_alone).

use indelible_model::Result;

use crate::db::{Conn, args};
use crate::{ReadTx, WriteTx};

/// Microseconds since the epoch as the database sees them, the same throughout a statement.
fn now(conn: &Conn) -> &'static str {
    if conn.locks() { "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS BIGINT)" } else { "CAST(unixepoch('subsec') * 1000000 AS BIGINT)" }
}

impl ReadTx {
    /// Microseconds until a bucket is full; `None` or less than 1 if it is.
    pub async fn rate_ahead(&mut self, name: &str) -> Result<Option<i64>> {
        let text = format!("SELECT arrival - {} FROM rates WHERE name = $1", now(&self.conn));
        self.conn.optional(text, args![name]).await?.map(|row| row.get(0)).transpose()
    }
}

impl WriteTx {
    /// Takes what fills again in `cost` microseconds out of a bucket that fills in `window`, and gives back what was worth `back`.
    /// Microseconds until it is full; `None`, and nothing is changed, if it has not so much. `cost` must not be more than `window`.
    pub async fn rate_take(&mut self, name: &str, cost: i64, window: i64, back: i64) -> Result<Option<i64>> {
        let now = now(&self.conn);
        let from = format!("(CASE WHEN rates.arrival - $4 > {now} THEN rates.arrival - $4 ELSE {now} END)");
        let text = format!(
            "INSERT INTO rates (name, arrival) VALUES ($1, {now} + $2) ON CONFLICT (name) DO UPDATE SET arrival = {from} + $2 \
             WHERE {from} + $2 <= {now} + $3 RETURNING arrival - {now}"
        );
        self.conn.optional(text, args![name, cost, window, back]).await?.map(|row| row.get(0)).transpose()
    }
    /// Makes a bucket full.
    pub async fn rate_forget(&mut self, name: &str) -> Result<()> {
        self.conn.run("DELETE FROM rates WHERE name = $1", args![name]).await.map(drop)
    }
    /// Deletes up to `most` rows of buckets that are full; how many.
    pub async fn rate_expire(&mut self, most: u32) -> Result<u64> {
        // Those that another node deletes or takes from now are passed over, so that neither waits for the other.
        let text = format!(
            "WITH full_again AS MATERIALIZED (SELECT name FROM rates WHERE arrival <= {} ORDER BY arrival LIMIT $1{}) \
             DELETE FROM rates WHERE name IN (SELECT name FROM full_again)",
            now(&self.conn),
            self.conn.locking(" FOR UPDATE SKIP LOCKED")
        );
        self.conn.run(text, args![i64::from(most)]).await
    }
}
