//! Imports over HTTP: a file is sent, kept, and read into the project's logs by a task.
//!
//! Promises: the file goes to where the objects are as it comes, and its task is answered when it is there to the last byte. A mapping that cannot be used is
//! refused at once. Never: unpacks what is sent; the file is kept as it is.

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use indelible_model::{Error, Kind, Limits, Result, TaskId};
use indelible_service::{Caller, CanWrite, ImportInfo, ImportMapping, ImportPart, ImportSpec, ImportUpload, ImportsFilter, TaskStatus};
use serde::Serialize;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use crate::app::{App, Shared};
use crate::auth::{Authorized, Identified};
use crate::failed::Answer;
use crate::multipart::{self, Multipart};
use crate::openapi::schemas;
use crate::pieces::Pieces;
use crate::query::Params;
use crate::request_id::RequestId;
use crate::{answer, files, ingest};

const PER_PAGE: u64 = 25;
const MAX_PER_PAGE: u64 = 100;
const CHANNEL: &str = "API";
const MAPPING: &str = "native";
/// Bytes of a multipart body that are not the file's, at most.
const AROUND: u64 = 64 << 10;
/// Bytes of a part that holds a text.
const TEXT: usize = 48 << 10;
/// Media types of files, with the names of files that were sent without one.
const MEDIA: [(&str, &str); 14] = [
    ("text/csv", "import.csv"),
    ("application/csv", "import.csv"),
    ("application/x-ndjson", "import.ndjson"),
    ("application/ndjson", "import.ndjson"),
    ("application/jsonl", "import.ndjson"),
    ("application/x-jsonlines", "import.ndjson"),
    ("application/gzip", "import.gz"),
    ("application/x-gzip", "import.gz"),
    ("application/zstd", "import.zst"),
    ("application/x-zstd", "import.zst"),
    ("text/plain", "import.txt"),
    ("application/octet-stream", "import.bin"),
    // What curl puts on every body unasked.
    ("application/x-www-form-urlencoded", "import.bin"),
    ("", "import.bin"),
];

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(list, create)).routes(route!(show)).routes(route!(file)).routes(route!(report))
}

#[derive(Serialize)]
struct Shown {
    id: String,
    async_action_id: String,
    status: &'static str,
    progress: u64,
    processing_time: Option<u64>,
    mapping: String,
    file: File,
    result: Option<Value>,
    error: Option<String>,
    links: Links,
    asked_by: Value,
    request_id: String,
    created_at: String,
    updated_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
}

#[derive(Serialize)]
struct File {
    name: String,
    bytes: u64,
    sha256: String,
}

#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    itself: String,
    file: String,
    report: Option<String>,
}

impl From<ImportInfo> for Shown {
    fn from(import: ImportInfo) -> Self {
        let (itself, task) = (path(import.task.id), import.task);
        Self {
            id: task.id.to_string(),
            async_action_id: task.id.to_string(),
            status: task.status.name(),
            progress: task.progress,
            processing_time: task.processing_ms,
            mapping: import.mapping,
            file: File { name: import.file.name, bytes: import.file.bytes, sha256: import.file.sha256 },
            result: task.result,
            error: task.error,
            links: Links { file: format!("{itself}/file"), report: import.report.then(|| format!("{itself}/report")), itself },
            asked_by: task.asked_by,
            request_id: task.request_id,
            created_at: task.created_at.to_string(),
            updated_at: task.updated_at.to_string(),
            started_at: task.started_at.map(|t| t.to_string()),
            finished_at: task.finished_at.map(|t| t.to_string()),
        }
    }
}

fn path(id: TaskId) -> String {
    format!("/v1/imports/{id}")
}

/// Import a file
///
/// NDJSON or CSV, plain, gzip or zstd, told apart by the content: as the body itself, or as the part `file` of `multipart/form-data` beside the parts `mapping` and `name`.
/// The answer comes when the whole file is stored; a task reads it then. Records that cannot become events are listed in a report, all others are stored; the same
/// file sent again stores nothing twice. Each event has `{"import": {"task": ..., "line": ...}}` in its `context`. `Content-Encoding` is not taken: send packed files as they are.
#[utoipa::path(post, path = "/v1/imports", tag = "Imports", operation_id = "createImport", security(("key" = ["events:write"])),
    params(schemas::IdempotencyKey, schemas::ImportParams),
    request_body(content((schemas::ImportForm = "multipart/form-data"), (String = "text/csv"), (String = "application/x-ndjson"), (String = "application/gzip"), (String = "application/zstd"), (String = "application/octet-stream"))),
    responses((status = 202, description = "The file is stored, and its task waits.", body = schemas::ImportAnswer)))]
