//! Plans: what a project may use, and how much of it. Built in, or read from a file (docs/plans.md).
//!
//! Promises: a name that is not a plan is never read as some other plan, neither a wider nor a narrower one.
//! Never: a price.

use std::collections::BTreeMap;
use std::sync::Arc;

use indelible_model::{Error, Kind, LogKind, Result};
use indelible_store::KeyRow;
use serde::{Deserialize, Deserializer};

use crate::{Grant, Service};

/// The plan that is always there.
const UNRESTRICTED: &str = "unrestricted";
/// Requests a minute at most; where a plan says nothing, it has a tenth of this.
const MOST_REQUESTS: u64 = 10_000_000;
const NAME_BYTES: usize = 64;
/// How the default plan is called where somebody gives a project a plan.
const DEFAULT: &str = "default";
/// Names that a file cannot use.
const RESERVED: [&str; 2] = [UNRESTRICTED, DEFAULT];

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
    /// Requests a minute of a key or a member.
    pub requests_per_minute: u64,
    /// Requests of a key or a member at once, after it was quiet for long enough.
    pub burst: u64,
    /// Requests a minute of a widget token.
    pub widget_requests_per_minute: u64,
}

impl Plan {
    /// The plan of those who run the server for themselves: everything. The rates only keep one client from taking the machine.
    pub fn unrestricted() -> Self {
        Draft::default().plan(UNRESTRICTED)
    }
    /// [`Kind::PlanLimit`] where a project that has `live` keys must not have one more.
    pub fn one_more_key(&self, live: u64) -> Result<()> {
        self.one_more("API keys", live, self.keys)
    }
    /// [`Kind::PlanLimit`] where a project that has `members` must not have one more.
    pub fn one_more_member(&self, members: u64) -> Result<()> {
        self.one_more("members", members, self.members)
    }
    fn one_more(&self, what: &str, have: u64, most: Option<u64>) -> Result<()> {
        match most {
            Some(most) if have >= most => Err(Error::new(Kind::PlanLimit, format!("The plan {} allows {most} {what}.", self.name))),
            _ => Ok(()),
        }
    }
}

/// What a project uses of what a plan counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Events that callers stored in both logs this calendar month (UTC); the server's own do not count.
    pub events_this_month: u64,
    /// Live keys.
    pub keys: u64,
    /// Members.
    pub members: u64,
}

/// All plans that there are.
#[derive(Clone, Debug)]
pub struct Plans {
    by_name: BTreeMap<String, Arc<Plan>>,
    default: Arc<Plan>,
}

impl Default for Plans {
    fn default() -> Self {
        let built_in = [
            ("free", Draft { export: false, events_per_month: Some(10_000), keys: Some(3), members: Some(3), ..Draft::at(100, 120) }),
            ("pro", Draft { events_per_month: Some(1_000_000), keys: Some(50), members: Some(50), ..Draft::at(1000, 1200) }),
            ("enterprise", Draft::default()),
        ];
        Self::of(built_in.into_iter().map(|(name, draft)| (name.to_owned(), draft)))
    }
}

impl Plans {
    /// The plans of a file's text, or the built-in ones, and `unrestricted` in either case. `default` names the plan of projects without one.
    ///
    /// An error tells the line of what is wrong.
    pub fn new(text: Option<&str>, default: &str) -> Result<Self> {
        let plans = match text {
            None => Self::default(),
            Some(text) => Self::of(read(text)?),
        };
        let default = plans.get(default).ok_or_else(|| plans.unknown(default))?;
        Ok(Self { default, ..plans })
    }
    fn of(drafts: impl IntoIterator<Item = (String, Draft)>) -> Self {
        let default = Arc::new(Plan::unrestricted());
        let mut by_name: BTreeMap<_, _> = drafts.into_iter().map(|(name, draft)| (name.clone(), Arc::new(draft.plan(&name)))).collect();
        by_name.insert(default.name.clone(), Arc::clone(&default));
        Self { by_name, default }
    }
    /// The plan of a name; the default plan for no name.
    pub fn get(&self, name: &str) -> Option<Arc<Plan>> {
        if name.is_empty() { Some(Arc::clone(&self.default)) } else { self.by_name.get(name).cloned() }
    }
    fn unknown(&self, name: &str) -> Error {
        let names: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
        Error::invalid_member("plan", format!("There is no plan {name}; there are {}.", names.join(", ")))
    }
}

