//! The id of a request: the client's own if it is harmless, else a fresh one in the form of the dialect.
//!
//! Promises: 1 to 128 characters of `A-Z a-z 0-9 . _ -`, safe in headers, logs and JSON. Never: personal data of our own making.

use axum::http::{HeaderMap, HeaderValue};
use indelible_model::ids::{dashed, from_dashed, hex};
use indelible_model::{Clock, Ids};
use sha2::{Digest, Sha256};

pub(crate) const X_REQUEST_ID: &str = "x-request-id";
const MAX_LEN: usize = 128;

/// How a fresh id looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A UUID.
    Uuid,
    /// `v-` and 18 hex digits.
    Short,
}

/// An id that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// The client's own id, else a fresh one.
    pub(crate) fn of(headers: &HeaderMap, clock: &Clock, ids: &Ids, form: Form) -> Self {
        if let Some(own) = headers.get(X_REQUEST_ID).and_then(|v| v.to_str().ok()).filter(|t| is_harmless(t)) {
            return Self(own.to_owned());
        }
        // Without randomness the request still gets an answer; only its id says nothing.
        let fresh = ids.uuid_v7(clock.now()).unwrap_or_default();
        Self(match form {
            Form::Uuid => dashed(&fresh),
            Form::Short => short(&fresh),
        })
    }
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
    /// The id in the form of a UUID: itself if it has that form, else one made of its digest (RFC 9562, version 8).
    pub(crate) fn as_uuid(&self) -> String {
        if let Some(id) = from_dashed(&self.0) {
            return dashed(&id);
        }
        let mut id = digest(&self.0);
        id[6] = 0x80 | (id[6] & 0x0f);
        id[8] = 0x80 | (id[8] & 0x3f);
        dashed(&id)
    }
    /// The id in Voucherify's form: itself if it has that form, else one made of its digest.
    pub(crate) fn short(&self) -> String {
        short_form(&self.0)
    }
}

/// An id that was stored, in Voucherify's form: itself if it has that form, else one made of its digest.
pub(crate) fn short_form(id: &str) -> String {
    let digits = id.strip_prefix("v-").filter(|d| d.len() == 18 && d.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
    digits.map_or_else(|| short(&digest(id)), |_| id.to_owned())
}

fn digest(id: &str) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&Sha256::digest(id.as_bytes())[..16]);
    digest
}

/// The last nine bytes: those of a UUIDv7 are the random ones.
fn short(id: &[u8; 16]) -> String {
    format!("v-{}", hex(&id[7..]))
}

fn is_harmless(text: &str) -> bool {
    (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests;
