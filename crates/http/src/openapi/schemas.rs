//! The shapes in the document. They describe; what is sent and read is made elsewhere, and the compatibility scenarios compare the two.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct Binary(Vec<u8>);

/// Who did it, or what it was done to.
#[derive(ToSchema)]
pub(crate) struct Party {
    id: Option<String>,
    #[schema(example = "user")]
    r#type: Option<String>,
    /// Free; `name`, `email` and `title` are searched and printed in tables.
    meta: Option<BTreeMap<String, Value>>,
}

/// A second object of the event.
#[derive(ToSchema)]
pub(crate) struct Subject {
    id: Option<String>,
    r#type: Option<String>,
    name: Option<String>,
    meta: Option<BTreeMap<String, Value>>,
}

/// The customer of the project that the event belongs to.
#[derive(ToSchema)]
pub(crate) struct Organization {
    id: Option<String>,
    name: Option<String>,
}

/// What changed; any JSON values.
#[derive(ToSchema)]
pub(crate) struct Diff {
    before: Option<Value>,
    after: Option<Value>,
}

/// An API call. An event that has this block goes to the activity log.
#[derive(ToSchema)]
pub(crate) struct HttpCall {
    method: Option<String>,
    endpoint: Option<String>,
    url: Option<String>,
    status: Option<u16>,
    channel: Option<String>,
    duration_ms: Option<f64>,
    request_id: Option<String>,
    app_id: Option<String>,
    client_app_id: Option<String>,
    request_body: Option<Value>,
    response_body: Option<Value>,
}

/// An event to store. Other members are refused.
#[derive(ToSchema)]
#[schema(example = json!({"action": "user.login", "actor": {"id": "usr_1", "type": "user", "meta": {"name": "Jane Doe"}}, "context": {"ip": "203.0.113.42"}}))]
pub(crate) struct NewEvent {
    #[schema(example = "user.login")]
    action: String,
    actor: Option<Party>,
    target: Option<Party>,
    context: Option<BTreeMap<String, Value>>,
    diff: Option<Diff>,
    metadata: Option<BTreeMap<String, Value>>,
    /// RFC 3339 with a zone; when it is received, if absent.
    #[schema(format = DateTime)]
    occurred_at: Option<String>,
    subject: Option<Subject>,
    organization: Option<Organization>,
    http: Option<HttpCall>,
    /// The sender's own id: stored once per project, for ever.
    external_id: Option<String>,
}

/// Events to store.
#[derive(ToSchema)]
pub(crate) struct NewEvents {
    #[schema(min_items = 1, max_items = 100)]
    events: Vec<NewEvent>,
}

/// A stored event; its text is also what the hashes are computed from.
#[derive(ToSchema)]
pub(crate) struct Event {
    /// `evt_` and 32 hex digits.
    id: String,
    /// The position in its log, from 1, without gaps.
    sequence_number: u64,
    action: String,
    #[schema(format = DateTime)]
    occurred_at: String,
    #[schema(format = DateTime)]
    received_at: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required)]
    actor: Option<Party>,
    #[schema(required)]
    target: Option<Party>,
    context: BTreeMap<String, Value>,
    #[schema(required)]
    diff: Option<Diff>,
    metadata: BTreeMap<String, Value>,
    subject: Option<Subject>,
    organization: Option<Organization>,
    http: Option<HttpCall>,
    external_id: Option<String>,
    /// 16 random bytes, hex.
    salt: String,
    /// SHA-256, hex.
    hash: String,
    /// The hash of the event before.
    previous_hash: String,
}

/// One event.
#[derive(ToSchema)]
pub(crate) struct EventAnswer {
    data: Event,
    meta: Option<EventMeta>,
}

/// Says that the event was stored before.
#[derive(ToSchema)]
pub(crate) struct EventMeta {
    duplicate: bool,
}

/// Several events.
#[derive(ToSchema)]
pub(crate) struct EventsAnswer {
    data: Vec<Event>,
    meta: Option<EventsMeta>,
}

/// Says how many of the events were stored before.
#[derive(ToSchema)]
pub(crate) struct EventsMeta {
    duplicates: u64,
}

/// A page of events.
#[derive(ToSchema)]
pub(crate) struct EventPage {
    data: Vec<Event>,
    meta: PageMeta,
}

/// Where the next page starts.
#[derive(ToSchema)]
pub(crate) struct PageMeta {
    #[schema(required)]
    next_cursor: Option<String>,
    has_more: bool,
}

