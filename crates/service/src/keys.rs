//! Projects and API keys: made, checked, revoked. A secret is shown once and kept as its SHA-256.

use std::sync::Arc;

use indelible_model::ids::hex;
use indelible_model::{Error, KeyId, Kind, ProjectId, Result, Timestamp};
use indelible_store::{KeyRow, WriteTx};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::caller::{Caller, CanManageKeys, Face, Grant, Scopes, Who};
use crate::plans::Plan;
use crate::{Service, die_on_failed_sync, in_time, patience};

/// A key as its owner sees it.
#[derive(Clone, Debug)]
pub struct Key {
    /// The public id.
    pub id: KeyId,
    /// A name for people.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A key just made, with the secret that is shown once.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The key.
    pub key: Key,
    /// The secret.
    pub secret: String,
}

/// What the first start made.
#[derive(Clone, Debug)]
pub struct FirstStart {
    /// The project `default`.
    pub project: ProjectId,
    /// Its key's secret.
    pub secret: String,
}

/// The name of the project that the first start makes.
const DEFAULT_PROJECT: &str = "default";
/// Bytes of a secret that is given from outside, at least and at most.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=200;
const NAME_BYTES: usize = 200;

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn grant(project: ProjectId, project_name: String, who: Who, scopes: Scopes) -> Grant {
    Grant { project, project_name, who, scopes, organizations: None, plan: Arc::new(Plan::unrestricted()), per_minute: None, token: None }
}

async fn commit(tx: WriteTx) -> Result<()> {
    tx.commit().await.inspect_err(die_on_failed_sync)
}

fn key_of(row: &KeyRow) -> Key {
    Key { id: row.id, name: row.name.clone(), scopes: Scopes::from_bits(row.scopes), created_at: row.created_at, revoked_at: row.revoked_at }
}

