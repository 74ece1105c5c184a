//! The published APIs. The path decides which one answers, its failures included.
//!
//! Promises: a dialect is a thin adapter: shapes, a translation into the words of the domain, errors, routes. Never: touches storage or another dialect.

pub(crate) mod aitronos;
pub(crate) mod logproof;
pub(crate) mod loyaltydog;
pub(crate) mod voucherify;

use std::time::Duration;

use axum::http::{HeaderMap, Method};
use axum::response::Response;
use indelible_model::Timestamp;

use crate::failed::Failed;
use crate::request_id::{Form, RequestId};

/// What an error's shape may need beside the error.
pub(crate) struct Context<'a> {
    pub(crate) request: &'a RequestId,
    pub(crate) now: Timestamp,
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    /// The documented methods of the route.
    pub(crate) methods: &'a [&'static str],
    /// The credential is one of LoyaltyDog's keys, valid or not.
    pub(crate) loyaltydog_key: bool,
}

/// The dialect of a path. Native paths speak as LogProof does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    LogProof,
    Aitronos,
    LoyaltyDog,
    Voucherify,
}

/// Where Voucherify's paths begin.
const VOUCHERIFY: [&str; 4] = ["/v1/exports", "/v1/async-actions", "/v1/oauth", "/management"];

impl Dialect {
    /// The dialect that owns a path, whether or not anything is there.
    pub(crate) fn of(path: &str) -> Self {
        let under = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // The rows of an export are shown by a native path.
        let rows = path.strip_prefix("/v1/exports/").and_then(|rest| rest.split_once('/')).is_some_and(|(_, rest)| rest == "rows");
        if under("/v1/organizations") || under("/v1/assistants") {
            Self::Aitronos
        } else if under("/v2") || under("/api/v2") {
            Self::LoyaltyDog
        } else if !rows && VOUCHERIFY.into_iter().any(under) {
            Self::Voucherify
        } else {
            Self::LogProof
        }
    }
    /// How its fresh request ids look.
    pub(crate) fn request_ids(self) -> Form {
        if self == Self::Voucherify { Form::Short } else { Form::Uuid }
    }
    /// A failure in its words.
    pub(crate) fn render(self, failed: &Failed, context: &Context<'_>) -> Response {
        match self {
            Self::LogProof => logproof::errors::render(failed),
            Self::Aitronos => aitronos::errors::render(failed, context),
            Self::LoyaltyDog => loyaltydog::errors::render(failed, context),
            Self::Voucherify => voucherify::errors::render(failed, context),
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
            ("/v1/assistants/asst_1/history", Dialect::Aitronos),
            ("/v1/organizations/", Dialect::Aitronos),
            ("/v1/organizationsx", Dialect::LogProof),
            ("/v1/events", Dialect::LogProof),
            ("/v2", Dialect::LoyaltyDog),
            ("/v2/token", Dialect::LoyaltyDog),
            ("/api/v2/token", Dialect::LoyaltyDog),
            ("/v2x", Dialect::LogProof),
            ("/api/v1", Dialect::LogProof),
            ("/v1/exports", Dialect::Voucherify),
            ("/v1/exports/exp_1", Dialect::Voucherify),
            ("/v1/exports/exp_1/rows", Dialect::LogProof),
            ("/v1/exports/exp_1/rows/2", Dialect::Voucherify),
            ("/v1/exportsx", Dialect::LogProof),
            ("/v1/async-actions/aa_1", Dialect::Voucherify),
            ("/v1/oauth/token", Dialect::Voucherify),
            ("/management/v1/projects", Dialect::Voucherify),
            ("/nowhere", Dialect::LogProof),
        ] {
            assert_eq!(Dialect::of(path), want, "{path}");
        }
    }
}
