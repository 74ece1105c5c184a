//! The paths of LoyaltyDog's audit log.

use axum::Extension;
use axum::body::Body as HttpBody;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use indelible_model::ids::from_dashed;
use indelible_model::{Error, ExportId, Kind};
use indelible_service::{CanExport, CanRead, ExportInfo, ExportOptions, ExportPart, ExportSpec, Exported};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use super::translate;
use super::validate::{Body, Problems};
use super::wire::{Item, Page, Status};
use crate::app::Shared;
use crate::auth::Authorized;
use crate::failed::{Answer, Failed};
use crate::openapi::schemas;
use crate::request_id::RequestId;
use crate::{answer, body, files, ingest};

/// Bytes of what an export is asked for with.
const MAX_BODY: usize = 32 << 10;
/// What an `Idempotency-Key` looks like.
const KEY: &str = "^[ -~]{1,255}$";

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(list)).routes(route!(export)).routes(route!(status))
}

/// List the audit log
///
/// Newest first. A merchant is an event's `organization`, a resource its `target`, and `details` its metadata and its diff.
/// A page whose entries come to more than 8 MiB is refused: ask for a smaller `limit`.
#[utoipa::path(get, path = "/v2/giftcards/audit-logs", tag = "Audit logs", operation_id = "listAuditLogs", security(("key" = ["events:read"])),
    params(schemas::AuditLogParams),
    responses((status = 200, description = "A page.", body = schemas::AuditLogPage)))]
async fn list(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanRead>) -> Answer {
    let wanted = translate::list(query.as_deref(), app.service.limits())?;
    let page = app.service.page(&who.caller, wanted.query.clone()).await?;
    if page.has_more && (page.lines.len() as u64) < wanted.limit {
        // The next page begins after `limit` entries: what does not fit would be on none.
        let mut problems = Problems::default();
        problems.meaning("query", "limit", &format!("only {} of the entries of this page fit in an answer", page.lines.len()), &wanted.limit.to_string());
        problems.finish()?;
    }
    // Counted after the page was read, so that an event that arrives in between never makes the total smaller than the page.
    let total = app.service.count(&who.caller, &wanted.query).await?;
    let items = page.lines.iter().map(|line| Item::read(line)).collect::<Result<Vec<_>, _>>()?;
    let answer = Page { items, total, page: wanted.page, pages: total.div_ceil(wanted.limit), limit: wanted.limit };
    Ok(answer::page(serde_json::to_vec(&answer).map_err(Error::internal)?, page.held))
}

/// Export the audit log
///
/// A task writes the entries that there are now, oldest first, as CSV (the members of an entry as columns, `details` as JSON text) or as a JSON array of entries.
/// Its status tells where to fetch them. An empty object asks for all.
#[utoipa::path(post, path = "/v2/giftcards/audit-logs/export", tag = "Audit logs", operation_id = "exportAuditLogs", security(("key" = ["export"])),
    params(schemas::AuditLogExportKey),
    request_body(content = schemas::AuditLogExportRequest),
    responses((status = 202, description = "The task.", body = schemas::AuditLogExportStatus), (status = 409, description = "The `Idempotency-Key` was used with another body.", body = schemas::Detail)))]
async fn export(State(app): State<Shared>, Extension(request): Extension<RequestId>, who: Authorized<CanExport>, headers: HeaderMap, body: HttpBody) -> Answer {
    let received = body::receive(&app.service, &headers, body, MAX_BODY, true).await?;
    let mut body = Body::parse(&received.text, is_json(&headers))?;
    let key = ingest::key(&headers).unwrap_or_else(|_| {
        let sent = headers.get(ingest::IDEMPOTENCY_KEY).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        body.problems.mismatch("header", "idempotency-key", KEY, &sent.unwrap_or_default());
        None
    });
    let asked = translate::export(body, app.service.limits())?;
    let spec = ExportSpec {
        object: "event".to_owned(),
        what: Exported::Events { query: Box::new(asked.query), format: asked.format, options: ExportOptions::default() },
        parameters: asked.shown,
        stem: "audit-logs".to_owned(),
        request_id: request.as_str().to_owned(),
        channel: "API".to_owned(),
        idempotency: ingest::bound(key, "loyaltydog-export", received.digest),
    };
    let info = app.service.export_start(&who.caller, spec).await?;
    Ok(answer::unstored(StatusCode::ACCEPTED, &shown(&app, &headers, &info).await?)?)
}

/// Show the status of an export
///
/// `pending`, `processing`, `success` or `failed`. With success there is a `downloadUrl`: a fresh one each time, which needs no credential and ends after an hour.
#[utoipa::path(get, path = "/v2/giftcards/audit-logs/export/{task_id}", tag = "Audit logs", operation_id = "showAuditLogExport", security(("key" = ["export"])),
    params(("task_id" = String, Path, description = "The task.")),
    responses((status = 200, description = "The task.", body = schemas::AuditLogExportStatus), (status = 404, description = "The caller has no such task.", body = schemas::Detail)))]
async fn status(State(app): State<Shared>, path: Result<Path<String>, PathRejection>, who: Authorized<CanExport>, headers: HeaderMap) -> Answer {
    let missing = || Error::not_found("Export task");
    let id = path.ok().and_then(|Path(id)| from_dashed(&id)).ok_or_else(missing)?;
    let info = app.service.export_info(&who.caller, ExportId(id)).await.map_err(|e| if e.kind() == Kind::NotFound { missing() } else { e })?;
    Ok(answer::unstored(StatusCode::OK, &shown(&app, &headers, &info).await?)?)
}

/// What a client sees of an export, with a link if there is a file.
async fn shown(app: &Shared, headers: &HeaderMap, info: &ExportInfo) -> Result<Status, Failed> {
    let link = app.service.export_link(info, ExportPart::File).await?;
    Ok(Status::of(info, link.map(|link| files::absolute(app, headers, &link))))
}

/// True unless the body is said to be something else than JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(media) = headers.get(header::CONTENT_TYPE) else { return true };
    let media = media.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media.strip_prefix("application/").is_some_and(|sub| sub == "json" || sub.ends_with("+json"))
}