fn read(text: &str) -> Result<BTreeMap<String, Draft>> {
    let drafts: BTreeMap<String, Draft> = toml::from_str(text).map_err(|e| Error::invalid_member("", e.to_string()))?;
    for name in drafts.keys() {
        let good = (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
        if !good {
            return Err(Error::invalid_member("", format!("[{name}]: a plan's name has 1 to {NAME_BYTES} lower-case letters, digits, `-` or `_`.")));
        }
        if RESERVED.contains(&name.as_str()) {
            return Err(Error::invalid_member("", format!("[{name}]: this name is taken; give your plan another one.")));
        }
    }
    Ok(drafts)
}

/// A plan as a file has it. What it does not say is without limit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Draft {
    export: bool,
    events_per_month: Option<u64>,
    keys: Option<u64>,
    members: Option<u64>,
    #[serde(deserialize_with = "rate")]
    requests_per_minute: u64,
    #[serde(deserialize_with = "some_rate")]
    burst: Option<u64>,
    #[serde(deserialize_with = "rate")]
    widget_requests_per_minute: u64,
}

impl Default for Draft {
    fn default() -> Self {
        Self::at(MOST_REQUESTS / 10, MOST_REQUESTS / 10)
    }
}

impl Draft {
    fn at(requests_per_minute: u64, widget_requests_per_minute: u64) -> Self {
        Self { export: true, events_per_month: None, keys: None, members: None, requests_per_minute, burst: None, widget_requests_per_minute }
    }
    fn plan(&self, name: &str) -> Plan {
        Plan {
            name: name.to_owned(),
            export: self.export,
            events_per_month: self.events_per_month,
            keys: self.keys,
            members: self.members,
            requests_per_minute: self.requests_per_minute,
            burst: self.burst.unwrap_or(self.requests_per_minute),
            widget_requests_per_minute: self.widget_requests_per_minute,
        }
    }
}

fn rate<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let value = u64::deserialize(from)?;
    let wanted = || serde::de::Error::custom(format!("must be from 1 to {MOST_REQUESTS}"));
    if (1..=MOST_REQUESTS).contains(&value) { Ok(value) } else { Err(wanted()) }
}

fn some_rate<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    rate(from).map(Some)
}

/// A plan's name as a project keeps it: the default plan has none.
pub(crate) fn kept_name(name: String) -> String {
    if name == DEFAULT { String::new() } else { name }
}

impl Service {
    /// The plan of a name that somebody chose, `default` for the default one; [`Kind::Invalid`] if there is none.
    pub fn plan(&self, name: &str) -> Result<Arc<Plan>> {
        let plans = &self.inner.config.plans;
        plans.get(if name == DEFAULT { "" } else { name }).ok_or_else(|| plans.unknown(name))
    }
    /// The plan that a stored project names. This program's plans may have lost it: then the project is not served.
    pub(crate) fn plan_of(&self, name: &str) -> Result<Arc<Plan>> {
        let lost = || Error::new(Kind::Unavailable(60), "The project's plan is not known to the server.").with_internal(format!("no plan {name} in plans_file"));
        self.inner.config.plans.get(name).ok_or_else(lost)
    }
    /// What a project uses now of what its plan counts.
    pub async fn usage(&self, grant: &Grant) -> Result<Usage> {
        let mut tx = self.inner.store.glance().await?;
        let now = self.inner.clock.now();
        let mut events_this_month = 0;
        for log in LogKind::ALL {
            let head = tx.log_head(grant.project, log).await?;
            events_this_month += head.filter(|h| h.month == now.month()).map_or(0, |h| h.position - h.month_base);
        }
        let live = |key: &KeyRow| key.revoked_at.is_none() && key.expires_at.is_none_or(|at| at > now);
        Ok(Usage {
            events_this_month,
            keys: tx.key_list(grant.project).await?.iter().filter(|k| live(k)).count() as u64,
            members: tx.member_list(grant.project).await?.len() as u64,
        })
    }
    /// Fails, naming project and plan, where a project has a plan that there is not.
    pub async fn plans_fit(&self) -> Result<()> {
        for project in self.inner.store.glance().await?.project_list().await? {
            self.plan(&project.plan).map_err(|e| Error::new(Kind::Invalid, format!("Project {} ({}): {}", project.name, project.id, e.public())))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
