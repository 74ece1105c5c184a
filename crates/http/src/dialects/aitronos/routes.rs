//! Aitronos' paths.

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Version};
use axum::response::Response;
use indelible_model::{Error, Kind, Order, Query};
use indelible_service::{Caller, CanExport, CanRead, Cover, ExportOptions, Format, Grant, Layout};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use super::errors;
use super::translate::{self, List};
use super::wire::{ChangeLog, ChangePage, Entry, History, HistoryEntry, Page, Pagination};
use crate::app::{App, Shared};
use crate::auth::Authorized;
use crate::failed::{Answer, Failed};
use crate::openapi::schemas;
use crate::query::Params;
use crate::request_id::RequestId;
use crate::stream::{self, Head};
use crate::{answer, body, conneg, disposition, ingest};

const TOTAL: HeaderName = HeaderName::from_static("x-total-count");
const TRUNCATED: HeaderName = HeaderName::from_static("x-export-truncated");
/// Bytes of a change log's request.
const MAX_BODY: usize = 64 << 10;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(list)).routes(route!(export)).routes(route!(report)).routes(route!(changes)).routes(route!(member_changes)).routes(route!(history))
}

/// What a path names, whatever characters it has.
type Named<T> = Result<Path<T>, PathRejection>;

fn named<T>(path: Named<T>) -> Result<T, Failed> {
    path.map(|Path(names)| names).map_err(|_| Error::new(Kind::Malformed, "The path is not percent-encoded UTF-8.").into())
}

/// The organization of the path, if the caller may ask for it; an organization that is not there answers as a foreign one.
fn allowed(organization: String, grant: &Grant) -> Result<String, Failed> {
    if translate::may_ask(&organization, grant) {
        return Ok(organization);
    }
    Err(Failed::new(Error::new(Kind::Forbidden, "This credential is bound to other organizations."), errors::NOT_YOURS))
}

/// List an organization's audit log
///
/// Newest first. The project's own id or name in the path means the whole project.
#[utoipa::path(get, path = "/v1/organizations/{organization_id}/audit-log", tag = "Organizations", operation_id = "listAuditLog", security(("key" = ["events:read"])),
    params(("organization_id" = String, Path, description = "An organization, or the project's own id or name."), schemas::AuditFilters, schemas::AuditListParams),
    responses((status = 200, description = "A page.", body = schemas::AuditPage)))]
async fn list(State(app): State<Shared>, path: Named<String>, RawQuery(query): RawQuery, who: Authorized<CanRead>) -> Answer {
    let organization = allowed(named(path)?, who.caller.grant())?;
    let wanted = translate::list(query.as_deref(), &organization, who.caller.grant(), app.service.limits())?;
    let skip = wanted.query.skip;
    // Counted after the page was read, so that an event that arrives in between never makes the total smaller than the page.
    let page = app.service.page(&who.caller, wanted.query.clone()).await?;
    let total = app.service.count(&who.caller, &wanted.query).await?;
    let items = page.lines.iter().map(|line| Entry::read(line, &organization)).collect::<Result<Vec<_>, _>>()?;
    let answer = Page { items, total, skip, limit: wanted.limit, has_more: page.has_more };
    Ok(answer::page(serde_json::to_vec(&answer).map_err(Error::internal)?, page.held))
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
    path: Named<String>,
    RawQuery(query): RawQuery,
    who: Authorized<CanExport>,
    headers: HeaderMap,
) -> Answer {
    stream::check_protocol(version)?;
    let organization = allowed(named(path)?, who.caller.grant())?;
    let coding = conneg::choose(&headers);
    let (query, mut options) = translate::export(query.as_deref(), &organization, who.caller.grant(), coding, app.config.aitronos_export_rows, app.service.limits())?;
    options.digest = conneg::takes_trailers(&headers);
    let stem = format!("audit-log-{organization}-{}", disposition::day(app.service.clock().now()));
    let head = Head { media: "text/csv", disposition: disposition::attachment(&stem, "csv"), options };
    let export = app.service.export(&who.caller, query.clone(), Format::Csv(Layout::Aitronos), options).await?;
    let counts = count(&app, &who.caller, &query, export.snapshot()).await?;
    Ok(counts.mark(stream::respond(export, head, &request, (&app.service, who.caller.grant())).await?))
}

/// How many rows match, and whether they are all there.
struct Counts {
    total: u64,
    truncated: bool,
}

