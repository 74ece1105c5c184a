//! Members whom a provider vouches for: found by issuer and subject, let in for the first time, kept as the claims say.
//!
//! Promises: what claims change takes effect with the login or the token that brings them, and is audited in the same transaction; what was withdrawn ends.
//! A token gives no more than it claims itself, and no more than newer ones, or somebody here, left of that. The last owner stays.
//! Never: joins a person to a member by an e-mail address, or writes what older claims say.

use std::net::IpAddr;

use indelible_model::ids::hex;
use indelible_model::{Error, Kind, MemberId, ProjectId, Result};
use indelible_store::{Identity, MemberRow, Membership, ReadTx, WriteTx};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::claims::{ForeignClaims, MAX_SUBJECT, Rights};
use crate::audit::Fact;
use crate::caller::{Grant, Role, Who};
use crate::credentials::{intersection, organizations_text, read_organizations};
use crate::members::owner_stays;
use crate::projects::{Admin, commit};
use crate::sessions::Session;
use crate::{Service, in_time, patience};

/// Everybody who is vouched for and is nobody here is answered so; the operator is told why.
fn not_let_in(claims: &ForeignClaims, why: &str) -> Error {
    Error::new(Kind::Forbidden, "This login has no access here.").with_internal(format!("provider {}: {why}", claims.provider.name))
}

/// Who a person is here now.
enum Found {
    Nobody,
    /// A member of other projects only.
    Elsewhere(MemberId),
    Member(Membership),
}

