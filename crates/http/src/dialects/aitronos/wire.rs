//! The page of an organization's audit log.

use std::borrow::Cow;
use std::collections::BTreeMap;

use indelible_model::fields::{Field, Fields};
use indelible_model::ids::hex;
use indelible_model::line::Line;
use indelible_model::query::last_segment;
use indelible_model::{Error, Result, Timestamp, json};
use serde::Serialize;
use serde_json::value::RawValue;

/// A page; all members are required.
#[derive(Serialize)]
pub(super) struct Page {
    pub(super) items: Vec<Entry>,
    pub(super) total: u64,
    pub(super) skip: u64,
    pub(super) limit: u64,
    pub(super) has_more: bool,
}

/// One entry. What is not an `Option` is required and never null in the dialect's own model.
#[derive(Serialize)]
pub(super) struct Entry {
    id: String,
    entity_type: String,
    entity_id: String,
    entity_name: Option<String>,
    action_type: String,
    actor_id: String,
    actor_name: String,
    actor_email: String,
    target_id: Option<String>,
    target_name: Option<String>,
    previous_value: Option<String>,
    new_value: Option<String>,
    metadata: Box<RawValue>,
    organization_id: String,
    department_id: Option<String>,
    created_at: String,
}

impl Entry {
    /// The entry of a stored line. An event without an organization belongs to the one asked for.
    pub(super) fn read(line: &[u8], asked: &str) -> Result<Self> {
        let line = parsed(line)?;
        let fields = Fields::read(line.action, line.details);
        let some = |field| fields.get(field).map(str::to_owned);
        let text = |field| fields.get(field).unwrap_or_default().to_owned();
        Ok(Self {
            id: format!("aentry_{}", hex(&line.id.0)),
            entity_type: text(Field::TargetType),
            entity_id: text(Field::TargetId),
            entity_name: some(Field::TargetName),
            action_type: last_segment(fields.get(Field::Action).unwrap_or_default()).to_owned(),
            actor_id: text(Field::ActorId),
            actor_name: text(Field::ActorName),
            actor_email: text(Field::ActorEmail),
            target_id: some(Field::SubjectId),
            target_name: some(Field::SubjectName),
            previous_value: value(fields.get(Field::DiffBefore)),
            new_value: value(fields.get(Field::DiffAfter)),
            metadata: raw(fields.get(Field::Metadata))?,
            organization_id: some(Field::OrganizationId).unwrap_or_else(|| asked.to_owned()),
            department_id: some(Field::DepartmentId),
            created_at: time(line.occurred_at),
        })
    }
}

/// A value before or after: a JSON string becomes its characters, another value stays JSON text, null is absent.
fn value(text: Option<&str>) -> Option<String> {
    let text = text.filter(|t| *t != "null")?;
    Some(json::as_str(text.as_bytes()).map_or_else(|| text.to_owned(), Cow::into_owned))
}

fn raw(text: Option<&str>) -> Result<Box<RawValue>> {
    let text = text.filter(|t| *t != "null").unwrap_or("{}");
    RawValue::from_string(text.to_owned()).map_err(|_| Error::corrupt("stored metadata is not JSON"))
}

/// A page of changes; all members are required.
#[derive(Serialize)]
pub(super) struct ChangePage {
    pub(super) logs: Vec<ChangeLog>,
    pub(super) total_count: u64,
    pub(super) skip: u64,
    pub(super) take: u64,
}

/// One entry of a change log; no text is ever null.
#[derive(Serialize)]
pub(super) struct ChangeLog<T = String> {
    id: String,
    user_id: String,
    user_name: String,
    user_email: String,
    action: String,
    timestamp: T,
    resource_type: String,
    resource_id: String,
    resource_name: String,
    changes: Vec<Change>,
}

/// What became of one field.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Change {
    field: String,
    old_value: Option<String>,
    new_value: Option<String>,
}

impl ChangeLog {
    /// The entry of a stored line.
    pub(super) fn read(line: &[u8]) -> Result<Self> {
        let line = parsed(line)?;
        Ok(Self::of(&line, &Fields::read(line.action, line.details), time(line.occurred_at)))
    }
}

