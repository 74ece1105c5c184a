//! Members: the people of a project, with roles and bindings.
//!
//! Promises: nobody gives more than they have, or changes somebody who has more; only owners make and change owners, and the last one stays; a caller
//! bound to organizations sees and changes only members who are bound to some of them. What one project says of a person holds in no other: a
//! password opens one project, and no answer tells whether another one knows an e-mail address.

use indelible_model::{Error, Kind, MemberId, Result, Timestamp};
use indelible_store::{MemberRow, Membership, WriteTx};
use serde_json::{Value, json};

use crate::audit::Fact;
use crate::caller::{Caller, CanManageMembers, Grant, Organizations, Role, Who};
use crate::credentials::{is_within, organizations_text, read_organizations, role_of};
use crate::projects::{Admin, check_name, commit};
use crate::{Service, passwords};

/// A member as the project sees them.
#[derive(Clone, Debug)]
pub struct Member {
    /// The public id.
    pub id: MemberId,
    /// The e-mail address.
    pub email: String,
    /// A name for people.
    pub name: String,
    /// What the project made of them.
    pub role: Role,
    /// What they may see.
    pub organizations: Organizations,
    /// False for who is kept out.
    pub active: bool,
    /// May make projects, and see all of them.
    pub operator: bool,
    /// Since when they are a member.
    pub created_at: Timestamp,
}

/// A member to be made.
#[derive(Clone)]
pub struct MemberSpec {
    /// The e-mail address.
    pub email: String,
    /// A name for people.
    pub name: String,
    /// What to make of them.
    pub role: Role,
    /// What they may see; `None` for as much as whoever makes them.
    pub organizations: Option<Vec<String>>,
    /// The password that opens this project; without one they come by an OpenID provider.
    pub password: Option<String>,
}

/// What to change of a member; `None` leaves it.
#[derive(Clone, Default)]
pub struct MemberChange {
    /// The name.
    pub name: Option<String>,
    /// The role.
    pub role: Option<Role>,
    /// What they may see; `Some(None)` for as much as whoever changes it.
    pub organizations: Option<Option<Vec<String>>>,
    /// The password that opens this project. All their sessions here end.
    pub password: Option<String>,
    /// Whether they may come in.
    pub active: Option<bool>,
}

/// Bytes of an e-mail address, at least and at most.
const EMAIL_BYTES: std::ops::RangeInclusive<usize> = 3..=254;

/// An e-mail address as it is stored and looked up.
pub(crate) fn email_of(text: &str) -> String {
    text.trim().to_lowercase()
}

/// As [`email_of`]; fails for what is none.
pub(crate) fn check_email(text: &str) -> Result<String> {
    let email = email_of(text);
    let parts = email.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    if parts && EMAIL_BYTES.contains(&email.len()) && !email.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Ok(email);
    }
    Err(Error::invalid_member("email", "must be an e-mail address."))
}

fn member_of(row: &Membership) -> Result<Member> {
    Ok(Member {
        id: row.member,
        email: row.email.clone(),
        name: row.name.clone(),
        role: role_of(&row.role)?,
        organizations: read_organizations(row.organizations.as_deref())?,
        active: row.active,
        operator: row.operator,
        created_at: row.created_at,
    })
}

fn missing() -> Error {
    Error::not_found("Member")
}

/// [`Kind::Forbidden`] unless the caller may give this role, and so change who has it.
fn may_manage(grant: &Grant, role: Role) -> Result<()> {
    let owner = matches!(grant.who, Who::Operator | Who::Server | Who::Member { role: Role::Owner, .. });
    if role == Role::Owner && !owner {
        return Err(Error::new(Kind::Forbidden, "Only an owner may make or change owners."));
    }
    grant.give(role.scopes())
}

/// Fails for a role that does not go with what its holder may see.
pub(crate) fn check_binding(role: Role, organizations: &Organizations) -> Result<()> {
    match organizations {
        None if role.is_bound() => Err(Error::invalid_member("organizations", format!("The role {} needs organizations.", role.name()))),
        Some(_) if role == Role::Owner => Err(Error::invalid_member("organizations", "An owner is bound to no organizations.")),
        _ => Ok(()),
    }
}

/// Fails if the project would be left without an owner.
pub(crate) fn owner_stays(all: &[Membership], without: MemberId) -> Result<()> {
    let is_owner = |m: &&Membership| m.active && Role::parse(&m.role) == Some(Role::Owner);
    let (leaving, staying): (Vec<_>, Vec<_>) = all.iter().filter(is_owner).partition(|m| m.member == without);
    if !leaving.is_empty() && staying.is_empty() {
        return Err(Error::new(Kind::Conflict, "This is the last owner; make another one first."));
    }
    Ok(())
}

