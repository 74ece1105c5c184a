//! Who asks, and what for. A use case takes a [`Caller`] of the permission that it needs; only a [`Grant`] gives one.

mod role;
mod scope;

use std::marker::PhantomData;
use std::sync::Arc;

use indelible_model::fields::Field;
use indelible_model::query::{Filter, Term, Test};
use indelible_model::{Error, KeyId, Kind, LogKind, MemberId, ProjectId, Result, TokenId};

use crate::credentials::intersection;
use crate::plans::Plan;

pub use role::Role;
pub use scope::{Scope, Scopes};

/// Who holds a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A key, or a token made for it.
    Key {
        /// Its public id.
        id: KeyId,
        /// Its name.
        name: String,
        /// How its secret looks.
        face: Face,
    },
    /// A person.
    Member {
        /// The public id.
        id: MemberId,
        /// The e-mail address.
        email: String,
        /// A name for people.
        name: String,
        /// What the project made of them.
        role: Role,
        /// May make projects, and see all of them.
        operator: bool,
    },
    /// Somebody on the machine itself, by a command.
    Operator,
    /// The server, on its own account.
    Server,
}

/// What a key's secret looks like, and so whose clients it is for. Every face works on every path that its scopes allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// `lp_sk_...`
    LogProof,
    /// `lp_wt_...`: reads the timeline, and nothing else.
    Widget,
    /// `ak_...`
    Aitronos,
    /// A pair: an application id, which is the key's id as a UUID, and a token.
    Voucherify,
    /// `ld_live_...`
    LoyaltyDog,
    /// `ld_test_...`
    LoyaltyDogTest,
}

impl Face {
    /// All faces.
    pub const ALL: [Self; 6] = [Self::LogProof, Self::Widget, Self::Aitronos, Self::Voucherify, Self::LoyaltyDog, Self::LoyaltyDogTest];
    /// The name in commands, answers and the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::LogProof => "logproof",
            Self::Widget => "widget",
            Self::Aitronos => "aitronos",
            Self::Voucherify => "voucherify",
            Self::LoyaltyDog => "loyaltydog",
            Self::LoyaltyDogTest => "loyaltydog-test",
        }
    }
    /// The face of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.name() == name)
    }
    /// What a secret of this face begins with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::LogProof => "lp_sk_",
            Self::Widget => "lp_wt_",
            Self::Aitronos => "ak_",
            Self::Voucherify => "",
            Self::LoyaltyDog => "ld_live_",
            Self::LoyaltyDogTest => "ld_test_",
        }
    }
}

/// The organizations that a credential is bound to, never none; without a binding it sees the whole project.
pub type Organizations = Option<Arc<[String]>>;

/// What a valid credential gives.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The project, from the credential alone.
    pub project: ProjectId,
    /// Its name.
    pub project_name: String,
    /// Who holds the credential.
    pub who: Who,
    /// What it may do.
    pub scopes: Scopes,
    /// What it may see.
    pub organizations: Organizations,
    /// What the project may use.
    pub plan: Arc<Plan>,
    /// Requests a minute, where the key has a limit of its own.
    pub per_minute: Option<u64>,
    /// The token, if the credential is one.
    pub token: Option<TokenId>,
}

