//! Events: as they are sent, stored, listed, exported and verified.

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
    /// How many events retention took; the chain goes on through their hashes, which stay. Absent if none.
    events_expired: Option<u64>,
    /// Position of the first event that is there, where retention took some.
    verified_from: Option<u64>,
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
    /// A page ends earlier where its events come to more than 8 MiB, or the server has no room for more: go on while `meta.has_more` says so.
    #[param(minimum = 1, maximum = 100, default = 25)]
    per_page: Option<u64>,
    /// `meta.next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// What a timeline shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TimelineParams {
    /// Exactly, or a pattern in which `*` stands for anything: `user.*`.
    action: Option<String>,
    actor_id: Option<String>,
    target_type: Option<String>,
    target_id: Option<String>,
    /// `occurred_at` at or after this time; a date means its whole UTC day.
    from: Option<String>,
    /// `occurred_at` at or before this time; a date means its whole UTC day.
    to: Option<String>,
    /// A page ends earlier where its events come to more than 8 MiB, or the server has no room for more: go on while `meta.has_more` says so.
    #[param(minimum = 1, maximum = 50, default = 25)]
    limit: Option<u64>,
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
