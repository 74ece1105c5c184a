//! What answers where no route does. The edge renders it in the dialect of the path.
//!
//! Promises: the answer is the same whoever asks; a request with a valid credential is counted and recorded like any other.

use indelible_model::Kind;

use crate::auth::Identified;
use crate::failed::{Failed, Note};

/// There is no such path.
pub(crate) async fn not_found(_known: Result<Identified, Failed>) -> Failed {
    Failed { note: Note::NoPath, ..Kind::NotFound.into() }
}

/// There is such a path, but not with this method.
pub(crate) async fn method_not_allowed(_known: Result<Identified, Failed>) -> Failed {
    Kind::MethodNotAllowed.into()
}
