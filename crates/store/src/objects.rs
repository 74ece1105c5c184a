//! Objects that wait for deletion or are being written, holds that keep deletion off, and marks.
//!
//! `retired.due` says when an object may be deleted; below 0 it was claimed for deletion, until `-due`, and can never be published.

use indelible_model::{Result, Timestamp};

use crate::db::{Arg, CHUNK, args, padded, tuples};
use crate::{ReadTx, WriteTx, errors};

/// An object claimed for deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredObject {
    /// Its key.
    pub object: String,
    /// The id of its unfinished multipart upload, if one was begun.
    pub upload: Option<String>,
}

/// Due and not claimed, or claimed by one whose time ran out, while nobody holds deletion off.
macro_rules! claimable {
    () => {
        "FROM retired WHERE due <= $1 AND due >= -$1 AND NOT EXISTS (SELECT 1 FROM holds WHERE until > $1)"
    };
}

impl ReadTx {
    /// True if the object is one of the live segment whose objects share the name `segment`, or the hashes of an expired one, or a task's file, or waits for deletion.
    pub async fn object_known(&mut self, segment: &str, object: &str) -> Result<bool> {
        let text = "SELECT (SELECT COUNT(*) FROM retired WHERE object = $2) + (SELECT COUNT(*) FROM task_files WHERE object = $2) + (SELECT COUNT(*) FROM segments WHERE name = $1 \
             AND CASE WHEN expired = 0 THEN substr($2, 1, length($1) + 1) = $1 || '/' ELSE $2 = $1 || '/hashes' END)";
        Ok(self.conn.one(text, args![segment, object]).await?.count(0)? > 0)
    }
    /// True if [`WriteTx::object_claim_due`] would find an object.
    pub async fn object_any_due(&mut self, now: Timestamp) -> Result<bool> {
        Ok(self.conn.optional(concat!("SELECT due ", claimable!(), " LIMIT 1"), args![now.micros()]).await?.is_some())
    }
    /// The value of a mark, if it is set.
    pub async fn mark(&mut self, name: &str) -> Result<Option<String>> {
        self.conn.optional("SELECT value FROM marks WHERE name = $1", args![name]).await?.map(|r| r.get(0)).transpose()
    }
}

impl WriteTx {
    /// Notes objects before they are written, so that a crash leaves them to be collected from `due` on.
    pub async fn object_stage(&mut self, objects: &[String], due: Timestamp) -> Result<()> {
        if self.object_add(objects, due, "DO NOTHING").await? == objects.len() as u64 {
            return Ok(());
        }
        Err(errors::conflict().with_internal("an object was staged or retired before"))
    }
    /// Notes objects that could not be finished or published, whatever became of the note before, so that they are collected from `due` on. One that is claimed
    /// is due once more: it may have been written after its claimer found nothing to delete.
    pub async fn object_note(&mut self, objects: &[String], due: Timestamp) -> Result<()> {
        self.object_add(objects, due, "(object) DO UPDATE SET due = excluded.due WHERE retired.due < 0").await.map(drop)
    }
    async fn object_add(&mut self, objects: &[String], due: Timestamp, conflict: &str) -> Result<u64> {
        let mut added = 0;
        for chunk in objects.chunks(CHUNK) {
            let mut args = vec![Arg::from(due.micros())];
            args.extend(padded(chunk).map(Arg::from));
            let values = tuples(2, 1, args.len() - 1);
            let text = format!("INSERT INTO retired (object, due) SELECT DISTINCT v.column1, $1 FROM (VALUES {values}) v WHERE $1 >= 0 ORDER BY v.column1 ON CONFLICT {conflict}");
            added += self.conn.run(text, &args).await?;
        }
        Ok(added)
    }
    /// Notes the id of an object's multipart upload before its first part is sent; false if the object is gone or claimed.
    pub async fn object_upload(&mut self, object: &str, upload: &str) -> Result<bool> {
        Ok(self.conn.run("UPDATE retired SET upload = $2 WHERE object = $1 AND due >= 0", args![object, upload]).await? == 1)
    }
    /// Puts off the time from which objects may be collected; false (drop the transaction then) if one is gone or claimed.
    pub async fn object_extend(&mut self, objects: &[String], due: Timestamp) -> Result<bool> {
        self.each_publishable("UPDATE retired SET due = $1", objects, due.micros()).await
    }
    /// Claims up to `most` due objects for deletion: from the commit on nobody can publish them any more. Whoever dies before [`WriteTx::object_forget`]
    /// leaves them to be claimed again after `until`. None while a hold is live.
    pub async fn object_claim_due(&mut self, now: Timestamp, until: Timestamp, most: u32) -> Result<Vec<RetiredObject>> {
        let text = format!(
            "WITH claimed AS MATERIALIZED (SELECT object {} ORDER BY due LIMIT $3{}) UPDATE retired SET due = -$2 WHERE object IN (SELECT object FROM claimed) RETURNING object, upload",
            claimable!(),
            self.conn.locking(" FOR UPDATE SKIP LOCKED")
        );
        let rows = self.conn.all(text, args![now.micros(), until.micros().max(1), i64::from(most)]).await?;
        rows.iter().map(|r| Ok(RetiredObject { object: r.get(0)?, upload: r.get(1)? })).collect()
    }
    /// Forgets claimed objects that were deleted; those noted once more since then stay.
    pub async fn object_forget(&mut self, objects: &[String]) -> Result<()> {
        for chunk in objects.chunks(CHUNK) {
            let args: Vec<_> = padded(chunk).map(Arg::from).collect();
            self.conn.run(format!("DELETE FROM retired WHERE due < 0 AND object IN ({})", tuples(1, 1, args.len())), &args).await?;
        }
        Ok(())
    }
    /// Holds deletion off until `until`, or changes until when.
    pub async fn hold_put(&mut self, name: &str, until: Timestamp) -> Result<()> {
        let text = "INSERT INTO holds (name, until) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET until = excluded.until";
        self.conn.run(text, args![name, until.micros()]).await.map(drop)
    }
    /// Ends a hold, if it is there.
    pub async fn hold_drop(&mut self, name: &str) -> Result<()> {
        self.conn.run("DELETE FROM holds WHERE name = $1", args![name]).await.map(drop)
    }
    /// Sets a mark, or takes it away.
    pub async fn mark_set(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        match value {
            Some(value) => {
                let text = "INSERT INTO marks (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
                self.conn.run(text, args![name, value]).await.map(drop)
            }
            None => self.conn.run("DELETE FROM marks WHERE name = $1", args![name]).await.map(drop),
        }
    }
    /// Takes objects off the list, because they are published now; false if one is gone or claimed.
    pub(crate) async fn unstage(&mut self, staged: &[String]) -> Result<bool> {
        self.each_publishable("DELETE FROM retired", staged, 0).await
    }
    async fn each_publishable(&mut self, change: &str, objects: &[String], due: i64) -> Result<bool> {
        for chunk in objects.chunks(CHUNK) {
            let mut args = vec![Arg::from(due)];
            args.extend(padded(chunk).map(Arg::from));
            let text = format!("{change} WHERE due >= 0 AND $1 >= 0 AND object IN ({})", tuples(2, 1, args.len() - 1));
            if self.conn.run(text, &args).await? != chunk.len() as u64 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
