//! Projects: made, named, given a plan; and the first start of a store. Whoever does this has authority over the whole server.

use indelible_model::{Error, Kind, MemberId, ProjectId, Result, Timestamp};
use indelible_store::{MemberRow, Membership, Project, WriteTx};
use serde_json::json;

use crate::audit::Fact;
use crate::caller::{Grant, Role, Scopes, Who};
use crate::keys::{KeySpec, random_text};
use crate::plans::kept_name;
use crate::{Service, die_on_failed_sync, members, passwords};

/// Somebody with authority over the server: a member who is an operator, or a command on the machine.
#[derive(Clone, Debug)]
pub struct Admin {
    who: Who,
    /// Where a member is one.
    project: Option<ProjectId>,
}

impl Admin {
    /// Who they are.
    pub fn who(&self) -> &Who {
        &self.who
    }
}

impl Grant {
    /// Authority over the server, for its operators; [`Kind::Forbidden`] for others.
    pub fn admin(&self) -> Result<Admin> {
        match self.who {
            Who::Operator | Who::Member { operator: true, .. } => Ok(Admin { who: self.who.clone(), project: Some(self.project) }),
            _ => Err(Error::new(Kind::Forbidden, "Only an operator of the server may do this.")),
        }
    }
}

/// A project.
#[derive(Clone, Debug)]
pub struct ProjectInfo {
    /// The public id.
    pub id: ProjectId,
    /// Its unique name.
    pub name: String,
    /// Its plan's name; empty for the default one.
    pub plan: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What to change of a project; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct ProjectChange {
    /// Its name.
    pub name: Option<String>,
    /// Its plan's name; empty or `default` for the default one.
    pub plan: Option<String>,
}

/// What the first start shall make.
#[derive(Clone, Copy)]
pub struct First<'a> {
    /// The key's secret; a fresh one otherwise.
    pub key: Option<&'a str>,
    /// The owner's e-mail address.
    pub email: &'a str,
    /// The owner's password; a fresh one otherwise.
    pub password: Option<&'a str>,
}

impl<'a> From<Option<&'a str>> for First<'a> {
    fn from(key: Option<&'a str>) -> Self {
        Self { key, email: "owner@localhost", password: None }
    }
}

/// What the first start made.
#[derive(Clone, Debug)]
pub struct FirstStart {
    /// The project `default`.
    pub project: ProjectId,
    /// Its key's secret.
    pub secret: String,
    /// The owner's e-mail address.
    pub email: String,
    /// The owner's password.
    pub password: String,
}

/// The name of the project that the first start makes.
const DEFAULT_PROJECT: &str = "default";
const NAME_BYTES: usize = 200;
/// Characters of a password that nobody chose.
const PASSWORD: usize = 24;

pub(crate) async fn commit(tx: WriteTx) -> Result<()> {
    tx.commit().await.inspect_err(die_on_failed_sync)
}

/// Fails for a name that is empty or too long.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.trim().is_empty() || name.len() > NAME_BYTES {
        return Err(Error::invalid_member("name", format!("must have 1 to {NAME_BYTES} bytes.")));
    }
    Ok(())
}

fn check_project_name(name: &str) -> Result<()> {
    if name.starts_with(ProjectId::PREFIX) {
        return Err(Error::invalid_member("name", format!("must not begin with {}.", ProjectId::PREFIX)));
    }
    check_name(name)
}

fn info(row: Project) -> ProjectInfo {
    ProjectInfo { id: row.id, name: row.name, plan: row.plan, created_at: row.created_at }
}

fn taken(name: &str) -> Error {
    Error::new(Kind::Conflict, format!("There is a project named {name} already."))
}

