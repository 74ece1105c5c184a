//! Who asks, and what for. A use case takes a [`Caller`] of the permission that it needs; only a [`Grant`] gives one.

use std::marker::PhantomData;

use indelible_model::{Error, KeyId, Kind, ProjectId, Result};

/// A scope of an API key, as LogProof names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Scope {
    /// Reading events.
    EventsRead = 1,
    /// Writing events.
    EventsWrite = 2,
    /// Verifying the chain.
    Verify = 4,
    /// Exporting.
    Export = 8,
    /// Managing keys.
    KeysManage = 16,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 5] = [Self::EventsRead, Self::EventsWrite, Self::Verify, Self::Export, Self::KeysManage];
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::EventsRead => "events:read",
            Self::EventsWrite => "events:write",
            Self::Verify => "verify",
            Self::Export => "export",
            Self::KeysManage => "keys:manage",
        }
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope.
    pub fn all() -> Self {
        Self(Scope::ALL.iter().fold(0, |bits, s| bits | *s as u8))
    }
    /// True if `scope` is in it.
    pub fn has(self, scope: Scope) -> bool {
        self.0 & scope as u8 != 0
    }
    /// The names, in a fixed order.
    pub fn names(self) -> Vec<&'static str> {
        Scope::ALL.into_iter().filter(|s| self.has(*s)).map(Scope::name).collect()
    }
    /// Reads names; an unknown one is named in the error.
    pub fn parse(names: &[String]) -> Result<Self> {
        let mut bits = 0;
        for name in names {
            let known = Scope::ALL.into_iter().find(|s| s.name() == name);
            bits |= known.ok_or_else(|| Error::invalid_member("scopes", format!("{name} is not a scope; there are {}.", Self::all().names().join(", "))))? as u8;
        }
        Ok(Self(bits))
    }
    pub(crate) fn bits(self) -> u64 {
        self.0.into()
    }
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(u8::try_from(bits).unwrap_or(0) & Self::all().0)
    }
}

/// What a valid credential gives.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The project, from the credential alone.
    pub project: ProjectId,
    /// Its name.
    pub project_name: String,
    /// The key.
    pub key: KeyId,
    /// What the key may do.
    pub scopes: Scopes,
}

impl Grant {
    /// The caller of a permission; [`Kind::Forbidden`] if the key lacks its scope.
    pub fn permit<P: Permission>(&self) -> Result<Caller<P>> {
        if self.scopes.has(P::SCOPE) {
            return Ok(Caller { project: self.project, key: self.key, permission: PhantomData });
        }
        Err(Error::new(Kind::Forbidden, format!("This API key lacks the scope {}.", P::SCOPE.name())))
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
}

/// Somebody who holds a permission in a project.
#[derive(Debug)]
pub struct Caller<P> {
    project: ProjectId,
    key: KeyId,
    permission: PhantomData<P>,
}

impl<P> Clone for Caller<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Caller<P> {}

impl<P> Caller<P> {
    /// The project.
    pub fn project(&self) -> ProjectId {
        self.project
    }
    /// The key.
    pub fn key(&self) -> KeyId {
        self.key
    }
}
