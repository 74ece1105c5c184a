//! Signed tokens: our own, and those of OpenID providers.
//!
//! Promises: each issuer has its keys, its algorithms and its kind of token, and none can stand in for another (RFC 8725, 3.8 to 3.12); why a token was
//! refused is told to nobody outside.
//! Never: decides by a token alone: our own is the name of a row in the database, a provider's the name of a person.

mod jwk;
mod jwt;
mod keys;
mod oidc;
mod paced;

use indelible_model::{Error, ProjectId, Result, Timestamp, TokenId};
use serde_json::json;

use crate::credentials::refused;
use crate::{Config, Service};
use jwt::{Claims, Refusal, Unverified, sign};
pub(crate) use oidc::ForeignClaims;
pub use oidc::{OidcProvider, OidcStart};

/// The type of our own tokens (RFC 9068).
const ACCESS: &str = "at+jwt";
/// Their audience.
const AUDIENCE: &str = "indelible";

/// What one of our own tokens says.
#[derive(Clone, Debug)]
pub(crate) struct OwnClaims {
    /// The row that decides.
    pub(crate) id: TokenId,
    /// Whom it was made for.
    pub(crate) subject: String,
    /// The project.
    pub(crate) project: ProjectId,
    pub(crate) issued_at: Timestamp,
    /// Not more than a day later.
    pub(crate) expires_at: Timestamp,
}

/// Whom a token that proved good stands for.
#[derive(Debug)]
pub(crate) enum Bearer {
    /// One of ours: whatever its row says now.
    Own(TokenId),
    /// Somebody of an OpenID provider.
    Foreign(ForeignClaims),
}

/// What tokens are checked with.
pub(crate) struct Tokens {
    own: keys::Known,
    oidc: oidc::Providers,
}

impl Tokens {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        if config.oidc.iter().any(|p| p.issuer() == config.issuer) {
            return Err(Error::invalid_member("issuer", "must not be an OpenID provider's."));
        }
        Ok(Self { own: keys::known(), oidc: oidc::Providers::new(&config.oidc)? })
    }
}

impl Service {
    /// Signs a token. May store a new key, so no transaction may be open.
    pub(crate) async fn sign_jwt(&self, claims: &OwnClaims) -> Result<String> {
        let (from, to) = (claims.issued_at.micros().div_euclid(1_000_000), claims.expires_at.micros().div_euclid(1_000_000));
        if to - from > keys::MAX_LIFETIME.as_secs().cast_signed() {
            return Err(Error::internal("a token that would outlive its key"));
        }
        let claims = json!({
            "iss": self.inner.config.issuer, "aud": AUDIENCE, "sub": claims.subject, "jti": claims.id.to_string(), "iat": from, "nbf": from, "exp": to,
            "project": claims.project.to_string(),
        });
        let key = self.signing_key().await?;
        Ok(sign(&key.pair, &key.id, ACCESS, &claims))
    }
    /// Checks a token, whoever signed it. All that are not good are refused alike.
    pub(crate) async fn read_jwt(&self, text: &str) -> Result<Bearer> {
        self.check_jwt(text).await?.map_err(|why| {
            tracing::debug!(%why, "a token was refused");
            refused()
        })
    }
    async fn check_jwt(&self, text: &str) -> Result<Result<Bearer, Refusal>> {
        let token = match Unverified::read(text) {
            Ok(token) => token,
            Err(why) => return Ok(Err(why)),
        };
        if token.issuer() != Ok(&self.inner.config.issuer) {
            return Ok(self.foreign(token).await?.map(Bearer::Foreign));
        }
        let id = |claims: &Claims| TokenId::parse(claims.text("jti")?).ok_or(Refusal::Claim("jti"));
        Ok(self.own_claims(token, ACCESS, AUDIENCE).await?.and_then(|claims| id(&claims)).map(Bearer::Own))
    }
    /// What a token that we signed for a purpose claims.
    async fn own_claims(&self, token: Unverified<'_>, kind: &str, audience: &str) -> Result<Result<Claims, Refusal>> {
        if token.kind() != Some(kind) {
            return Ok(Err(Refusal::Type));
        }
        let Some(id) = token.key() else { return Ok(Err(Refusal::Key)) };
        let Some(key) = self.own_key(id).await? else { return Ok(Err(Refusal::Key)) };
        let now = self.inner.clock.now();
        Ok(token.verify(&key.public).and_then(|claims| claims.check(&self.inner.config.issuer, audience, now).map(|()| claims)))
    }
}

#[cfg(test)]
mod tests;
