//! Facts about the server itself, stored in the transaction of the change that they report, on their way into the log `activity`.

use indelible_model::{Error, ProjectId, Result, Timestamp};

use crate::WriteTx;
use crate::db::args;

impl WriteTx {
    /// Stores an event's JSON text, to be appended later, once. `digest` is its name: random, and unlike any other's.
    pub async fn outbox_push(&mut self, project: ProjectId, digest: &[u8; 16], event: &str, now: Timestamp) -> Result<()> {
        let text = "INSERT INTO outbox (project, digest, event, created_at) SELECT no, $2, $3, $4 FROM projects WHERE id = $1";
        if self.conn.run(text, args![&project.0, digest, event, now.micros()]).await? == 1 { Ok(()) } else { Err(Error::not_found("Project")) }
    }
}
