//! Voucherify's async actions: the tasks that somebody asked for, exports and imports.
//!
//! Promises: newest first; `end_date` leads on from the last entry of a page, so that no task is passed over or told of twice. Never: starts or stops one.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use indelible_model::fields::Field;
use indelible_model::query::{Term, Test};
use indelible_model::{Error, Filter, Limits, LogKind, Query, Result, TaskId, Timestamp};
use indelible_service::{AskedKind, CanReadLogs, Grant, TaskFilter, TaskInfo, TaskStatus};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use super::translate::{MOST, PAGE, number, time};
use crate::app::{App, Shared};
use crate::auth::Identified;
use crate::failed::Answer;
use crate::openapi::schemas;
use crate::query::Params;
use crate::{answer, files, request_id};

/// What a list allows.
pub(crate) const LIST: &[&str] = &["limit", "end_date", "type", "status"];
/// How long before its task a request can have begun.
const REQUEST_MICROS: i64 = 3600 * 1_000_000;
const KINDS: [(&str, AskedKind); 2] = [("EXPORTS.CREATE", AskedKind::Export), ("EVENTS.IMPORT", AskedKind::Import)];
/// Voucherify's words for statuses, and what they say of the operation.
const WORDS: [(&str, &str, &[TaskStatus]); 4] = [
    ("ENQUEUED", "UNKNOWN", &[TaskStatus::Queued]),
    ("IN_PROGRESS", "UNKNOWN", &[TaskStatus::Running]),
    ("DONE", "SUCCESS", &[TaskStatus::Done]),
    ("FAILED", "FAILED", &[TaskStatus::Failed, TaskStatus::Cancelled]),
];

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(list)).routes(route!(show))
}

/// A task.
#[derive(Serialize)]
struct Action {
    id: String,
    r#type: &'static str,
    status: &'static str,
    operation_status: &'static str,
    created_at: String,
    updated_at: String,
    request_id: String,
    progress: u64,
    processing_time: u64,
    object: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    export_id: Option<String>,
}

impl Action {
    fn new(task: &TaskInfo) -> Self {
        let (status, operation_status, _) = WORDS.into_iter().find(|(.., all)| all.contains(&task.status)).unwrap_or(WORDS[3]);
        Self {
            id: task.id.to_string(),
            r#type: KINDS.iter().find(|(_, kind)| *kind == task.kind).map_or("", |(name, _)| name),
            status,
            operation_status,
            // To the microsecond, since the next page begins where this one's last entry was asked for.
            created_at: task.created_at.to_string(),
            updated_at: task.updated_at.to_string(),
            request_id: request_id::short_form(&task.request_id),
            progress: task.progress,
            processing_time: task.processing_ms.unwrap_or(0),
            object: "async_action",
            state: task.status.name(),
            export_id: task.export.map(|id| id.to_string()),
        }
    }
}

/// List async actions
///
/// Exports for those who may export, imports for those who may write events. `end_date` of the next, older page is the last entry's `created_at`.
#[utoipa::path(get, path = "/v1/async-actions", tag = "Tasks", operation_id = "listAsyncActions",
    security(("app_id" = ["export"], "app_token" = ["export"]), ("key" = ["export"]), ("key" = ["events:write"])),
    params(schemas::AsyncActionsParams),
    responses((status = 200, description = "A page, newest first.", body = schemas::AsyncActionPage)))]
async fn list(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified) -> Answer {
    #[derive(Serialize)]
    struct Page {
        object: &'static str,
        data_ref: &'static str,
        async_actions: Vec<Action>,
        has_more: bool,
    }
    let (filter, most) = translate(query.as_deref(), app.service.limits())?;
    let tasks = app.service.tasks(&who.grant, &filter, most + 1).await?;
    let most = most as usize;
    let page = Page { object: "list", data_ref: "async_actions", async_actions: tasks.iter().take(most).map(Action::new).collect(), has_more: tasks.len() > most };
    Ok(answer::unstored(StatusCode::OK, &page)?)
}

