//! Members: people, what each project made of them, and who they are elsewhere.

use indelible_model::{MemberId, ProjectId, Result, Timestamp};

use crate::db::{Row, args};
use crate::{ReadTx, WriteTx};

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// The public id.
    pub id: MemberId,
    /// The e-mail address, unique.
    pub email: String,
    /// When the row was made.
    pub created_at: Timestamp,
}

/// What a project made of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The project.
    pub project: ProjectId,
    /// Its name.
    pub project_name: String,
    /// Its plan.
    pub plan: String,
    /// The person.
    pub member: MemberId,
    /// Their e-mail address.
    pub email: String,
    /// Whether the server itself is theirs to manage when they come in here.
    pub operator: bool,
    /// The hash of the password that opens this project, with its parameters; `None` for those who come by an OpenID provider only.
    pub password_hash: Option<String>,
    /// A name for people.
    pub name: String,
    /// The role.
    pub role: String,
    /// The organizations that they are bound to, as JSON; `None` for the whole project.
    pub organizations: Option<String>,
    /// False for who is kept out.
    pub active: bool,
    /// Since when.
    pub created_at: Timestamp,
}

/// Who somebody is at an OpenID provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// Their id there.
    pub subject: String,
    /// Who they are here.
    pub member: MemberId,
    /// Claims that were issued before this second change nothing any more.
    pub claims_at: i64,
}

/// What [`membership`] reads, of a project `p`, a member `m` and the membership `s`.
macro_rules! membership_columns {
    () => {
        "p.id, p.name, p.plan, m.id, m.email, s.operator, s.password_hash, s.name, s.role, s.organizations, s.active, s.created_at"
    };
}
pub(crate) use membership_columns;
/// How many these are.
pub(crate) const MEMBERSHIP_COLUMNS: usize = 12;

macro_rules! memberships_where {
    ($what:literal) => {
        concat!("SELECT ", membership_columns!(), " FROM memberships s JOIN projects p ON p.no = s.project JOIN members m ON m.id = s.member WHERE ", $what)
    };
}

macro_rules! members {
    ($what:literal) => {
        concat!("SELECT id, email, created_at FROM members ", $what)
    };
}

const CREATE: &str = "INSERT INTO members (id, email, created_at) VALUES ($1, $2, $3) ON CONFLICT (email) DO NOTHING";
const JOIN: &str = "INSERT INTO memberships (project, member, name, role, organizations, active, operator, password_hash, created_at) \
    SELECT no, $2, $3, $4, $5, $6, $7, $8, $9 FROM projects WHERE id = $1 ON CONFLICT (project, member) DO NOTHING";
const CHANGE: &str = "UPDATE memberships SET name = $3, role = $4, organizations = $5, active = $6 WHERE member = $2 AND project = (SELECT no FROM projects WHERE id = $1)";

/// Reads the columns from `at` on.
pub(crate) fn membership(row: &Row, at: usize) -> Result<Membership> {
    Ok(Membership {
        project: ProjectId(row.fixed(at)?),
        project_name: row.get(at + 1)?,
        plan: row.get(at + 2)?,
        member: MemberId(row.fixed(at + 3)?),
        email: row.get(at + 4)?,
        operator: row.count(at + 5)? != 0,
        password_hash: row.get(at + 6)?,
        name: row.get(at + 7)?,
        role: row.get(at + 8)?,
        organizations: row.get(at + 9)?,
        active: row.count(at + 10)? != 0,
        created_at: Timestamp::clamped(row.get(at + 11)?),
    })
}

fn member(row: &Row) -> Result<MemberRow> {
    Ok(MemberRow { id: MemberId(row.fixed(0)?), email: row.get(1)?, created_at: Timestamp::clamped(row.get(2)?) })
}

fn identity(row: &Row) -> Result<Identity> {
    Ok(Identity { issuer: row.get(0)?, subject: row.get(1)?, member: MemberId(row.fixed(2)?), claims_at: row.get(3)? })
}

