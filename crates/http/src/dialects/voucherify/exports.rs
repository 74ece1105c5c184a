//! Voucherify's exports: asked for, listed, shown, downloaded, deleted.
//!
//! Promises: a new export is shown as it began, however quickly it was made; the token of a download's link is all that one needs, and a credential beside it
//! changes nothing. Never: the file within the request that asks for it.

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, RawQuery, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use indelible_model::{Error, ExportId, Kind, Result};

use indelible_service::{CanExport, Download, ExportInfo, ExportPart, ExportSpec, ExportState};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use super::translate;
use super::wire::{Export, Links, Page};
use crate::app::{App, Shared};
use crate::auth::Authorized;
use crate::failed::Answer;
use crate::openapi::schemas;
use crate::query::Params;
use crate::request_id::RequestId;
use crate::{answer, api_log, body, files, ingest};

const MAX_BODY: usize = 64 << 10;
const ROUTE: &str = "POST /v1/exports";

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(list, create)).routes(route!(show, delete))
}

/// Create an export
///
/// A task makes its file: of requests (`api_log`), of events (`event`), or, of what only Voucherify has, with a header and no rows. It holds what is stored now and
/// what the caller may see. Parameters that are not sent are filled in.
#[utoipa::path(post, path = "/v1/exports", tag = "Exports", operation_id = "createExport", security(("app_id" = ["export"], "app_token" = ["export"]), ("key" = ["export"])),
    params(schemas::IdempotencyKey),
    request_body(content = schemas::NewExport),
    responses((status = 200, description = "It will be made. `status` is SCHEDULED.", body = schemas::Export)))]
async fn create(
    State(app): State<Shared>,
    Extension(request): Extension<RequestId>,
    RawQuery(query): RawQuery,
    who: Authorized<CanExport>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let limits = app.service.limits();
    Params::parse(query.as_deref(), &[], limits)?.finish()?;
    ingest::expect_json(&headers)?;
    let key = ingest::key(&headers)?;
    let received = body::receive(&app.service, &headers, body, MAX_BODY, key.is_some()).await?;
    let asked = translate::creation(&received.text, limits)?;
    let spec = ExportSpec {
        object: asked.object.name().to_owned(),
        what: asked.what,
        parameters: asked.parameters,
        stem: format!("{}-export", asked.object.name().replace('_', "-")),
        request_id: request.as_str().to_owned(),
        channel: api_log::channel(&headers),
        idempotency: ingest::bound(key, ROUTE, received.digest),
    };
    let mut info = app.service.export_start(&who.caller, spec).await?;
    // Clients take no other status for an export that they have just asked for.
    (info.state, info.progress, info.error, info.file) = (ExportState::Queued, 0, None, None);
    Ok(answer::unstored(StatusCode::OK, &Export::new(&info, None))?)
}

/// List exports
#[utoipa::path(get, path = "/v1/exports", tag = "Exports", operation_id = "listExports", security(("app_id" = ["export"], "app_token" = ["export"]), ("key" = ["export"])),
    params(schemas::ExportsParams),
    responses((status = 200, description = "A page, newest first unless `order` says otherwise.", body = schemas::ExportPage)))]
async fn list(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanExport>, headers: HeaderMap) -> Answer {
    let wanted = translate::list(query.as_deref(), app.service.limits())?;
    let most = u32::try_from(wanted.most).map_err(Error::internal)?;
    let (exports, total) = app.service.exports(&who.caller, &wanted.filter, wanted.order, wanted.skip, most).await?;
    let base = files::origin(&app, &headers);
    let shown = exports.iter().map(|info| Export::new(info, url(&app, &base, info).map(|url| Links { url, download_url: None, manifest_url: None })));
    Ok(answer::unstored(StatusCode::OK, &Page::new(shown.collect(), total))?)
}

/// Where a finished export is downloaded.
fn url(app: &App, base: &str, info: &ExportInfo) -> Option<String> {
    let token = app.service.export_token(info)?;
    Some(format!("{base}/v1/exports/{}?token={token}", info.id))
}