/// What the log shows of a member.
fn shown(row: &Membership) -> Result<Value> {
    Ok(json!({ "name": row.name, "role": row.role, "organizations": read_organizations(row.organizations.as_deref())?.as_deref(), "active": row.active }))
}

impl Service {
    /// The members that the caller sees, oldest first.
    pub async fn members(&self, caller: &Caller<CanManageMembers>) -> Result<Vec<Member>> {
        let mut members = self.inner.store.glance().await?.member_list(caller.project()).await?.iter().map(member_of).collect::<Result<Vec<_>>>()?;
        members.retain(|m| is_within(&m.organizations, &caller.grant().organizations));
        Ok(members)
    }
    /// Makes somebody a member. [`Kind::Forbidden`] for one who could do or see more than the caller.
    pub async fn member_create(&self, caller: &Caller<CanManageMembers>, spec: MemberSpec) -> Result<Member> {
        let grant = caller.grant();
        let email = check_email(&spec.email)?;
        check_name(&spec.name)?;
        may_manage(grant, spec.role)?;
        let organizations = grant.bind(spec.organizations)?;
        check_binding(spec.role, &organizations)?;
        let password_hash = self.checked_hash(spec.password.as_deref()).await?;
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write().await?;
        let all = locked_members(&mut tx, grant).await?;
        if all.iter().any(|m| m.email == email) {
            return Err(Error::new(Kind::Conflict, "Somebody with this e-mail address is a member already."));
        }
        if grant.is_served() {
            grant.plan.one_more_member(all.len() as u64)?;
        }
        let mut person = MemberRow { id: self.fresh_member_id()?, email, created_at: now };
        if !tx.member_create(&person).await? {
            person = tx.member_by_email(&person.email).await?.ok_or_else(missing)?;
        }
        let membership = Membership {
            project: grant.project,
            project_name: grant.project_name.clone(),
            plan: String::new(),
            member: person.id,
            email: person.email,
            operator: false,
            password_hash,
            name: spec.name,
            role: spec.role.name().to_owned(),
            organizations: organizations_text(&organizations)?,
            active: true,
            created_at: now,
        };
        self.member_join(&mut tx, grant, &membership).await?;
        commit(tx).await?;
        member_of(&membership)
    }
    /// An id for a person. Random, and nothing else: a time in it would tell one project since when another one knows them.
    pub(crate) fn fresh_member_id(&self) -> Result<MemberId> {
        let mut id = [0; 16];
        self.inner.ids.fill(&mut id)?;
        Ok(MemberId(id))
    }
    /// The first second after a change.
    fn next_second(&self) -> i64 {
        self.inner.clock.now().micros().div_euclid(1_000_000) + 1
    }
    /// Stores a membership, with its fact.
    pub(crate) async fn member_join(&self, tx: &mut WriteTx, grant: &Grant, membership: &Membership) -> Result<()> {
        if !tx.membership_create(membership).await? {
            return Err(Error::new(Kind::Conflict, "They are a member already."));
        }
        self.audit_member(tx, grant, "member.created", membership, Some((json!({}), shown(membership)?))).await
    }
    /// Changes a member; what they are now.
    pub async fn member_update(&self, caller: &Caller<CanManageMembers>, member: MemberId, change: MemberChange) -> Result<Member> {
        let grant = caller.grant();
        change.name.as_deref().map(check_name).transpose()?;
        let hash = self.checked_hash(change.password.as_deref()).await?;
        let mut tx = self.inner.store.write().await?;
        let all = locked_members(&mut tx, grant).await?;
        let old = seen_member(&all, grant, member)?;
        may_manage(grant, role_of(&old.role)?)?;
        let mut new = old.clone();
        if let Some(name) = change.name {
            new.name = name;
        }
        if let Some(role) = change.role {
            may_manage(grant, role)?;
            role.name().clone_into(&mut new.role);
        }
        if let Some(wanted) = change.organizations {
            new.organizations = organizations_text(&grant.bind(wanted)?)?;
        }
        new.active = change.active.unwrap_or(old.active);
        let now = member_of(&new)?;
        check_binding(now.role, &now.organizations)?;
        if !(now.active && now.role == Role::Owner) {
            owner_stays(&all, member)?;
        }
        if new != *old {
            tx.membership_update(&new).await?;
            // Tokens of providers that were made before do not undo it.
            tx.identity_claimed(member, self.next_second()).await?;
            self.audit_member(&mut tx, grant, "member.updated", &new, Some((shown(old)?, shown(&new)?))).await?;
        }
        if !new.active && old.active {
            tx.token_revoke_member(member, Some(grant.project), self.inner.clock.now()).await?;
        }
        if let Some(hash) = hash {
            may_set_password(grant, old)?;
            tx.member_password(grant.project, member, &hash).await?;
            tx.token_revoke_member(member, Some(grant.project), self.inner.clock.now()).await?;
            self.audit_member(&mut tx, grant, "member.updated", &new, Some((json!({}), json!({ "password": "changed" })))).await?;
        }
        commit(tx).await?;
        Ok(now)
    }
    /// Ends somebody's membership, and with it their tokens. Who is in no other project is forgotten.
    pub async fn member_remove(&self, caller: &Caller<CanManageMembers>, member: MemberId) -> Result<()> {
        let grant = caller.grant();
        let mut tx = self.inner.store.write().await?;
        let all = locked_members(&mut tx, grant).await?;
        let old = seen_member(&all, grant, member)?;
        may_manage(grant, role_of(&old.role)?)?;
        owner_stays(&all, member)?;
        tx.membership_remove(grant.project, member).await?;
        tx.token_revoke_member(member, Some(grant.project), self.inner.clock.now()).await?;
        tx.identity_claimed(member, self.next_second()).await?;
        tx.member_forget(member).await?;
        self.audit_member(&mut tx, grant, "member.removed", old, Some((shown(old)?, json!({})))).await?;
        commit(tx).await
    }
    /// Makes a member an operator of the server when they come in by the caller's project, or takes that away. The fact stands in the log of the caller's project.
    pub async fn member_operator(&self, _: &Admin, caller: &Caller<CanManageMembers>, member: MemberId, operator: bool) -> Result<()> {
        let mut tx = self.inner.store.write().await?;
        let all = locked_members(&mut tx, caller.grant()).await?;
        let old = seen_member(&all, caller.grant(), member)?;
        tx.member_operator(caller.project(), member, operator).await?;
        let diff = (json!({ "operator": old.operator }), json!({ "operator": operator }));
        self.audit_member(&mut tx, caller.grant(), "member.updated", old, Some(diff)).await?;
        commit(tx).await
    }
    async fn checked_hash(&self, password: Option<&str>) -> Result<Option<String>> {
        let Some(password) = password else { return Ok(None) };
        passwords::check(password)?;
        self.password_hash(password).await.map(Some)
    }
    /// The hash of a password that was checked.
    pub(crate) async fn password_hash(&self, password: &str) -> Result<String> {
        let mut salt = [0; 16];
        self.inner.ids.fill(&mut salt)?;
        self.inner.passwords.hash(password, salt).await
    }
    async fn audit_member(&self, tx: &mut WriteTx, by: &Grant, action: &str, member: &Membership, diff: Option<(Value, Value)>) -> Result<()> {
        let target = Some(("member", member.member.to_string(), Some(&*member.email)));
        self.audit(tx, by.project, &by.who, &Fact { action, target, diff, ..Fact::default() }).await
    }
}

/// The project's members, with other changes kept off.
async fn locked_members(tx: &mut WriteTx, grant: &Grant) -> Result<Vec<Membership>> {
    if !tx.project_lock(grant.project).await? {
        return Err(Error::not_found("Project"));
    }
    tx.member_list(grant.project).await
}

/// A member that the caller sees; another answers as a missing one.
fn seen_member<'a>(all: &'a [Membership], grant: &Grant, member: MemberId) -> Result<&'a Membership> {
    let row = all.iter().find(|m| m.member == member).ok_or_else(missing)?;
    if is_within(&read_organizations(row.organizations.as_deref())?, &grant.organizations) { Ok(row) } else { Err(missing()) }
}

/// [`Kind::Forbidden`] for a password that opens more than the caller's project: an operator's, unless the caller is one, or that person.
fn may_set_password(grant: &Grant, member: &Membership) -> Result<()> {
    let own = match grant.who {
        Who::Operator | Who::Member { operator: true, .. } => true,
        Who::Member { id, .. } => id == member.member,
        _ => false,
    };
    if own || !member.operator {
        return Ok(());
    }
    Err(Error::new(Kind::Forbidden, "This password opens more than your project: only an operator of the server may set it."))
}
