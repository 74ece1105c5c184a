//! Tasks that somebody asked for.

use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{PageMeta, Party};

/// A task.
#[derive(ToSchema)]
pub(crate) struct Task {
    /// `aa_` and 18 hex digits.
    id: String,
    /// `export` or `import`.
    kind: String,
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    status: String,
    #[schema(maximum = 100)]
    progress: u64,
    /// Milliseconds of work, or so far; null before it began.
    #[schema(required)]
    processing_time: Option<u64>,
    /// What came of it, once it is done.
    #[schema(required, value_type = Option<Object>)]
    result: Option<Value>,
    /// Why it failed, or will be tried again.
    #[schema(required)]
    error: Option<String>,
    asked_by: Party,
    /// The request that asked for it.
    request_id: String,
    /// `API`, or what the client called itself.
    channel: String,
    /// The log that it reads or writes: `events` or `activity`.
    log: String,
    /// The export that it makes.
    #[schema(required)]
    export_id: Option<String>,
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

/// One task.
#[derive(ToSchema)]
pub(crate) struct TaskAnswer {
    data: Task,
}

/// A page of tasks.
#[derive(ToSchema)]
pub(crate) struct TaskPage {
    data: Vec<Task>,
    meta: PageMeta,
}

/// Which tasks, and which page of them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TaskListParams {
    /// `export` or `import`.
    kind: Option<String>,
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    status: Option<String>,
    /// Asked for at or after this time; a date means its whole UTC day.
    from: Option<String>,
    /// Asked for at or before this time; a date means its whole UTC day.
    to: Option<String>,
    #[param(minimum = 1, maximum = 100, default = 25)]
    per_page: Option<u64>,
    /// `meta.next_cursor` of the page before.
    cursor: Option<String>,
}
