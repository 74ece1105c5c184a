//! Voucherify: exports, async actions, custom events, OAuth tokens for keys, and failures in its words.
//!
//! Promises: request ids in its form, the same in the answer, its headers and the log; a token never allows more than the key that it was made with; what its
//! published clients send is taken, and what they are answered they can read.
//! Never: `X-RateLimit-*` headers, which it spells differently.

mod actions;
pub(crate) mod errors;
pub(crate) mod events;
mod exports;
mod filters;
mod oauth;
mod objects;
mod translate;
mod wire;

use utoipa_axum::router::OpenApiRouter;

use crate::app::Shared;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    exports::routes().merge(actions::routes()).merge(oauth::routes())
}

/// What lists of exports and of async actions read.
#[cfg(test)]
pub(crate) fn parameters() -> [&'static [&'static str]; 2] {
    [translate::LIST, actions::LIST]
}
