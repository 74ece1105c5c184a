//! Voucherify: failures in its words, and OAuth tokens for keys.
//!
//! Promises: request ids in its form, the same in the answer, its headers and the log; a token never allows more than the key that it was made with.
//! Never: `X-RateLimit-*` headers, which it spells differently.

pub(crate) mod errors;
mod oauth;

pub(crate) use oauth::routes;