impl ReadTx {
    /// The person with this e-mail address.
    pub async fn member_by_email(&mut self, email: &str) -> Result<Option<MemberRow>> {
        self.conn.optional(members!("WHERE email = $1"), args![email]).await?.as_ref().map(member).transpose()
    }
    /// People in the order of their ids, from the one after `after` on.
    pub async fn member_page(&mut self, after: Option<MemberId>, most: u32) -> Result<Vec<MemberRow>> {
        // No id is all zeros.
        let after = after.map_or([0; 16], |m| m.0);
        self.conn.all(members!("WHERE id > $1 ORDER BY id LIMIT $2"), args![&after, i64::from(most)]).await?.iter().map(member).collect()
    }
    /// What a project made of a person.
    pub async fn membership(&mut self, project: ProjectId, member: MemberId) -> Result<Option<Membership>> {
        let row = self.conn.optional(memberships_where!("p.id = $1 AND m.id = $2"), args![&project.0, &member.0]).await?;
        row.map(|r| membership(&r, 0)).transpose()
    }
    /// A project's members, oldest first.
    pub async fn member_list(&mut self, project: ProjectId) -> Result<Vec<Membership>> {
        let rows = self.conn.all(memberships_where!("p.id = $1 ORDER BY s.created_at, m.id"), args![&project.0]).await?;
        rows.iter().map(|r| membership(r, 0)).collect()
    }
    /// What all projects made of a person, oldest first.
    pub async fn memberships(&mut self, member: MemberId) -> Result<Vec<Membership>> {
        let rows = self.conn.all(memberships_where!("m.id = $1 ORDER BY s.created_at, p.no"), args![&member.0]).await?;
        rows.iter().map(|r| membership(r, 0)).collect()
    }
    /// Who somebody of an OpenID provider is here.
    pub async fn identity_find(&mut self, issuer: &str, subject: &str) -> Result<Option<Identity>> {
        let text = "SELECT issuer, subject, member, claims_at FROM identities WHERE issuer = $1 AND subject = $2";
        self.conn.optional(text, args![issuer, subject]).await?.as_ref().map(identity).transpose()
    }
    /// Who a person is elsewhere.
    pub async fn identity_list(&mut self, member: MemberId) -> Result<Vec<Identity>> {
        let text = "SELECT issuer, subject, member, claims_at FROM identities WHERE member = $1 ORDER BY issuer, subject";
        self.conn.all(text, args![&member.0]).await?.iter().map(identity).collect()
    }
}

impl WriteTx {
    /// Stores a person; false if the e-mail address is taken.
    pub async fn member_create(&mut self, member: &MemberRow) -> Result<bool> {
        Ok(self.conn.run(CREATE, args![&member.id.0, &member.email, member.created_at.micros()]).await? == 1)
    }
    /// Sets the hash of the password that opens a project; false if they are no member.
    pub async fn member_password(&mut self, project: ProjectId, member: MemberId, hash: &str) -> Result<bool> {
        let text = "UPDATE memberships SET password_hash = $3 WHERE member = $2 AND project = (SELECT no FROM projects WHERE id = $1)";
        Ok(self.conn.run(text, args![&project.0, &member.0, hash]).await? == 1)
    }
    /// Sets whether the server is theirs to manage when they come in here; false if they are no member.
    pub async fn member_operator(&mut self, project: ProjectId, member: MemberId, operator: bool) -> Result<bool> {
        let text = "UPDATE memberships SET operator = $3 WHERE member = $2 AND project = (SELECT no FROM projects WHERE id = $1)";
        Ok(self.conn.run(text, args![&project.0, &member.0, i64::from(operator)]).await? == 1)
    }
    /// Forgets a person who is in no project, and who they are elsewhere; false if they are in one.
    pub async fn member_forget(&mut self, member: MemberId) -> Result<bool> {
        if self.conn.optional("SELECT 1 FROM memberships WHERE member = $1", args![&member.0]).await?.is_some() {
            return Ok(false);
        }
        self.conn.run("DELETE FROM identities WHERE member = $1", args![&member.0]).await?;
        Ok(self.conn.run("DELETE FROM members WHERE id = $1", args![&member.0]).await? == 1)
    }
    /// Makes a person a member of a project; false if they are one.
    pub async fn membership_create(&mut self, new: &Membership) -> Result<bool> {
        let values = args![
            &new.project.0,
            &new.member.0,
            &new.name,
            &new.role,
            new.organizations.as_deref(),
            i64::from(new.active),
            i64::from(new.operator),
            new.password_hash.as_deref(),
            new.created_at.micros(),
        ];
        if self.conn.run(JOIN, values).await? == 1 {
            return Ok(true);
        }
        self.project_must_be(new.project).await?;
        Ok(false)
    }
    /// Sets name, role, organizations and whether they are active; false if they are no member.
    pub async fn membership_update(&mut self, to: &Membership) -> Result<bool> {
        let values = args![&to.project.0, &to.member.0, &to.name, &to.role, to.organizations.as_deref(), i64::from(to.active)];
        Ok(self.conn.run(CHANGE, values).await? == 1)
    }
    /// Ends a membership; false if there is none.
    pub async fn membership_remove(&mut self, project: ProjectId, member: MemberId) -> Result<bool> {
        let text = "DELETE FROM memberships WHERE member = $2 AND project = (SELECT no FROM projects WHERE id = $1)";
        Ok(self.conn.run(text, args![&project.0, &member.0]).await? == 1)
    }
    /// Notes who somebody of an OpenID provider is here; false if they are somebody already.
    pub async fn identity_put(&mut self, identity: &Identity) -> Result<bool> {
        let text = "INSERT INTO identities (issuer, subject, member, claims_at) VALUES ($1, $2, $3, $4) ON CONFLICT (issuer, subject) DO NOTHING";
        Ok(self.conn.run(text, args![&identity.issuer, &identity.subject, &identity.member.0, identity.claims_at]).await? == 1)
    }
    /// Notes of all that a person is elsewhere that claims of before `at` change nothing any more.
    pub async fn identity_claimed(&mut self, member: MemberId, at: i64) -> Result<()> {
        let text = "UPDATE identities SET claims_at = $2 WHERE member = $1 AND claims_at < $2";
        self.conn.run(text, args![&member.0, at]).await.map(drop)
    }
}
