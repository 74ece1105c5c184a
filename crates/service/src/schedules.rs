//! Schedules: exports that begin by themselves, each with what came since the last one.
//!
//! Promises: every run exports the positions after the last run's up to what the log had received at its time, so nothing is exported twice and nothing is left out, and a
//! run that is made up later has the same events as one on time; one run of a schedule begins when the one before it is over; a run has the rights that its asker
//! has then, bound to what they were bound to when they asked. Never: shows or logs the secret of a destination.

mod calendar;
mod deliver;
mod destination;
mod run;

use indelible_model::fields::Field;
use indelible_model::query::{Filter, Test};
use indelible_model::search::Needle;
use indelible_model::{Error, ExportId, Kind, LogKind, Result, ScheduleId, Timestamp, Violation};
use indelible_store::ScheduleRow;
use serde_json::{Map, Value};

use crate::audit::{Fact, actor};
use crate::caller::{Caller, CanExport, CanManageProject, Grant};
use crate::credentials::{is_within, organizations_text, read_organizations};
use crate::read::{Coding, Format};
use crate::tasks::read_json;
use crate::{Layout, Service};

pub use calendar::{Every, Timing, WEEKDAYS};
pub use destination::Destination;
pub use indelible_archive::objects::S3Credentials;
pub(crate) use run::Run;

/// The fields that a schedule may filter by, by the names of their columns. `action` takes a pattern with `*`.
pub const SCHEDULE_FIELDS: [Field; 5] = [Field::Action, Field::ActorId, Field::TargetType, Field::TargetId, Field::OrganizationId];

/// Schedules of a project.
const SCHEDULES: usize = 100;
/// Bytes of a name, and of a value in a filter.
const NAME: usize = 200;
const VALUE: usize = 8 << 10;
/// Bytes of all that is said of what is exported.
const WHOLE: usize = 16 << 10;
/// Version of what is stored.
const VERSION: u64 = 1;

const FORMATS: [(&str, Format); 4] = [("csv", Format::Csv(Layout::LogProof)), ("json", Format::Json), ("ndjson", Format::Ndjson), ("parquet", Format::Parquet)];
const CODINGS: [(&str, Coding); 3] = [("none", Coding::Identity), ("gzip", Coding::Gzip), ("zstd", Coding::Zstd)];

/// What a schedule exports, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// When.
    pub timing: Timing,
    /// Which log.
    pub log: LogKind,
    /// As what; see [`Scheduled::format`].
    pub format: Format,
    /// How it is compressed; see [`Scheduled::coding`].
    pub coding: Coding,
    /// Fields of [`SCHEDULE_FIELDS`] and what they must be.
    pub fields: Vec<(Field, String)>,
    /// A text that must be in the event.
    pub search: Option<String>,
}

/// A schedule to be made.
#[derive(Clone, Debug)]
pub struct ScheduleSpec {
    /// A name for people.
    pub name: String,
    /// What, and when.
    pub what: Scheduled,
    /// Where files are copied to; our own store keeps them in any case.
    pub destination: Option<Destination>,
}

/// What to change of a schedule; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct ScheduleChange {
    /// The name.
    pub name: Option<String>,
    /// When it runs.
    pub timing: Option<Timing>,
    /// Whether it runs. Who lets it run again becomes the one with whose rights it does.
    pub active: Option<bool>,
    /// Where files are copied to; `Some(None)` for nowhere.
    pub destination: Option<Option<Destination>>,
}