impl<T> ChangeLog<T> {
    fn of(line: &Line<'_>, fields: &Fields<'_>, timestamp: T) -> Self {
        let text = |field| fields.get(field).unwrap_or_default().to_owned();
        Self {
            id: format!("aentry_{}", hex(&line.id.0)),
            user_id: text(Field::ActorId),
            user_name: text(Field::ActorName),
            user_email: text(Field::ActorEmail),
            action: last_segment(fields.get(Field::Action).unwrap_or_default()).to_owned(),
            timestamp,
            resource_type: text(Field::TargetType),
            resource_id: text(Field::TargetId),
            resource_name: text(Field::TargetName),
            changes: changes(fields.get(Field::DiffBefore).unwrap_or("null"), fields.get(Field::DiffAfter).unwrap_or("null")),
        }
    }
}

fn parsed(line: &[u8]) -> Result<Line<'_>> {
    Line::parse(line).ok_or_else(|| Error::corrupt("a stored line cannot be read"))
}

/// A page of an assistant's history.
#[derive(Serialize)]
pub(super) struct History {
    pub(super) audit_logs: Vec<HistoryEntry>,
    pub(super) pagination: Pagination,
}

/// Where in the whole a page is.
#[derive(Serialize)]
pub(super) struct Pagination {
    pub(super) total: u64,
    pub(super) limit: u64,
    pub(super) offset: u64,
    pub(super) has_more: bool,
}

/// One entry of a history: a change log's, with a time in seconds, and metadata.
#[derive(Serialize)]
pub(super) struct HistoryEntry {
    #[serde(flatten)]
    log: ChangeLog<i64>,
    metadata: Box<RawValue>,
}

impl HistoryEntry {
    /// The entry of a stored line.
    pub(super) fn read(line: &[u8]) -> Result<Self> {
        let line = parsed(line)?;
        let fields = Fields::read(line.action, line.details);
        Ok(Self { log: ChangeLog::of(&line, &fields, line.occurred_at.micros().div_euclid(1_000_000)), metadata: raw(fields.get(Field::Metadata))? })
    }
}

/// Members of an object, in their order.
type Members<'a> = Vec<(&'a [u8], &'a [u8])>;

/// The members of an object's JSON text, none of null; `None` for anything else.
fn members(text: &str) -> Option<Members<'_>> {
    match text.as_bytes() {
        b"null" => Some(Vec::new()),
        object @ [b'{', ..] => Some(json::members(object).collect()),
        _ => None,
    }
}

/// What differs between two JSON texts: member by member if they are objects, or one is and the other is absent; else as one field `value`.
fn changes(before: &str, after: &str) -> Vec<Change> {
    let change = |name: &[u8], old: &[u8], new: &[u8]| {
        let text = |json: &[u8]| value(Some(&String::from_utf8_lossy(json)));
        (old != new).then(|| Change { field: text(name).unwrap_or_default(), old_value: text(old), new_value: text(new) })
    };
    let (Some(old), Some(new)) = (members(before), members(after)) else {
        return change(b"\"value\"", before.as_bytes(), after.as_bytes()).into_iter().collect();
    };
    let (old_by_name, new_by_name): (BTreeMap<_, _>, BTreeMap<_, _>) = (old.iter().copied().collect(), new.iter().copied().collect());
    let absent: &[u8] = b"null";
    let kept = old.iter().filter_map(|(name, value)| change(name, value, new_by_name.get(name).unwrap_or(&absent)));
    let added = new.iter().filter(|(name, _)| !old_by_name.contains_key(name)).filter_map(|(name, value)| change(name, absent, value));
    kept.chain(added).collect()
}

/// RFC 3339 with `Z`, and a fraction only where there is one.
pub(super) fn time(at: Timestamp) -> String {
    let text = at.to_string();
    text.strip_suffix(".000000Z").map_or_else(|| text.clone(), |whole| format!("{whole}Z"))
}

/// RFC 3339 with `Z`, cut to seconds.
pub(super) fn second(at: Timestamp) -> String {
    let mut text = at.to_string();
    text.truncate(19);
    text.push('Z');
    text
}

#[cfg(test)]
mod tests;