async fn create(
    State(app): State<Shared>,
    RawQuery(query): RawQuery,
    who: Authorized<CanWrite>,
    Extension(request): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let mut pieces = Pieces::new(body);
    let (import, replayed) = match receive(&app, &who.caller, query.as_deref(), &request, &headers, &mut pieces).await {
        Ok(received) => received,
        Err(error) => {
            pieces.discard(&headers).await;
            return Err(error.into());
        }
    };
    let location = HeaderValue::try_from(path(import.task.id)).map_err(Error::internal)?;
    let mut response = answer::data(StatusCode::ACCEPTED, &Shown::from(import))?;
    response.headers_mut().insert(header::LOCATION, location);
    if replayed {
        response.headers_mut().insert(ingest::REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// List imports
///
/// Newest first; they are kept for ever. `meta.next_cursor` leads to the next, older page.
#[utoipa::path(get, path = "/v1/imports", tag = "Imports", operation_id = "listImports", security(("key" = ["events:write"]), ("key" = ["events:read"])),
    params(schemas::ImportListParams),
    responses((status = 200, description = "A page.", body = schemas::ImportPage)))]
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
    let unknown = |e: Error| if e.kind() == Kind::NotFound { not_a_cursor() } else { e };
    let mut imports = app.service.imports(&who.grant, &filter, per_page + 1).await.map_err(unknown)?;
    let has_more = imports.len() > per_page as usize;
    imports.truncate(per_page as usize);
    let next_cursor = imports.last().filter(|_| has_more).map(|import| import.task.id.to_string());
    let page = Page { data: imports.into_iter().map(Shown::from).collect(), meta: Meta { next_cursor, has_more } };
    Ok(answer::unstored(StatusCode::OK, &page)?)
}

/// Show an import
#[utoipa::path(get, path = "/v1/imports/{id}", tag = "Imports", operation_id = "getImport", security(("key" = ["events:write"]), ("key" = ["events:read"])),
    params(("id" = String, Path, description = "`aa_` and 18 hex digits: the id of its task, which each event that it made names.")),
    responses((status = 200, description = "The import.", body = schemas::ImportAnswer), (status = 404, description = "There is no such import in this project.", body = schemas::Error)))]
async fn show(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified, id: Named) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let import = app.service.import(&who.grant, import_id(id)?).await?;
    Ok(answer::data(StatusCode::OK, &Shown::from(import))?)
}

/// Download the file of an import
///
/// As it was sent, byte by byte; it is kept for ever. Needs `logs:read` too, unless the import is done, refused no record and has no event in the log `activity`. A
/// credential that is bound to organizations gets it only if the import is done and refused no record. Takes `Range`, `If-Range`, `If-Match` and `If-None-Match`; `ETag`
/// is the SHA-256 of its bytes.
#[utoipa::path(get, path = "/v1/imports/{id}/file", tag = "Imports", operation_id = "getImportFile", security(("key" = ["events:read"])),
    params(("id" = String, Path, description = "`aa_` and 18 hex digits.")),
    responses((status = 200, description = "The file.", content((String = "application/octet-stream"), (String = "text/csv"), (String = "application/json"), (String = "application/x-ndjson"), (String = "application/vnd.apache.parquet"), (String = "application/gzip"), (String = "application/zstd"))),
        (status = 206, description = "A range of it.", content((String = "application/octet-stream"), (String = "text/csv"), (String = "application/json"), (String = "application/x-ndjson"), (String = "application/vnd.apache.parquet"), (String = "application/gzip"), (String = "application/zstd"))),
        (status = 404, description = "There is no such import in this project.", body = schemas::Error)))]
async fn file(
    State(app): State<Shared>,
    RawQuery(query): RawQuery,
    who: Identified,
    method: Method,
    Extension(request): Extension<RequestId>,
    headers: HeaderMap,
    id: Named,
) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let download = app.service.import_file(&who.grant, import_id(id)?, ImportPart::Original).await?;
    files::respond(download, &method, &headers, &request).await
}

/// Download the report of an import
///
/// NDJSON: `line`, `member` and `reason` of each record that was refused, up to 10,000; how many more there were says the last line, `{"not_listed": ...}`.
/// A reason may quote the record: who lacks `events:write` must be one who may download the import's file.
#[utoipa::path(get, path = "/v1/imports/{id}/report", tag = "Imports", operation_id = "getImportReport", security(("key" = ["events:write"]), ("key" = ["events:read"])),
    params(("id" = String, Path, description = "`aa_` and 18 hex digits.")),
    responses((status = 200, description = "The report.", body = String, content_type = "application/x-ndjson"),
        (status = 206, description = "A range of it.", body = String, content_type = "application/x-ndjson"),
        (status = 404, description = "There is no such import in this project, it is not over, or it refused no record.", body = schemas::Error)))]
async fn report(
    State(app): State<Shared>,
    RawQuery(query): RawQuery,
    who: Identified,
    method: Method,
    Extension(request): Extension<RequestId>,
    headers: HeaderMap,
    id: Named,
) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let download = app.service.import_file(&who.grant, import_id(id)?, ImportPart::Report).await?;
    files::respond(download, &method, &headers, &request).await
}

/// The id of the path, whatever characters it has.
type Named = Result<Path<String>, PathRejection>;

fn import_id(path: Named) -> Result<TaskId> {
    path.ok().and_then(|Path(id)| TaskId::parse(&id)).ok_or_else(|| Error::not_found("Import"))
}

fn not_a_cursor() -> Error {
    Error::invalid_member("cursor", "is not a cursor of this list.")
}

