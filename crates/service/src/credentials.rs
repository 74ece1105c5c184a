//! Credentials: what a secret, a pair or a token is worth now.
//!
//! Promises: one statement of the database a request; unknown, malformed, expired and revoked credentials answer alike; what was revoked, and a role
//! or a binding that was narrowed, counts from the next request on, on every node. Never: keeps or logs a secret.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use indelible_model::ids::from_dashed;
use indelible_model::{Error, KeyId, Kind, Result, Timestamp, TokenId};
use indelible_store::{Held, KeyRow, Membership, TokenHit};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::caller::{Face, Grant, Organizations, Role, Scopes, Who};
use crate::tokens::Bearer;
use crate::{Service, in_time, patience};

/// What somebody shows.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// A key's secret, or a signed token.
    Secret(&'a str),
    /// A key's id, as a UUID or as it is, and its secret.
    Pair {
        /// The id.
        application: &'a str,
        /// The secret.
        token: &'a str,
    },
}

/// Bytes of a secret, at least and at most.
pub(crate) const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=200;
/// Organizations that one credential may be bound to, and bytes of each.
const ORGANIZATIONS: std::ops::RangeInclusive<usize> = 1..=100;
const ORGANIZATION_BYTES: std::ops::RangeInclusive<usize> = 1..=200;
/// How old the time of a key's last use may be.
const USED_MICROS: i64 = 60_000_000;
/// Keys whose last use waits to be written.
const USED_MOST: usize = 10_000;
/// Tokens forgotten in one transaction.
const TOKENS: u32 = 10_000;

/// When keys were used, to be written now and then beside the requests.
#[derive(Debug, Default)]
pub(crate) struct Used(Mutex<BTreeMap<KeyId, Timestamp>>);

impl Used {
    fn note(&self, row: &KeyRow, now: Timestamp) {
        if row.last_used_at.is_some_and(|at| now.micros().saturating_sub(at.micros()) < USED_MICROS) {
            return;
        }
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() < USED_MOST {
            used.insert(row.id, now);
        }
    }
    fn take(&self) -> BTreeMap<KeyId, Timestamp> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

pub(crate) fn refused() -> Error {
    Error::new(Kind::Unauthenticated, "Invalid API key provided")
}

/// Reads a stored binding.
pub(crate) fn read_organizations(text: Option<&str>) -> Result<Organizations> {
    let Some(text) = text else { return Ok(None) };
    let list: Vec<String> = serde_json::from_str(text).map_err(|e| Error::corrupt(format!("organizations: {e}")))?;
    Ok(Some(list.into()))
}

/// A binding as it is stored.
pub(crate) fn organizations_text(organizations: &Organizations) -> Result<Option<String>> {
    organizations.as_deref().map(serde_json::to_string).transpose().map_err(Error::internal)
}

/// What is in both bindings; `None` if that is nothing.
pub(crate) fn intersection(a: Organizations, b: Organizations) -> Option<Organizations> {
    match (a, b) {
        (None, one) | (one, None) => Some(one),
        (Some(a), Some(b)) => {
            let both: Arc<[String]> = a.iter().filter(|o| b.contains(o)).cloned().collect();
            (!both.is_empty()).then_some(Some(both))
        }
    }
}

/// True if all that `inner` sees is seen by `outer` too.
pub(crate) fn is_within(inner: &Organizations, outer: &Organizations) -> bool {
    match (inner, outer) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => inner.iter().all(|o| outer.contains(o)),
    }
}

impl Grant {
    /// The binding that this caller gives who asks for `wanted`; without a wish it is the caller's own. [`Kind::Forbidden`] beyond that.
    pub(crate) fn bind(&self, wanted: Option<Vec<String>>) -> Result<Organizations> {
        let Some(mut wanted) = wanted else { return Ok(self.organizations.clone()) };
        wanted.sort();
        wanted.dedup();
        if !ORGANIZATIONS.contains(&wanted.len()) || !wanted.iter().all(|o| ORGANIZATION_BYTES.contains(&o.len()) && !o.contains('\0')) {
            let message = format!("must be {} to {} ids of 1 to {} bytes.", ORGANIZATIONS.start(), ORGANIZATIONS.end(), ORGANIZATION_BYTES.end());
            return Err(Error::invalid_member("organizations", message));
        }
        if wanted.iter().any(|o| !self.sees(Some(o))) {
            return Err(Error::new(Kind::Forbidden, "This credential is bound to organizations and cannot give others."));
        }
        Ok(Some(wanted.into()))
    }
    /// [`Kind::Forbidden`] for scopes that the caller lacks.
    pub(crate) fn give(&self, scopes: Scopes) -> Result<()> {
        match scopes.beyond(self.scopes) {
            None => Ok(()),
            Some(scope) => Err(Error::new(Kind::Forbidden, format!("This credential lacks the scope {scope} and cannot give it."))),
        }
    }
    /// True if what this grant gave is still given by `now`.
    fn is_kept_by(&self, now: &Self) -> bool {
        self.scopes.beyond(now.scopes).is_none() && is_within(&self.organizations, &now.organizations)
    }
}

