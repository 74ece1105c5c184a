//! Keys that our own tokens are signed with. Never: which of them signs.

use indelible_model::{Result, Timestamp};

use crate::db::{Row, args};
use crate::{ReadTx, WriteTx, signed};

/// A key that tokens are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKeyRow {
    /// Counts keys from 1; the highest is the newest.
    pub number: u64,
    /// Its name in tokens.
    pub id: String,
    /// The secret half.
    pub private: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// When the last token that it signed is over.
    pub retires_at: Timestamp,
}

impl std::fmt::Debug for SigningKeyRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeyRow").field("number", &self.number).field("id", &self.id).finish_non_exhaustive()
    }
}

fn signing_key(row: &Row) -> Result<SigningKeyRow> {
    Ok(SigningKeyRow { number: row.count(0)?, id: row.get(1)?, private: row.fixed(2)?, created_at: Timestamp::clamped(row.get(3)?), retires_at: Timestamp::clamped(row.get(4)?) })
}

impl ReadTx {
    /// All keys, the newest first.
    pub async fn signing_key_list(&mut self) -> Result<Vec<SigningKeyRow>> {
        self.conn.all("SELECT number, id, private, created_at, retires_at FROM signing_keys ORDER BY number DESC", args![]).await?.iter().map(signing_key).collect()
    }
}

impl WriteTx {
    /// Stores a key; false if another node was first with its number.
    pub async fn signing_key_create(&mut self, key: &SigningKeyRow) -> Result<bool> {
        let text = "INSERT INTO signing_keys (number, id, private, created_at, retires_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (number) DO NOTHING";
        let values = args![signed(key.number), &key.id, &key.private, key.created_at.micros(), key.retires_at.micros()];
        Ok(self.conn.run(text, values).await? == 1)
    }
    /// Deletes the keys that have retired; how many.
    pub async fn signing_key_retire(&mut self, now: Timestamp) -> Result<u64> {
        self.conn.run("DELETE FROM signing_keys WHERE retires_at <= $1", args![now.micros()]).await
    }
}
