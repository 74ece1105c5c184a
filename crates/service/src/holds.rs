//! Legal holds: what a case needs stays, whatever retention says, until the hold is released.
//!
//! Promises: from the answer on nothing that a hold matches expires, also if a sweep runs at that moment; several holds may match one event, and it stays until the
//! last of them is released; a hold is never deleted, and its placing and release are audited with who did it and why.
//! Never: brings back what was gone when the hold was placed.

use std::time::Duration;

use indelible_model::fields::Field;
use indelible_model::query::Test;
use indelible_model::{Error, EventId, Filter, HoldId, Kind, LogKind, ProjectId, Result, Timestamp, Violation};
use indelible_store::{HoldEnd, LegalHoldRow, NewSegment};
use serde_json::{Map, Value, json};

use crate::audit::{Fact, actor};
use crate::caller::{Caller, CanManageProject, CanReadLogs};
use crate::{Service, die_on_failed_sync};

/// Fields that a hold's filter may test, by the names of their columns. `action` takes a pattern with `*`.
pub const HOLD_FIELDS: [Field; 5] = [Field::Action, Field::ActorId, Field::TargetType, Field::TargetId, Field::OrganizationId];
/// Events that one hold may name.
pub const HOLD_EVENTS: usize = 500;

/// Bytes of a case's name, of a reason, and of a value in a filter.
const CASE: usize = 200;
const REASON: usize = 2000;
const VALUE: usize = 8 << 10;
/// Live holds of a project: each is tested against each segment that would go.
const LIVE: usize = 1000;
/// How long placing a hold counts what it matches.
const COUNTING: Duration = Duration::from_secs(20);
/// Version of the stored filter.
const VERSION: u64 = 1;

/// What a hold holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holding {
    /// These events.
    Events(Vec<EventId>),
    /// Whatever passes a filter, now and later.
    Matching(HoldFilter),
}

/// A hold's filter; without any condition it holds everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldFilter {
    /// Of one log; `None` for both.
    pub log: Option<LogKind>,
    /// `occurred_at` at or after this.
    pub from: Option<Timestamp>,
    /// `occurred_at` at or before this.
    pub to: Option<Timestamp>,
    /// Fields of [`HOLD_FIELDS`] and what they must be.
    pub fields: Vec<(Field, String)>,
}

/// A hold to be placed.
#[derive(Clone, Debug)]
pub struct HoldSpec {
    /// The case that it is for.
    pub case: String,
    /// Why.
    pub reason: String,
    /// What it holds.
    pub what: Holding,
}

/// A hold.
#[derive(Clone, Debug)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// The case that it is for.
    pub case: String,
    /// Why it was placed.
    pub reason: String,
    /// What it holds.
    pub what: Holding,
    /// Who placed it, as the `actor` of an event.
    pub placed_by: Value,
    /// When.
    pub created_at: Timestamp,
    /// Its end, if it has come.
    pub released: Option<Release>,
}

/// The end of a hold.
#[derive(Clone, Debug)]
pub struct Release {
    /// Who released it, as the `actor` of an event.
    pub by: Value,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A hold just placed.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The hold.
    pub hold: Hold,
    /// How many events were there and match; `None` if that could not be counted in time. The hold stands either way.
    pub found: Option<u64>,
}

/// What a hold holds, as it is stored: events with their places, if they were found.
enum Terms {
    Events(Vec<(EventId, Option<(LogKind, u64)>)>),
    Matching(HoldFilter),
}

/// A hold that is not released, ready to be tested.
pub(crate) struct LiveHold {
    id: HoldId,
    terms: Terms,
}

impl LiveHold {
    pub(crate) fn new(row: &LegalHoldRow) -> Result<Self> {
        Ok(Self { id: row.id, terms: Terms::read(&row.filter)? })
    }
}

impl HoldFilter {
    fn applies(&self, log: LogKind) -> bool {
        self.log.is_none_or(|own| own == log)
    }
    fn filter(&self) -> Filter {
        let mut filter = Filter { from: self.from, to: self.to, ..Filter::default() };
        for (field, value) in &self.fields {
            match field {
                Field::Action => filter.test(*field, Test::exact_or_wildcard(value)),
                field => filter.equals(*field, value),
            }
        }
        filter
    }
    /// As it is stored, shown and audited.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        let mut put = |name: &str, value: Option<String>| value.and_then(|v| out.insert(name.to_owned(), v.into()));
        put("log", self.log.map(|l| l.name().to_owned()));
        put("from", self.from.map(|t| t.to_string()));
        put("to", self.to.map(|t| t.to_string()));
        for (field, value) in &self.fields {
            put(field.column(), Some(value.clone()));
        }
        Value::Object(out)
    }
    fn read(members: &Map<String, Value>) -> Option<Self> {
        let mut out = Self::default();
        for (name, value) in members {
            let text = value.as_str()?;
            match name.as_str() {
                "log" => out.log = Some(LogKind::ALL.into_iter().find(|l| l.name() == text)?),
                "from" => out.from = Some(Timestamp::from_text(text.as_bytes())?),
                "to" => out.to = Some(Timestamp::from_text(text.as_bytes())?),
                name => out.fields.push((HOLD_FIELDS.into_iter().find(|f| f.column() == name)?, text.to_owned())),
            }
        }
        Some(out)
    }
}

