//! Sessions and other tokens: a login, a key's short-lived token, a token for some organizations. Each is a row; the signed text only names it.
//!
//! Promises: a login tells nobody whether an e-mail address is known; a token never does or sees more than what it was made from, and ends with it.
//! Never: keeps a signed token.

use std::fmt;
use std::net::IpAddr;

use indelible_model::{Error, KeyId, Kind, MemberId, ProjectId, Result, Timestamp, TokenId};
use indelible_store::{Holder, Membership, TokenRow, WriteTx};
use serde_json::{Map, Value, json};

use crate::Service;
use crate::audit::Fact;
use crate::caller::{Grant, Organizations, Role, Scopes, Who};
use crate::credentials::{organizations_text, refused};
use crate::members::email_of;
use crate::projects::commit;
use crate::tokens::{Bearer, OwnClaims};

/// Who wants to come in.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The e-mail address.
    pub email: &'a str,
    /// The password.
    pub password: &'a str,
    /// The project's name or id, for those whose password opens several.
    pub project: Option<&'a str>,
    /// Where they come from.
    pub source: IpAddr,
}

/// A token just made.
#[derive(Clone)]
pub struct Session {
    /// The signed text, shown once.
    pub jwt: String,
    /// The token's id.
    pub id: TokenId,
    /// What it gives.
    pub grant: Grant,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id).field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// What its holder may learn of a live token.
#[derive(Clone, Debug)]
pub struct TokenInfo {
    /// The token's id.
    pub id: TokenId,
    /// The key that it was made for, if it was one.
    pub key: Option<KeyId>,
    /// What it gives.
    pub grant: Grant,
    /// What was asked for, in the client's words.
    pub scope: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// Kinds of tokens, as they are stored.
const SESSION: &str = "session";
const OAUTH: &str = "oauth";
const NARROWED: &str = "narrowed";
/// Memberships of an e-mail address, the oldest first, that a password is compared with.
const TRIED: usize = 10;
/// How long a key's token lasts, in seconds.
const OAUTH_SECS: u64 = 900;

/// A token to be made.
struct Mint<'a> {
    kind: &'static str,
    grant: Grant,
    parent: Option<TokenId>,
    role: Option<Role>,
    scope: &'a str,
    expires_at: Timestamp,
}

/// What everybody is told who cannot come in.
fn unknown() -> Error {
    Error::new(Kind::Unauthenticated, "The e-mail address or the password is not right.")
}

fn holder_of(who: &Who) -> Result<Holder> {
    match who {
        Who::Key { id, .. } => Ok(Holder::Key(*id)),
        Who::Member { id, .. } => Ok(Holder::Member(*id)),
        Who::Operator | Who::Server => Err(Error::internal("a token for nobody")),
    }
}