/// A schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// A name for people.
    pub name: String,
    /// What, and when.
    pub what: Scheduled,
    /// Where files are copied to.
    pub destination: Option<Destination>,
    /// Who asked, as the `actor` of an event.
    pub asked_by: Value,
    /// False while it does not run.
    pub active: bool,
    /// Up to where the last run went.
    pub position: u64,
    /// The export of the last run.
    pub last_export: Option<ExportId>,
    /// How many runs there were.
    pub runs: u64,
    /// When the next run is due.
    pub next_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Scheduled {
    /// The format of a name.
    pub fn format(name: &str) -> Option<Format> {
        FORMATS.iter().find(|(n, _)| *n == name).map(|(_, format)| *format)
    }
    /// The compression of a name.
    pub fn coding(name: &str) -> Option<Coding> {
        CODINGS.iter().find(|(n, _)| *n == name).map(|(_, coding)| *coding)
    }
    /// As it is stored, shown and audited.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut out = Map::new();
        let mut put = |name: &str, value: Value| drop(out.insert(name.to_owned(), value));
        match self.timing.every {
            Every::Day => put("every", "daily".into()),
            Every::Week(day) => {
                put("every", "weekly".into());
                put("weekday", WEEKDAYS.get(usize::from(day)).copied().into());
            }
            Every::Month(day) => {
                put("every", "monthly".into());
                put("day", day.into());
            }
        }
        put("at", self.timing.at().into());
        put("log", self.log.name().into());
        put("format", FORMATS.iter().find(|(_, f)| *f == self.format).map(|(name, _)| *name).into());
        put("compression", CODINGS.iter().find(|(_, c)| *c == self.coding).map(|(name, _)| *name).into());
        let mut filter: Map<String, Value> = self.fields.iter().map(|(field, value)| (field.column().to_owned(), value.as_str().into())).collect();
        if let Some(text) = &self.search {
            filter.insert("search".to_owned(), text.as_str().into());
        }
        put("filter", Value::Object(filter));
        out
    }
    fn read(text: &str) -> Result<Self> {
        let value = read_json(text)?;
        let read = || {
            let text = |name: &str| value.get(name)?.as_str();
            let every = match text("every")? {
                "daily" => Every::Day,
                "weekly" => Every::Week(u8::try_from(WEEKDAYS.iter().position(|d| Some(*d) == text("weekday"))?).ok()?),
                "monthly" => Every::Month(u8::try_from(value.get("day")?.as_u64()?).ok()?),
                _ => return None,
            };
            let mut out = Self {
                timing: Timing { every, minute: Timing::read_minute(text("at")?)? },
                log: LogKind::ALL.into_iter().find(|l| Some(l.name()) == text("log"))?,
                format: Self::format(text("format")?)?,
                coding: Self::coding(text("compression")?)?,
                fields: Vec::new(),
                search: None,
            };
            for (name, value) in value.get("filter")?.as_object()? {
                let value = value.as_str()?.to_owned();
                match name.as_str() {
                    "search" => out.search = Some(value),
                    name => out.fields.push((SCHEDULE_FIELDS.into_iter().find(|f| f.column() == name)?, value)),
                }
            }
            (value.get("v")?.as_u64()? == VERSION).then_some(out)
        };
        read().ok_or_else(|| Error::corrupt("what a schedule exports cannot be read"))
    }
    /// As [`Scheduled::read`] reads it, with the time of the last change of the schedule.
    fn write(&self, changed: Timestamp) -> String {
        let mut all = self.to_json();
        all.insert("v".to_owned(), VERSION.into());
        all.insert("changed".to_owned(), changed.to_string().into());
        Value::Object(all).to_string()
    }
    /// When somebody last changed the schedule, or made it.
    fn changed(text: &str) -> Result<Timestamp> {
        let at = read_json(text)?.get("changed").and_then(Value::as_str).and_then(|at| Timestamp::parse(at).ok());
        at.ok_or_else(|| Error::corrupt("when a schedule was changed cannot be read"))
    }
    fn filter(&self) -> Filter {
        let mut filter = Filter { search: self.search.as_deref().map(Needle::new), ..Filter::default() };
        for (field, value) in &self.fields {
            match field {
                Field::Action => filter.test(*field, Test::exact_or_wildcard(value)),
                field => filter.equals(*field, value),
            }
        }
        filter
    }
    fn check(&self, violations: &mut Vec<Violation>) {
        check_timing(self.timing, violations);
        if !FORMATS.iter().any(|(_, format)| *format == self.format) {
            violations.push(Violation::new("format", "is not one that a schedule makes."));
        }
        for (field, value) in &self.fields {
            text(&format!("filter.{}", field.column()), value, VALUE, violations);
        }
        if let Some(value) = &self.search {
            text("filter.search", value, VALUE, violations);
        }
        if Value::Object(self.to_json()).to_string().len() > WHOLE {
            violations.push(Violation::new("filter", format!("is longer than {WHOLE} bytes in all.")));
        }
    }
}

