//! Signed tokens (RFC 7515 and 7519, compact form), read as strictly as RFC 8725 advises.
//!
//! Promises: what a token claims is reached only with a key that its signature fits; the key says which algorithm that is; a token is of bounded size,
//! has one spelling, and no member twice.
//! Never: takes a key from a token or from where a token points to; understands an extension.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indelible_model::Timestamp;
use indelible_model::json::Scanner;
use ring::signature::Ed25519KeyPair;
use serde_json::{Map, Value, json};

use super::jwk::{Algorithm, PublicKey};

/// Bytes of a token.
pub(super) const MAX_BYTES: usize = 8 << 10;
/// How far clocks may differ.
pub(super) const LEEWAY_SECS: f64 = 60.0;
const MAX_DEPTH: usize = 16;
const MAX_NAME: usize = 200;

/// Header members that make a token mean something else, or bring a key along. All are refused, whatever they say.
const REFUSED: [&str; 8] = ["crit", "b64", "zip", "enc", "jku", "jwk", "x5u", "x5c"];

/// Why a token was refused: for tests and the operator. Callers are all told the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it is not a signed token")]
    Malformed,
    #[error("its algorithm is not allowed")]
    Algorithm,
    #[error("its header has a member that is not allowed")]
    Header,
    #[error("it is a token for something else")]
    Type,
    #[error("its issuer is not known")]
    Issuer,
    #[error("its key is not known")]
    Key,
    #[error("its signature is not its key's")]
    Signature,
    #[error("it is for somebody else")]
    Audience,
    #[error("it is over")]
    Expired,
    #[error("it is not valid yet")]
    NotYet,
    #[error("its member {0} is missing or wrong")]
    Claim(&'static str),
}

type Result<T, E = Refusal> = std::result::Result<T, E>;

/// Reads a JSON object without duplicate members, at any depth.
pub(super) fn object(text: &[u8], max_depth: usize) -> Option<Map<String, Value>> {
    let mut canonical = Vec::with_capacity(text.len());
    let mut scanner = Scanner::new(text, max_depth, MAX_NAME).ok()?;
    scanner.value(&mut canonical).ok()?;
    scanner.finish().ok()?;
    serde_json::from_slice(&canonical).ok()
}

/// A token whose signature was not looked at. It tells which key to try, and nothing that may be relied on.
pub(super) struct Unverified<'a> {
    signed: &'a str,
    algorithm: Algorithm,
    key: Option<String>,
    kind: Option<String>,
    claims: Claims,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    pub(super) fn read(text: &'a str) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(Refusal::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        // Strict: no padding, no white space, no bits left over, and no dot, so that a token has one spelling.
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed);
        let json = |part: &str| object(&bytes(part)?, MAX_DEPTH).ok_or(Refusal::Malformed);
        let header = json(header)?;
        if REFUSED.iter().any(|name| header.contains_key(*name)) {
            return Err(Refusal::Header);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::parse).ok_or(Refusal::Algorithm)?;
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Refusal::Header),
        };
        Ok(Self { signed, algorithm, key: text("kid")?, kind: text("typ")?, claims: Claims(json(claims)?), signature: bytes(signature)? })
    }
    /// Who says to have signed it.
    pub(super) fn issuer(&self) -> Result<&str> {
        self.claims.text("iss")
    }
    /// True if it says to be for this audience.
    pub(super) fn is_for(&self, audience: &str) -> bool {
        self.claims.is_for(audience)
    }
    /// The name of its key.
    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
    /// The algorithm that it names.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
    /// Its type, as its header names it.
    pub(super) fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }
    /// What it claims, if the signature is the key's.
    pub(super) fn verify(self, key: &PublicKey) -> Result<Claims> {
        if self.algorithm != key.algorithm() {
            return Err(Refusal::Algorithm);
        }
        if key.verifies(self.signed.as_bytes(), &self.signature) { Ok(self.claims) } else { Err(Refusal::Signature) }
    }
}

/// What a token claims.
#[derive(Debug)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// Checks issuer, audience and times.
    pub(super) fn check(&self, issuer: &str, audience: &str, now: Timestamp) -> Result<()> {
        if self.text("iss")? != issuer {
            return Err(Refusal::Issuer);
        }
        if !self.is_for(audience) {
            return Err(Refusal::Audience);
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds are compared, with a minute's leeway")]
        let now = now.micros() as f64 / 1e6;
        if self.seconds("exp")?.ok_or(Refusal::Claim("exp"))? + LEEWAY_SECS <= now {
            return Err(Refusal::Expired);
        }
        for name in ["nbf", "iat"] {
            if self.seconds(name)?.is_some_and(|from| from - LEEWAY_SECS > now) {
                return Err(Refusal::NotYet);
            }
        }
        Ok(())
    }
    /// A member that must be a text with something in it.
    pub(super) fn text(&self, name: &'static str) -> Result<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|t| !t.is_empty()).ok_or(Refusal::Claim(name))
    }
    /// A member by its name, or by a path with dots to a member of a member.
    pub(super) fn find(&self, path: &str) -> Option<&Value> {
        self.0.get(path).or_else(|| {
            let (first, rest) = path.split_once('.')?;
            rest.split('.').try_fold(self.0.get(first)?, |value, name| value.get(name))
        })
    }
    /// All audiences.
    pub(super) fn audiences(&self) -> Vec<&str> {
        match self.0.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
    fn is_for(&self, audience: &str) -> bool {
        self.audiences().contains(&audience)
    }
    fn seconds(&self, name: &'static str) -> Result<Option<f64>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().filter(|s| s.is_finite()).map(Some).ok_or(Refusal::Claim(name)),
        }
    }
}

/// Signs claims.
pub(super) fn sign(pair: &Ed25519KeyPair, key: &str, kind: &str, claims: &Value) -> String {
    let header = json!({ "alg": Algorithm::EdDsa.name(), "kid": key, "typ": kind });
    let signed = [header, claims.clone()].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// Claims as if a token had brought them.
#[cfg(test)]
pub(super) fn claims_of(claims: &Value) -> Claims {
    Claims(claims.as_object().cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests;
