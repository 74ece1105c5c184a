//! Credentials: who calls, and what the key allows.
//!
//! Promises: a `Caller<P>` reaches a handler only through this extractor, and its project comes from the credential alone.
//! Never: keeps or logs a secret.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use indelible_model::{Error, Kind};
use indelible_service::{Caller, Permission};

use crate::app::Shared;
use crate::failed::{Failed, Note};
use crate::seen::Seen;

const API_KEY: &str = "x-api-key";
const MAX_SECRET: usize = 512;

/// A caller with permission `P`.
pub(crate) struct Authorized<P> {
    pub(crate) caller: Caller<P>,
}

impl<P: Permission> FromRequestParts<Shared> for Authorized<P> {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Failed> {
        let grant = app.service.authenticate(secret(&parts.headers)?).await?;
        if let Some(seen) = parts.extensions.get::<Seen>() {
            let grant = Arc::new(grant.clone());
            seen.learn(|learnt| learnt.grant = Some(grant));
        }
        Ok(Self { caller: grant.permit::<P>()? })
    }
}

/// The secret of `Authorization: Bearer`, else of `X-API-Key`.
fn secret(headers: &HeaderMap) -> Result<&str, Failed> {
    let refuse = |message: &str, note| Failed::new(Error::new(Kind::Unauthenticated, message), note);
    let (value, scheme) = match (headers.get(header::AUTHORIZATION), headers.get(API_KEY)) {
        (Some(value), _) => (value, true),
        (None, Some(value)) => (value, false),
        (None, None) => return Err(refuse("No API key provided. Send it as `Authorization: Bearer <key>`.", Note::NoCredential)),
    };
    let invalid = || refuse("Invalid API key provided.", Note::None);
    let text = value.to_str().map_err(|_| invalid())?;
    let secret = match text.split_once(' ') {
        Some((word, rest)) if scheme && word.eq_ignore_ascii_case("bearer") => rest.trim(),
        _ if scheme => return Err(invalid()),
        _ => text.trim(),
    };
    if secret.is_empty() || secret.len() > MAX_SECRET { Err(invalid()) } else { Ok(secret) }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(pairs: &[(&'static str, &'static str)]) -> Result<String, Note> {
        let headers: HeaderMap = pairs.iter().map(|(n, v)| (n.parse().expect("a name"), HeaderValue::from_static(v))).collect();
        secret(&headers).map(str::to_owned).map_err(|f| f.note)
    }

    #[test]
    fn secrets() {
        assert_eq!(of(&[("authorization", "Bearer lp_sk_1")]), Ok("lp_sk_1".into()));
        assert_eq!(of(&[("authorization", "bearer  lp_sk_1 ")]), Ok("lp_sk_1".into()));
        assert_eq!(of(&[("x-api-key", "lp_sk_2")]), Ok("lp_sk_2".into()));
        assert_eq!(of(&[("authorization", "Bearer lp_sk_1"), ("x-api-key", "lp_sk_2")]), Ok("lp_sk_1".into()));
        assert_eq!(of(&[]), Err(Note::NoCredential));
        for wrong in ["Basic abc", "Bearer", "Bearer ", "lp_sk_1"] {
            assert_eq!(of(&[("authorization", wrong)]), Err(Note::None), "{wrong}");
        }
    }
}
