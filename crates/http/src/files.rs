//! Files, as S3 serves them: our own links to exports (`/files/...`), and the answer that any stored file is sent by.
//!
//! Promises: a link is all that one needs, and a credential beside it changes nothing; what is refused is refused in S3's XML, without telling a changed link
//! from one to nothing; a download can be taken up again at any byte; a file that goes away while it is sent ends the transfer visibly.
//! Never: holds more than two pieces of a file for one reader.

pub(crate) mod errors;
mod ranges;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{self, HeaderMap};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use indelible_model::ids::hex;
use indelible_model::{Error, ExportId, Kind, Result, Timestamp};
use indelible_service::{Download, Link, LinkPlace, LinkRefused, SignedLink};
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{App, Shared};
use crate::disposition;
use crate::failed::{Answer, Failed, Note};
use crate::request_id::RequestId;

use ranges::Wanted;

/// Bytes that are read at a time.
const PIECE: u64 = 512 << 10;
/// How long a file that was deleted may go on being sent.
const RECHECK: Duration = Duration::from_secs(1);
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
const DATE: &str = "X-Amz-Date";
const EXPIRES: &str = "X-Amz-Expires";
const SIGNATURE: &str = "X-Amz-Signature";

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(follow))
}

/// Follow a link to an export's file
///
/// Links come with exports that are finished, ready to be used: they need no credential, live for `link_lifetime` and die with their export. Of several ranges,
/// or one that cannot be read, the whole file comes. Failures are S3's, as XML.
#[utoipa::path(get, path = "/files/{export}/{name}", tag = "Native", operation_id = "followLink",
    params(
        ("export" = String, Path, description = "The export's id."),
        ("name" = String, Path, description = "The name of the file."),
        ("X-Amz-Date" = String, Query, description = "When the link was made, such as `20260210T143215Z`."),
        ("X-Amz-Expires" = u64, Query, description = "How many seconds it lives."),
        ("X-Amz-Signature" = String, Query, description = "The link's signature: 64 hex digits."),
        ("Range" = Option<String>, Header, description = "`bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-COUNT`."),
        ("If-Range" = Option<String>, Header, description = "An `ETag`: the range counts only for this file."),
    ),
    responses(
        (status = 200, description = "The file. `ETag` is the SHA-256 of its bytes.", content((String = "application/octet-stream"), (String = "text/csv"), (String = "application/json"), (String = "application/x-ndjson"), (String = "application/vnd.apache.parquet"), (String = "application/gzip"), (String = "application/zstd"))),
        (status = 206, description = "A range of it.", content((String = "application/octet-stream"), (String = "text/csv"), (String = "application/json"), (String = "application/x-ndjson"), (String = "application/vnd.apache.parquet"), (String = "application/gzip"), (String = "application/zstd"))),
        (status = 304, description = "`If-None-Match` names this file."),
        (status = 403, description = "The link is not valid, or its time is over.", body = String, content_type = "application/xml"),
        (status = 404, description = "The file was removed.", body = String, content_type = "application/xml"),
        (status = 412, description = "`If-Match` names another file.", body = String, content_type = "application/xml"),
        (status = 416, description = "The file ends before the range.", body = String, content_type = "application/xml"),
    ))]
async fn follow(
    State(app): State<Shared>,
    RawQuery(query): RawQuery,
    method: Method,
    Extension(request): Extension<RequestId>,
    path: std::result::Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Answer {
    let link = path.ok().and_then(|Path((export, name))| read(&export, name, query.as_deref()?)).ok_or_else(denied)?;
    let download = match app.service.export_by_link(&link).await? {
        Ok(download) => download,
        Err(LinkRefused::Denied) => return Err(denied()),
        Err(LinkRefused::Late(at)) => return Err(Failed::new(Error::new(Kind::Forbidden, "Request has expired"), Note::Late(at))),
        Err(LinkRefused::Gone) => return Err(missing().into()),
    };
    let answer = respond(download, &method, &headers, &request).await?;
    Ok(errors::with_body(answer, &request))
}

fn denied() -> Failed {
    Error::new(Kind::Forbidden, "Access Denied").into()
}

fn missing() -> Error {
    Error::not_found("File")
}

/// The link of a request. Its three parameters stand there once each, with nothing beside them.
fn read(export: &str, name: String, query: &str) -> Option<SignedLink> {
    let pairs: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let one = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let (date, lifetime, signature) = (one(DATE)?, one(EXPIRES)?, one(SIGNATURE)?);
    let plain = query.split('&').count() == 3 && lifetime.bytes().all(|b| b.is_ascii_digit());
    let link = SignedLink { export: ExportId::parse(export)?, name, date: read_date(date)?, lifetime: lifetime.parse().ok()?, signature: signature.to_owned() };
    plain.then_some(link)
}

/// `20260210T143215Z`.
fn date(at: Timestamp) -> String {
    at.to_string().chars().take(19).filter(|c| !matches!(c, '-' | ':')).chain(['Z']).collect()
}

fn read_date(text: &str) -> Option<Timestamp> {
    let part = |from: usize, to: usize| text.get(from..to);
    let (day, time) = (format!("{}-{}-{}", part(0, 4)?, part(4, 6)?, part(6, 8)?), format!("{}:{}:{}", part(9, 11)?, part(11, 13)?, part(13, 15)?));
    // Whatever stood between is not there any more.
    Timestamp::from_text(format!("{day}T{time}.000000Z").as_bytes()).filter(|at| date(*at) == text)
}

/// A link as clients get it: a whole URL, or at least a path where nobody said how we are reached.
pub(crate) fn absolute(app: &App, headers: &HeaderMap, link: &Link) -> String {
    let ours = match &link.place {
        LinkPlace::Absolute(url) => return url.clone(),
        LinkPlace::Ours(ours) => ours,
    };
    let SignedLink { export, name, lifetime, signature, .. } = ours;
    format!("{}/files/{export}/{name}?{DATE}={}&{EXPIRES}={lifetime}&{SIGNATURE}={signature}", origin(app, headers), date(ours.date))
}

/// How clients reach this server: as the settings say, else as this request did.
pub(crate) fn origin(app: &App, headers: &HeaderMap) -> String {
    if !app.config.public_url.is_empty() {
        return app.config.public_url.clone();
    }
    let is_host = |host: &&str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b));
    headers.get(header::HOST).and_then(|v| v.to_str().ok()).filter(is_host).map_or(String::new(), |host| format!("http://{host}"))
}

