//! Projects and their API keys.

use indelible_model::{KeyId, ProjectId, Result, Timestamp};
use sqlx::Row;

use crate::errors::map;
use crate::{ReadTx, WriteTx, fixed, signed, unsigned};

/// A project.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its public id.
    pub id: ProjectId,
    /// Its unique name.
    pub name: String,
}

/// An API key, without its secret.
#[derive(Clone, Debug)]
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

fn key_row(row: &sqlx::sqlite::SqliteRow) -> Result<KeyRow> {
    Ok(KeyRow {
        id: KeyId(fixed(row.get(0))?),
        project: ProjectId(fixed(row.get(1))?),
        project_name: row.get(2),
        name: row.get(3),
        secret_hash: fixed(row.get(4))?,
        scopes: unsigned(row.get(5)),
        created_at: Timestamp::clamped(row.get(6)),
        revoked_at: row.get::<Option<i64>, _>(7).map(Timestamp::clamped),
    })
}

impl ReadTx {
    /// The key with this digest of its secret, revoked or not.
    pub async fn key_find(&mut self, secret_hash: &[u8; 32]) -> Result<Option<KeyRow>> {
        sqlx::query(KEY).bind(&secret_hash[..]).fetch_optional(&mut *self.tx).await.map_err(map)?.as_ref().map(key_row).transpose()
    }
    /// A project's keys, oldest first, revoked ones too.
    pub async fn key_list(&mut self, project: ProjectId) -> Result<Vec<KeyRow>> {
        sqlx::query(KEYS).bind(&project.0[..]).fetch_all(&mut *self.tx).await.map_err(map)?.iter().map(key_row).collect()
    }
    /// All projects, oldest first.
    pub async fn project_list(&mut self) -> Result<Vec<Project>> {
        let rows = sqlx::query("SELECT id, name FROM projects ORDER BY no").fetch_all(&mut *self.tx).await.map_err(map)?;
        rows.iter().map(|r| Ok(Project { id: ProjectId(fixed(r.get(0))?), name: r.get(1) })).collect()
    }
    /// The project with this name.
    pub async fn project_by_name(&mut self, name: &str) -> Result<Option<Project>> {
        let row = sqlx::query("SELECT id, name FROM projects WHERE name = $1").bind(name).fetch_optional(&mut *self.tx).await.map_err(map)?;
        row.map(|r| Ok(Project { id: ProjectId(fixed(r.get(0))?), name: r.get(1) })).transpose()
    }
    /// The project with this id.
    pub async fn project_by_id(&mut self, id: ProjectId) -> Result<Option<Project>> {
        let row = sqlx::query("SELECT id, name FROM projects WHERE id = $1").bind(&id.0[..]).fetch_optional(&mut *self.tx).await.map_err(map)?;
        row.map(|r| Ok(Project { id: ProjectId(fixed(r.get(0))?), name: r.get(1) })).transpose()
    }
    /// The number under which rows of a project are kept; `None` for a project that does not exist.
    pub(crate) async fn project_no(&mut self, project: ProjectId) -> Result<Option<i64>> {
        let row = sqlx::query("SELECT no FROM projects WHERE id = $1").bind(&project.0[..]).fetch_optional(&mut *self.tx).await.map_err(map)?;
        Ok(row.map(|r| r.get(0)))
    }
}

impl WriteTx {
    /// Creates a project; false if the name is taken.
    pub async fn project_create(&mut self, id: ProjectId, name: &str, now: Timestamp) -> Result<bool> {
        let done = sqlx::query("INSERT INTO projects (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING").bind(&id.0[..]).bind(name).bind(now.micros());
        Ok(done.execute(&mut *self.tx).await.map_err(map)?.rows_affected() == 1)
    }
    /// Stores a key.
    pub async fn key_create(&mut self, key: &KeyRow) -> Result<()> {
        sqlx::query("INSERT INTO keys (id, project, name, secret_hash, scopes, created_at) SELECT $1, no, $3, $4, $5, $6 FROM projects WHERE id = $2")
            .bind(&key.id.0[..])
            .bind(&key.project.0[..])
            .bind(&key.name)
            .bind(&key.secret_hash[..])
            .bind(signed(key.scopes))
            .bind(key.created_at.micros())
            .execute(&mut *self.tx)
            .await
            .map_err(map)?;
        Ok(())
    }
    /// Revokes a key; false if there is no such live key in the project.
    pub async fn key_revoke(&mut self, project: ProjectId, key: KeyId, now: Timestamp) -> Result<bool> {
        let done = sqlx::query("UPDATE keys SET revoked_at = $3 WHERE id = $2 AND revoked_at IS NULL AND project = (SELECT no FROM projects WHERE id = $1)");
        let done = done.bind(&project.0[..]).bind(&key.0[..]).bind(now.micros()).execute(&mut *self.tx).await.map_err(map)?;
        Ok(done.rows_affected() == 1)
    }
    /// Renames a key; false if there is no such live key in the project.
    pub async fn key_rename(&mut self, project: ProjectId, key: KeyId, name: &str) -> Result<bool> {
        let done = sqlx::query("UPDATE keys SET name = $3 WHERE id = $2 AND revoked_at IS NULL AND project = (SELECT no FROM projects WHERE id = $1)");
        let done = done.bind(&project.0[..]).bind(&key.0[..]).bind(name).execute(&mut *self.tx).await.map_err(map)?;
        Ok(done.rows_affected() == 1)
    }
}
