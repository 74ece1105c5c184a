//! The page of an organization's audit log.

use std::borrow::Cow;

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
        let line = Line::parse(line).ok_or_else(|| Error::corrupt("a stored line cannot be read"))?;
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
