//! Tasks that somebody asked for, exports and imports: list, show, cancel.
//!
//! Promises: shows of them what the credential could have asked for itself. Never: starts one, or deletes one: they are kept for ever.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indelible_model::time::End;
use indelible_model::{Error, Limits, Result, TaskId, Timestamp};
use indelible_service::{AskedKind, TaskFilter, TaskInfo, TaskStatus};
use serde::Serialize;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use crate::answer;
use crate::app::Shared;
use crate::auth::Identified;
use crate::failed::Answer;
use crate::openapi::schemas;
use crate::query::Params;

/// What a list allows.
pub(crate) const LIST: &[&str] = &["kind", "status", "from", "to", "per_page", "cursor"];
const PER_PAGE: u64 = 25;
const MAX_PER_PAGE: u64 = 100;
/// The version of a cursor.
const VERSION: u8 = 1;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(list)).routes(route!(show)).routes(route!(cancel))
}

#[derive(Serialize)]
struct Shown {
    id: String,
    kind: &'static str,
    status: &'static str,
    progress: u64,
    processing_time: Option<u64>,
    result: Option<Value>,
    error: Option<String>,
    asked_by: Value,
    request_id: String,
    channel: String,
    log: &'static str,
    export_id: Option<String>,
    created_at: String,
    updated_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
}

impl From<TaskInfo> for Shown {
    fn from(task: TaskInfo) -> Self {
        Self {
            id: task.id.to_string(),
            kind: task.kind.name(),
            status: task.status.name(),
            progress: task.progress,
            processing_time: task.processing_ms,
            result: task.result,
            error: task.error,
            asked_by: task.asked_by,
            request_id: task.request_id,
            channel: task.channel,
            log: task.log.name(),
            export_id: task.export.map(|id| id.to_string()),
            created_at: task.created_at.to_string(),
            updated_at: task.updated_at.to_string(),
            started_at: task.started_at.map(|t| t.to_string()),
            finished_at: task.finished_at.map(|t| t.to_string()),
        }
    }
}

/// List tasks
///
/// Exports and imports that were asked for, newest first: exports for those who have the scope `export`, imports for those who have `events:write`. They are kept for ever.
/// `meta.next_cursor` leads to the next, older page.
#[utoipa::path(get, path = "/v1/tasks", tag = "Tasks", operation_id = "listTasks", security(("key" = ["export"]), ("key" = ["events:write"])),
    params(schemas::TaskListParams),
    responses((status = 200, description = "A page.", body = schemas::TaskPage)))]
async fn list(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified) -> Answer {
    #[derive(Serialize)]
    struct Page {
        data: Vec<Shown>,
        meta: Meta,
    }
    #[derive(Serialize)]
    struct Meta {
        next_cursor: Option<String>,
        has_more: bool,
    }
    let (filter, per_page) = translate(query.as_deref(), app.service.limits())?;
    let mut tasks = app.service.tasks(&who.grant, &filter, per_page + 1).await?;
    let has_more = tasks.len() > per_page as usize;
    tasks.truncate(per_page as usize);
    let next_cursor = tasks.last().filter(|_| has_more).map(|task| cursor(task.created_at, task.id));
    let page = Page { data: tasks.into_iter().map(Shown::from).collect(), meta: Meta { next_cursor, has_more } };
    Ok(answer::unstored(StatusCode::OK, &page)?)
}

/// Show a task
#[utoipa::path(get, path = "/v1/tasks/{id}", tag = "Tasks", operation_id = "getTask", security(("key" = ["export"]), ("key" = ["events:write"])),
    params(("id" = String, Path, description = "`aa_` and 18 hex digits.")),
    responses((status = 200, description = "The task.", body = schemas::TaskAnswer), (status = 404, description = "There is no such task in this project.", body = schemas::Error)))]
async fn show(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified, id: Named) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let task = app.service.task(&who.grant, task_id(id)?).await?;
    Ok(answer::data(StatusCode::OK, &Shown::from(task))?)
}

/// Cancel a task
///
/// One that waits is cancelled with the answer; one that runs stops soon after, unless it ends first. An export that was cancelled has no file; what an import stored before stays.
#[utoipa::path(post, path = "/v1/tasks/{id}/cancel", tag = "Tasks", operation_id = "cancelTask", security(("key" = ["export"]), ("key" = ["events:write"])),
    params(("id" = String, Path, description = "`aa_` and 18 hex digits.")),
    responses((status = 200, description = "The task.", body = schemas::TaskAnswer), (status = 404, description = "There is no such task in this project.", body = schemas::Error),
        (status = 409, description = "It is over already.", body = schemas::Error)))]
async fn cancel(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified, id: Named) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let task = app.service.task_cancel(&who.grant, task_id(id)?).await?;
    Ok(answer::data(StatusCode::OK, &Shown::from(task))?)
}

/// The id of the path, whatever characters it has.
type Named = Result<Path<String>, PathRejection>;

fn task_id(path: Named) -> Result<TaskId> {
    path.ok().and_then(|Path(id)| TaskId::parse(&id)).ok_or_else(|| Error::not_found("Task"))
}

/// Which tasks, and how many of them.
fn translate(raw: Option<&str>, limits: &Limits) -> Result<(TaskFilter, u32)> {
    let mut params = Params::parse(raw, LIST, limits)?;
    let kind = named(&mut params, "kind", AskedKind::parse, &AskedKind::ALL.map(AskedKind::name).join(", "));
    let status = named(&mut params, "status", TaskStatus::parse, &TaskStatus::ALL.map(TaskStatus::name).join(", "));
    let from = params.bound("from", End::From);
    let before = params.bound("to", End::To).map(|to| Timestamp::clamped(to.micros().saturating_add(1)));
    let mut filter = TaskFilter { kind, statuses: status.into_iter().collect(), from, before, after: None };
    let per_page = params.number("per_page", 1, MAX_PER_PAGE).unwrap_or(PER_PAGE);
    if let Some(text) = params.text("cursor") {
        match place(&text) {
            // A page never reaches beyond `to`, whatever the cursor.
            Some((at, id)) if before.is_none_or(|before| at < before) => (filter.before, filter.after) = (Some(at), Some(id)),
            Some(_) => {}
            None => params.violate("cursor", "is not a cursor of this list."),
        }
    }
    params.finish()?;
    Ok((filter, u32::try_from(per_page).map_err(Error::internal)?))
}

fn named<T>(params: &mut Params<'_>, name: &str, parse: fn(&str) -> Option<T>, all: &str) -> Option<T> {
    let text = params.text(name)?;
    let found = parse(&text);
    if found.is_none() {
        params.violate(name, format!("must be one of {all}."));
    }
    found
}

/// The place after a task.
fn cursor(at: Timestamp, id: TaskId) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(at.micros().to_be_bytes());
    bytes.extend(id.0);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads exactly what [`cursor`] gives.
fn place(text: &str) -> Option<(Timestamp, TaskId)> {
    let bytes: [u8; 18] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let (&[VERSION], rest) = bytes.split_first_chunk::<1>()? else { return None };
    let (at, id) = rest.split_first_chunk::<8>()?;
    Some((Timestamp::from_micros(i64::from_be_bytes(*at))?, TaskId(id.try_into().ok()?)))
}

#[cfg(test)]
mod tests;
