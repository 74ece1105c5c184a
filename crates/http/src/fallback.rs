//! What answers where no route does. The edge renders it in the dialect of the path.

use indelible_model::Kind;

use crate::failed::{Failed, Note};

/// There is no such path.
pub(crate) async fn not_found() -> Failed {
    Failed { note: Note::NoPath, ..Kind::NotFound.into() }
}

/// There is such a path, but not with this method.
pub(crate) async fn method_not_allowed() -> Failed {
    Kind::MethodNotAllowed.into()
}