impl Service {
    /// Authority over the server, for commands on the machine itself.
    pub fn on_the_machine(&self) -> Admin {
        Admin { who: Who::Operator, project: None }
    }
    /// All permissions in a project, for commands on the machine itself.
    pub async fn operator(&self, project: ProjectId) -> Result<Grant> {
        let row = self.inner.store.glance().await?.project_by_id(project).await?.ok_or_else(|| Error::not_found("Project"))?;
        self.whole(row.id, row.name, &row.plan, Who::Operator)
    }
    fn whole(&self, project: ProjectId, project_name: String, plan: &str, who: Who) -> Result<Grant> {
        let plan = self.plan_of(plan)?;
        Ok(Grant { project, project_name, who, scopes: Scopes::all(), organizations: None, plan, per_minute: None, token: None })
    }
    /// A password that nobody can guess.
    pub fn fresh_password(&self) -> Result<String> {
        random_text(&self.inner.ids, PASSWORD)
    }
    /// On a store without projects: makes the project `default`, a key with all scopes, and an owner who operates the server.
    pub async fn bootstrap<'a>(&self, first: impl Into<First<'a>>) -> Result<Option<FirstStart>> {
        let first = first.into();
        if !self.inner.store.glance().await?.project_list().await?.is_empty() {
            return Ok(None);
        }
        let email = members::check_email(first.email)?;
        let password = match first.password {
            Some(given) => given.to_owned(),
            None => self.fresh_password()?,
        };
        passwords::check(&password)?;
        let hash = self.password_hash(&password).await?;
        let now = self.inner.clock.now();
        let (project, member) = (ProjectId(self.inner.ids.uuid_v7(now)?), self.fresh_member_id()?);
        // One transaction: a project without a key and an owner would lock everybody out for ever.
        let mut tx = self.inner.store.write().await?;
        if !tx.project_create(project, DEFAULT_PROJECT, now).await? {
            return Ok(None);
        }
        let grant = self.whole(project, DEFAULT_PROJECT.to_owned(), "", Who::Server)?;
        self.audit_project(&mut tx, &grant.who, project, "project.created", DEFAULT_PROJECT, None).await?;
        let spec = KeySpec { secret: first.key.map(str::to_owned), ..KeySpec::new("bootstrap", Scopes::all()) };
        let key = self.key_store(&mut tx, &grant, spec).await?;
        tx.member_create(&MemberRow { id: member, email: email.clone(), created_at: now }).await?;
        self.owner_store(&mut tx, &grant, (member, &email, "Owner"), Some(hash)).await?;
        commit(tx).await?;
        Ok(Some(FirstStart { project, secret: key.secret, email, password }))
    }
    async fn owner_store(&self, tx: &mut WriteTx, grant: &Grant, (member, email, name): (MemberId, &str, &str), password_hash: Option<String>) -> Result<()> {
        let membership = Membership {
            project: grant.project,
            project_name: grant.project_name.clone(),
            plan: String::new(),
            member,
            email: email.to_owned(),
            operator: true,
            password_hash,
            name: name.to_owned(),
            role: Role::Owner.name().to_owned(),
            organizations: None,
            active: true,
            created_at: self.inner.clock.now(),
        };
        self.member_join(tx, grant, &membership).await
    }
    /// Makes a project; [`Kind::Conflict`] if the name is taken. A member who makes it owns it.
    pub async fn project_create(&self, admin: &Admin, name: &str) -> Result<ProjectId> {
        check_project_name(name)?;
        let now = self.inner.clock.now();
        let id = ProjectId(self.inner.ids.uuid_v7(now)?);
        let mut tx = self.inner.store.write().await?;
        if !tx.project_create(id, name, now).await? {
            return Err(taken(name));
        }
        self.audit_project(&mut tx, &admin.who, id, "project.created", name, None).await?;
        if let Who::Member { id: member, email, name: called, .. } = &admin.who {
            let grant = self.whole(id, name.to_owned(), "", admin.who.clone())?;
            // The password that they came in with opens what they make.
            let own = match admin.project {
                Some(project) => tx.membership(project, *member).await?,
                None => None,
            };
            self.owner_store(&mut tx, &grant, (*member, email, called), own.and_then(|m| m.password_hash)).await?;
        }
        commit(tx).await?;
        Ok(id)
    }
    /// Changes a project's name and plan; what it is now.
    pub async fn project_update(&self, admin: &Admin, project: ProjectId, change: ProjectChange) -> Result<ProjectInfo> {
        change.name.as_deref().map(check_project_name).transpose()?;
        change.plan.as_deref().map(|plan| self.plan(plan)).transpose()?;
        let mut tx = self.inner.store.write().await?;
        let old = tx.project_by_id(project).await?.ok_or_else(|| Error::not_found("Project"))?;
        let (name, plan) = (change.name.unwrap_or_else(|| old.name.clone()), change.plan.map_or_else(|| old.plan.clone(), kept_name));
        if name != old.name && tx.project_by_name(&name).await?.is_some() {
            return Err(taken(&name));
        }
        tx.project_update(project, &name, &plan).await?;
        if name != old.name {
            self.audit_project(&mut tx, &admin.who, project, "project.updated", &name, Some(("name", &old.name, &name))).await?;
        }
        if plan != old.plan {
            self.audit_project(&mut tx, &admin.who, project, "plan.changed", &name, Some(("plan", &old.plan, &plan))).await?;
        }
        commit(tx).await?;
        Ok(ProjectInfo { id: project, name, plan, created_at: old.created_at })
    }
    async fn audit_project(&self, tx: &mut WriteTx, who: &Who, project: ProjectId, action: &str, name: &str, change: Option<(&str, &str, &str)>) -> Result<()> {
        let diff = change.map(|(what, before, after)| (json!({ what: before }), json!({ what: after })));
        let fact = Fact { action, target: Some(("project", project.to_string(), Some(name))), diff, ..Fact::default() };
        self.audit(tx, project, who, &fact).await
    }
    /// All projects, oldest first.
    pub async fn projects(&self, _: &Admin) -> Result<Vec<ProjectInfo>> {
        let rows = self.inner.store.glance().await?.project_list().await?;
        Ok(rows.into_iter().map(info).collect())
    }
    /// The projects that the caller may come into: a member's own, unless they are bound to organizations here; else this one.
    pub async fn projects_of(&self, grant: &Grant) -> Result<Vec<ProjectInfo>> {
        let mut tx = self.inner.store.glance().await?;
        let ids = match grant.who {
            Who::Member { id, .. } if grant.organizations.is_none() => tx.memberships(id).await?.into_iter().filter(|m| m.active).map(|m| m.project).collect(),
            _ => vec![grant.project],
        };
        let mut projects = Vec::with_capacity(ids.len());
        for id in ids {
            projects.extend(tx.project_by_id(id).await?.map(info));
        }
        Ok(projects)
    }
    /// The project of a name or an id, for commands on the machine itself.
    pub async fn project(&self, name_or_id: &str) -> Result<ProjectId> {
        let missing = || Error::new(Kind::NotFound, format!("There is no project {name_or_id}."));
        let mut tx = self.inner.store.glance().await?;
        match ProjectId::parse(name_or_id) {
            Some(id) => tx.project_by_id(id).await?.map(|p| p.id).ok_or_else(missing),
            None => tx.project_by_name(name_or_id).await?.map(|p| p.id).ok_or_else(missing),
        }
    }
}