impl Counts {
    fn mark(&self, mut response: Response) -> Response {
        response.headers_mut().insert(TOTAL, HeaderValue::from(self.total));
        if self.truncated {
            response.headers_mut().insert(TRUNCATED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// The total is that of the snapshot, so that it agrees with the rows.
async fn count(app: &App, caller: &Caller<CanExport>, query: &Query, snapshot: u64) -> Result<Counts, Failed> {
    let counted = Query { before: Some(snapshot.saturating_add(1)), ..query.clone() };
    let total = app.service.count(caller, &counted).await?;
    Ok(Counts { total, truncated: query.limit.is_some_and(|limit| total > limit) })
}

/// Export an organization's audit log as PDF
///
/// The rows of the CSV export as a report for people. It ends with the row count and the SHA-256 digest of the CSV export's bytes: the same
/// parameters with `snapshot` at `/audit-log/export` give a file with this digest.
#[utoipa::path(get, path = "/v1/organizations/{organization_id}/audit-log/export/pdf", tag = "Organizations", operation_id = "exportAuditLogPdf", security(("key" = ["export"])),
    params(("organization_id" = String, Path, description = "An organization, or the project's own id or name."), schemas::AuditFilters, schemas::AuditReportParams),
    responses((status = 200, description = "The file.", content_type = "application/pdf", body = schemas::Binary,
        headers(("Content-Disposition" = String, description = "`attachment` with a file name."), ("X-Total-Count" = u64, description = "How many rows match."), ("X-Export-Truncated" = bool, description = "There are more rows than were exported."), ("X-Snapshot-Position" = u64, description = "The last position that the report may hold.")))))]
async fn report(
    State(app): State<Shared>,
    Extension(request): Extension<RequestId>,
    version: Version,
    path: Named<String>,
    RawQuery(query): RawQuery,
    who: Authorized<CanExport>,
) -> Answer {
    stream::check_protocol(version)?;
    let grant = who.caller.grant();
    let organization = allowed(named(path)?, grant)?;
    let (query, words) = translate::report(query.as_deref(), &organization, grant, app.config.aitronos_export_rows, app.service.limits())?;
    let made = app.service.clock().now();
    let stem = format!("audit-log-{organization}-{}", disposition::day(made));
    let head = Head { media: "application/pdf", disposition: disposition::attachment(&stem, "pdf"), options: ExportOptions::default() };
    let export = app.service.export(&who.caller, query.clone(), Format::Csv(Layout::Aitronos), head.options).await?;
    let counts = count(&app, &who.caller, &query, export.snapshot()).await?;
    let snapshot = export.snapshot();
    let mut facts =
        vec![("Organization", organization.clone()), ("Project", format!("{} ({})", grant.project_name, grant.project)), ("Filter", words), ("Made at", made.to_string())];
    let mut again = "The same filter".to_owned();
    // The position counts the whole project's events.
    if grant.organizations.is_none() {
        facts.push(("Snapshot", format!("position {snapshot}")));
        again = format!("The same filter with snapshot={snapshot}");
    }
    let cover = Cover { title: format!("Audit log of {organization}"), facts: facts.into_iter().map(|(label, text)| (label.to_owned(), text)).collect(), made };
    let check = format!(
        "The digest is that of the CSV export of the same rows, as bytes. {again} at /v1/organizations/{{organization_id}}/audit-log/export gives that file for as long as the rows are kept. Cells above may be cut (\u{2026}), those of the CSV never are."
    );
    let export = export.print(&cover, counts.total, check)?;
    Ok(counts.mark(stream::respond(export, head, &request, (&app.service, grant)).await?))
}

/// List the changes in an organization
///
/// Newest first. `changes` tells `diff` field by field.
#[utoipa::path(post, path = "/v1/organizations/{organization_id}/dashboard/change-logs", tag = "Organizations", operation_id = "listChangeLogs", security(("key" = ["events:read"])),
    params(("organization_id" = String, Path, description = "An organization, or the project's own id or name.")),
    request_body(content = schemas::ChangeLogRequest),
    responses((status = 200, description = "A page.", body = schemas::ChangeLogPage)))]
async fn changes(State(app): State<Shared>, path: Named<String>, RawQuery(query): RawQuery, who: Authorized<CanRead>, headers: HeaderMap, body: Body) -> Answer {
    let organization = allowed(named(path)?, who.caller.grant())?;
    let (wanted, _) = asked(&app, (&organization, None), query.as_deref(), &who, &headers, body).await?;
    page_of_changes(&app, &who, wanted).await
}