fn check_timing(timing: Timing, violations: &mut Vec<Violation>) {
    match timing.every {
        Every::Week(day) if usize::from(day) >= WEEKDAYS.len() => violations.push(Violation::new("weekday", "must be a day of the week.")),
        Every::Month(day) if !(1..=31).contains(&day) => violations.push(Violation::new("day", "must be a whole number from 1 to 31.")),
        _ => {}
    }
}

fn text(member: &str, value: &str, most: usize, violations: &mut Vec<Violation>) {
    if value.trim().is_empty() || value.len() > most || value.contains('\0') {
        violations.push(Violation::new(member, format!("must be a text of 1 to {most} bytes without NUL.")));
    }
}

fn missing() -> Error {
    Error::not_found("Schedule")
}

/// The destination of a row.
fn destination(row: &ScheduleRow) -> Result<Option<Destination>> {
    let Some(text) = &row.destination else { return Ok(None) };
    let read = serde_json::from_str::<Map<String, Value>>(text).ok().and_then(|members| Destination::read(&members));
    // The text itself must not get into a message.
    read.map(Some).ok_or_else(|| Error::corrupt("the destination of a schedule cannot be read"))
}

impl Schedule {
    fn new(row: &ScheduleRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            name: row.name.clone(),
            what: Scheduled::read(&row.spec)?,
            destination: destination(row)?,
            asked_by: read_json(&row.asked_by)?,
            active: row.active,
            position: row.position,
            last_export: row.last_export,
            runs: row.runs,
            next_at: row.next_at,
            created_at: row.created_at,
        })
    }
    /// What of it somebody chose, without the secret.
    fn chosen(&self) -> Map<String, Value> {
        let mut out = Map::from_iter([("name".to_owned(), self.name.as_str().into()), ("active".to_owned(), self.active.into())]);
        out.extend(self.what.to_json());
        out.insert("destination".to_owned(), self.destination.as_ref().map_or(Value::Null, Destination::to_json));
        out
    }
}

/// True if a caller may see a schedule: what a bound one asked for is seen by those with exactly that binding.
fn sees(grant: &Grant, row: &ScheduleRow) -> Result<bool> {
    let bound = organizations_text(&grant.organizations)?;
    Ok((bound.is_none() || bound == row.organizations) && grant.may_read(Scheduled::read(&row.spec)?.log).is_ok())
}

