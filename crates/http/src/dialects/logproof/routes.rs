//! LogProof's paths.

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::response::Response;
use axum::routing::options;
use indelible_model::{Error, EventBatch, EventId, Limits, LogKind, Query, Result};
use indelible_service::{Caller, CanExport, CanRead, CanVerify, CanWrite, Idempotency, Outcome, Reading};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use super::cursor::Cursor;
use super::{translate, widget, wire};
use crate::app::{App, Shared};
use crate::auth::Authorized;
use crate::body::Held;
use crate::dialects::{self, Came, Dialect, Visiting};
use crate::failed::Answer;
use crate::openapi::schemas;
use crate::query::Params;
use crate::request_id::RequestId;
use crate::stream::{self, Head};
use crate::{answer, api_log, body, conneg, disposition, ingest};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(route!(list, create))
        .routes(route!(create_batch))
        .routes(route!(export))
        .routes(route!(show))
        .routes(route!(verify))
        .routes(route!(widget::timeline))
        .route(widget::PATH, options(widget::preflight))
}

/// Store one event
///
/// Answers when the event is on disk. Unknown members are refused; inside `context`, `metadata`, `meta` and `diff` everything is allowed.
/// An `external_id` that was stored before answers with the existing event and `meta.duplicate`; if that cannot be read now (retention took it), `data` holds its `sequence_number` alone.
///
/// Voucherify's custom events (`event` and `customer` instead of `action`) are taken here as well, and answered in its words.
#[utoipa::path(post, path = "/v1/events", tag = "Events", operation_id = "createEvent", security(("key" = ["events:write"])),
    params(schemas::IdempotencyKey),
    request_body(content = schemas::NewEvent),
    responses((status = 201, description = "Stored.", body = schemas::EventAnswer), (status = 200, description = "It was stored before.", body = schemas::EventAnswer)))]
async fn create(
    State(app): State<Shared>,
    Extension(request): Extension<RequestId>,
    RawQuery(query): RawQuery,
    who: Authorized<CanWrite>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let came = Came::new(who.caller.grant(), api_log::channel(&headers), &request);
    let mut by = came.by;
    let answer = create_one(&app, query.as_deref(), who, &headers, body, came, &mut by).await;
    by.says(answer)
}

/// What a body of one event holds.
enum One {
    Ours(Result<EventBatch>),
    Visitor(Result<Visiting>),
}

/// Stores one event; `by` becomes the dialect of its body, as soon as that is known.
async fn create_one(app: &App, query: Option<&str>, who: Authorized<CanWrite>, headers: &HeaderMap, body: Body, came: Came, by: &mut Dialect) -> Answer {
    let received = receive(app, query, headers, body, "POST /v1/events").await?;
    let read = move |text: &[u8], limits: &Limits| match ingest::single(text, limits) {
        Ok(batch) => One::Ours(Ok(batch)),
        Err(error) => dialects::visiting(text, &came, limits).map_or(One::Ours(Err(error)), One::Visitor),
    };
    let batch = match parsed(app, received.text, read).await? {
        One::Visitor(visiting) => {
            *by = Dialect::Voucherify;
            let Visiting { batch, answer } = visiting?;
            let appended = ingest::append(&app.service, &who.caller, batch, received.idempotency, received.held).await?;
            return Ok(mark(appended.replayed, answer::json(StatusCode::OK, answer)));
        }
        One::Ours(batch) => batch,
    };
    *by = Dialect::LogProof;
    let taken = store(app, who, batch?, received.idempotency, received.held).await?;
    let duplicate = taken.outcomes.iter().any(|o| o.duplicate);
    let line = taken.lines.first().ok_or_else(|| Error::internal("no outcome for an event"))?;
    let status = if duplicate { StatusCode::OK } else { StatusCode::CREATED };
    Ok(mark(taken.replayed, answer::json(status, wire::one(line, duplicate))))
}

/// Store up to 100 events
///
/// All or nothing: one bad event refuses the batch, and the errors name it as `events.<index>.<member>`.
#[utoipa::path(post, path = "/v1/events/batch", tag = "Events", operation_id = "createEvents", security(("key" = ["events:write"])),
    params(schemas::IdempotencyKey),
    request_body(content = schemas::NewEvents),
    responses((status = 201, description = "Stored, in the order given.", body = schemas::EventsAnswer)))]
async fn create_batch(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanWrite>, headers: HeaderMap, body: Body) -> Answer {
    let received = receive(&app, query.as_deref(), &headers, body, "POST /v1/events/batch").await?;
    let batch = parsed(&app, received.text, wire::batch).await??;
    let taken = store(&app, who, batch, received.idempotency, received.held).await?;
    Ok(mark(taken.replayed, answer::json(StatusCode::CREATED, wire::many(&taken.lines, &taken.outcomes))))
}

/// What became of a request's events, with their stored lines.
struct Taken {
    outcomes: Vec<Outcome>,
    lines: Vec<Vec<u8>>,
    replayed: bool,
}

