//! The published APIs. The path decides which one answers, its failures included.
//!
//! Promises: a dialect is a thin adapter: shapes, a translation into the words of the domain, errors, routes. Never: touches storage or another dialect.

pub(crate) mod aitronos;
pub(crate) mod logproof;

use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::Response;
use indelible_model::Timestamp;

use crate::failed::Failed;
use crate::request_id::RequestId;

/// What an error's shape may need beside the error.
pub(crate) struct Context<'a> {
    pub(crate) request: &'a RequestId,
    pub(crate) now: Timestamp,
}

/// The dialect of a path. Native paths speak as LogProof does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    LogProof,
    Aitronos,
}

impl Dialect {
    /// The dialect that owns a path, whether or not anything is there.
    pub(crate) fn of(path: &str) -> Self {
        let rest = path.strip_prefix("/v1/organizations");
        if rest.is_some_and(|r| r.is_empty() || r.starts_with('/')) { Self::Aitronos } else { Self::LogProof }
    }
    /// A failure in its words.
    pub(crate) fn render(self, failed: &Failed, context: &Context<'_>) -> Response {
        match self {
            Self::LogProof => logproof::errors::render(failed),
            Self::Aitronos => aitronos::errors::render(failed, context),
        }
    }
    /// The headers that every answer of it has.
    pub(crate) fn decorate(self, path: &str, elapsed: Duration, headers: &mut HeaderMap) {
        if self == Self::Aitronos {
            aitronos::decorate(path, elapsed, headers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_decides() {
        for (path, want) in [
            ("/v1/organizations/o/audit-log", Dialect::Aitronos),
            ("/v1/organizations", Dialect::Aitronos),
            ("/v1/organizations/", Dialect::Aitronos),
            ("/v1/organizationsx", Dialect::LogProof),
            ("/v1/events", Dialect::LogProof),
            ("/nowhere", Dialect::LogProof),
        ] {
            assert_eq!(Dialect::of(path), want, "{path}");
        }
    }
}