impl Service {
    /// Ends a login that a provider's answer `query` came back from, in the browser at `source` that kept `state`.
    pub async fn oidc_finish(&self, name: &str, state: &str, query: &str, source: IpAddr) -> Result<Session> {
        // Whose login it is is known at its end only; each has its own count, so that nobody keeps others out.
        let account = format!("login {state}");
        self.admit_login(source, &account).await?;
        let ended = self.oidc_membership(name, state, query, source).await;
        match &ended {
            Ok(_) => self.login_succeeded(source, &account).await,
            Err(error) if matches!(error.kind(), Kind::Unauthenticated | Kind::Forbidden) => {}
            Err(_) => self.login_undecided(source, &account),
        }
        let membership = ended?;
        self.session_for_member(membership.member, membership.project).await
    }
    async fn oidc_membership(&self, name: &str, state: &str, query: &str, source: IpAddr) -> Result<Membership> {
        let claims = self.oidc_claims(name, state, query).await?;
        let person = self.person(&claims).await;
        match person.and_then(|m| if as_claimed(&m, &claims)? { Ok(m) } else { Err(not_let_in(&claims, "the claims do not hold here")) }) {
            Err(error) if error.kind() == Kind::Forbidden => {
                self.note_refused(&claims, source).await?;
                Err(error)
            }
            done => done,
        }
    }
    /// What somebody may do who brought a provider's token.
    pub(crate) async fn oidc_grant(&self, claims: &ForeignClaims) -> Result<Grant> {
        let membership = self.person(claims).await?;
        let grant = self.grant_of_member(&membership)?.ok_or_else(|| not_let_in(claims, "the member is suspended"))?;
        limited(grant, &rights_of(&membership)?, claims)
    }
    /// Notes who a member is at a provider, so that they can log in there. Whoever is joined to a member is them, in all projects.
    pub async fn identity_link(&self, admin: &Admin, project: ProjectId, member: MemberId, provider: &str, subject: &str) -> Result<()> {
        if subject.is_empty() || subject.len() > MAX_SUBJECT || subject.chars().any(char::is_control) {
            return Err(Error::invalid_member("subject", format!("must have 1 to {MAX_SUBJECT} bytes.")));
        }
        let settings = &self.inner.tokens.oidc.of(provider)?.settings;
        let mut tx = self.inner.store.write().await?;
        let membership = tx.membership(project, member).await?.ok_or_else(|| Error::not_found("Member"))?;
        if !tx.identity_put(&Identity { issuer: settings.issuer.clone(), subject: subject.to_owned(), member, claims_at: 0 }).await? {
            return Err(Error::new(Kind::Conflict, "This login is a member's already."));
        }
        let mut metadata = provided(&settings.name);
        metadata.insert("subject".to_owned(), subject.into());
        self.audit(&mut tx, project, admin.who(), &Fact { action: "member.updated", metadata, ..about(&membership) }).await?;
        commit(tx).await
    }
    /// The membership that claims stand for, brought to what they say.
    async fn person(&self, claims: &ForeignClaims) -> Result<Membership> {
        let project = self.project(&claims.provider.project).await?;
        match self.find_person(project, claims).await? {
            (Found::Member(membership), applied) if claims.issued_at < applied || (claims.issued_at == applied && as_claimed(&membership, claims)?) => {
                return kept(membership, claims);
            }
            (Found::Member(_), _) => {}
            // Before anything is locked.
            (Found::Elsewhere(_) | Found::Nobody, _) => drop(entry(claims)?),
        }
        match Box::pin(self.bring_in_line(project, claims)).await {
            Ok(Some(membership)) => kept(membership, claims),
            Ok(None) => Err(not_let_in(claims, "the claims give no role here any more; the membership has ended")),
            Err(error) => match self.find_person(project, claims).await? {
                // Another call with the same claims was faster.
                (Found::Member(membership), _) if as_claimed(&membership, claims)? => kept(membership, claims),
                _ => Err(error),
            },
        }
    }
    async fn find_person(&self, project: ProjectId, claims: &ForeignClaims) -> Result<(Found, i64)> {
        let look = async { find(&mut self.inner.store.glance().await?, project, claims).await };
        in_time(patience(&self.inner.store), look).await
    }
    async fn bring_in_line(&self, project: ProjectId, claims: &ForeignClaims) -> Result<Option<Membership>> {
        let mut tx = self.inner.store.write().await?;
        if !tx.project_lock(project).await? {
            return Err(Error::not_found("Project"));
        }
        let (found, applied) = find(&mut tx, project, claims).await?;
        let older = claims.issued_at < applied;
        let (member, membership) = match found {
            Found::Member(membership) if older => return Ok(Some(membership)),
            Found::Elsewhere(_) if older => return Err(not_let_in(claims, "the claims are older than what ended the membership")),
            Found::Member(membership) => (membership.member, self.follow(&mut tx, membership, claims).await?),
            Found::Elsewhere(member) => (member, Some(self.let_in(&mut tx, project, Some(member), claims).await?)),
            Found::Nobody => {
                let new = self.let_in(&mut tx, project, None, claims).await?;
                (new.member, Some(new))
            }
        };
        tx.identity_claimed(member, claims.issued_at).await?;
        commit(tx).await?;
        Ok(membership)
    }
    /// Makes a membership what the claims say; `None` if that is nothing. The last owner's stays as it is.
    async fn follow(&self, tx: &mut WriteTx, membership: Membership, claims: &ForeignClaims) -> Result<Option<Membership>> {
        let before = rights_of(&membership)?;
        let (project, member) = (membership.project, membership.member);
        let metadata = provided(&claims.provider.name);
        let now = claims.rights(Some(&before));
        if now.as_ref().is_none_or(|now| now.role != Role::Owner) && owner_stays(&tx.member_list(project).await?, member).is_err() {
            tracing::warn!(provider = %claims.provider.name, %member, "claims would leave the project without an owner; they change nothing");
            return Ok(Some(membership));
        }
        let Some(now) = now else {
            tx.membership_remove(project, member).await?;
            tx.token_revoke_member(member, Some(project), self.inner.clock.now()).await?;
            self.audit(tx, project, &Who::Server, &Fact { action: "member.removed", metadata, ..about(&membership) }).await?;
            return Ok(None);
        };
        if now == before {
            return Ok(Some(membership));
        }
        let after = Membership { role: now.role.name().to_owned(), organizations: stored(&now)?, ..membership };
        tx.membership_update(&after).await?;
        let diff = Some((shown(&before), shown(&now)));
        self.audit(tx, project, &Who::Server, &Fact { action: "member.updated", diff, metadata, ..about(&after) }).await?;
        Ok(Some(after))
    }
    /// Makes a person a member, if the provider's people are let in.
    async fn let_in(&self, tx: &mut WriteTx, project: ProjectId, known: Option<MemberId>, claims: &ForeignClaims) -> Result<Membership> {
        let rights = entry(claims)?;
        let now = self.inner.clock.now();
        let of = tx.project_by_id(project).await?.ok_or_else(|| Error::not_found("Project"))?;
        let plan = self.plan_of(&of.plan)?;
        plan.one_more_member(tx.member_list(project).await?.len() as u64)?;
        let email = address(claims);
        let member = match known {
            Some(member) => member,
            None => {
                let member = self.fresh_member_id()?;
                if !tx.member_create(&MemberRow { id: member, email: email.clone(), created_at: now }).await? {
                    return Err(not_let_in(claims, "their e-mail address is a member's already; join them to that member"));
                }
                if !tx.identity_put(&Identity { issuer: claims.provider.issuer.clone(), subject: claims.subject.clone(), member, claims_at: 0 }).await? {
                    return Err(Error::new(Kind::Conflict, "This person is being let in by another call."));
                }
                member
            }
        };
        let new = Membership {
            project,
            project_name: of.name,
            plan: of.plan,
            member,
            name: claims.name.clone().unwrap_or_else(|| email.clone()),
            email,
            operator: false,
            password_hash: None,
            role: rights.role.name().to_owned(),
            organizations: stored(&rights)?,
            active: true,
            created_at: now,
        };
        tx.membership_create(&new).await?;
        let diff = Some((json!({}), shown(&rights)));
        self.audit(tx, project, &Who::Server, &Fact { action: "member.created", diff, metadata: provided(&claims.provider.name), ..about(&new) }).await?;
        // As it is stored: somebody known elsewhere has another address.
        tx.membership(project, member).await?.ok_or_else(|| Error::not_found("Member"))
    }
    async fn note_refused(&self, claims: &ForeignClaims, source: IpAddr) -> Result<()> {
        let project = self.project(&claims.provider.project).await?;
        let mut metadata = provided(&claims.provider.name);
        metadata.insert("subject".to_owned(), claims.subject.clone().into());
        metadata.insert("source".to_owned(), source.to_string().into());
        let mut tx = self.inner.store.write().await?;
        self.audit(&mut tx, project, &Who::Server, &Fact { action: "member.login_failed", metadata, ..Fact::default() }).await?;
        commit(tx).await
    }
}