impl Service {
    /// Makes a schedule. Its first run exports all that the log has by then.
    pub async fn schedule_create(&self, caller: &Caller<CanManageProject>, spec: ScheduleSpec) -> Result<Schedule> {
        let grant = caller.grant();
        grant.permit::<CanExport>()?;
        grant.may_read(spec.what.log)?;
        let mut violations = Vec::new();
        text("name", &spec.name, NAME, &mut violations);
        spec.what.check(&mut violations);
        self.check_destination(spec.destination.as_ref(), &mut violations);
        if !violations.is_empty() {
            return Err(Error::invalid(violations));
        }
        let now = self.inner.clock.now();
        let row = ScheduleRow {
            id: ScheduleId(self.inner.ids.uuid_v7(now)?),
            project: grant.project,
            name: spec.name,
            spec: spec.what.write(now),
            destination: spec.destination.as_ref().map(Destination::write),
            asked_by: actor(&grant.who).to_string(),
            organizations: organizations_text(&grant.organizations)?,
            active: true,
            position: 0,
            last_export: None,
            runs: 0,
            next_at: spec.what.timing.next(now)?,
            created_at: now,
        };
        let made = Schedule::new(&row)?;
        let mut tx = self.inner.store.write().await?;
        // Two that count at once would both see room for one more.
        tx.project_lock(grant.project).await?;
        if tx.schedule_list(grant.project).await?.len() >= SCHEDULES {
            return Err(Error::new(Kind::Conflict, format!("The project has {SCHEDULES} schedules; delete one first.")));
        }
        tx.schedule_insert(&row).await?;
        let fact = Fact { action: "schedule.created", target: Some(("schedule", row.id.to_string(), Some(&row.name))), metadata: made.chosen(), ..Fact::default() };
        self.audit(&mut tx, grant.project, &grant.who, &fact).await?;
        tx.commit().await?;
        Ok(made)
    }
    /// The project's schedules that the caller may see, oldest first.
    pub async fn schedules(&self, caller: &Caller<CanExport>) -> Result<Vec<Schedule>> {
        let mut out = Vec::new();
        for row in self.inner.store.glance().await?.schedule_list(caller.project()).await? {
            if sees(caller.grant(), &row)? {
                out.push(Schedule::new(&row)?);
            }
        }
        Ok(out)
    }
    /// A schedule that the caller may see.
    pub async fn schedule(&self, caller: &Caller<CanExport>, id: ScheduleId) -> Result<Schedule> {
        match self.inner.store.glance().await?.schedule_find(caller.project(), id).await? {
            Some(row) if sees(caller.grant(), &row)? => Schedule::new(&row),
            _ => Err(missing()),
        }
    }
    /// Changes a schedule. With another time, or when it is let run again, it is next due as if it were made now; where it stands in the log stays.
    pub async fn schedule_change(&self, caller: &Caller<CanManageProject>, id: ScheduleId, change: ScheduleChange) -> Result<Schedule> {
        let grant = caller.grant();
        let mut violations = Vec::new();
        if let Some(name) = &change.name {
            text("name", name, NAME, &mut violations);
        }
        if let Some(timing) = change.timing {
            check_timing(timing, &mut violations);
        }
        self.check_destination(change.destination.iter().flatten().next(), &mut violations);
        if !violations.is_empty() {
            return Err(Error::invalid(violations));
        }
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write().await?;
        let before = tx.schedule_lock(grant.project, id).await?.ok_or_else(missing)?;
        if !sees(grant, &before)? {
            return Err(missing());
        }
        let was = Schedule::new(&before)?;
        let mut what = was.what.clone();
        let mut row = before.clone();
        row.name = change.name.unwrap_or(row.name);
        if let Some(destination) = change.destination {
            // Who sends events to another place takes them out.
            grant.permit::<CanExport>()?;
            row.destination = destination.as_ref().map(Destination::write);
        }
        let wakes = change.active == Some(true) && !row.active;
        if wakes {
            grant.permit::<CanExport>()?;
            if !is_within(&read_organizations(row.organizations.as_deref())?, &grant.organizations) {
                return Err(missing());
            }
            row.asked_by = actor(&grant.who).to_string();
        }
        row.active = change.active.unwrap_or(row.active);
        if let Some(timing) = change.timing {
            what.timing = timing;
        }
        if wakes || change.timing.is_some() {
            row.next_at = what.timing.next(now)?;
        }
        let changed = row != before || what != was.what;
        row.spec = what.write(now);
        let now = Schedule::new(&row)?;
        if changed {
            tx.schedule_update(&row).await?;
            let diff = Some((Value::Object(was.chosen()), Value::Object(now.chosen())));
            let fact = Fact { action: "schedule.updated", target: Some(("schedule", id.to_string(), Some(&row.name))), diff, ..Fact::default() };
            self.audit(&mut tx, grant.project, &grant.who, &fact).await?;
            tx.commit().await?;
        }
        Ok(now)
    }
    /// Deletes a schedule. Its exports stay; what it had begun goes on.
    pub async fn schedule_delete(&self, caller: &Caller<CanManageProject>, id: ScheduleId) -> Result<()> {
        let grant = caller.grant();
        let mut tx = self.inner.store.write().await?;
        let row = tx.schedule_lock(grant.project, id).await?.ok_or_else(missing)?;
        if !sees(grant, &row)? || !tx.schedule_delete(grant.project, id).await? {
            return Err(missing());
        }
        let fact = Fact { action: "schedule.deleted", target: Some(("schedule", id.to_string(), Some(&row.name))), ..Fact::default() };
        self.audit(&mut tx, grant.project, &grant.who, &fact).await?;
        tx.commit().await
    }
    fn check_destination(&self, destination: Option<&Destination>, violations: &mut Vec<Violation>) {
        if let Some(destination) = destination {
            destination.check(&self.inner.config.tasks.export_endpoints, violations);
        }
    }
}

#[cfg(test)]
mod tests;
