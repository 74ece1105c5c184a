//! Scopes: what a credential may do, in LogProof's words and in ours. Never: where it may do it; that is the project's.

use indelible_model::{Error, Result};

/// A scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Scope {
    /// Reading events.
    EventsRead = 1,
    /// Writing events.
    EventsWrite = 2,
    /// Verifying the chain.
    Verify = 4,
    /// Exporting.
    Export = 8,
    /// Managing keys, and later webhooks.
    KeysManage = 16,
    /// Reading the API log.
    LogsRead = 32,
    /// Managing members.
    MembersManage = 64,
    /// Managing retention, holds and the project.
    ProjectManage = 128,
    /// Reading a timeline only; whoever reads events may do that too.
    Timeline = 256,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 9] =
        [Self::EventsRead, Self::EventsWrite, Self::Verify, Self::Export, Self::KeysManage, Self::LogsRead, Self::MembersManage, Self::ProjectManage, Self::Timeline];
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::EventsRead => "events:read",
            Self::EventsWrite => "events:write",
            Self::Verify => "verify",
            Self::Export => "export",
            Self::KeysManage => "keys:manage",
            Self::LogsRead => "logs:read",
            Self::MembersManage => "members:manage",
            Self::ProjectManage => "project:manage",
            Self::Timeline => "timeline",
        }
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(u16);

impl Scopes {
    /// These scopes.
    pub fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |bits, s| bits | *s as u16))
    }
    /// Every scope.
    pub fn all() -> Self {
        Self::of(&Scope::ALL)
    }
    /// True if `scope` is in it. Reading events includes the timeline.
    pub fn has(self, scope: Scope) -> bool {
        self.0 & scope as u16 != 0 || (scope == Scope::Timeline && self.has(Scope::EventsRead))
    }
    /// Those that are in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    /// The first scope, by name, that `self` has and `own` has not.
    pub fn beyond(self, own: Self) -> Option<&'static str> {
        Scope::ALL.into_iter().find(|s| self.0 & *s as u16 != 0 && !own.has(*s)).map(Scope::name)
    }
    /// The names, in a fixed order.
    pub fn names(self) -> Vec<&'static str> {
        Scope::ALL.into_iter().filter(|s| self.0 & *s as u16 != 0).map(Scope::name).collect()
    }
    /// Reads names; an unknown one is named in the error.
    pub fn parse(names: &[String]) -> Result<Self> {
        let mut bits = 0;
        for name in names {
            let known = Scope::ALL.into_iter().find(|s| s.name() == name);
            bits |= known.ok_or_else(|| Error::invalid_member("scopes", format!("{name} is not a scope; there are {}.", Self::all().names().join(", "))))? as u16;
        }
        Ok(Self(bits))
    }
    pub(crate) fn bits(self) -> u64 {
        self.0.into()
    }
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(u16::try_from(bits).unwrap_or(0) & Self::all().0)
    }
}
