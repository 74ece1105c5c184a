//! Which credentials a request carries, in all the ways that the dialects have.
//!
//! Promises: what is sent is read or refused, never passed over: a second credential that cannot be read is not covered by a first that is good.
//! Never: checks a secret, or logs one.

use axum::http::{HeaderMap, HeaderName, header};
use indelible_model::{Error, Kind};
use indelible_service::Credential;

use crate::failed::{Failed, Note};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const MERCHANT: HeaderName = HeaderName::from_static("x-eposn-merchant-token");
/// Voucherify's pairs: an id, and a token.
const PAIRS: [(HeaderName, HeaderName); 2] =
    [(HeaderName::from_static("x-app-id"), HeaderName::from_static("x-app-token")), (HeaderName::from_static("x-management-id"), HeaderName::from_static("x-management-token"))];
/// Bytes of one credential: tokens of identity providers are long.
const MAX: usize = 8 << 10;

/// The credentials of a request, at least one.
pub(super) struct Sent<'h> {
    /// A merchant's session: it stands alone, or narrows the others.
    pub(super) session: Option<Credential<'h>>,
    /// The others; the first says who calls.
    pub(super) others: Vec<Credential<'h>>,
}

impl<'h> Sent<'h> {
    /// Reads them. An empty header is none.
    pub(super) fn of(headers: &'h HeaderMap) -> Result<Self, Failed> {
        let session = one(headers, &MERCHANT)?.map(Credential::Secret);
        let mut others = Vec::new();
        others.extend(bearer(headers)?.map(Credential::Secret));
        others.extend(one(headers, &API_KEY)?.map(Credential::Secret));
        for (id, token) in &PAIRS {
            match (one(headers, id)?, one(headers, token)?) {
                (Some(application), Some(token)) => others.push(Credential::Pair { application, token }),
                (None, None) => {}
                _ => return Err(refused(&format!("{id} and {token} must be sent together."), Note::None)),
            }
        }
        if session.is_none() && others.is_empty() {
            return Err(refused("No API key provided. Send it as `Authorization: Bearer <key>`.", Note::NoCredential));
        }
        Ok(Self { session, others })
    }
}

/// True if the request carries one of LoyaltyDog's keys, valid or not: its failures have a shape of their own.
pub(crate) fn is_loyaltydog_key(headers: &HeaderMap) -> bool {
    let is_one = |secret: Option<&str>| secret.is_some_and(|s| s.starts_with("ld_live_") || s.starts_with("ld_test_"));
    is_one(bearer(headers).ok().flatten()) || is_one(one(headers, &API_KEY).ok().flatten())
}

/// True if the request carries a pair of Voucherify's, valid or not.
pub(crate) fn is_voucherify_pair(headers: &HeaderMap) -> bool {
    PAIRS.iter().any(|(id, token)| headers.contains_key(id) || headers.contains_key(token))
}

/// The credential of `Authorization`, whose scheme must be `Bearer`.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Failed> {
    let Some(value) = one(headers, &header::AUTHORIZATION)? else { return Ok(None) };
    match value.split_once(' ') {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(secret.trim())),
        _ => Err(invalid()),
    }
}

/// The value of a header that may be there once.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Failed> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused(&format!("{name} is sent more than once."), Note::None));
    }
    let text = value.to_str().map_err(|_| invalid())?.trim();
    if text.len() > MAX { Err(invalid()) } else { Ok(Some(text).filter(|t| !t.is_empty())) }
}

fn invalid() -> Failed {
    refused("Invalid API key provided", Note::None)
}

fn refused(message: &str, note: Note) -> Failed {
    Failed::new(Error::new(Kind::Unauthenticated, message), note)
}

#[cfg(test)]
mod tests;
