//! Facts about the server itself, stored in the transaction of the change that they report, on their way into the log `activity`.
//!
//! Promises: a row stays until it is deleted by number, so that who appends it may fail at any step and begin again.

use indelible_model::{Error, ProjectId, Result, Timestamp};

use crate::db::{Row, args};
use crate::{ReadTx, WriteTx, signed};

/// A fact that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// The row's number; later facts have higher ones.
    pub id: u64,
    /// The project.
    pub project: ProjectId,
    /// The fact's name.
    pub digest: [u8; 16],
    /// The event's JSON text.
    pub event: String,
    /// When it was stored.
    pub created_at: Timestamp,
}

fn fact(row: &Row) -> Result<OutboxRow> {
    Ok(OutboxRow { id: row.count(0)?, project: ProjectId(row.fixed(1)?), digest: row.fixed(2)?, event: row.get(3)?, created_at: Timestamp::clamped(row.get(4)?) })
}

impl ReadTx {
    /// The first `most` facts with numbers above `after`, in the order in which they were stored.
    pub async fn outbox_list(&mut self, after: u64, most: u32) -> Result<Vec<OutboxRow>> {
        let text = "SELECT o.id, p.id, o.digest, o.event, o.created_at FROM outbox o JOIN projects p ON p.no = o.project WHERE o.id > $1 ORDER BY o.id LIMIT $2";
        self.conn.all(text, args![signed(after), i64::from(most)]).await?.iter().map(fact).collect()
    }
    /// How many facts wait.
    pub async fn outbox_count(&mut self) -> Result<u64> {
        self.conn.one("SELECT COUNT(*) FROM outbox", args![]).await?.count(0)
    }
}

impl WriteTx {
    /// Stores an event's JSON text, to be appended later, once. `digest` is its name: random, and unlike any other's.
    /// Wakes who waits for facts in this process after the commit.
    pub async fn outbox_push(&mut self, project: ProjectId, digest: &[u8; 16], event: &str, now: Timestamp) -> Result<()> {
        let text = "INSERT INTO outbox (project, digest, event, created_at) SELECT no, $2, $3, $4 FROM projects WHERE id = $1";
        if self.conn.run(text, args![&project.0, digest, event, now.micros()]).await? == 0 {
            return Err(Error::not_found("Project"));
        }
        self.pushed = true;
        Ok(())
    }
    /// Deletes facts by their numbers; those that are gone already are no error.
    pub async fn outbox_delete(&mut self, ids: &[u64]) -> Result<()> {
        if self.conn.lists() {
            let ids: Vec<i64> = ids.iter().map(|id| signed(*id)).collect();
            // What another node deletes now is passed over, so that neither waits for the other.
            let text = "WITH old AS MATERIALIZED (SELECT id FROM outbox WHERE id = ANY($1) FOR UPDATE SKIP LOCKED) DELETE FROM outbox WHERE id IN (SELECT id FROM old)";
            self.conn.run(text, args![&ids[..]]).await?;
            return Ok(());
        }
        for id in ids {
            self.conn.run("DELETE FROM outbox WHERE id = $1", args![signed(*id)]).await?;
        }
        Ok(())
    }
}