impl Service {
    /// Checks an e-mail address and a password, and begins a session in the project that they open. [`Kind::Unauthenticated`] whatever is wrong with
    /// them; [`Kind::Invalid`] if they open several projects and none was named, or open only others than the one that was.
    pub async fn login(&self, login: Login<'_>) -> Result<Session> {
        let email = email_of(login.email);
        self.admit_login(login.source, &email).await?;
        let live = match self.memberships_opened(&login, &email).await {
            Ok(live) if live.is_empty() => return Err(unknown()),
            Ok(live) => live,
            Err(error) => {
                self.login_undecided(login.source, &email);
                return Err(error);
            }
        };
        self.login_succeeded(login.source, &email).await;
        self.begin_session(choose(live, login.project)?).await
    }
    /// What the password opens: of the project that was named, or else of all that know the e-mail address.
    async fn memberships_opened(&self, login: &Login<'_>, email: &str) -> Result<Vec<Grant>> {
        let mut rows = self.memberships_of(email).await?;
        let is_meant = |m: &Membership| login.project.is_none_or(|named| is_named(m.project, &m.project_name, named));
        if rows.iter().any(is_meant) {
            rows.retain(is_meant);
        }
        rows.truncate(TRIED);
        let (mut opened, mut tried) = (Vec::new(), false);
        for row in rows.iter().filter(|m| m.password_hash.is_some()) {
            tried = true;
            if self.inner.passwords.verify(login.password, row.password_hash.as_deref()).await? {
                opened.push(row);
            }
        }
        if !tried {
            self.inner.passwords.verify(login.password, None).await?;
        }
        let mut live = Vec::new();
        for row in &opened {
            live.extend(self.grant_of_member(row)?);
        }
        if live.is_empty() {
            // Where the password was right and the member is suspended, no other project is concerned.
            let told = if opened.is_empty() { rows } else { opened.into_iter().cloned().collect() };
            self.note_failed_login(told, login.source);
        }
        Ok(live)
    }
    async fn memberships_of(&self, email: &str) -> Result<Vec<Membership>> {
        // PostgreSQL keeps no NUL, and both databases answer alike.
        if email.contains('\0') {
            return Ok(Vec::new());
        }
        let mut tx = self.inner.store.glance().await?;
        match tx.member_by_email(email).await? {
            Some(person) => tx.memberships(person.id).await,
            None => Ok(Vec::new()),
        }
    }
    /// A session of somebody whom an OpenID provider vouched for.
    pub(crate) async fn session_for_member(&self, member: MemberId, project: ProjectId) -> Result<Session> {
        let row = self.inner.store.glance().await?.membership(project, member).await?;
        let grant = row.map(|r| self.grant_of_member(&r)).transpose()?.flatten();
        self.begin_session(grant.ok_or_else(|| Error::new(Kind::Unauthenticated, "You are not a member of this project."))?).await
    }
    async fn begin_session(&self, grant: Grant) -> Result<Session> {
        let expires_at = self.in_seconds(self.inner.config.token_lifetime_secs);
        let mint = Mint { kind: SESSION, grant, parent: None, role: None, scope: "", expires_at };
        self.mint(mint, "member.login").await
    }
    /// A short-lived token of a key, with `scopes` of its own; `scope` is what the client called them. [`Kind::Forbidden`] for whoever is no key, or a token.
    pub async fn token_for_key(&self, grant: &Grant, scopes: Scopes, scope: &str) -> Result<Session> {
        if grant.token.is_some() || !matches!(grant.who, Who::Key { .. }) {
            return Err(Error::new(Kind::Forbidden, "Only an API key itself gets a token."));
        }
        grant.give(scopes)?;
        let expires_at = self.in_seconds(OAUTH_SECS);
        let mint = Mint { kind: OAUTH, grant: Grant { scopes, ..grant.clone() }, parent: None, role: None, scope, expires_at };
        self.mint(mint, "token.created").await
    }
    /// A token for some organizations and with the rights of a role that is not more than the caller's. It ends with the caller's own token.
    pub async fn token_narrow(&self, grant: &Grant, organizations: Vec<String>, role: Role) -> Result<Session> {
        grant.give(role.scopes())?;
        let organizations: Organizations = grant.bind(Some(organizations))?;
        let mut expires_at = self.in_seconds(self.inner.config.token_lifetime_secs);
        if let Some(parent) = grant.token {
            let (hit, _) = self.token_now(parent).await?.ok_or_else(refused)?;
            expires_at = expires_at.min(hit.token.expires_at);
        }
        let mut narrow = Grant { scopes: role.scopes(), organizations, ..grant.clone() };
        if let Who::Member { role: own, operator, .. } = &mut narrow.who {
            (*own, *operator) = (role, false);
        }
        let mint = Mint { kind: NARROWED, grant: narrow, parent: grant.token, role: Some(role), scope: "", expires_at };
        self.mint(mint, "token.created").await
    }
    /// What one of the caller's own tokens is worth; `None` for one that is dead, or another's.
    pub async fn token_introspect(&self, grant: &Grant, jwt: &str) -> Result<Option<TokenInfo>> {
        let Some(id) = self.own_token(jwt).await? else { return Ok(None) };
        let Some((hit, now)) = self.token_now(id).await? else { return Ok(None) };
        let row = hit.token;
        if row.project != grant.project || holder_of(&grant.who).ok() != Some(row.holder) {
            return Ok(None);
        }
        let key = if let Holder::Key(key) = row.holder { Some(key) } else { None };
        Ok(Some(TokenInfo { id, key, grant: now, scope: row.scope, created_at: row.created_at, expires_at: row.expires_at }))
    }
    /// Ends one of the caller's own tokens, and all that were made from it; false for one that is dead, or another's.
    pub async fn token_revoke(&self, grant: &Grant, jwt: &str) -> Result<bool> {
        match self.token_introspect(grant, jwt).await? {
            Some(info) => self.end_token(grant, info.id, "token.revoked").await,
            None => Ok(false),
        }
    }
    /// Ends the session that the caller came with; false for a credential that is none.
    pub async fn logout(&self, grant: &Grant) -> Result<bool> {
        match grant.token {
            Some(token) => self.end_token(grant, token, "member.logout").await,
            None => Ok(false),
        }
    }
    async fn end_token(&self, grant: &Grant, token: TokenId, action: &str) -> Result<bool> {
        let mut tx = self.inner.store.write().await?;
        if !tx.token_revoke(grant.project, token, self.inner.clock.now()).await? {
            return Ok(false);
        }
        let target = Some(("token", token.to_string(), None));
        self.audit(&mut tx, grant.project, &grant.who, &Fact { action, target, ..Fact::default() }).await?;
        commit(tx).await?;
        Ok(true)
    }
    /// The name of one of our tokens; `None` for what is no good token of ours.
    async fn own_token(&self, jwt: &str) -> Result<Option<TokenId>> {
        match self.read_jwt(jwt).await {
            Ok(Bearer::Own(id)) => Ok(Some(id)),
            Ok(Bearer::Foreign(_)) => Ok(None),
            Err(e) if e.kind() == Kind::Unauthenticated => Ok(None),
            Err(e) => Err(e),
        }
    }
    fn in_seconds(&self, seconds: u64) -> Timestamp {
        let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        Timestamp::clamped(self.inner.clock.now().micros().saturating_add(micros))
    }
    async fn mint(&self, mint: Mint<'_>, action: &str) -> Result<Session> {
        let now = self.inner.clock.now();
        let id = TokenId(self.inner.ids.uuid_v7(now)?);
        let mut grant = mint.grant;
        let row = TokenRow {
            id,
            project: grant.project,
            kind: mint.kind.to_owned(),
            holder: holder_of(&grant.who)?,
            parent: mint.parent,
            role: mint.role.map(|r| r.name().to_owned()),
            scopes: grant.scopes.bits(),
            scope: mint.scope.to_owned(),
            organizations: organizations_text(&grant.organizations)?,
            created_at: now,
            expires_at: mint.expires_at,
            revoked_at: None,
        };
        let mut tx = self.inner.store.write().await?;
        tx.token_create(&row).await?;
        self.audit_token(&mut tx, &grant, &row, action).await?;
        commit(tx).await?;
        grant.token = Some(id);
        let subject = match row.holder {
            Holder::Key(key) => key.to_string(),
            Holder::Member(member) => member.to_string(),
        };
        // After the commit: signing may store a new signing key. A row without its text is of no use to anybody.
        let jwt = self.sign_jwt(&OwnClaims { id, subject, project: grant.project, issued_at: now, expires_at: row.expires_at }).await?;
        Ok(Session { jwt, id, grant, expires_at: row.expires_at })
    }
    async fn audit_token(&self, tx: &mut WriteTx, grant: &Grant, row: &TokenRow, action: &str) -> Result<()> {
        let mut metadata = Map::new();
        metadata.insert("expires_at".to_owned(), row.expires_at.to_string().into());
        if row.kind != SESSION {
            metadata.insert("scopes".to_owned(), json!(grant.scopes.names()));
            metadata.insert("organizations".to_owned(), json!(grant.organizations.as_deref()));
            metadata.insert("role".to_owned(), row.role.as_deref().map_or(Value::Null, Value::from));
        }
        let fact = Fact { action, target: Some(("token", row.id.to_string(), None)), metadata, ..Fact::default() };
        self.audit(tx, grant.project, &grant.who, &fact).await
    }
    /// Tells projects that somebody could not come in as their member. Beside the answer, which must not take longer for known people;
    /// not faster than passwords are compared.
    fn note_failed_login(&self, told: Vec<Membership>, source: IpAddr) {
        if told.is_empty() {
            return;
        }
        let service = self.clone();
        tokio::spawn(async move {
            if let Err(error) = service.audit_failed_login(&told, source).await {
                crate::die_on_failed_sync(&error);
                tracing::warn!(%error, "a failed login could not be noted");
            }
        });
    }
    async fn audit_failed_login(&self, told: &[Membership], source: IpAddr) -> Result<()> {
        let metadata = Map::from_iter([("source".to_owned(), Value::from(source.to_string()))]);
        let mut tx = self.inner.store.write().await?;
        for row in told {
            let target = Some(("member", row.member.to_string(), Some(&*row.email)));
            let fact = Fact { action: "member.login_failed", target, metadata: metadata.clone(), ..Fact::default() };
            self.audit(&mut tx, row.project, &Who::Server, &fact).await?;
        }
        commit(tx).await
    }
}

/// True if `named` is a project's id or name.
fn is_named(project: ProjectId, name: &str, named: &str) -> bool {
    ProjectId::parse(named) == Some(project) || name == named
}

/// The membership to come in with.
fn choose(mut live: Vec<Grant>, project: Option<&str>) -> Result<Grant> {
    if let Some(named) = project {
        let found = live.into_iter().find(|g| is_named(g.project, &g.project_name, named));
        return found.ok_or_else(|| Error::invalid_member("project", "You are not a member of such a project."));
    }
    match live.pop() {
        Some(only) if live.is_empty() => Ok(only),
        _ => Err(Error::invalid_member("project", "You are a member of several projects: name one of them.")),
    }
}
