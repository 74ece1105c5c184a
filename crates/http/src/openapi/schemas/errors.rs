//! Failures, in the shape of each dialect.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;

/// A failure.
#[derive(ToSchema)]
pub(crate) struct Error {
    error: ErrorData,
}

/// What went wrong.
#[derive(ToSchema)]
pub(crate) struct ErrorData {
    #[schema(example = "validation_error")]
    r#type: String,
    message: String,
    /// Messages by member or parameter.
    errors: Option<BTreeMap<String, Value>>,
    /// How many rules a bulk request broke.
    violation_count: Option<u64>,
    /// The first of them.
    violations: Option<Vec<ErrorViolation>>,
}

/// One broken rule of a bulk request.
#[derive(ToSchema)]
pub(crate) struct ErrorViolation {
    /// The event, from 0.
    index: Option<u64>,
    /// The line, from 1.
    line: Option<u64>,
    member: String,
    message: String,
}

/// A failure on the organizations' paths.
#[derive(ToSchema)]
pub(crate) struct AuditError {
    success: bool,
    error: AuditErrorData,
}

/// What went wrong.
#[derive(ToSchema)]
pub(crate) struct AuditErrorData {
    #[schema(example = "VALIDATION_ERROR")]
    code: String,
    message: String,
    system_message: String,
    r#type: String,
    status: u16,
    details: BTreeMap<String, Value>,
    trace_id: String,
    #[schema(format = DateTime)]
    timestamp: String,
}

/// A failure on Voucherify's paths.
#[derive(ToSchema)]
pub(crate) struct VoucherifyError {
    /// The status.
    code: u16,
    #[schema(example = "not_found")]
    key: Option<String>,
    message: String,
    details: Option<String>,
    /// `v-` and 18 hex digits.
    request_id: Option<String>,
    resource_id: Option<String>,
    resource_type: Option<String>,
}

/// A failure on LoyaltyDog's paths. Callers with a key of face `loyaltydog` get `code`, `message` and `request_id` instead.
#[derive(ToSchema)]
pub(crate) struct Detail {
    /// A text; for broken rules (422) a list of `loc`, `msg` and `type`.
    detail: Value,
}
