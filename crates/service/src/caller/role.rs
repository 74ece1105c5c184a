//! Roles of members, and the scopes that each gives. Never: a right that is not a scope.

use super::scope::{Scope, Scopes};

/// What a project made of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything, and the only one who makes owners.
    Owner,
    /// Everything but making owners.
    Admin,
    /// Reads, writes, exports and verifies events.
    Member,
    /// Reads, exports and verifies everything, and changes nothing.
    Auditor,
    /// LoyaltyDog's: reads and exports what belongs to its organizations.
    MerchantAdmin,
    /// LoyaltyDog's: reads what belongs to its organizations.
    MerchantStaff,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] = [Self::Owner, Self::Admin, Self::Member, Self::Auditor, Self::MerchantAdmin, Self::MerchantStaff];
    /// The name in commands, answers and the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Auditor => "auditor",
            Self::MerchantAdmin => "MERCHANT_ADMIN",
            Self::MerchantStaff => "MERCHANT_STAFF",
        }
    }
    /// The role of a name, whatever its case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.name().eq_ignore_ascii_case(name))
    }
    /// What it may do.
    pub fn scopes(self) -> Scopes {
        match self {
            Self::Owner | Self::Admin => Scopes::all(),
            Self::Member => Scopes::of(&[Scope::EventsRead, Scope::EventsWrite, Scope::Verify, Scope::Export, Scope::LogsRead]),
            Self::Auditor => Scopes::of(&[Scope::EventsRead, Scope::Verify, Scope::Export, Scope::LogsRead]),
            Self::MerchantAdmin => Scopes::of(&[Scope::EventsRead, Scope::Export]),
            Self::MerchantStaff => Scopes::of(&[Scope::EventsRead]),
        }
    }
    /// True for roles that are nothing without organizations.
    pub fn is_bound(self) -> bool {
        matches!(self, Self::MerchantAdmin | Self::MerchantStaff)
    }
}
