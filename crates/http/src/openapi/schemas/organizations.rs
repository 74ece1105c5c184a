//! An organization's audit log.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// A page of an organization's audit log.
#[derive(ToSchema)]
pub(crate) struct AuditPage {
    items: Vec<AuditEntry>,
    total: u64,
    skip: u64,
    limit: u64,
    has_more: bool,
}

/// One entry. `entity` is what was acted on (`target` elsewhere), `target` the second object (`subject` elsewhere).
#[derive(ToSchema)]
pub(crate) struct AuditEntry {
    /// `aentry_` and the hex digits of the event's id.
    id: String,
    entity_type: String,
    entity_id: String,
    #[schema(required)]
    entity_name: Option<String>,
    action_type: String,
    actor_id: String,
    actor_name: String,
    actor_email: String,
    #[schema(required)]
    target_id: Option<String>,
    #[schema(required)]
    target_name: Option<String>,
    #[schema(required)]
    previous_value: Option<String>,
    #[schema(required)]
    new_value: Option<String>,
    metadata: BTreeMap<String, Value>,
    organization_id: String,
    #[schema(required)]
    department_id: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

/// Which entries.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditFilters {
    entity_type: Option<String>,
    /// The last part of an action (`updated`), or a whole one with its dots.
    action_type: Option<String>,
    actor_id: Option<String>,
    target_id: Option<String>,
    entity_id: Option<String>,
    department_id: Option<String>,
    /// At or after this time; a date means its whole UTC day.
    from_date: Option<String>,
    /// At or before this time; a date means its whole UTC day.
    to_date: Option<String>,
    /// Text in the entity's name, the actor's name or the actor's email, in either case.
    search_term: Option<String>,
}

/// Which page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditListParams {
    #[param(minimum = 0, default = 0)]
    skip: Option<u64>,
    /// A page ends earlier where its events come to more than 8 MiB, or the server has no room for more: go on at `skip` plus the number of items, while `has_more` says so.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u64>,
}

/// How to export.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditExportParams {
    /// `none` exports all rows, oldest first.
    limit: Option<String>,
    /// Put `'` before text that a spreadsheet would run as a formula.
    csv_safe: Option<bool>,
    /// Start with a byte order mark.
    bom: Option<bool>,
    /// Only rows up to this position: what an earlier export with this `X-Snapshot-Position` held.
    snapshot: Option<u64>,
}

/// How to report.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditReportParams {
    /// Only rows up to this position.
    snapshot: Option<u64>,
}

/// Which changes. An empty body asks for all.
#[derive(ToSchema)]
pub(crate) struct ChangeLogRequest {
    #[schema(minimum = 0, default = 0)]
    skip: Option<u64>,
    /// A page ends earlier where its events come to more than 8 MiB, or the server has no room for more: go on at `skip` plus the number of logs, while that is less than `total_count`.
    #[schema(minimum = 1, maximum = 100, default = 50)]
    take: Option<u64>,
    /// At or after this time; a date means its whole UTC day.
    start_date: Option<String>,
    /// At or before this time; a date means its whole UTC day.
    end_date: Option<String>,
    resource_type: Option<String>,
    /// The last part of an action (`updated`), or a whole one with its dots.
    action: Option<String>,
}

/// A page of changes.
#[derive(ToSchema)]
pub(crate) struct ChangeLogPage {
    logs: Vec<ChangeLog>,
    total_count: u64,
    skip: u64,
    take: u64,
}

/// One entry of a change log.
#[derive(ToSchema)]
pub(crate) struct ChangeLog {
    /// `aentry_` and the hex digits of the event's id.
    id: String,
    user_id: String,
    user_name: String,
    user_email: String,
    action: String,
    #[schema(format = DateTime)]
    timestamp: String,
    resource_type: String,
    resource_id: String,
    resource_name: String,
    changes: Vec<Change>,
}

/// What became of one field.
#[derive(ToSchema)]
pub(crate) struct Change {
    /// The member's name; `value` where the whole was one value.
    field: String,
    #[schema(required)]
    old_value: Option<String>,
    #[schema(required)]
    new_value: Option<String>,
}

/// Which part of a history.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryParams {
    /// The last part of an action (`updated`), or a whole one with its dots.
    action: Option<String>,
    user_id: Option<String>,
    /// At or after this time; a date means its whole UTC day.
    start_date: Option<String>,
    /// At or before this time; a date means its whole UTC day.
    end_date: Option<String>,
    /// A page ends earlier where its events come to more than 8 MiB, or the server has no room for more: go on at `offset` plus the number of entries, while `has_more` says so.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u64>,
    #[param(minimum = 0, default = 0)]
    offset: Option<u64>,
}

/// A page of a history.
#[derive(ToSchema)]
pub(crate) struct HistoryPage {
    audit_logs: Vec<HistoryEntry>,
    pagination: Pagination,
}

/// One entry of a history.
#[derive(ToSchema)]
pub(crate) struct HistoryEntry {
    /// `aentry_` and the hex digits of the event's id.
    id: String,
    user_id: String,
    user_name: String,
    user_email: String,
    action: String,
    /// Seconds since 1970.
    timestamp: i64,
    resource_type: String,
    resource_id: String,
    resource_name: String,
    changes: Vec<Change>,
    metadata: BTreeMap<String, Value>,
}

/// Where in the whole a page is.
#[derive(ToSchema)]
pub(crate) struct Pagination {
    total: u64,
    limit: u64,
    offset: u64,
    has_more: bool,
}
