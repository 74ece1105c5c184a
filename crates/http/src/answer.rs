//! Small answers, made in one place. Never: for exports, which are streamed.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use indelible_model::{Error, Result};
use indelible_service::Reservation;
use serde::Serialize;

/// An answer with a body that is JSON already.
pub(crate) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    with_type(status, "application/json", body)
}

/// An answer with a body of some type.
pub(crate) fn with_type(status: StatusCode, media: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// `{"data":...}`, which is not to be stored: it may hold a secret, and is about people.
pub(crate) fn data(status: StatusCode, data: &impl Serialize) -> Result<Response> {
    #[derive(Serialize)]
    struct Wrapped<'a, T> {
        data: &'a T,
    }
    unstored(status, &Wrapped { data })
}

/// A JSON answer that is not to be stored.
pub(crate) fn unstored(status: StatusCode, body: &impl Serialize) -> Result<Response> {
    let mut response = json(status, serde_json::to_vec(body).map_err(Error::internal)?);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A JSON answer made of a page, which keeps the page's room until it was sent.
pub(crate) fn page(body: Vec<u8>, held: Vec<Reservation>) -> Response {
    struct Held {
        body: Vec<u8>,
        _room: Vec<Reservation>,
    }
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.body
        }
    }
    json(StatusCode::OK, Bytes::from_owner(Held { body, _room: held }))
}

/// `{"data":[...]` of stored lines, still without its closing brace.
pub(crate) fn data_array(lines: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.iter().map(|l| l.len() + 1).sum::<usize>() + 128);
    out.extend_from_slice(b"{\"data\":[");
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(line);
    }
    out.push(b']');
    out
}