impl Service {
    /// Checks a credential. All that is not valid answers alike with [`Kind::Unauthenticated`].
    pub async fn authenticate(&self, credential: Credential<'_>) -> Result<Grant> {
        let (secret, application) = match credential {
            Credential::Secret(secret) if is_jwt(secret) => return Box::pin(self.bearer(secret)).await,
            Credential::Secret(secret) => (secret, None),
            Credential::Pair { application, token } => (token, Some(from_dashed(application).map(KeyId).or_else(|| KeyId::parse(application)).ok_or_else(refused)?)),
        };
        if !SECRET_BYTES.contains(&secret.len()) {
            return Err(refused());
        }
        let hash = digest(secret);
        let find = async { self.inner.store.glance().await?.key_find(&hash).await };
        let row = in_time(patience(&self.inner.store), find).await?.ok_or_else(refused)?;
        let same: bool = row.secret_hash.ct_eq(&hash).into();
        if !same || application.is_some_and(|id| id != row.id) {
            return Err(refused());
        }
        let now = self.inner.clock.now();
        let grant = self.grant_of_key(&row, now)?.ok_or_else(refused)?;
        self.inner.used.note(&row, now);
        Ok(grant)
    }
    async fn bearer(&self, jwt: &str) -> Result<Grant> {
        match self.read_jwt(jwt).await? {
            Bearer::Own(id) => self.token_now(id).await?.map(|(_, grant)| grant).ok_or_else(refused),
            Bearer::Foreign(claims) => self.oidc_grant(&claims).await,
        }
    }
    /// True while the credential behind `grant` is worth what it was.
    pub async fn still_valid(&self, grant: &Grant) -> Result<bool> {
        let now = match (grant.token, &grant.who) {
            (Some(token), _) => self.token_now(token).await?.map(|(_, grant)| grant),
            (None, Who::Key { id, .. }) => match self.inner.store.glance().await?.key_by_id(grant.project, *id).await? {
                Some(row) => self.grant_of_key(&row, self.inner.clock.now())?,
                None => None,
            },
            (None, Who::Member { id, .. }) => match self.inner.store.glance().await?.membership(grant.project, *id).await? {
                Some(row) => self.grant_of_member(&row)?,
                None => None,
            },
            (None, Who::Operator | Who::Server) => return Ok(true),
        };
        Ok(now.is_some_and(|now| grant.is_kept_by(&now)))
    }
    /// What a token is worth now, with its row; `None` if that is nothing.
    pub(crate) async fn token_now(&self, token: TokenId) -> Result<Option<(TokenHit, Grant)>> {
        let find = async { self.inner.store.glance().await?.token_find(token).await };
        let Some(hit) = in_time(patience(&self.inner.store), find).await? else { return Ok(None) };
        Ok(self.grant_of_token(&hit)?.map(|grant| (hit, grant)))
    }
    /// What a key is worth; `None` for one that was revoked or ended.
    pub(crate) fn grant_of_key(&self, row: &KeyRow, now: Timestamp) -> Result<Option<Grant>> {
        if row.revoked_at.is_some() || row.expires_at.is_some_and(|end| end <= now) {
            return Ok(None);
        }
        let face = Face::parse(&row.face).ok_or_else(|| Error::corrupt("unknown face of a key"))?;
        Ok(Some(Grant {
            project: row.project,
            project_name: row.project_name.clone(),
            who: Who::Key { id: row.id, name: row.name.clone(), face },
            scopes: Scopes::from_bits(row.scopes),
            organizations: read_organizations(row.organizations.as_deref())?,
            plan: self.plan_of(&row.plan)?,
            per_minute: row.per_minute,
            token: None,
        }))
    }
    /// What a membership is worth; `None` for one that is suspended.
    pub(crate) fn grant_of_member(&self, row: &Membership) -> Result<Option<Grant>> {
        let role = role_of(&row.role)?;
        let organizations = read_organizations(row.organizations.as_deref())?;
        if !row.active || (role.is_bound() && organizations.is_none()) {
            return Ok(None);
        }
        Ok(Some(Grant {
            project: row.project,
            project_name: row.project_name.clone(),
            who: Who::Member { id: row.member, email: row.email.clone(), name: row.name.clone(), role, operator: row.operator },
            scopes: role.scopes(),
            organizations,
            plan: self.plan_of(&row.plan)?,
            per_minute: None,
            token: None,
        }))
    }
    /// What a token is worth: what it was made with, and its holder still has.
    fn grant_of_token(&self, hit: &TokenHit) -> Result<Option<Grant>> {
        let (row, now) = (&hit.token, self.inner.clock.now());
        if row.revoked_at.is_some() || row.expires_at <= now {
            return Ok(None);
        }
        let holder = match &hit.holder {
            Some(Held::Key(key)) => self.grant_of_key(key, now)?,
            Some(Held::Member(member)) => self.grant_of_member(member)?,
            None => None,
        };
        let Some(mut grant) = holder else { return Ok(None) };
        let Some(organizations) = intersection(read_organizations(row.organizations.as_deref())?, grant.organizations) else { return Ok(None) };
        grant.organizations = organizations;
        grant.scopes = grant.scopes.and(Scopes::from_bits(row.scopes));
        grant.token = Some(row.id);
        if let (Some(less), Who::Member { role, operator, .. }) = (&row.role, &mut grant.who) {
            (*role, *operator) = (role_of(less)?, false);
        }
        Ok(Some(grant))
    }
    /// Writes when keys were used, and forgets tokens that ended.
    pub(crate) async fn sweep_credentials(&self, now: Timestamp) -> Result<()> {
        let used = self.inner.used.take();
        if !used.is_empty() {
            let mut tx = self.inner.store.write().await?;
            tx.key_used(&used).await?;
            tx.commit().await?;
        }
        while self.inner.store.glance().await?.token_any_before(now).await? {
            let mut tx = self.inner.store.write().await?;
            tx.token_expire(now, TOKENS).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// A stored role.
pub(crate) fn role_of(name: &str) -> Result<Role> {
    Role::parse(name).ok_or_else(|| Error::corrupt("unknown role of a member"))
}

/// True for three parts with dots between; no key's secret has a dot.
fn is_jwt(secret: &str) -> bool {
    secret.bytes().filter(|b| *b == b'.').count() == 2
}