/// The answer that sends a file, or the part of it that is asked for. A refused range or condition has no body.
pub(crate) async fn respond(download: Download, method: &Method, headers: &HeaderMap, request: &RequestId) -> Answer {
    let etag = format!("\"{}\"", hex(&download.sha256));
    let len = download.bytes;
    let (status, range) = match ranges::wanted(method, headers, &etag, len) {
        Wanted::Whole => (StatusCode::OK, 0..len),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::NotModified => (StatusCode::NOT_MODIFIED, 0..0),
        Wanted::Failed => (StatusCode::PRECONDITION_FAILED, 0..0),
        Wanted::Outside => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let set = response.headers_mut();
    let mut put = |name: HeaderName, value: String| HeaderValue::try_from(value).map(|value| set.insert(name, value)).map_err(Error::internal);
    put(header::ETAG, etag)?;
    put(header::ACCEPT_RANGES, "bytes".to_owned())?;
    put(header::CACHE_CONTROL, "private, no-store".to_owned())?;
    match status {
        StatusCode::RANGE_NOT_SATISFIABLE => put(header::CONTENT_RANGE, format!("bytes */{len}"))?,
        StatusCode::PARTIAL_CONTENT => put(header::CONTENT_RANGE, format!("bytes {}-{}/{len}", range.start, range.end - 1))?,
        StatusCode::OK => None,
        _ => return Ok(response),
    };
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        return Ok(response);
    }
    put(header::CONTENT_LENGTH, (range.end - range.start).to_string())?;
    put(header::CONTENT_TYPE, download.media.to_owned())?;
    put(REPR_DIGEST, format!("sha-256=:{}:", STANDARD.encode(download.sha256)))?;
    let (stem, extension) = download.name.rsplit_once('.').unwrap_or((&download.name, "bin"));
    set.insert(header::CONTENT_DISPOSITION, disposition::attachment(stem, extension));
    if method != Method::HEAD {
        *response.body_mut() = body(download, range, request).await?;
    }
    Ok(response)
}

type Piece = Pin<Box<dyn Future<Output = Result<Bytes>> + Send>>;

/// A file on its way to a reader.
struct Sending {
    download: Arc<Download>,
    ahead: Option<Piece>,
    at: u64,
    end: u64,
    checked: Instant,
    request: RequestId,
}

/// The bytes of a range. That its first piece cannot be read is an error with a status yet.
async fn body(download: Download, range: std::ops::Range<u64>, request: &RequestId) -> Result<Body> {
    let mut sending = Sending { download: Arc::new(download), ahead: None, at: range.start, end: range.end, checked: Instant::now(), request: request.clone() };
    sending.ahead = sending.begin();
    let Some(first) = sending.next().await.transpose().map_err(|e| if e.kind() == Kind::Gone { missing() } else { e })? else { return Ok(Body::empty()) };
    let rest = stream::unfold(Some((Some(first), sending)), |state| async {
        let (first, mut sending) = state?;
        if let Some(first) = first {
            return Some((Ok(first), Some((None, sending))));
        }
        let piece = sending.next().await?;
        // Asked last: a slow reader lets much time pass between two pieces.
        match sending.check().await.and(piece) {
            Ok(piece) => Some((Ok(piece), Some((None, sending)))),
            Err(e) => {
                tracing::warn!(request_id = sending.request.as_str(), kind = ?e.kind(), error = %e, "a download was cut off");
                Some((Err(e), None))
            }
        }
    });
    Ok(Body::from_stream(rest))
}

impl Sending {
    /// Begins to read the next piece.
    fn begin(&mut self) -> Option<Piece> {
        let len = PIECE.min(self.end - self.at);
        if len == 0 {
            return None;
        }
        let piece = self.download.read(self.at, usize::try_from(len).ok()?);
        self.at += len;
        Some(Box::pin(piece))
    }
    /// The piece that was begun; the one after it is read while this one is sent.
    async fn next(&mut self) -> Option<Result<Bytes>> {
        let piece = self.ahead.take()?.await;
        self.ahead = self.begin();
        Some(piece)
    }
    /// Fails once the file was deleted. A database that does not answer takes nothing away: what runs goes on.
    async fn check(&mut self) -> Result<()> {
        if self.checked.elapsed() < RECHECK {
            return Ok(());
        }
        let asked = timeout(RECHECK, self.download.still_there()).await;
        self.checked = Instant::now();
        match asked {
            Ok(Ok(false)) => Err(Error::new(Kind::Forbidden, "The file was deleted during the download, or may not be read any more.")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
