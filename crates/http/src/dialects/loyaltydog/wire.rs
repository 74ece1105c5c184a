//! What LoyaltyDog's audit log looks like.

use indelible_model::fields::{Field, Fields};
use indelible_model::ids::{dashed, hex};
use indelible_model::line::Line;
use indelible_model::{Error, Result, Timestamp, details};
use indelible_service::{ExportInfo, ExportState};
use serde::Serialize;
use serde_json::value::RawValue;

/// A page; all members are required.
#[derive(Serialize)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    pub(super) total: u64,
    pub(super) page: u64,
    pub(super) pages: u64,
    pub(super) limit: u64,
}

/// One entry. What is not an `Option` is never null in the dialect's own model.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    id: String,
    action: String,
    resource_type: String,
    resource_id: Option<String>,
    actor_id: Option<String>,
    actor_type: String,
    subject_id: Option<String>,
    merchant_id: Option<String>,
    ip_address: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
    details: Option<Box<RawValue>>,
    timestamp: String,
    actor_name: Option<String>,
    subject_name: Option<String>,
    merchant_name: Option<String>,
    resource_name: Option<String>,
}

impl Item {
    /// The entry of a stored line.
    pub(super) fn read(line: &[u8]) -> Result<Self> {
        let line = Line::parse(line).ok_or_else(|| Error::corrupt("a stored line cannot be read"))?;
        let fields = Fields::read(line.action, line.details);
        let some = |field| fields.get(field).map(str::to_owned);
        let text = |field| fields.get(field).unwrap_or_default().to_owned();
        let details = details(fields.get(Field::Metadata), fields.get(Field::DiffBefore), fields.get(Field::DiffAfter));
        Ok(Self {
            id: hex(&line.id.0),
            action: text(Field::Action),
            resource_type: text(Field::TargetType),
            resource_id: some(Field::TargetId),
            actor_id: some(Field::ActorId),
            actor_type: text(Field::ActorType),
            subject_id: some(Field::SubjectId),
            merchant_id: some(Field::OrganizationId),
            ip_address: some(Field::Ip),
            user_agent: some(Field::UserAgent),
            request_id: some(Field::RequestId),
            details: details.map(RawValue::from_string).transpose().map_err(|_| Error::corrupt("stored metadata is not JSON"))?,
            timestamp: time(line.occurred_at),
            actor_name: some(Field::ActorName),
            subject_name: some(Field::SubjectName),
            merchant_name: some(Field::OrganizationName),
            resource_name: some(Field::TargetName),
        })
    }
}

/// RFC 3339 with `Z`, and a fraction only where there is one.
fn time(at: Timestamp) -> String {
    let text = at.to_string();
    text.strip_suffix(".000000Z").map_or_else(|| text.clone(), |whole| format!("{whole}Z"))
}

/// A task.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    task_id: String,
    status: &'static str,
    download_url: Option<String>,
    error: Option<String>,
}

impl Status {
    /// The task that makes an export, with a link to its file.
    pub(super) fn of(info: &ExportInfo, download_url: Option<String>) -> Self {
        let (status, error) = told(info.state, info.error.as_deref());
        Self { task_id: dashed(&info.id.0), status, download_url, error: error.map(str::to_owned) }
    }
}

/// A state in the dialect's words. Only a failed task has an error, because clients take one for the end.
fn told(state: ExportState, error: Option<&str>) -> (&'static str, Option<&str>) {
    match state {
        ExportState::Queued => ("pending", None),
        ExportState::Running => ("processing", None),
        ExportState::Finished => ("success", None),
        ExportState::Failed => ("failed", Some(error.unwrap_or("The export failed."))),
        ExportState::Cancelled => ("failed", Some("The export was cancelled.")),
        ExportState::Expired => ("failed", Some("The export's file has expired.")),
    }
}

#[cfg(test)]
mod tests;
