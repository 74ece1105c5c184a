//! What a handler returns when it cannot do its work: an error of the domain, not yet in the words of a dialect.
//!
//! Promises: the answer carries the error unrendered, so that the edge renders every failure of a path in one place, with one shape.
//! Never: chooses a status, or shows the operator's message to a client.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use indelible_model::{Error, Kind, Timestamp};
use serde_json::value::RawValue;

/// What a kind of the domain does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// Nothing more.
    None,
    /// The request carried no credential at all.
    NoCredential,
    /// The credential was a token, not a key.
    BadToken,
    /// There is no such path.
    NoPath,
    /// The dialect has a name of its own for this.
    Named(&'static str),
    /// The request's HTTP version cannot carry the answer.
    OldProtocol,
    /// The link's time was over at this.
    Late(Timestamp),
    /// The violations are the first of so many.
    FirstOf(usize),
}

/// A failed request.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: Error,
    pub(crate) note: Note,
    /// What is wrong, as a list in the dialect's own form, where it was found by the dialect's own rules. Boxed twice, because every handler returns room for it.
    pub(crate) detail: Option<Box<Box<RawValue>>>,
}

/// A failure on its way through the layers, in the answer's extensions.
pub(crate) type Carried = Arc<Failed>;

impl Failed {
    pub(crate) fn new(error: Error, note: Note) -> Self {
        Self { error, note, detail: None }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::new(error, Note::None)
    }
}

impl From<Kind> for Failed {
    fn from(kind: Kind) -> Self {
        let message = match kind {
            Kind::NotFound => "There is nothing at this path.",
            Kind::MethodNotAllowed => "The method is not served at this path.",
            _ => "The request failed.",
        };
        Error::new(kind, message).into()
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert::<Carried>(Arc::new(self));
        response
    }
}

/// What a handler returns.
pub(crate) type Answer = Result<Response, Failed>;