impl Terms {
    fn write(&self) -> String {
        match self {
            Self::Events(events) => {
                let one = |(id, place): &(EventId, Option<(LogKind, u64)>)| match place {
                    Some((log, position)) => json!({ "id": id.to_string(), "log": log.name(), "position": position }),
                    None => json!({ "id": id.to_string() }),
                };
                json!({ "v": VERSION, "events": events.iter().map(one).collect::<Vec<_>>() }).to_string()
            }
            Self::Matching(filter) => json!({ "v": VERSION, "match": filter.to_json() }).to_string(),
        }
    }
    /// What cannot be read is an error: nothing expires then.
    fn read(text: &str) -> Result<Self> {
        let read = || {
            let value: Value = serde_json::from_str(text).ok()?;
            if value.get("v")?.as_u64()? != VERSION {
                return None;
            }
            if let Some(members) = value.get("match") {
                return HoldFilter::read(members.as_object()?).map(Self::Matching);
            }
            let one = |event: &Value| {
                let id = EventId::parse(event.get("id")?.as_str()?)?;
                let Some(log) = event.get("log") else { return Some((id, None)) };
                let log = LogKind::ALL.into_iter().find(|l| Some(l.name()) == log.as_str())?;
                Some((id, Some((log, event.get("position")?.as_u64()?))))
            };
            value.get("events")?.as_array()?.iter().map(one).collect::<Option<Vec<_>>>().map(Self::Events)
        };
        read().ok_or_else(|| Error::corrupt("the filter of a legal hold cannot be read"))
    }
    fn holding(self) -> Holding {
        match self {
            Self::Events(events) => Holding::Events(events.into_iter().map(|(id, _)| id).collect()),
            Self::Matching(filter) => Holding::Matching(filter),
        }
    }
}

impl HoldSpec {
    fn check(&self) -> Result<()> {
        let mut violations = Vec::new();
        text("case", &self.case, CASE, &mut violations);
        text("reason", &self.reason, REASON, &mut violations);
        match &self.what {
            Holding::Events(events) if !(1..=HOLD_EVENTS).contains(&events.len()) => {
                violations.push(Violation::new("events", format!("must have 1 to {HOLD_EVENTS} ids; for more, place several holds or use filter.")));
            }
            Holding::Events(_) => {}
            Holding::Matching(filter) => {
                if filter.from.zip(filter.to).is_some_and(|(from, to)| from > to) {
                    violations.push(Violation::new("filter.from", "must not be after to."));
                }
                for (field, value) in &filter.fields {
                    text(&format!("filter.{}", field.column()), value, VALUE, &mut violations);
                }
            }
        }
        if violations.is_empty() { Ok(()) } else { Err(Error::invalid(violations)) }
    }
}

fn text(member: &str, value: &str, most: usize, violations: &mut Vec<Violation>) {
    if value.trim().is_empty() || value.len() > most || value.contains('\0') {
        violations.push(Violation::new(member, format!("must be a text of 1 to {most} bytes without NUL.")));
    }
}

fn hold(row: LegalHoldRow) -> Result<Hold> {
    let who = |text: &str| serde_json::from_str(text).map_err(|_| Error::corrupt("who placed or released a legal hold cannot be read"));
    let released = row.released.map(|end| Ok::<_, Error>(Release { by: who(&end.by)?, reason: end.reason, at: end.at })).transpose()?;
    let (what, placed_by) = (Terms::read(&row.filter)?.holding(), who(&row.placed_by)?);
    Ok(Hold { id: row.id, case: row.case, reason: row.reason, what, placed_by, created_at: row.created_at, released })
}

/// What is said of a hold in the log.
fn metadata(hold: &Hold, reason: &str) -> Map<String, Value> {
    let mut out = Map::from_iter([("case".to_owned(), hold.case.clone().into()), ("reason".to_owned(), reason.into())]);
    match &hold.what {
        Holding::Events(events) => out.insert("events".to_owned(), events.iter().map(EventId::to_string).collect()),
        Holding::Matching(filter) => out.insert("filter".to_owned(), filter.to_json()),
    };
    out
}