/// Who somebody is, and the second before which claims were made that change nothing any more.
async fn find(tx: &mut ReadTx, project: ProjectId, claims: &ForeignClaims) -> Result<(Found, i64)> {
    let Some(identity) = tx.identity_find(&claims.provider.issuer, &claims.subject).await? else { return Ok((Found::Nobody, 0)) };
    let found = tx.membership(project, identity.member).await?.map_or(Found::Elsewhere(identity.member), Found::Member);
    Ok((found, identity.claims_at))
}

/// What a member's grant and claims give together: the claims may be older than what the member is now.
fn limited(mut grant: Grant, own: &Rights, claims: &ForeignClaims) -> Result<Grant> {
    let said = claims.rights(Some(own)).ok_or_else(|| not_let_in(claims, "the claims give no role here"))?;
    let organizations = intersection(grant.organizations, said.organizations.map(Into::into));
    grant.organizations = organizations.ok_or_else(|| not_let_in(claims, "the claims name no organization of theirs"))?;
    grant.scopes = grant.scopes.and(said.role.scopes());
    if let Who::Member { role, operator, .. } = &mut grant.who
        && said.role != *role
    {
        *operator = false;
        // The first of them is the most.
        *role = Role::ALL.into_iter().rfind(|r| r == role || *r == said.role).unwrap_or(said.role);
    }
    Ok(grant)
}

/// What somebody who is no member may do, if the provider's people are let in.
fn entry(claims: &ForeignClaims) -> Result<Rights> {
    if !claims.provider.let_in_unknown {
        return Err(not_let_in(claims, "unknown people are not let in"));
    }
    claims.rights(None).ok_or_else(|| not_let_in(claims, "the claims give no role here"))
}

fn as_claimed(membership: &Membership, claims: &ForeignClaims) -> Result<bool> {
    let now = rights_of(membership)?;
    Ok(claims.rights(Some(&now)) == Some(now))
}

/// The membership, unless somebody here suspended it: claims do not undo that.
fn kept(membership: Membership, claims: &ForeignClaims) -> Result<Membership> {
    if membership.active { Ok(membership) } else { Err(not_let_in(claims, "the member is suspended")) }
}

fn rights_of(membership: &Membership) -> Result<Rights> {
    let role = Role::parse(&membership.role).ok_or_else(|| Error::corrupt("unknown role"))?;
    Ok(Rights { role, organizations: read_organizations(membership.organizations.as_deref())?.map(|own| own.to_vec()) })
}

fn stored(rights: &Rights) -> Result<Option<String>> {
    organizations_text(&rights.organizations.clone().map(Into::into))
}

fn shown(rights: &Rights) -> Value {
    json!({ "role": rights.role.name(), "organizations": rights.organizations })
}

fn about(membership: &Membership) -> Fact<'_> {
    Fact { target: Some(("member", membership.member.to_string(), Some(&membership.name))), ..Fact::default() }
}

fn provided(provider: &str) -> Map<String, Value> {
    Map::from_iter([("provider".to_owned(), provider.into())])
}

/// The claimed e-mail address, or one that no mail reaches: every member has one.
fn address(claims: &ForeignClaims) -> String {
    match &claims.email {
        Some(email) => email.clone(),
        None => format!("{}@{}.invalid", hex(&Sha256::digest(claims.subject.as_bytes())[..8]), claims.provider.name),
    }
}