/// Which tasks, and how many of them.
fn translate(raw: Option<&str>, limits: &Limits) -> Result<(TaskFilter, u32)> {
    let mut params = Params::parse(raw, LIST, limits)?;
    let most = number(&mut params, "limit", MOST).unwrap_or(PAGE);
    let mut filter = TaskFilter { before: time(&mut params, "end_date"), ..TaskFilter::default() };
    if let Some(text) = params.text("type") {
        filter.kind = KINDS.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind);
        if filter.kind.is_none() {
            params.violate("type", format!("should be equal to one of the allowed values [ {} ]", KINDS.map(|(name, _)| name).join(", ")));
        }
    }
    if let Some(text) = params.text("status") {
        let theirs = WORDS.iter().find(|(word, ..)| *word == text).map(|(.., statuses)| statuses.to_vec());
        match theirs.or_else(|| TaskStatus::parse(&text).map(|status| vec![status])) {
            Some(statuses) => filter.statuses = statuses,
            None => {
                let all: Vec<&str> = WORDS.iter().map(|(word, ..)| *word).chain(TaskStatus::ALL.into_iter().map(TaskStatus::name)).collect();
                params.violate("status", format!("should be equal to one of the allowed values [ {} ]", all.join(", ")));
            }
        }
    }
    params.finish()?;
    Ok((filter, u32::try_from(most).map_err(Error::internal)?))
}

/// Show an async action
///
/// With what came of it. `log_id` is the entry of the API log that asked for it, once it is over, for those who may read that log.
#[utoipa::path(get, path = "/v1/async-actions/{id}", tag = "Tasks", operation_id = "getAsyncAction",
    security(("app_id" = ["export"], "app_token" = ["export"]), ("key" = ["export"]), ("key" = ["events:write"])),
    params(("id" = String, Path, description = "`aa_` and 18 hex digits.")),
    responses((status = 200, description = "The task.", body = schemas::AsyncAction), (status = 404, description = "There is no such task in this project.", body = schemas::VoucherifyError)))]
async fn show(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified, headers: HeaderMap, path: Result<Path<String>, PathRejection>) -> Answer {
    #[derive(Serialize)]
    struct Shown {
        #[serde(flatten)]
        action: Action,
        result: Option<Value>,
        user: Option<Value>,
        log_id: Option<String>,
    }
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let id = path.ok().and_then(|Path(id)| TaskId::parse(&id)).ok_or_else(|| Error::not_found("Async action"))?;
    let task = app.service.task(&who.grant, id).await?;
    let log_id = if task.status.is_over() { log_entry(&app, &who.grant, &task).await? } else { None };
    let shown = Shown { action: Action::new(&task), result: result(&task, &files::origin(&app, &headers)), user: user(&task.asked_by), log_id };
    Ok(answer::unstored(StatusCode::OK, &shown)?)
}

/// What came of a task that is over.
fn result(task: &TaskInfo, base: &str) -> Option<Value> {
    if !task.status.is_over() {
        return None;
    }
    let made = task.result.as_ref();
    let count = |name: &str| made.and_then(|made| made.get(name)).and_then(Value::as_u64).unwrap_or(0);
    let errors: Vec<&str> = task.error.as_deref().into_iter().collect();
    Some(match task.kind {
        AskedKind::Export => json!({ "done_count": count("rows"), "failed_count": 0, "reports": [], "reports_available_till": null, "errors": errors }),
        AskedKind::Import => {
            let reported = made.and_then(|made| made.get("report")).and_then(Value::as_bool) == Some(true);
            let reports: Vec<String> = reported.then(|| format!("{base}/v1/imports/{}/report", task.id)).into_iter().collect();
            json!({ "done_count": count("done_count"), "failed_count": count("failed_count"), "reports": reports, "reports_available_till": null, "errors": errors })
        }
    })
}

/// The member who asked, if it was one.
fn user(asked_by: &Value) -> Option<Value> {
    let member = asked_by.get("type").and_then(Value::as_str) == Some("member");
    member.then(|| json!({ "id": asked_by.get("id"), "email": asked_by.pointer("/meta/email"), "name": asked_by.pointer("/meta/name") }))
}

/// The entry of the API log that tells of the request.
async fn log_entry(app: &App, grant: &Grant, task: &TaskInfo) -> Result<Option<String>> {
    let Ok(caller) = grant.permit::<CanReadLogs>() else { return Ok(None) };
    let mut filter = Filter { from: Some(Timestamp::clamped(task.created_at.micros() - REQUEST_MICROS)), to: Some(task.created_at), ..Filter::default() };
    filter.equals(Field::RequestId, task.request_id.as_str());
    filter.terms.push(Term { any_of: vec![Field::HttpMethod], test: Test::Present, not: false });
    let page = app.service.page(&caller, Query { filter, limit: Some(1), ..Query::all(LogKind::Activity) }).await?;
    let entry: Option<Value> = page.lines.first().map(|line| serde_json::from_slice(line)).transpose().map_err(Error::corrupt)?;
    Ok(entry.and_then(|entry| Some(entry.get("id")?.as_str()?.to_owned())))
}

#[cfg(test)]
mod tests;
