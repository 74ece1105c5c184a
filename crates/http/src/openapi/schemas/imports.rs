//! Imports.

use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{PageMeta, Party};

/// A file to import, as a form.
#[derive(ToSchema)]
pub(crate) struct ImportForm {
    /// NDJSON or CSV, plain, gzip or zstd.
    #[schema(format = Binary)]
    file: String,
    /// The name of a built-in mapping, or the text of one of your own in TOML, up to 32 KiB; `native` if absent.
    mapping: Option<String>,
    /// The file's name, if not the one that its part has.
    name: Option<String>,
}

/// What goes with a file that is the body itself.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportParams {
    /// The name of a built-in mapping, or the text of one of your own in TOML; `native` if absent. In a form it is a part.
    mapping: Option<String>,
    /// The file's name. In a form it is a part.
    name: Option<String>,
}

/// An import.
#[derive(ToSchema)]
pub(crate) struct Import {
    /// `aa_` and 18 hex digits.
    id: String,
    /// The same: the import is a task.
    async_action_id: String,
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    status: String,
    /// How much of the file is read, of a hundred.
    #[schema(maximum = 100)]
    progress: u64,
    /// Milliseconds of work, or so far; null before it began.
    #[schema(required)]
    processing_time: Option<u64>,
    /// The name of the mapping; `inline` for one that was sent along.
    mapping: String,
    file: ImportedFile,
    /// What came of it, once it is over; null if it never began.
    #[schema(required)]
    result: Option<ImportResult>,
    /// Why it failed, or will be tried again.
    #[schema(required)]
    error: Option<String>,
    links: ImportLinks,
    asked_by: Party,
    /// The request that asked for it.
    request_id: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// The last change.
    #[schema(format = DateTime)]
    updated_at: String,
    /// When work on it began, the last time.
    #[schema(required, format = DateTime)]
    started_at: Option<String>,
    #[schema(required, format = DateTime)]
    finished_at: Option<String>,
}

/// The file that was sent.
#[derive(ToSchema)]
pub(crate) struct ImportedFile {
    name: String,
    bytes: u64,
    /// Hex.
    sha256: String,
}

/// What came of an import. Of one that failed or was cancelled: up to its end.
#[derive(ToSchema)]
pub(crate) struct ImportResult {
    message: String,
    /// Events stored.
    done_count: u64,
    /// Events that were stored before.
    duplicate_count: u64,
    /// Records that could not become events.
    failed_count: u64,
    /// How many of those the report lists.
    failed_listed: u64,
    /// Records in the file; only if it was read to its end.
    records: Option<u64>,
    /// By log: the `first` and the `last` position of the events stored. Others may lie between them.
    #[schema(value_type = Object)]
    positions: Value,
    /// The logs of its events, also of those that were stored before.
    logs: Vec<String>,
    /// True if there is a report.
    report: bool,
}

/// Where more is to be had.
#[derive(ToSchema)]
pub(crate) struct ImportLinks {
    #[schema(rename = "self")]
    itself: String,
    /// The file as it was sent.
    file: String,
    /// The report, if there is one.
    #[schema(required)]
    report: Option<String>,
}

/// One import.
#[derive(ToSchema)]
pub(crate) struct ImportAnswer {
    data: Import,
}

/// A page of imports.
#[derive(ToSchema)]
pub(crate) struct ImportPage {
    data: Vec<Import>,
    meta: PageMeta,
}

/// Which imports, and which page of them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportListParams {
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    status: Option<String>,
    #[param(minimum = 1, maximum = 100, default = 25)]
    per_page: Option<u64>,
    /// `meta.next_cursor` of the page before.
    cursor: Option<String>,
}