/// List the changes that a user made or underwent
///
/// The events whose actor or target is the user. 404 if there is none at all.
#[utoipa::path(post, path = "/v1/organizations/{organization_id}/users/{user_id}/change-logs", tag = "Organizations", operation_id = "listMemberChangeLogs", security(("key" = ["events:read"])),
    params(("organization_id" = String, Path, description = "An organization, or the project's own id or name."), ("user_id" = String, Path, description = "An actor's or a target's id.")),
    request_body(content = schemas::ChangeLogRequest),
    responses((status = 200, description = "A page.", body = schemas::ChangeLogPage), (status = 404, description = "No event is about this user.", body = schemas::AuditError)))]
async fn member_changes(State(app): State<Shared>, path: Named<(String, String)>, RawQuery(query): RawQuery, who: Authorized<CanRead>, headers: HeaderMap, body: Body) -> Answer {
    let (organization, user) = named(path)?;
    let organization = allowed(organization, who.caller.grant())?;
    let (wanted, everything) = asked(&app, (&organization, Some(&user)), query.as_deref(), &who, &headers, body).await?;
    known(&app, &who, everything, "User").await?;
    page_of_changes(&app, &who, wanted).await
}

/// Reads what a change log's request asks for.
async fn asked(
    app: &App,
    (organization, user): (&str, Option<&str>),
    query: Option<&str>,
    who: &Authorized<CanRead>,
    headers: &HeaderMap,
    body: Body,
) -> Result<(List, Query), Failed> {
    Params::parse(query, &[], app.service.limits())?.finish()?;
    ingest::expect_json(headers)?;
    let received = body::receive(&app.service, headers, body, MAX_BODY, false).await?;
    Ok(translate::changes(&received.text, organization, user, who.caller.grant())?)
}

async fn page_of_changes(app: &App, who: &Authorized<CanRead>, wanted: List) -> Answer {
    let skip = wanted.query.skip;
    // Counted after the page was read, as for the audit log.
    let page = app.service.page(&who.caller, wanted.query.clone()).await?;
    let total_count = app.service.count(&who.caller, &wanted.query).await?;
    let logs = page.lines.iter().map(|line| ChangeLog::read(line)).collect::<Result<Vec<_>, _>>()?;
    let answer = ChangePage { logs, total_count, skip, take: wanted.limit };
    Ok(answer::page(serde_json::to_vec(&answer).map_err(Error::internal)?, page.held))
}

/// Show what became of an assistant
///
/// Newest first: the events whose target is of type `assistant` and has this id. 404 if there is none at all that the caller sees.
#[utoipa::path(get, path = "/v1/assistants/{assistant_id}/history", tag = "Organizations", operation_id = "showAssistantHistory", security(("key" = ["events:read"])),
    params(("assistant_id" = String, Path, description = "A target's id."), schemas::HistoryParams),
    responses((status = 200, description = "A page.", body = schemas::HistoryPage), (status = 404, description = "No event is about this assistant.", body = schemas::AuditError)))]
async fn history(State(app): State<Shared>, path: Named<String>, RawQuery(query): RawQuery, who: Authorized<CanRead>) -> Answer {
    let (wanted, everything) = translate::history(query.as_deref(), &named(path)?, app.service.limits())?;
    known(&app, &who, everything, "Assistant").await?;
    let offset = wanted.query.skip;
    let page = app.service.page(&who.caller, wanted.query.clone()).await?;
    let total = app.service.count(&who.caller, &wanted.query).await?;
    let audit_logs = page.lines.iter().map(|line| HistoryEntry::read(line)).collect::<Result<Vec<_>, _>>()?;
    let answer = History { audit_logs, pagination: Pagination { total, limit: wanted.limit, offset, has_more: page.has_more } };
    Ok(answer::page(serde_json::to_vec(&answer).map_err(Error::internal)?, page.held))
}

/// Fails if no event at all is about somebody or something; what the caller does not see answers alike.
async fn known(app: &App, who: &Authorized<CanRead>, everything: Query, what: &str) -> Result<(), Failed> {
    let page = app.service.page(&who.caller, Query { order: Order::Descending, limit: Some(1), ..everything }).await?;
    if page.lines.is_empty() { Err(Error::not_found(what).into()) } else { Ok(()) }
}