/// All ways to an export's file.
async fn links(app: &App, headers: &HeaderMap, info: &ExportInfo) -> Result<Option<Links>> {
    let Some(url) = url(app, &files::origin(app, headers), info) else { return Ok(None) };
    let absolute = |link: Option<_>| link.map(|link| files::absolute(app, headers, &link));
    let download_url = absolute(app.service.export_link(info, ExportPart::File).await?);
    let manifest_url = absolute(app.service.export_link(info, ExportPart::Manifest).await?);
    Ok(Some(Links { url, download_url, manifest_url }))
}

type Named = Result<Path<String>, PathRejection>;

fn id(path: Named) -> Result<ExportId> {
    path.ok().and_then(|Path(id)| ExportId::parse(&id)).ok_or_else(|| Error::not_found("Export"))
}

/// Show or download an export
///
/// With `token`, or where the client accepts `text/plain` and no JSON, the file itself: `text/plain` for CSV. A token of `result.url` needs no credential beside it.
#[utoipa::path(get, path = "/v1/exports/{id}", tag = "Exports", operation_id = "getExport", security(("app_id" = ["export"], "app_token" = ["export"]), ("key" = ["export"]), ()),
    params(("id" = String, Path, description = "`exp_` and 24 letters and digits."), ("token" = Option<String>, Query, description = "From `result.url`; it lives for `link_lifetime`.")),
    responses((status = 200, description = "The export, with fresh links once it is finished; or its file.", content((schemas::Export = "application/json"), (String = "text/plain"))),
        (status = 404, description = "There is no such export in this project, or, for a download, no file of it.", body = schemas::VoucherifyError)))]
async fn show(State(app): State<Shared>, Extension(request): Extension<RequestId>, path: Named, asked: Request) -> Answer {
    let (mut parts, _) = asked.into_parts();
    let mut params = Params::parse(parts.uri.query(), &["token"], app.service.limits())?;
    let token = params.text("token");
    params.finish()?;
    if let Some(token) = token {
        // A name that is none is refused as a wrong token is.
        let id = id(path).map_err(|_| Error::new(Kind::Unauthenticated, "The token is not valid."))?;
        return send(app.service.export_by_token(id, &token).await?, &parts, &request).await;
    }
    let who = Authorized::<CanExport>::from_request_parts(&mut parts, &app).await?;
    let id = id(path)?;
    if wants_file(&parts.headers) {
        let download = app.service.export_download(&who.caller, id, ExportPart::File).await;
        return send(download.map_err(|e| if e.kind() == Kind::Conflict { Error::not_found("Export file") } else { e })?, &parts, &request).await;
    }
    let info = app.service.export_info(&who.caller, id).await?;
    let links = links(&app, &parts.headers, &info).await?;
    Ok(answer::unstored(StatusCode::OK, &Export::new(&info, links))?)
}

/// True for requests to Voucherify's host for files, and those of clients that read text but no JSON.
fn wants_file(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let accepted = text(header::ACCEPT);
    text(header::HOST).starts_with("download.") || (accepted.contains("text/plain") && !accepted.contains("json"))
}

async fn send(mut download: Download, parts: &Parts, request: &RequestId) -> Answer {
    // What is compressed, or no table, is no text.
    if download.media.starts_with("text/csv") {
        download.media = "text/plain; charset=utf-8";
    }
    files::respond(download, &parts.method, &parts.headers, request).await
}

/// Delete an export
///
/// Its file goes with it, and every link to it.
#[utoipa::path(delete, path = "/v1/exports/{id}", tag = "Exports", operation_id = "deleteExport", security(("app_id" = ["export"], "app_token" = ["export"]), ("key" = ["export"])),
    params(("id" = String, Path, description = "`exp_` and 24 letters and digits.")),
    responses((status = 204, description = "It is gone."), (status = 404, description = "There is no such export in this project.", body = schemas::VoucherifyError)))]
async fn delete(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanExport>, path: Named) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    app.service.export_delete(&who.caller, id(path)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
