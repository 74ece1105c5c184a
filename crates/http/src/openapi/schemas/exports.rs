//! Exports and async actions, as Voucherify has them, with our additions.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Asks for an export.
#[derive(ToSchema)]
#[schema(example = json!({"exported_object": "event", "parameters": {"order": "-created_at", "fields": ["id", "created_at", "action", "actor_id"],
    "filters": {"junction": "and", "created_at": {"conditions": {"$after": ["2026-02-10T00:00:00Z"]}}, "action": {"conditions": {"$starts_with": ["user."]}}}}}))]
pub(crate) struct NewExport {
    /// `event` or `api_log`; `voucher`, `redemption`, `publication`, `customer`, `order`, `points_expiration`, `voucher_transactions`, `product` and `sku` give a header without rows.
    exported_object: String,
    parameters: Option<ExportParameters>,
}

/// What an export holds, and how. What is not sent is filled in.
#[derive(ToSchema)]
pub(crate) struct ExportParameters {
    /// `created_at` is by position; with a minus the newest come first.
    order: Option<String>,
    /// The columns of a CSV.
    fields: Option<Vec<String>>,
    /// `junction` (`and`, `or`), and by field `{"conditions": {OPERATOR: [values]}}`. Of `created_at`: `$after`, `$before`. Of texts: `$is`, `$is_not`, `$in`, `$not_in`,
    /// `$has_value`, `$is_unknown`, `$contains`, `$not_contain`, `$starts_with`, `$ends_with`; of the ids, the status and the channel of `api_log` fewer.
    filters: Option<BTreeMap<String, Value>>,
    /// Of the objects that have campaigns.
    campaign_id: Option<String>,
    /// `csv` unless said otherwise; `json`, `ndjson` and `parquet` hold whole events, without `fields`.
    #[schema(example = "csv")]
    format: Option<String>,
    /// `none` unless said otherwise; `gzip`, `zstd`.
    #[schema(example = "none")]
    compression: Option<String>,
    /// CSV that a spreadsheet does not compute with.
    csv_safe: Option<bool>,
}

/// An export.
#[derive(ToSchema)]
pub(crate) struct Export {
    /// `exp_` and 24 letters and digits.
    id: String,
    #[schema(example = "export")]
    object: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// `SCHEDULED`, `IN_PROGRESS`, `DONE` or `ERROR`.
    #[schema(example = "DONE")]
    status: String,
    /// `WEBSITE` for a member, else `API`.
    channel: String,
    exported_object: String,
    parameters: ExportParameters,
    /// Null unless the file is there.
    #[schema(required)]
    result: Option<ExportLinks>,
    /// The member who asked.
    #[schema(required)]
    user_id: Option<String>,
    /// `queued`, `running`, `finished`, `failed`, `cancelled` or `expired`.
    #[schema(example = "finished")]
    state: String,
    #[schema(minimum = 0, maximum = 100)]
    progress: u64,
    /// Why it failed, or will be tried again.
    #[schema(required)]
    error: Option<String>,
    #[schema(required)]
    rows: Option<u64>,
    /// Bytes of the file.
    #[schema(required)]
    size: Option<u64>,
    /// SHA-256 of the file: 64 hex digits.
    #[schema(required)]
    sha256: Option<String>,
    /// When the file goes; null for never.
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    /// `aa_` and 18 hex digits.
    task_id: String,
}

/// Ways to the file that need no credential.
#[derive(ToSchema)]
pub(crate) struct ExportLinks {
    /// From this server, with a token.
    url: String,
    /// From where the file lies, with ranges; not in lists.
    download_url: Option<String>,
    /// What is said of the file beside it; not in lists.
    manifest_url: Option<String>,
}

/// A page of exports.
#[derive(ToSchema)]
pub(crate) struct ExportPage {
    #[schema(example = "list")]
    object: String,
    #[schema(example = "exports")]
    data_ref: String,
    exports: Vec<Export>,
    total: u64,
}

/// Which exports.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportsParams {
    #[param(minimum = 1, maximum = 100, default = 10)]
    limit: Option<u64>,
    #[param(minimum = 1, maximum = 100, default = 1)]
    page: Option<u64>,
    /// `created_at`, `-created_at`, `status` or `-status`.
    order: Option<String>,
    /// `SCHEDULED`, `IN_PROGRESS`, `DONE`, `ERROR`, or a `state`.
    status: Option<String>,
    exported_object: Option<String>,
    /// The same as `exported_object`.
    object: Option<String>,
    /// The member who asked.
    user_id: Option<String>,
    /// From this time on.
    created_from: Option<String>,
    /// Up to this time.
    created_to: Option<String>,
    /// After this time.
    #[param(rename = "[created_at][after]")]
    after: Option<String>,
    /// Before this time.
    #[param(rename = "[created_at][before]")]
    before: Option<String>,
    /// After this time.
    #[param(rename = "created_at[after]")]
    created_after: Option<String>,
    /// Before this time.
    #[param(rename = "created_at[before]")]
    created_before: Option<String>,
}

/// Which async actions.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AsyncActionsParams {
    #[param(minimum = 1, maximum = 100, default = 10)]
    limit: Option<u64>,
    /// Asked for before this time.
    end_date: Option<String>,
    /// `EXPORTS.CREATE` or `EVENTS.IMPORT`.
    r#type: Option<String>,
    /// `ENQUEUED`, `IN_PROGRESS`, `DONE`, `FAILED`, or a `state`.
    status: Option<String>,
}

/// A task in a list.
#[derive(ToSchema)]
pub(crate) struct AsyncActionEntry {
    /// `aa_` and 18 hex digits.
    id: String,
    /// `EXPORTS.CREATE` or `EVENTS.IMPORT`.
    #[schema(example = "EXPORTS.CREATE")]
    r#type: String,
    /// `ENQUEUED`, `IN_PROGRESS`, `DONE` or `FAILED`.
    #[schema(example = "DONE")]
    status: String,
    /// `SUCCESS`, `FAILED` or `UNKNOWN`.
    #[schema(example = "SUCCESS")]
    operation_status: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// The request that asked: `v-` and 18 hex digits.
    request_id: String,
    #[schema(minimum = 0, maximum = 100)]
    progress: u64,
    /// Milliseconds.
    processing_time: u64,
    #[schema(example = "async_action")]
    object: String,
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    state: String,
    /// The export that it makes.
    export_id: Option<String>,
}

/// A task.
#[derive(ToSchema)]
pub(crate) struct AsyncAction {
    #[serde(flatten)]
    entry: AsyncActionEntry,
    /// Null until it is over.
    #[schema(required)]
    result: Option<AsyncActionResult>,
    /// The member who asked: `id`, `email`, `name`.
    #[schema(required)]
    user: Option<BTreeMap<String, Value>>,
    /// The entry of the API log that asked.
    #[schema(required)]
    log_id: Option<String>,
}

/// What came of a task.
#[derive(ToSchema)]
pub(crate) struct AsyncActionResult {
    /// Rows exported, or events stored.
    done_count: u64,
    failed_count: u64,
    /// Where reports of what was refused are.
    reports: Vec<String>,
    /// Null: they stay.
    #[schema(required)]
    reports_available_till: Option<String>,
    /// Why it failed.
    errors: Vec<String>,
}

/// A page of tasks.
#[derive(ToSchema)]
pub(crate) struct AsyncActionPage {
    #[schema(example = "list")]
    object: String,
    #[schema(example = "async_actions")]
    data_ref: String,
    async_actions: Vec<AsyncActionEntry>,
    has_more: bool,
}
