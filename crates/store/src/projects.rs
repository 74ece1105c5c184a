//! Projects and their API keys.

use indelible_model::{Error, KeyId, ProjectId, Result, Timestamp};

use crate::db::{Row, args};
use crate::{ReadTx, WriteTx, signed, unsigned};

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its public id.
    pub id: ProjectId,
    /// Its unique name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// How many days its events are kept; `None` for ever.
    pub retention_days: Option<u64>,
}

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// The public id.
    pub id: KeyId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// The project's name.
    pub project_name: String,
    /// A name for people.
    pub name: String,
    /// SHA-256 of the whole secret.
    pub secret_hash: [u8; 32],
    /// Bits of the scopes.
    pub scopes: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

const KEY: &str = "SELECT k.id, p.id, p.name, k.name, k.secret_hash, k.scopes, k.created_at, k.revoked_at FROM keys k JOIN projects p ON p.no = k.project WHERE k.secret_hash = $1";
const KEYS: &str = "SELECT k.id, p.id, p.name, k.name, k.secret_hash, k.scopes, k.created_at, k.revoked_at FROM keys k JOIN projects p ON p.no = k.project WHERE p.id = $1 ORDER BY k.created_at, k.id";

fn key_row(row: &Row) -> Result<KeyRow> {
    Ok(KeyRow {
        id: KeyId(row.fixed(0)?),
        project: ProjectId(row.fixed(1)?),
        project_name: row.get(2)?,
        name: row.get(3)?,
        secret_hash: row.fixed(4)?,
        scopes: row.count(5)?,
        created_at: Timestamp::clamped(row.get(6)?),
        revoked_at: row.get::<Option<i64>>(7)?.map(Timestamp::clamped),
    })
}

fn project(row: &Row) -> Result<Project> {
    let retention: Option<i64> = row.get(3)?;
    Ok(Project { id: ProjectId(row.fixed(0)?), name: row.get(1)?, created_at: Timestamp::clamped(row.get(2)?), retention_days: retention.map(unsigned) })
}

impl ReadTx {
    /// The key with this digest of its secret, revoked or not.
    pub async fn key_find(&mut self, secret_hash: &[u8; 32]) -> Result<Option<KeyRow>> {
        self.conn.optional(KEY, args![secret_hash]).await?.as_ref().map(key_row).transpose()
    }
    /// A project's keys, oldest first, revoked ones too.
    pub async fn key_list(&mut self, project: ProjectId) -> Result<Vec<KeyRow>> {
        self.conn.all(KEYS, args![&project.0]).await?.iter().map(key_row).collect()
    }
    /// All projects, oldest first.
    pub async fn project_list(&mut self) -> Result<Vec<Project>> {
        self.conn.all("SELECT id, name, created_at, retention_days FROM projects ORDER BY no", args![]).await?.iter().map(project).collect()
    }
    /// The project with this name.
    pub async fn project_by_name(&mut self, name: &str) -> Result<Option<Project>> {
        let row = self.conn.optional("SELECT id, name, created_at, retention_days FROM projects WHERE name = $1", args![name]).await?;
        row.as_ref().map(project).transpose()
    }
    /// The project with this id.
    pub async fn project_by_id(&mut self, id: ProjectId) -> Result<Option<Project>> {
        let row = self.conn.optional("SELECT id, name, created_at, retention_days FROM projects WHERE id = $1", args![&id.0]).await?;
        row.as_ref().map(project).transpose()
    }
    /// How many days the project's events are kept; `None` for ever.
    pub async fn project_retention(&mut self, project: ProjectId) -> Result<Option<u64>> {
        let row = self.conn.optional("SELECT retention_days FROM projects WHERE id = $1", args![&project.0]).await?;
        Ok(row.map(|r| r.get::<Option<i64>>(0)).transpose()?.flatten().map(unsigned))
    }
    /// Why a statement that names the project touched nothing: `Project not found`, if that is so.
    pub(crate) async fn project_must_be(&mut self, project: ProjectId) -> Result<()> {
        self.project_by_id(project).await?.map(drop).ok_or_else(|| Error::not_found("Project"))
    }
}

impl WriteTx {
    /// Creates a project; false if the name is taken.
    pub async fn project_create(&mut self, id: ProjectId, name: &str, now: Timestamp) -> Result<bool> {
        let text = "INSERT INTO projects (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING";
        Ok(self.conn.run(text, args![&id.0, name, now.micros()]).await? == 1)
    }
    /// Sets how many days the project's events are kept (`None`: for ever); false if there is no such project.
    pub async fn project_retain(&mut self, project: ProjectId, days: Option<u64>) -> Result<bool> {
        Ok(self.conn.run("UPDATE projects SET retention_days = $2 WHERE id = $1", args![&project.0, days.map(signed)]).await? == 1)
    }
    /// Stores a key.
    pub async fn key_create(&mut self, key: &KeyRow) -> Result<()> {
        self.key_restore(&KeyRow { revoked_at: None, ..key.clone() }).await
    }
    /// Revokes a key; false if there is no such live key in the project.
    pub async fn key_revoke(&mut self, project: ProjectId, key: KeyId, now: Timestamp) -> Result<bool> {
        let text = "UPDATE keys SET revoked_at = $3 WHERE id = $2 AND revoked_at IS NULL AND project = (SELECT no FROM projects WHERE id = $1)";
        Ok(self.conn.run(text, args![&project.0, &key.0, now.micros()]).await? == 1)
    }
    /// Renames a key; false if there is no such live key in the project.
    pub async fn key_rename(&mut self, project: ProjectId, key: KeyId, name: &str) -> Result<bool> {
        let text = "UPDATE keys SET name = $3 WHERE id = $2 AND revoked_at IS NULL AND project = (SELECT no FROM projects WHERE id = $1)";
        Ok(self.conn.run(text, args![&project.0, &key.0, name]).await? == 1)
    }
}