impl Service {
    /// Checks a secret. Unknown, malformed and revoked ones answer alike with [`Kind::Unauthenticated`].
    pub async fn authenticate(&self, secret: &str) -> Result<Grant> {
        let refused = || Error::new(Kind::Unauthenticated, "Invalid API key provided");
        if !SECRET_BYTES.contains(&secret.len()) {
            return Err(refused());
        }
        let hash = digest(secret);
        let find = async { self.inner.store.glance().await?.key_find(&hash).await };
        let row = in_time(patience(&self.inner.store), find).await?.ok_or_else(refused)?;
        let same: bool = row.secret_hash.ct_eq(&hash).into();
        if !same || row.revoked_at.is_some() {
            return Err(refused());
        }
        let who = Who::Key { id: row.id, name: row.name, face: Face::LogProof };
        Ok(grant(row.project, row.project_name, who, Scopes::from_bits(row.scopes)))
    }
    /// On a store without projects: makes the project `default` and a key with all scopes, of the secret given or a fresh one.
    pub async fn bootstrap(&self, secret: Option<&str>) -> Result<Option<FirstStart>> {
        if !self.inner.store.glance().await?.project_list().await?.is_empty() {
            return Ok(None);
        }
        let now = self.inner.clock.now();
        let project = ProjectId(self.inner.ids.uuid_v7(now)?);
        // One transaction: a project without a key would lock everybody out for ever.
        let mut tx = self.inner.store.write().await?;
        if !tx.project_create(project, DEFAULT_PROJECT, now).await? {
            return Ok(None);
        }
        let key = self.key_store(&mut tx, project, "bootstrap", Scopes::all(), secret).await?;
        commit(tx).await?;
        Ok(Some(FirstStart { project, secret: key.secret }))
    }
    /// Makes a project; [`Kind::Conflict`] if the name is taken.
    pub async fn project_create(&self, name: &str) -> Result<ProjectId> {
        if name.is_empty() || name.len() > NAME_BYTES || name.starts_with(ProjectId::PREFIX) {
            return Err(Error::invalid_member("name", format!("must have 1 to {NAME_BYTES} bytes and not begin with {}.", ProjectId::PREFIX)));
        }
        let now = self.inner.clock.now();
        let id = ProjectId(self.inner.ids.uuid_v7(now)?);
        let mut tx = self.inner.store.write().await?;
        if !tx.project_create(id, name, now).await? {
            return Err(Error::new(Kind::Conflict, format!("There is a project named {name} already.")));
        }
        commit(tx).await?;
        Ok(id)
    }
    /// All projects with their names, oldest first.
    pub async fn projects(&self) -> Result<Vec<(ProjectId, String)>> {
        Ok(self.inner.store.glance().await?.project_list().await?.into_iter().map(|p| (p.id, p.name)).collect())
    }
    /// The project of a name or an id.
    pub async fn project(&self, name_or_id: &str) -> Result<ProjectId> {
        let missing = || Error::new(Kind::NotFound, format!("There is no project {name_or_id}."));
        let mut tx = self.inner.store.glance().await?;
        match ProjectId::parse(name_or_id) {
            Some(id) => tx.project_by_id(id).await?.map(|p| p.id).ok_or_else(missing),
            None => tx.project_by_name(name_or_id).await?.map(|p| p.id).ok_or_else(missing),
        }
    }
    /// All permissions in a project, for commands on the machine itself.
    pub async fn operator(&self, project: ProjectId) -> Result<Grant> {
        let project = self.inner.store.glance().await?.project_by_id(project).await?.ok_or_else(|| Error::not_found("Project"))?;
        Ok(grant(project.id, project.name, Who::Operator, Scopes::all()))
    }
    /// Makes a key. A caller cannot give scopes that it lacks: that is the business of whoever asks.
    pub async fn key_create(&self, caller: &Caller<CanManageKeys>, name: &str, scopes: Scopes) -> Result<NewKey> {
        let mut tx = self.inner.store.write().await?;
        let key = self.key_store(&mut tx, caller.project(), name, scopes, None).await?;
        commit(tx).await?;
        Ok(key)
    }
    async fn key_store(&self, tx: &mut WriteTx, project: ProjectId, name: &str, scopes: Scopes, secret: Option<&str>) -> Result<NewKey> {
        if name.is_empty() || name.len() > NAME_BYTES {
            return Err(Error::invalid_member("name", format!("must have 1 to {NAME_BYTES} bytes.")));
        }
        let secret = match secret {
            Some(given) if SECRET_BYTES.contains(&given.len()) && given.bytes().all(|b| b.is_ascii_graphic()) => given.to_owned(),
            Some(_) => return Err(Error::invalid_member("key", format!("must have {} to {} visible ASCII characters.", SECRET_BYTES.start(), SECRET_BYTES.end()))),
            None => {
                let mut random = [0; 32];
                self.inner.ids.fill(&mut random)?;
                format!("lp_sk_{}", hex(&random))
            }
        };
        let now = self.inner.clock.now();
        let row = KeyRow {
            id: KeyId(self.inner.ids.uuid_v7(now)?),
            project,
            project_name: String::new(),
            name: name.to_owned(),
            secret_hash: digest(&secret),
            scopes: scopes.bits(),
            created_at: now,
            revoked_at: None,
        };
        if tx.key_find(&row.secret_hash).await?.is_some() {
            return Err(Error::new(Kind::Conflict, "This key is in use already."));
        }
        tx.key_create(&row).await?;
        Ok(NewKey { key: key_of(&row), secret })
    }
    /// A project's keys, oldest first, revoked ones too.
    pub async fn keys(&self, caller: &Caller<CanManageKeys>) -> Result<Vec<Key>> {
        Ok(self.inner.store.glance().await?.key_list(caller.project()).await?.iter().map(key_of).collect())
    }
    /// Revokes a key: it stops working with the next request.
    pub async fn key_revoke(&self, caller: &Caller<CanManageKeys>, key: KeyId) -> Result<()> {
        let mut tx = self.inner.store.write().await?;
        if !tx.key_revoke(caller.project(), key, self.inner.clock.now()).await? {
            return Err(Error::not_found("API key"));
        }
        commit(tx).await
    }
    /// Renames a key.
    pub async fn key_rename(&self, caller: &Caller<CanManageKeys>, key: KeyId, name: &str) -> Result<Key> {
        if name.is_empty() || name.len() > NAME_BYTES {
            return Err(Error::invalid_member("name", format!("must have 1 to {NAME_BYTES} bytes.")));
        }
        let mut tx = self.inner.store.write().await?;
        if !tx.key_rename(caller.project(), key, name).await? {
            return Err(Error::not_found("API key"));
        }
        let row = tx.key_list(caller.project()).await?.into_iter().find(|k| k.id == key).ok_or_else(|| Error::not_found("API key"))?;
        commit(tx).await?;
        Ok(key_of(&row))
    }
}
