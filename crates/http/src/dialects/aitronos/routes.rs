//! Aitronos' paths.

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use indelible_model::{Error, Kind, Query};
use indelible_service::Layout;
use indelible_service::{CanExport, CanRead, Format};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use super::translate;
use super::wire::{Entry, Page};
use crate::app::Shared;
use crate::auth::Authorized;
use crate::failed::{Answer, Failed};
use crate::openapi::schemas;
use crate::request_id::RequestId;
use crate::stream::{self, Head};
use crate::{answer, conneg, disposition};

const TOTAL: HeaderName = HeaderName::from_static("x-total-count");
const TRUNCATED: HeaderName = HeaderName::from_static("x-export-truncated");

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(list)).routes(route!(export))
}

/// The organization of the path, whatever characters it has.
type Organization = Result<Path<String>, PathRejection>;

fn organization(path: Organization) -> Result<String, Failed> {
    path.map(|Path(id)| id).map_err(|_| Error::new(Kind::Malformed, "The organization in the path is not percent-encoded UTF-8.").into())
}

/// List an organization's audit log
///
/// Newest first. The project's own id or name in the path means the whole project.
#[utoipa::path(get, path = "/v1/organizations/{organization_id}/audit-log", tag = "Organizations", operation_id = "listAuditLog", security(("key" = ["events:read"])),
    params(("organization_id" = String, Path, description = "An organization, or the project's own id or name."), schemas::AuditFilters, schemas::AuditListParams),
    responses((status = 200, description = "A page.", body = schemas::AuditPage)))]
async fn list(State(app): State<Shared>, path: Organization, RawQuery(query): RawQuery, who: Authorized<CanRead>) -> Answer {
    let organization = organization(path)?;
    let wanted = translate::list(query.as_deref(), &organization, who.caller.grant(), app.service.limits())?;
    let skip = wanted.query.skip;
    // Counted after the page was read, so that an event that arrives in between never makes the total smaller than the page.
    let page = app.service.page(&who.caller, wanted.query.clone()).await?;
    let total = app.service.count(&who.caller, &wanted.query).await?;
    let items = page.lines.iter().map(|line| Entry::read(line, &organization)).collect::<Result<Vec<_>, _>>()?;
    let answer = Page { items, total, skip, limit: wanted.limit, has_more: page.has_more };
    Ok(answer::json(StatusCode::OK, serde_json::to_vec(&answer).map_err(Error::internal)?))
}

/// Export an organization's audit log as CSV
///
/// The newest 10,000 matching rows, newest first; `X-Total-Count` says how many match, and `X-Export-Truncated: true` that some are missing.
/// `limit=none` lifts the cap: then all rows come, oldest first.
#[utoipa::path(get, path = "/v1/organizations/{organization_id}/audit-log/export", tag = "Organizations", operation_id = "exportAuditLog", security(("key" = ["export"])),
    params(("organization_id" = String, Path, description = "An organization, or the project's own id or name."), schemas::AuditFilters, schemas::AuditExportParams),
    responses((status = 200, description = "The file.", content_type = "text/csv", body = String,
        headers(("Content-Disposition" = String, description = "`attachment` with a file name."), ("X-Total-Count" = u64, description = "How many rows match."), ("X-Export-Truncated" = bool, description = "There are more rows than were exported.")))))]
async fn export(
    State(app): State<Shared>,
    Extension(request): Extension<RequestId>,
    version: Version,
    path: Organization,
    RawQuery(query): RawQuery,
    who: Authorized<CanExport>,
    headers: HeaderMap,
) -> Answer {
    stream::check_protocol(version)?;
    let organization = organization(path)?;
    let coding = conneg::choose(&headers);
    let (query, mut options) = translate::export(query.as_deref(), &organization, who.caller.grant(), coding, app.config.aitronos_export_rows, app.service.limits())?;
    options.digest = conneg::takes_trailers(&headers);
    let stem = format!("audit-log-{organization}-{}", disposition::day(app.service.clock().now()));
    let head = Head { media: "text/csv", disposition: disposition::attachment(&stem, "csv"), options };
    let export = app.service.export(&who.caller, query.clone(), Format::Csv(Layout::Aitronos), options).await?;
    // The total is that of the snapshot, so that it agrees with the rows.
    let counted = Query { before: Some(export.snapshot().saturating_add(1)), ..query };
    let total = app.service.count(&who.caller, &counted).await?;
    let truncated = counted.limit.is_some_and(|limit| total > limit);
    let mut response = stream::respond(export, head, &request).await?;
    response.headers_mut().insert(TOTAL, HeaderValue::from(total));
    if truncated {
        response.headers_mut().insert(TRUNCATED, HeaderValue::from_static("true"));
    }
    Ok(response)
}
