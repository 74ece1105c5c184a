//! API keys: made, listed, renamed, revoked. A secret is shown once and kept as its SHA-256.
//!
//! Promises: nobody gives more than they have: a key's keys end with it at the latest, and are no faster; a caller bound to organizations sees and changes only keys that are bound to some of them.

use indelible_model::ids::hex;
use indelible_model::{Error, Ids, KeyId, Kind, Result, Timestamp};
use indelible_store::{KeyRow, WriteTx};
use serde_json::json;

use crate::Service;
use crate::audit::Fact;
use crate::caller::{Caller, CanManageKeys, Face, Grant, Organizations, Scope, Scopes, Who};
use crate::credentials::{SECRET_BYTES, digest, is_within, organizations_text, read_organizations};
use crate::projects::{check_name, commit};

/// A key as its owner sees it.
#[derive(Clone, Debug)]
pub struct Key {
    /// The public id.
    pub id: KeyId,
    /// A name for people.
    pub name: String,
    /// What its secret looks like.
    pub face: Face,
    /// The secret's last characters.
    pub hint: String,
    /// What it may do.
    pub scopes: Scopes,
    /// What it may see.
    pub organizations: Organizations,
    /// Requests a minute, where it has a limit of its own.
    pub per_minute: Option<u64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to about a minute.
    pub last_used_at: Option<Timestamp>,
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

/// A key to be made.
#[derive(Clone)]
pub struct KeySpec {
    /// A name for people.
    pub name: String,
    /// What it may do; a widget's has the scope timeline and no other.
    pub scopes: Scopes,
    /// What its secret looks like.
    pub face: Face,
    /// What it may see; `None` for as much as whoever makes it.
    pub organizations: Option<Vec<String>>,
    /// When it ends by itself; `None` for when the key that makes it ends, if one does.
    pub expires_at: Option<Timestamp>,
    /// Requests a minute, for a limit of its own; `None` for that of the key that makes it.
    pub per_minute: Option<u64>,
    /// A secret of one's own; a fresh one is made otherwise.
    pub secret: Option<String>,
}

impl KeySpec {
    /// A key in LogProof's form that is bound to nothing and never ends.
    pub fn new(name: &str, scopes: Scopes) -> Self {
        Self { name: name.to_owned(), scopes, face: Face::LogProof, organizations: None, expires_at: None, per_minute: None, secret: None }
    }
}

/// Characters of a secret that stay visible.
const HINT: usize = 4;
/// Requests a minute that a key may be limited to.
const PER_MINUTE: std::ops::RangeInclusive<u64> = 1..=1_000_000;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Random letters and digits, each as likely as the others.
pub(crate) fn random_text(ids: &Ids, characters: usize) -> Result<String> {
    let mut text = String::with_capacity(characters);
    while text.len() < characters {
        let mut random = [0; 64];
        ids.fill(&mut random)?;
        // Of 256 values, 248 are four times the alphabet; the rest is thrown away.
        let good = random.iter().filter(|b| **b < 248).map(|b| char::from(BASE62[usize::from(b % 62)]));
        text.extend(good.take(characters - text.len()));
    }
    Ok(text)
}

fn fresh_secret(ids: &Ids, face: Face) -> Result<String> {
    let random = match face {
        Face::LogProof | Face::Widget => {
            let mut random = [0; 32];
            ids.fill(&mut random)?;
            hex(&random)
        }
        Face::Aitronos => random_text(ids, 39)?,
        Face::Voucherify | Face::LoyaltyDog | Face::LoyaltyDogTest => random_text(ids, 43)?,
    };
    Ok(format!("{}{random}", face.prefix()))
}

fn check_secret(secret: &str) -> Result<()> {
    // A dot would make it look like a signed token.
    if SECRET_BYTES.contains(&secret.len()) && secret.bytes().all(|b| b.is_ascii_graphic() && b != b'.') {
        return Ok(());
    }
    Err(Error::invalid_member("key", format!("must have {} to {} visible ASCII characters and no dot.", SECRET_BYTES.start(), SECRET_BYTES.end())))
}

fn key_of(row: &KeyRow) -> Result<Key> {
    Ok(Key {
        id: row.id,
        name: row.name.clone(),
        face: Face::parse(&row.face).ok_or_else(|| Error::corrupt("unknown face of a key"))?,
        hint: row.hint.clone(),
        scopes: Scopes::from_bits(row.scopes),
        organizations: read_organizations(row.organizations.as_deref())?,
        per_minute: row.per_minute,
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        revoked_at: row.revoked_at,
    })
}

fn missing() -> Error {
    Error::not_found("API key")
}

impl Service {
    /// Makes a key. [`Kind::Forbidden`] for one that could do or see more than the caller, for longer or faster, and for a key's token.
    pub async fn key_create(&self, caller: &Caller<CanManageKeys>, spec: KeySpec) -> Result<NewKey> {
        let grant = caller.grant();
        let mut tx = self.inner.store.write().await?;
        if !tx.project_lock(grant.project).await? {
            return Err(Error::not_found("Project"));
        }
        if grant.is_served() {
            let now = self.inner.clock.now();
            let live = tx.key_list(grant.project).await?.iter().filter(|k| k.revoked_at.is_none() && k.expires_at.is_none_or(|end| end > now)).count();
            grant.plan.one_more_key(live as u64)?;
        }
        let spec = within_maker(&mut tx, grant, spec).await?;
        let new = self.key_store(&mut tx, grant, spec).await?;
        commit(tx).await?;
        Ok(new)
    }
    /// Makes a key in a transaction, whatever the plan says.
    pub(crate) async fn key_store(&self, tx: &mut WriteTx, grant: &Grant, spec: KeySpec) -> Result<NewKey> {
        check_name(&spec.name)?;
        if spec.scopes == Scopes::of(&[]) {
            return Err(Error::invalid_member("scopes", "must not be empty."));
        }
        if spec.face == Face::Widget && spec.scopes != Scopes::of(&[Scope::Timeline]) {
            return Err(Error::invalid_member("scopes", "A widget's key has the scope timeline and no other."));
        }
        grant.give(spec.scopes)?;
        let organizations = grant.bind(spec.organizations)?;
        let now = self.inner.clock.now();
        if spec.expires_at.is_some_and(|end| end <= now) {
            return Err(Error::invalid_member("expires_at", "must lie in the future."));
        }
        if spec.per_minute.is_some_and(|n| !PER_MINUTE.contains(&n)) {
            return Err(Error::invalid_member("per_minute", format!("must be from {} to {}.", PER_MINUTE.start(), PER_MINUTE.end())));
        }
        let secret = match spec.secret {
            Some(given) => check_secret(&given).map(|()| given)?,
            None => fresh_secret(&self.inner.ids, spec.face)?,
        };
        let row = KeyRow {
            id: KeyId(self.inner.ids.uuid_v7(now)?),
            project: grant.project,
            project_name: String::new(),
            plan: String::new(),
            name: spec.name,
            face: spec.face.name().to_owned(),
            secret_hash: digest(&secret),
            hint: secret.chars().skip(secret.len() - HINT).collect(),
            scopes: spec.scopes.bits(),
            organizations: organizations_text(&organizations)?,
            per_minute: spec.per_minute,
            created_at: now,
            expires_at: spec.expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        if tx.key_find(&row.secret_hash).await?.is_some() {
            return Err(Error::new(Kind::Conflict, "This key is in use already."));
        }
        tx.key_create(&row).await?;
        let key = key_of(&row)?;
        let more = json!({
            "face": key.face.name(), "scopes": key.scopes.names(), "organizations": key.organizations.as_deref(),
            "expires_at": key.expires_at.map(|t| t.to_string()), "per_minute": key.per_minute,
        });
        self.audit_key(tx, grant, "key.created", &key, Some((json!({}), more))).await?;
        Ok(NewKey { key, secret })
    }
    /// The keys that the caller sees, oldest first, revoked ones too.
    pub async fn keys(&self, caller: &Caller<CanManageKeys>) -> Result<Vec<Key>> {
        let mut keys = self.inner.store.glance().await?.key_list(caller.project()).await?.iter().map(key_of).collect::<Result<Vec<_>>>()?;
        keys.retain(|key| is_within(&key.organizations, &caller.grant().organizations));
        Ok(keys)
    }
    /// Revokes a key: it stops working with the next request, and so do all tokens that were made for it.
    pub async fn key_revoke(&self, caller: &Caller<CanManageKeys>, key: KeyId) -> Result<()> {
        let mut tx = self.inner.store.write().await?;
        let key = seen_key(&mut tx, caller.grant(), key).await?;
        if !tx.key_revoke(caller.project(), key.id, self.inner.clock.now()).await? {
            return Err(missing());
        }
        self.audit_key(&mut tx, caller.grant(), "key.revoked", &key, None).await?;
        commit(tx).await
    }
    /// Renames a key.
    pub async fn key_rename(&self, caller: &Caller<CanManageKeys>, key: KeyId, name: &str) -> Result<Key> {
        check_name(name)?;
        let mut tx = self.inner.store.write().await?;
        let old = seen_key(&mut tx, caller.grant(), key).await?;
        if !tx.key_rename(caller.project(), key, name).await? {
            return Err(missing());
        }
        let diff = (json!({ "name": old.name }), json!({ "name": name }));
        let key = Key { name: name.to_owned(), ..old };
        self.audit_key(&mut tx, caller.grant(), "key.renamed", &key, Some(diff)).await?;
        commit(tx).await?;
        Ok(key)
    }
    async fn audit_key(&self, tx: &mut WriteTx, by: &Grant, action: &str, key: &Key, diff: Option<(serde_json::Value, serde_json::Value)>) -> Result<()> {
        let target = Some(("api_key", key.id.to_string(), Some(&*key.name)));
        self.audit(tx, by.project, &by.who, &Fact { action, target, diff, ..Fact::default() }).await
    }
}

/// What a key makes must not outlast it, nor be faster than it.
async fn within_maker(tx: &mut WriteTx, grant: &Grant, spec: KeySpec) -> Result<KeySpec> {
    let Who::Key { id, .. } = grant.who else { return Ok(spec) };
    if grant.token.is_some() {
        return Err(Error::new(Kind::Forbidden, "A key's token makes no keys; send the key itself."));
    }
    let maker = tx.key_by_id(grant.project, id).await?.ok_or_else(missing)?;
    if let (Some(end), Some(wanted)) = (maker.expires_at, spec.expires_at)
        && wanted > end
    {
        return Err(Error::new(Kind::Forbidden, format!("This API key ends at {end}; it cannot make one that ends later.")));
    }
    if let (Some(most), Some(wanted)) = (grant.per_minute, spec.per_minute)
        && wanted > most
    {
        return Err(Error::new(Kind::Forbidden, format!("This API key has {most} requests a minute; it cannot give more.")));
    }
    Ok(KeySpec { expires_at: spec.expires_at.or(maker.expires_at), per_minute: spec.per_minute.or(grant.per_minute), ..spec })
}

/// A key that the caller sees; another answers as a missing one.
async fn seen_key(tx: &mut WriteTx, grant: &Grant, key: KeyId) -> Result<Key> {
    let key = tx.key_by_id(grant.project, key).await?.as_ref().map(key_of).transpose()?;
    key.filter(|k| is_within(&k.organizations, &grant.organizations)).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_their_faces() {
        let ids = Ids::seeded(1);
        for (face, prefix, len) in [
            (Face::LogProof, "lp_sk_", 70),
            (Face::Widget, "lp_wt_", 70),
            (Face::Aitronos, "ak_", 42),
            (Face::Voucherify, "", 43),
            (Face::LoyaltyDog, "ld_live_", 51),
            (Face::LoyaltyDogTest, "ld_test_", 51),
        ] {
            let secret = fresh_secret(&ids, face).unwrap();
            assert!(secret.starts_with(prefix) && secret.len() == len && check_secret(&secret).is_ok(), "{secret}");
            assert_ne!(secret, fresh_secret(&ids, face).unwrap());
        }
    }

    #[test]
    fn all_characters_are_used() {
        let text = random_text(&Ids::seeded(2), 20_000).unwrap();
        for c in BASE62 {
            let seen = text.bytes().filter(|b| b == c).count();
            assert!((230..420).contains(&seen), "{} {seen}", char::from(*c));
        }
    }
}