impl Service {
    /// Places a hold.
    pub async fn hold_place(&self, caller: &Caller<CanManageProject>, spec: HoldSpec) -> Result<Placed> {
        caller.grant().whole_project()?;
        spec.check()?;
        let project = caller.project();
        let terms = match spec.what {
            Holding::Events(ids) => Terms::Events(self.places(project, ids).await?),
            Holding::Matching(filter) => Terms::Matching(filter),
        };
        let now = self.inner.clock.now();
        let row = LegalHoldRow {
            id: HoldId(self.inner.ids.uuid_v7(now)?),
            case: spec.case,
            reason: spec.reason,
            filter: terms.write(),
            placed_by: actor(&caller.grant().who).to_string(),
            created_at: now,
            released: None,
        };
        let placed = hold(row.clone())?;
        let mut tx = self.inner.store.write().await?;
        tx.retention_lock(project).await?;
        if tx.legal_hold_live(project).await?.len() >= LIVE {
            return Err(Error::new(Kind::Conflict, format!("The project has {LIVE} live holds; release one, or place one that holds more.")));
        }
        tx.legal_hold_place(project, &row).await?;
        let fact = Fact { action: "hold.placed", target: Some(("hold", row.id.to_string(), Some(&row.case))), metadata: metadata(&placed, &row.reason), ..Fact::default() };
        self.audit(&mut tx, project, &caller.grant().who, &fact).await?;
        tx.commit().await.inspect_err(die_on_failed_sync)?;
        // Counted after the commit: what is there now stays.
        let found = match tokio::time::timeout(COUNTING, self.found(project, &terms)).await {
            Ok(Ok(found)) => Some(found),
            Ok(Err(error)) => {
                tracing::warn!(%error, hold = %row.id, "what a legal hold matches could not be counted; it stands");
                None
            }
            Err(_) => None,
        };
        Ok(Placed { hold: placed, found })
    }
    /// Releases a hold: what no other one holds goes with the next sweep.
    pub async fn hold_release(&self, caller: &Caller<CanManageProject>, id: HoldId, reason: &str) -> Result<Hold> {
        caller.grant().whole_project()?;
        let mut violations = Vec::new();
        text("reason", reason, REASON, &mut violations);
        if !violations.is_empty() {
            return Err(Error::invalid(violations));
        }
        let project = caller.project();
        let mut tx = self.inner.store.write().await?;
        tx.retention_lock(project).await?;
        let row = tx.legal_hold_find(project, id).await?.ok_or_else(missing)?;
        let by = actor(&caller.grant().who);
        let end = HoldEnd { by: by.to_string(), reason: reason.to_owned(), at: self.inner.clock.now() };
        if !tx.legal_hold_release(project, id, &end).await? {
            return Err(Error::new(Kind::Conflict, "The hold was released already."));
        }
        let released = hold(LegalHoldRow { released: Some(end), ..row })?;
        let fact = Fact { action: "hold.released", target: Some(("hold", id.to_string(), Some(&released.case))), metadata: metadata(&released, reason), ..Fact::default() };
        self.audit(&mut tx, project, &caller.grant().who, &fact).await?;
        tx.commit().await.inspect_err(die_on_failed_sync)?;
        Ok(released)
    }
    /// One of the project's holds.
    pub async fn hold(&self, caller: &Caller<CanReadLogs>, id: HoldId) -> Result<Hold> {
        caller.grant().whole_project()?;
        hold(self.inner.store.glance().await?.legal_hold_find(caller.project(), id).await?.ok_or_else(missing)?)
    }
    /// Up to `most` of the project's holds, released ones too, newest first, after the one given; and whether there are more.
    pub async fn holds(&self, caller: &Caller<CanReadLogs>, after: Option<HoldId>, most: u32) -> Result<(Vec<Hold>, bool)> {
        caller.grant().whole_project()?;
        let mut rows = self.inner.store.glance().await?.legal_hold_list(caller.project(), after, most.saturating_add(1)).await?;
        let more = rows.len() > most as usize;
        rows.truncate(most as usize);
        Ok((rows.into_iter().map(hold).collect::<Result<_>>()?, more))
    }

    /// The first of the holds that holds an event of a segment.
    pub(crate) async fn holder(&self, project: ProjectId, log: LogKind, segment: &NewSegment, holds: &[LiveHold]) -> Result<Option<HoldId>> {
        for hold in holds {
            let held = match &hold.terms {
                Terms::Events(events) => events.iter().any(|(_, place)| place.is_some_and(|(of, position)| of == log && (segment.first..=segment.last).contains(&position))),
                Terms::Matching(filter) => filter.applies(log) && self.matching(project, log, &filter.filter(), (segment.first, segment.last), 1).await? > 0,
            };
            if held {
                return Ok(Some(hold.id));
            }
        }
        Ok(None)
    }
    async fn places(&self, project: ProjectId, ids: Vec<EventId>) -> Result<Vec<(EventId, Option<(LogKind, u64)>)>> {
        let mut out = Vec::with_capacity(ids.len());
        for id in ids {
            out.push((id, self.place(project, id).await?));
        }
        Ok(out)
    }
    /// How many events are there that a hold holds.
    async fn found(&self, project: ProjectId, terms: &Terms) -> Result<u64> {
        let mut found = 0;
        match terms {
            Terms::Events(events) => {
                for (log, position) in events.iter().filter_map(|(_, place)| *place) {
                    let rows = self.inner.store.glance().await?.segment_range(project, log, position, position, false, 1).await?;
                    found += u64::from(rows.first().is_none_or(|row| !row.expired));
                }
            }
            Terms::Matching(filter) => {
                for log in LogKind::ALL.into_iter().filter(|log| filter.applies(*log)) {
                    found += self.matching(project, log, &filter.filter(), (1, u64::MAX), u64::MAX).await?;
                }
            }
        }
        Ok(found)
    }
}

fn missing() -> Error {
    Error::not_found("Hold")
}
