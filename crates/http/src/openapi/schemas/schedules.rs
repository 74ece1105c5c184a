//! Schedules of exports, and the rows of an export's file.

use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Party;

/// An export that begins by itself.
#[derive(ToSchema)]
#[schema(example = json!({"name": "Nightly archive", "every": "daily", "at": "02:30", "log": "events", "format": "ndjson", "compression": "zstd"}))]
pub(crate) struct NewSchedule {
    /// A name for people, up to 200 bytes.
    name: String,
    /// `daily`, `weekly` (with `weekday`) or `monthly` (with `day`).
    every: String,
    /// The time of the day in UTC, `HH:MM`.
    at: String,
    /// `monday` to `sunday`.
    weekday: Option<String>,
    /// The day of the month; the last one of months that have fewer.
    #[schema(minimum = 1, maximum = 31)]
    day: Option<u64>,
    /// `events` (default) or `activity`.
    log: Option<String>,
    /// `csv` (default), `json`, `ndjson` or `parquet`.
    format: Option<String>,
    /// `none` (default), `gzip` or `zstd`.
    compression: Option<String>,
    filter: Option<ScheduleFilter>,
    /// Where files are copied to; without it they stay in the server's own store, where `GET /v1/exports` shows them in any case.
    destination: Option<NewDestination>,
}

/// Which events; all conditions must hold. Empty: everything.
#[derive(ToSchema)]
pub(crate) struct ScheduleFilter {
    /// Exactly, or a pattern in which `*` stands for anything.
    action: Option<String>,
    actor_id: Option<String>,
    target_type: Option<String>,
    target_id: Option<String>,
    organization_id: Option<String>,
    /// A text that must be in the event, without regard to case.
    search: Option<String>,
}

/// A bucket of the project's own.
#[derive(ToSchema)]
pub(crate) struct NewDestination {
    bucket: String,
    /// What keys begin with.
    prefix: Option<String>,
    /// `us-east-1` by default.
    region: Option<String>,
    /// The URL of the S3 service where it is not Amazon's; the operator must allow it (setting `export_endpoints`).
    endpoint: Option<String>,
    /// Whether the bucket stands in the URL's path; by default, if there is an endpoint.
    path_style: Option<bool>,
    access_key_id: String,
    /// Never shown again.
    #[schema(write_only)]
    secret_access_key: String,
}

/// A bucket of the project's own, without the secret.
#[derive(ToSchema)]
pub(crate) struct Destination {
    bucket: String,
    prefix: String,
    region: String,
    #[schema(required)]
    endpoint: Option<String>,
    path_style: bool,
    access_key_id: String,
}

/// What to change of a schedule.
#[derive(ToSchema)]
#[schema(example = json!({"active": false}))]
pub(crate) struct ScheduleChange {
    name: Option<String>,
    /// With `at` and the day that belongs to it.
    every: Option<String>,
    at: Option<String>,
    weekday: Option<String>,
    #[schema(minimum = 1, maximum = 31)]
    day: Option<u64>,
    active: Option<bool>,
    /// Null: nowhere. A new one comes with its secret.
    destination: Option<NewDestination>,
}

/// A schedule.
#[derive(ToSchema)]
pub(crate) struct Schedule {
    /// `sch_` and 32 hex digits.
    id: String,
    name: String,
    /// False while it does not run: somebody stopped it, or whoever asked for it may not export any more.
    active: bool,
    /// `daily`, `weekly` or `monthly`.
    every: String,
    /// With `weekly`.
    weekday: Option<String>,
    /// With `monthly`.
    day: Option<u64>,
    at: String,
    log: String,
    format: String,
    compression: String,
    filter: ScheduleFilter,
    #[schema(required)]
    destination: Option<Destination>,
    /// With whose rights it runs.
    asked_by: Party,
    /// The position up to which the last run went; the next one goes on from there.
    position: u64,
    /// The export of the last run.
    #[schema(required)]
    last_export: Option<String>,
    /// How many runs there were.
    runs: u64,
    #[schema(format = DateTime)]
    next_at: String,
    #[schema(format = DateTime)]
    created_at: String,
}

/// One schedule.
#[derive(ToSchema)]
pub(crate) struct ScheduleAnswer {
    data: Schedule,
}

/// Schedules.
#[derive(ToSchema)]
pub(crate) struct SchedulesAnswer {
    data: Vec<Schedule>,
}

/// Which rows of a file.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RowParams {
    /// The page; a page may reach up to row 10,000 of those that match.
    #[param(minimum = 1, default = 1)]
    page: Option<u64>,
    /// Rows of a page.
    #[param(minimum = 1, maximum = 100, default = 25)]
    per_page: Option<u64>,
    /// A text that must be in some cell.
    search: Option<String>,
    /// A column of the file.
    sort: Option<String>,
    /// `asc` (default) or `desc`; with `sort` only.
    order: Option<String>,
}

/// A page of a file.
#[derive(ToSchema)]
pub(crate) struct RowPage {
    /// Each row has all columns.
    #[schema(value_type = Vec<std::collections::HashMap<String, Option<String>>>)]
    data: Vec<Value>,
    meta: RowMeta,
}

/// What was asked, and of what.
#[derive(ToSchema)]
pub(crate) struct RowMeta {
    /// The columns, in the order of the file.
    columns: Vec<String>,
    page: u64,
    per_page: u64,
    /// Rows of the whole file that match.
    total: u64,
    #[schema(required)]
    search: Option<String>,
    #[schema(required)]
    sort: Option<String>,
    order: String,
    export: RowExport,
}

/// The export whose file it is.
#[derive(ToSchema)]
pub(crate) struct RowExport {
    id: String,
    object: String,
    /// As they were asked for: the fields, the filters and the order of the file.
    #[schema(value_type = Object)]
    parameters: Value,
    #[schema(required)]
    name: Option<String>,
    #[schema(required)]
    rows: Option<u64>,
    #[schema(format = DateTime)]
    created_at: String,
}
