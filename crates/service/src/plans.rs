//! Plans: what a project may use, and how much of it.
//!
//! Never: a price.

/// A plan. `None` is without limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// Exports of any kind.
    pub export: bool,
    /// Events a calendar month (UTC).
    pub events_per_month: Option<u64>,
    /// Live keys.
    pub keys: Option<u64>,
    /// Members.
    pub members: Option<u64>,
    /// Requests a minute and key.
    pub requests_per_minute: u64,
    /// Requests a minute and widget token.
    pub widget_requests_per_minute: u64,
}

impl Plan {
    /// The plan of those who run the server for themselves: everything. The rates only keep one client from taking the machine.
    pub fn unrestricted() -> Self {
        Self {
            name: "unrestricted".to_owned(),
            export: true,
            events_per_month: None,
            keys: None,
            members: None,
            requests_per_minute: 1_000_000,
            widget_requests_per_minute: 1_000_000,
        }
    }
}
