//! Projects and their API keys.

use std::collections::BTreeMap;

use indelible_model::{Error, KeyId, ProjectId, Result, Timestamp};

use crate::db::{Row, args};
use crate::{ReadTx, WriteTx, unsigned};

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its public id.
    pub id: ProjectId,
    /// Its unique name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The name of its plan; empty for the default one.
    pub plan: String,
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
    /// The project's plan.
    pub plan: String,
    /// A name for people.
    pub name: String,
    /// What its secret looks like.
    pub face: String,
    /// SHA-256 of the whole secret.
    pub secret_hash: [u8; 32],
    /// The secret's end, for people.
    pub hint: String,
    /// Bits of the scopes.
    pub scopes: u64,
    /// The organizations that it is bound to, as JSON; `None` for the whole project.
    pub organizations: Option<String>,
    /// Requests a minute, where it has a limit of its own.
    pub per_minute: Option<u64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// What [`key_row`] reads, of a project `p` and its key `k`.
macro_rules! key_columns {
    () => {
        "p.id, p.name, p.plan, k.id, k.name, k.face, k.secret_hash, k.hint, k.scopes, k.organizations, k.per_minute, k.created_at, k.expires_at, k.last_used_at, k.revoked_at"
    };
}
pub(crate) use key_columns;

/// How many columns [`key_columns`] are.
pub(crate) const KEY_COLUMNS: usize = 15;

macro_rules! keys_where {
    ($what:literal) => {
        concat!("SELECT ", key_columns!(), " FROM keys k JOIN projects p ON p.no = k.project WHERE ", $what)
    };
}

const KEY: &str = keys_where!("k.secret_hash = $1");
const KEY_BY_ID: &str = keys_where!("p.id = $1 AND k.id = $2");
const KEYS: &str = keys_where!("p.id = $1 ORDER BY k.created_at, k.id");

macro_rules! projects {
    ($what:literal) => {
        concat!("SELECT id, name, created_at, plan FROM projects ", $what)
    };
}

pub(crate) fn key_row(row: &Row) -> Result<KeyRow> {
    let time = |column| Ok::<_, Error>(row.get::<Option<i64>>(column)?.map(Timestamp::clamped));
    Ok(KeyRow {
        project: ProjectId(row.fixed(0)?),
        project_name: row.get(1)?,
        plan: row.get(2)?,
        id: KeyId(row.fixed(3)?),
        name: row.get(4)?,
        face: row.get(5)?,
        secret_hash: row.fixed(6)?,
        hint: row.get(7)?,
        scopes: row.count(8)?,
        organizations: row.get(9)?,
        per_minute: row.get::<Option<i64>>(10)?.map(unsigned),
        created_at: Timestamp::clamped(row.get(11)?),
        expires_at: time(12)?,
        last_used_at: time(13)?,
        revoked_at: time(14)?,
    })
}

fn project(row: &Row) -> Result<Project> {
    Ok(Project { id: ProjectId(row.fixed(0)?), name: row.get(1)?, created_at: Timestamp::clamped(row.get(2)?), plan: row.get(3)? })
}

impl ReadTx {
    /// The key with this digest of its secret, revoked or not.
    pub async fn key_find(&mut self, secret_hash: &[u8; 32]) -> Result<Option<KeyRow>> {
        self.conn.optional(KEY, args![secret_hash]).await?.as_ref().map(key_row).transpose()
    }
    /// A project's key, revoked or not.
    pub async fn key_by_id(&mut self, project: ProjectId, key: KeyId) -> Result<Option<KeyRow>> {
        self.conn.optional(KEY_BY_ID, args![&project.0, &key.0]).await?.as_ref().map(key_row).transpose()
    }
    /// A project's keys, oldest first, revoked ones too.
    pub async fn key_list(&mut self, project: ProjectId) -> Result<Vec<KeyRow>> {
        self.conn.all(KEYS, args![&project.0]).await?.iter().map(key_row).collect()
    }
    /// All projects, oldest first.
    pub async fn project_list(&mut self) -> Result<Vec<Project>> {
        self.conn.all(projects!("ORDER BY no"), args![]).await?.iter().map(project).collect()
    }
    /// The project with this name.
    pub async fn project_by_name(&mut self, name: &str) -> Result<Option<Project>> {
        let row = self.conn.optional(projects!("WHERE name = $1"), args![name]).await?;
        row.as_ref().map(project).transpose()
    }
    /// The project with this id.
    pub async fn project_by_id(&mut self, id: ProjectId) -> Result<Option<Project>> {
        let row = self.conn.optional(projects!("WHERE id = $1"), args![&id.0]).await?;
        row.as_ref().map(project).transpose()
    }
    /// Why a statement that names the project touched nothing: `Project not found`, if that is so.
    pub(crate) async fn project_must_be(&mut self, project: ProjectId) -> Result<()> {
        self.project_by_id(project).await?.map(drop).ok_or_else(|| Error::not_found("Project"))
    }
}

impl WriteTx {
    /// Creates a project, with the retention that its logs begin with; false if the name is taken.
    pub async fn project_create(&mut self, id: ProjectId, name: &str, now: Timestamp) -> Result<bool> {
        let text = "INSERT INTO projects (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING";
        let created = self.conn.run(text, args![&id.0, name, now.micros()]).await? == 1;
        if created {
            self.retention_begin(id, now).await?;
        }
        Ok(created)
    }
    /// Gives a project another name and plan; false if there is no such project, `Kind::Conflict` if the name is taken.
    pub async fn project_update(&mut self, project: ProjectId, name: &str, plan: &str) -> Result<bool> {
        Ok(self.conn.run("UPDATE projects SET name = $2, plan = $3 WHERE id = $1", args![&project.0, name, plan]).await? == 1)
    }
    /// Keeps other changes of the project's keys and members off until this transaction ends; false if there is no such project.
    pub async fn project_lock(&mut self, project: ProjectId) -> Result<bool> {
        // Rows that refer to the project may be added meanwhile.
        let text = format!("SELECT no FROM projects WHERE id = $1{}", self.conn.locking(" FOR NO KEY UPDATE"));
        Ok(self.conn.optional(text, args![&project.0]).await?.is_some())
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
    /// Notes when keys were used, unless a later time is noted.
    pub async fn key_used(&mut self, used: &BTreeMap<KeyId, Timestamp>) -> Result<()> {
        let text = "UPDATE keys SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
        for (key, at) in used {
            self.conn.run(text, args![&key.0, at.micros()]).await?;
        }
        Ok(())
    }
}