impl Grant {
    /// The caller of a permission; [`Kind::Forbidden`] if the credential lacks its scope, [`Kind::PlanFeature`] if the project's plan lacks what it is for.
    pub fn permit<P: Permission>(&self) -> Result<Caller<P>> {
        if !self.scopes.has(P::SCOPE) {
            let what = if matches!(self.who, Who::Member { .. }) { "Your role" } else { "This API key" };
            return Err(Error::new(Kind::Forbidden, format!("{what} lacks the scope {}.", P::SCOPE.name())));
        }
        // Here, so that no way of exporting can forget it.
        if P::SCOPE == Scope::Export && self.is_served() && !self.plan.export {
            return Err(Error::new(Kind::PlanFeature, format!("Exports are not part of the plan {}.", self.plan.name)));
        }
        Ok(Caller { grant: Arc::new(self.clone()), permission: PhantomData })
    }
    /// Events that the project may store in a month. Who has the machine itself needs no plan.
    pub(crate) fn events_per_month(&self) -> Option<u64> {
        if self.is_served() { self.plan.events_per_month } else { None }
    }
    /// True for callers from outside.
    pub(crate) fn is_served(&self) -> bool {
        matches!(self.who, Who::Key { .. } | Who::Member { .. })
    }
    /// [`Kind::Forbidden`] for a credential that is bound to organizations: what it asks for is the whole project's.
    pub fn whole_project(&self) -> Result<()> {
        match self.organizations {
            None => Ok(()),
            Some(_) => Err(Error::new(Kind::Forbidden, "This credential is bound to organizations; what was asked for is the whole project's.")),
        }
    }
    /// [`Kind::Forbidden`] for a log that the credential may not read: what the project's activity tells of keys, members and requests has a scope of its own.
    pub fn may_read(&self, log: LogKind) -> Result<()> {
        match log {
            LogKind::Events => Ok(()),
            LogKind::Activity => self.permit::<CanReadLogs>().map(|_| ()),
        }
    }
    /// True if the credential sees events of this organization; `None` is an event without one.
    pub fn sees(&self, organization: Option<&str>) -> bool {
        self.organizations.as_ref().is_none_or(|own| organization.is_some_and(|o| own.iter().any(|own| own == o)))
    }
    /// The filter, with what the credential does not see left out.
    #[must_use]
    pub fn narrow(&self, mut filter: Filter) -> Filter {
        if let Some(own) = &self.organizations {
            filter.terms.push(Term { any_of: vec![Field::OrganizationId], test: Test::OneOf(own.to_vec()), not: false });
        }
        filter
    }
    /// What two credentials of one request allow together; this one says who calls. [`Kind::Unauthenticated`] if they are of two projects.
    pub fn and(&self, other: &Self) -> Result<Self> {
        if self.project != other.project {
            return Err(Error::new(Kind::Unauthenticated, "The credentials are of different projects."));
        }
        let organizations = intersection(self.organizations.clone(), other.organizations.clone());
        let organizations = organizations.ok_or_else(|| Error::new(Kind::Forbidden, "The credentials have no organization in common."))?;
        let per_minute = self.per_minute.into_iter().chain(other.per_minute).min();
        let mut who = self.who.clone();
        if let Who::Member { operator, .. } = &mut who {
            *operator &= other.admin().is_ok();
        }
        Ok(Self { who, scopes: self.scopes.and(other.scopes), organizations, per_minute, ..self.clone() })
    }
    /// As [`Grant::and`], of a session and what it was made from; [`Kind::Unauthenticated`] if that is somebody else's.
    pub fn within(&self, other: &Self) -> Result<Self> {
        let same = match (&self.who, &other.who) {
            (Who::Key { id: one, .. }, Who::Key { id: two, .. }) => one == two,
            (Who::Member { id: one, .. }, Who::Member { id: two, .. }) => one == two,
            _ => false,
        };
        if same { self.and(other) } else { Err(Error::new(Kind::Unauthenticated, "The session is not this caller's.")) }
    }
}

/// A permission that a use case asks for.
pub trait Permission {
    /// The scope that gives it.
    const SCOPE: Scope;
}

macro_rules! permission {
    ($($(#[$doc:meta])* $name:ident: $scope:ident,)*) => {
        $($(#[$doc])* #[derive(Clone, Copy, Debug)] pub struct $name;
        impl Permission for $name { const SCOPE: Scope = Scope::$scope; })*
    };
}

permission! {
    /// May read events.
    CanRead: EventsRead,
    /// May write events.
    CanWrite: EventsWrite,
    /// May export.
    CanExport: Export,
    /// May verify.
    CanVerify: Verify,
    /// May manage keys.
    CanManageKeys: KeysManage,
    /// May read a timeline, as a widget does.
    CanTimeline: Timeline,
    /// May read the API log.
    CanReadLogs: LogsRead,
    /// May manage members and their roles.
    CanManageMembers: MembersManage,
    /// May change retention, holds and the project itself.
    CanManageProject: ProjectManage,
}

/// A permission with which events come out.
pub trait Reading: Permission {}
impl Reading for CanRead {}
impl Reading for CanExport {}
impl Reading for CanTimeline {}
impl Reading for CanReadLogs {}

/// Somebody who holds a permission in a project.
#[derive(Debug)]
pub struct Caller<P> {
    grant: Arc<Grant>,
    permission: PhantomData<P>,
}

impl<P> Clone for Caller<P> {
    fn clone(&self) -> Self {
        Self { grant: Arc::clone(&self.grant), permission: PhantomData }
    }
}

impl<P: Permission> Caller<P> {
    /// The server, which writes what it reports of itself, and does what others asked for.
    pub(crate) fn server(project: ProjectId) -> Self {
        let grant = Grant {
            project,
            project_name: String::new(),
            who: Who::Server,
            scopes: Scopes::of(&[P::SCOPE, Scope::LogsRead]),
            organizations: None,
            plan: Arc::new(Plan::unrestricted()),
            per_minute: None,
            token: None,
        };
        Self { grant: Arc::new(grant), permission: PhantomData }
    }
}

impl<P> Caller<P> {
    /// The project.
    pub fn project(&self) -> ProjectId {
        self.grant.project
    }
    /// What the permission rests on.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }
}

#[cfg(test)]
mod tests;