/// Says in the head of an answer that it was given before.
fn mark(replayed: bool, mut response: Response) -> Response {
    if replayed {
        response.headers_mut().insert(ingest::REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Bytes of a body that is parsed where it is; a larger one gets a thread that may block.
const INLINE: usize = 64 << 10;

/// A request's body of events.
struct Received {
    text: Vec<u8>,
    idempotency: Option<Idempotency>,
    held: Held,
}

async fn receive(app: &App, query: Option<&str>, headers: &HeaderMap, body: Body, route: &'static str) -> Result<Received> {
    let limits = app.service.limits();
    Params::parse(query, &[], limits)?.finish()?;
    ingest::expect_json(headers)?;
    let key = ingest::key(headers)?;
    let received = body::receive(&app.service, headers, body, limits.body_bytes, key.is_some()).await?;
    Ok(Received { idempotency: ingest::bound(key, route, received.digest), text: received.text, held: received.held })
}

async fn parsed<T: Send + 'static>(app: &App, text: Vec<u8>, parse: impl FnOnce(&[u8], &Limits) -> T + Send + 'static) -> Result<T> {
    let limits = app.service.limits();
    if text.len() <= INLINE {
        return Ok(parse(&text, limits));
    }
    let limits = limits.clone();
    tokio::task::spawn_blocking(move || parse(&text, &limits)).await.map_err(Error::internal)
}

async fn store(app: &App, who: Authorized<CanWrite>, batch: EventBatch, idempotency: Option<Idempotency>, held: Held) -> Result<Taken> {
    let appended = ingest::append(&app.service, &who.caller, batch, idempotency, held).await?;
    let (outcomes, replayed) = (appended.outcomes.clone(), appended.replayed);
    let lines = app.service.appended_lines(&who.caller, appended).await;
    Ok(Taken { outcomes, lines, replayed })
}

/// List events
///
/// Newest first. `meta.next_cursor` leads to the next, older page.
#[utoipa::path(get, path = "/v1/events", tag = "Events", operation_id = "listEvents", security(("key" = ["events:read"])),
    params(schemas::EventFilters, schemas::ListParams),
    responses((status = 200, description = "A page.", body = schemas::EventPage)))]
async fn list(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanRead>) -> Answer {
    page(&app, &who.caller, translate::list(query.as_deref(), app.service.limits())?).await
}

/// A page of a list, as whoever may read it.
pub(crate) async fn page<P: Reading>(app: &App, caller: &Caller<P>, query: Query) -> Answer {
    let log = query.log;
    let page = app.service.page(caller, query).await?;
    let next = page.last_position.filter(|_| page.has_more).map(|before| Cursor { log, before });
    Ok(answer::page(wire::page(&page.lines, next), page.held))
}

/// Show one event
#[utoipa::path(get, path = "/v1/events/{id}", tag = "Events", operation_id = "getEvent", security(("key" = ["events:read"])),
    params(("id" = String, Path, description = "`evt_` and 32 hex digits.")),
    responses((status = 200, description = "The event.", body = schemas::EventAnswer), (status = 404, description = "There is no such event in this project.", body = schemas::Error)))]
async fn show(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanRead>, id: Result<Path<String>, PathRejection>) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let id = id.ok().and_then(|Path(id)| EventId::parse(&id)).ok_or_else(|| Error::not_found("Event"))?;
    let line = app.service.event(&who.caller, &LogKind::ALL, id).await?;
    Ok(answer::json(StatusCode::OK, wire::one(&line, false)))
}

/// Export events
///
/// Streams every matching event up to the position reached at the start, oldest first, as one file. A transfer that fails ends without its last chunk.
/// With `TE: trailers` the answer ends with `Content-Digest` (of the bytes as sent) and `Indelible-Rows`. `Accept-Encoding: zstd` is by far the fastest.
#[utoipa::path(get, path = "/v1/events/export", tag = "Events", operation_id = "exportEvents", security(("key" = ["export"])),
    params(schemas::EventFilters, schemas::ExportParams),
    responses((status = 200, description = "The file.", content(
        (Vec<schemas::Event> = "application/json"), (String = "text/csv"), (schemas::Event = "application/x-ndjson"), (schemas::Binary = "application/vnd.apache.parquet")),
        headers(("Content-Disposition" = String, description = "`attachment` with a file name."), ("X-Snapshot-Position" = u64, description = "The last position that the export may hold.")))))]
async fn export(
    State(app): State<Shared>,
    Extension(request): Extension<RequestId>,
    version: Version,
    RawQuery(query): RawQuery,
    who: Authorized<CanExport>,
    headers: HeaderMap,
) -> Answer {
    stream::check_protocol(version)?;
    let mut wanted = translate::export(query.as_deref(), conneg::choose(&headers), app.service.limits())?;
    wanted.options.digest = conneg::takes_trailers(&headers);
    let stem = format!("events-export-{}", disposition::second(app.service.clock().now()));
    let head = Head { media: wanted.kind.media(), disposition: disposition::attachment(&stem, wanted.kind.name()), options: wanted.options };
    let export = app.service.export(&who.caller, wanted.query, wanted.kind.format(), wanted.options).await?;
    Ok(stream::respond(export, head, &request, (&app.service, who.caller.grant())).await?)
}

/// Verify a log
///
/// Recomputes every hash of a log from what is stored.
#[utoipa::path(get, path = "/v1/verify", tag = "Events", operation_id = "verify", security(("key" = ["verify"])),
    params(schemas::VerifyParams),
    responses((status = 200, description = "The outcome.", body = schemas::VerificationAnswer)))]
async fn verify(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanVerify>) -> Answer {
    let log = translate::verify(query.as_deref(), app.service.limits())?;
    let verified = wire::Verified::from(app.service.verify(&who.caller, log).await?);
    Ok(answer::json(StatusCode::OK, serde_json::to_vec(&verified).map_err(Error::internal)?))
}
