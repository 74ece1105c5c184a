//! LoyaltyDog's audit log.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Which entries. Times are RFC 3339 (without a zone in UTC), dates (their first instant), or Unix numbers.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct AuditLogParams {
    /// An event's `organization.id`.
    merchant_id: Option<String>,
    subject_id: Option<String>,
    actor_id: Option<String>,
    /// Text in the subject's name or email, in either case.
    subject_name: Option<String>,
    /// Text in the actor's name, email or id, in either case.
    actor_name: Option<String>,
    /// Text in the merchant's name, in either case.
    merchant_name: Option<String>,
    /// One of these, if given more than once.
    action: Option<Vec<String>>,
    /// One of these, if given more than once.
    resource_type: Option<Vec<String>>,
    /// At or after this.
    #[param(format = DateTime)]
    from: Option<String>,
    /// At or before this.
    #[param(format = DateTime)]
    to: Option<String>,
    #[param(minimum = 1, default = 1)]
    page: Option<u64>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
}

/// A page of the audit log.
#[derive(ToSchema)]
pub(crate) struct AuditLogPage {
    items: Vec<AuditLogItem>,
    total: u64,
    page: u64,
    pages: u64,
    limit: u64,
}

/// One entry.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct AuditLogItem {
    /// The hex digits of the event's id.
    id: String,
    action: String,
    /// The target's type; empty without a target.
    resource_type: String,
    #[schema(required)]
    resource_id: Option<String>,
    #[schema(required)]
    actor_id: Option<String>,
    /// Empty without an actor.
    actor_type: String,
    #[schema(required)]
    subject_id: Option<String>,
    #[schema(required)]
    merchant_id: Option<String>,
    #[schema(required)]
    ip_address: Option<String>,
    #[schema(required)]
    user_agent: Option<String>,
    #[schema(required)]
    request_id: Option<String>,
    /// The metadata, with the diff as the member `diff`; `{"metadata","diff"}` if the metadata has such a member of its own.
    #[schema(required)]
    details: Option<BTreeMap<String, Value>>,
    #[schema(format = DateTime)]
    timestamp: String,
    #[schema(required)]
    actor_name: Option<String>,
    #[schema(required)]
    subject_name: Option<String>,
    #[schema(required)]
    merchant_name: Option<String>,
    #[schema(required)]
    resource_name: Option<String>,
}

/// Makes a repeated call safe.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct AuditLogExportKey {
    /// 1 to 255 printable ASCII characters. Within 24 hours the same key and body give the same task; another body is refused.
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
}

/// What to export; the filters are those of the list. All members may be absent, and all but `format` null.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"format": "csv", "actions": ["login_failed"], "fromDate": "2026-01-01T00:00:00Z"}))]
pub(crate) struct AuditLogExportRequest {
    /// `csv` or `json`.
    #[schema(default = "csv", nullable = false)]
    format: Option<String>,
    merchant_id: Option<String>,
    subject_id: Option<String>,
    actor_id: Option<String>,
    subject_name: Option<String>,
    actor_name: Option<String>,
    merchant_name: Option<String>,
    /// One of these.
    actions: Option<Vec<String>>,
    /// One of these.
    resource_types: Option<Vec<String>>,
    /// At or after this.
    #[schema(format = DateTime)]
    from_date: Option<String>,
    /// At or before this.
    #[schema(format = DateTime)]
    to_date: Option<String>,
}

/// A task.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct AuditLogExportStatus {
    /// The export's id as a UUID.
    task_id: String,
    /// `pending`, `processing`, `success` or `failed`.
    status: String,
    /// Where the file is; with `success` only.
    #[schema(required)]
    download_url: Option<String>,
    /// Why there is no file; with `failed` only.
    #[schema(required)]
    error: Option<String>,
}