/// Which imports, and how many of them.
fn translate(raw: Option<&str>, limits: &Limits) -> Result<(ImportsFilter, u32)> {
    let mut params = Params::parse(raw, &["status", "per_page", "cursor"], limits)?;
    let mut filter = ImportsFilter::default();
    if let Some(text) = params.text("status") {
        filter.status = TaskStatus::parse(&text);
        if filter.status.is_none() {
            params.violate("status", format!("must be one of {}.", TaskStatus::ALL.map(TaskStatus::name).join(", ")));
        }
    }
    let per_page = params.number("per_page", 1, MAX_PER_PAGE).unwrap_or(PER_PAGE);
    let cursor = params.text("cursor").map(|text| TaskId::parse(&text).ok_or_else(not_a_cursor));
    params.finish()?;
    filter.after = cursor.transpose()?;
    Ok((filter, u32::try_from(per_page).map_err(Error::internal)?))
}

/// Receives the file and has its task stored; true for a repeat of an earlier request.
async fn receive(app: &App, caller: &Caller<CanWrite>, query: Option<&str>, request: &RequestId, headers: &HeaderMap, pieces: &mut Pieces) -> Result<(ImportInfo, bool)> {
    let boundary = multipart::boundary(headers).transpose()?;
    let allowed: &[&str] = if boundary.is_some() { &[] } else { &["mapping", "name"] };
    let mut params = Params::parse(query, allowed, app.service.limits())?;
    let (mapping, name) = (params.text("mapping"), params.text("name"));
    params.finish()?;
    let idempotency_key = ingest::key(headers)?;
    if headers.get(header::CONTENT_ENCODING).is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Error::new(Kind::Unsupported, "Content-Encoding is not taken here: send a packed file as it is, as application/gzip or application/zstd."));
    }
    let around = if boundary.is_some() { AROUND } else { 0 };
    let stated: Option<u64> = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    app.service.import_fits(stated.unwrap_or(0).saturating_sub(around))?;
    let (upload, mapping) = match boundary {
        Some(boundary) => Box::pin(form(app, caller, Multipart::new(pieces, &boundary))).await?,
        None => {
            let mapping = ImportMapping::parse(mapping.as_deref().unwrap_or(MAPPING))?;
            let unnamed = media(headers)?;
            let mut upload = app.service.import_begin(caller, name.as_deref().unwrap_or(unnamed)).await?;
            while let Some(piece) = pieces.next().await? {
                upload.write(piece).await?;
            }
            (upload, mapping)
        }
    };
    upload.finish(ImportSpec { mapping, request_id: request.as_str().to_owned(), channel: CHANNEL.to_owned(), idempotency_key }).await
}

/// The name for a file of the media type that was stated.
fn media(headers: &HeaderMap) -> Result<&'static str> {
    let stated = headers.get(header::CONTENT_TYPE).map_or("", |v| v.to_str().unwrap_or("?"));
    let stated = stated.split(';').next().unwrap_or_default().trim();
    let known = MEDIA.iter().find(|(media, _)| media.eq_ignore_ascii_case(stated)).map(|(_, name)| *name);
    known.ok_or_else(|| {
        Error::new(Kind::Unsupported, "Content-Type must be multipart/form-data, text/csv, application/x-ndjson, application/gzip, application/zstd or application/octet-stream.")
    })
}

/// Reads a form to its end. The file goes where it stays as soon as its part is there, whatever comes before or after it.
async fn form(app: &App, caller: &Caller<CanWrite>, mut parts: Multipart<'_>) -> Result<(ImportUpload, ImportMapping)> {
    let (mut upload, mut mapping, mut name) = (None, None, None);
    while let Some(part) = parts.next().await? {
        let twice = || Error::invalid_member(part.name.clone(), "is given more than once.");
        match part.name.as_str() {
            "file" if upload.is_some() => return Err(twice()),
            "file" => {
                let begun = upload.insert(app.service.import_begin(caller, part.file_name.as_deref().unwrap_or("import.bin")).await?);
                while let Some(chunk) = parts.chunk().await? {
                    begun.write(chunk).await?;
                }
            }
            "mapping" if mapping.is_some() => return Err(twice()),
            "mapping" => mapping = Some(ImportMapping::parse(&text(&mut parts, "mapping").await?)?),
            "name" if name.is_some() => return Err(twice()),
            "name" => name = Some(text(&mut parts, "name").await?),
            _ => return Err(Error::invalid_member(crate::query::shorten(&part.name), "is not a part here; allowed are file, mapping, name.")),
        }
    }
    let mut upload = upload.ok_or_else(|| Error::invalid_member("file", "The part file is required."))?;
    if let Some(name) = name {
        upload.rename(&name);
    }
    let mapping = mapping.map_or_else(|| ImportMapping::parse(MAPPING), Ok)?;
    Ok((upload, mapping))
}

async fn text(parts: &mut Multipart<'_>, name: &str) -> Result<String> {
    parts.text(TEXT).await?.ok_or_else(|| Error::invalid_member(name, format!("must be UTF-8 of at most {TEXT} bytes.")))
}

#[cfg(test)]
mod tests;