/// The outcome of a verification.
#[derive(ToSchema)]
pub(crate) struct VerificationAnswer {
    data: VerificationData,
}

/// What was checked, and where the chain breaks if it does.
#[derive(ToSchema)]
pub(crate) struct VerificationData {
    /// `valid` or `broken`.
    status: String,
    events_checked: u64,
    #[schema(required)]
    first_event_id: Option<String>,
    #[schema(required)]
    last_event_id: Option<String>,
    #[schema(required)]
    broken_at_event_id: Option<String>,
    /// Why it is broken.
    reason: Option<String>,
}

/// What a bulk request stored.
#[derive(ToSchema)]
pub(crate) struct BulkAnswer {
    data: BulkData,
    meta: BulkMeta,
}

/// Counts over both logs, and positions in the events log.
#[derive(ToSchema)]
pub(crate) struct BulkData {
    accepted: u64,
    duplicates: u64,
    #[schema(required)]
    first_position: Option<u64>,
    #[schema(required)]
    last_position: Option<u64>,
    /// Present if there were events for the activity log.
    activity: Option<BulkRun>,
    /// `[index, position]` of what was stored before, the first 1,000.
    duplicate_positions: Option<Vec<Vec<u64>>>,
    /// How many more there are.
    duplicate_positions_omitted: Option<u64>,
}

/// New positions in one log.
#[derive(ToSchema)]
pub(crate) struct BulkRun {
    accepted: u64,
    #[schema(required)]
    first_position: Option<u64>,
    #[schema(required)]
    last_position: Option<u64>,
}

/// Nothing so far.
#[derive(ToSchema)]
pub(crate) struct BulkMeta {}

/// An API key to make.
#[derive(ToSchema)]
pub(crate) struct NewApiKey {
    name: String,
    /// Of `events:read`, `events:write`, `verify`, `export`, `keys:manage`; all that the caller has, if absent.
    scopes: Option<Vec<String>>,
}

/// A new name.
#[derive(ToSchema)]
pub(crate) struct ApiKeyName {
    name: String,
}

/// An API key.
#[derive(ToSchema)]
pub(crate) struct ApiKey {
    id: String,
    name: String,
    /// The key itself, only in the answer that makes it.
    key: Option<String>,
    scopes: Vec<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required, format = DateTime)]
    revoked_at: Option<String>,
}

/// One API key.
#[derive(ToSchema)]
pub(crate) struct ApiKeyAnswer {
    data: ApiKey,
}

/// The project's API keys.
#[derive(ToSchema)]
pub(crate) struct ApiKeysAnswer {
    data: Vec<ApiKey>,
}

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

/// Makes a repeated call safe.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyKey {
    /// 1 to 255 printable ASCII characters. Within 24 hours the same key and body give the first answer again, with `Idempotency-Replayed: true`;
    /// another body is refused.
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
}

/// Which events.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventFilters {
    /// Exactly, or a pattern in which `*` stands for anything: `user.*`.
    action: Option<String>,
    actor_id: Option<String>,
    actor_type: Option<String>,
    target_type: Option<String>,
    target_id: Option<String>,
    /// `occurred_at` at or after this time; a date means its whole UTC day.
    from: Option<String>,
    /// `occurred_at` at or before this time; a date means its whole UTC day.
    to: Option<String>,
    /// Text that some value of the event or its action contains, in either case.
    search: Option<String>,
    organization_id: Option<String>,
    subject_id: Option<String>,
    department_id: Option<String>,
    request_id: Option<String>,
    external_id: Option<String>,
    /// `events` (default), or `activity` for events with an `http` block.
    log: Option<String>,
}

/// Which page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    #[param(minimum = 1, maximum = 100, default = 25)]
    per_page: Option<u64>,
    /// `meta.next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// How to export.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportParams {
    /// `json` (default), `csv`, `ndjson` or `parquet`.
    format: Option<String>,
    /// CSV: put `'` before text that a spreadsheet would run as a formula.
    csv_safe: Option<bool>,
    /// CSV: start with a byte order mark.
    bom: Option<bool>,
    /// NDJSON: end with a line that holds the number of rows and a digest.
    end: Option<bool>,
}

/// Which log.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct VerifyParams {
    /// `events` (default) or `activity`.
    log: Option<String>,
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
}
