//! An export as an HTTP body: data as it comes, then trailers with the row count and the digest of the bytes as sent.
//!
//! Promises: a failed export ends without the last chunk, so that every client sees a broken transfer; dropping the body stops the work.
//! Never: buffers, or closes cleanly what is not whole.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body::Frame;
use indelible_model::{Error, Kind, Result};
use indelible_service::{Export, ExportOptions, Finished, Grant, Service};
use tokio::time::timeout;

use crate::conneg;
use crate::failed::{Failed, Note};
use crate::request_id::RequestId;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const ROWS: HeaderName = HeaderName::from_static("indelible-rows");
const SNAPSHOT: HeaderName = HeaderName::from_static("x-snapshot-position");

/// What the head of an export's answer says.
pub(crate) struct Head {
    pub(crate) media: &'static str,
    pub(crate) disposition: HeaderValue,
    /// As the export was made; trailers are sent where a digest was asked for.
    pub(crate) options: ExportOptions,
}

/// Fails for a protocol in which a body without a length has no visible end: a cut-off export would look whole.
pub(crate) fn check_protocol(version: Version) -> Result<(), Failed> {
    if version >= Version::HTTP_11 {
        return Ok(());
    }
    Err(Failed::new(Error::new(Kind::Unsupported, "Exports are streamed and need HTTP/1.1 or later."), Note::OldProtocol))
}

/// How many rows an export had, once it has ended; in the answer's extensions, for those who record it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowsSent(Arc<OnceLock<u64>>);

impl RowsSent {
    pub(crate) fn get(&self) -> Option<u64> {
        self.0.get().copied()
    }
}

/// How long a credential that was withdrawn may go on taking what was begun.
const RECHECK: Duration = Duration::from_secs(1);

/// Whether those who asked may still have what they asked for.
struct Standing {
    service: Service,
    grant: Grant,
    checked: Instant,
}

impl Standing {
    /// Fails once the credential is worth less than it was. A database that does not answer takes nothing away: what runs goes on.
    async fn check(&mut self) -> Result<()> {
        if self.checked.elapsed() < RECHECK {
            return Ok(());
        }
        let asked = timeout(RECHECK, self.service.still_valid(&self.grant)).await;
        self.checked = Instant::now();
        match asked {
            Ok(Ok(false)) => Err(Error::new(Kind::Forbidden, "The credential was withdrawn during the export.")),
            _ => Ok(()),
        }
    }
}

/// The answer that streams `export` for as long as `grant` holds. What fails before the first bytes are there is an error with a status.
pub(crate) async fn respond(mut export: Export, head: Head, request: &RequestId, (service, grant): (&Service, &Grant)) -> Result<Response> {
    let standing = Standing { service: service.clone(), grant: grant.clone(), checked: Instant::now() };
    let (snapshot, whole) = (export.snapshot(), grant.organizations.is_none());
    let first = export.next().await.transpose()?;
    let rows = RowsSent::default();
    let mut response = Response::new(Body::new(Frames(Box::pin(frames(first, export, head.options.digest, request.clone(), standing, rows.clone())))));
    response.extensions_mut().insert(rows);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(head.media));
    headers.insert(header::CONTENT_DISPOSITION, head.disposition);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if head.options.digest {
        headers.insert(header::TRAILER, HeaderValue::from_static("Content-Digest, Indelible-Rows"));
    }
    // The position counts the whole project's events.
    if whole {
        headers.insert(SNAPSHOT, HeaderValue::from(snapshot));
    }
    if let Some(name) = conneg::name(head.options.coding) {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    Ok(response)
}

type Item = Result<Frame<Bytes>>;

fn frames(first: Option<Bytes>, export: Export, with_trailers: bool, request: RequestId, standing: Standing, rows: RowsSent) -> impl Stream<Item = Item> + Send + 'static {
    stream::unfold(Some((first, export, standing)), move |running| {
        let (request, rows) = (request.clone(), rows.clone());
        async move {
            let (first, mut export, mut standing) = running?;
            if let Some(chunk) = first {
                return Some((Ok(Frame::data(chunk)), Some((None, export, standing))));
            }
            let next = export.next().await;
            // Asked last: a slow reader lets much time pass between two chunks.
            let next = standing.check().await.map_or_else(|e| Some(Err(e)), |()| next);
            let failure = match next {
                Some(Ok(chunk)) => return Some((Ok(Frame::data(chunk)), Some((None, export, standing)))),
                Some(Err(e)) => e,
                None => match export.finished() {
                    Some(done) => {
                        let _once = rows.0.set(done.rows);
                        return with_trailers.then(|| (Ok(Frame::trailers(trailers(&done))), None));
                    }
                    None => Error::internal("the export ended without its counts"),
                },
            };
            tracing::error!(request_id = request.as_str(), kind = ?failure.kind(), error = %failure, "an export was cut off");
            Some((Err(failure), None))
        }
    })
}

fn trailers(done: &Finished) -> HeaderMap {
    let digest = done.sha256_sent.and_then(|d| HeaderValue::try_from(format!("sha-256=:{}:", STANDARD.encode(d))).ok());
    let rows = Some(HeaderValue::from(done.rows));
    [(CONTENT_DIGEST, digest), (ROWS, rows)].into_iter().filter_map(|(n, v)| Some((n, v?))).collect()
}

/// A body made of frames; hyper polls it only when the client takes more.
struct Frames(Pin<Box<dyn Stream<Item = Item> + Send>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_in_the_form_of_rfc_9530() {
        let map = trailers(&Finished { rows: 3, sha256_sent: Some([0; 32]), range: None });
        assert_eq!(map.get(CONTENT_DIGEST).and_then(|v| v.to_str().ok()), Some("sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"));
        assert_eq!(map.get(ROWS).and_then(|v| v.to_str().ok()), Some("3"));
    }

    #[test]
    fn old_protocols_are_refused() {
        assert!(check_protocol(Version::HTTP_10).is_err_and(|f| f.note == Note::OldProtocol));
        assert!(check_protocol(Version::HTTP_11).is_ok() && check_protocol(Version::HTTP_2).is_ok());
    }
}
