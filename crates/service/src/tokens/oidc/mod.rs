//! OpenID Connect: people whom another server vouches for, by a login (authorization code flow) or by a token that they bring along.
//!
//! Promises: a login ends in the browser that began it, at the address that it was begun for, on any node; state, nonce and PKCE each bind its parts together.
//! Never: takes an e-mail address for a person, keeps a provider's token, or an unfinished login.

mod claims;
mod config;
mod people;
mod provider;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indelible_model::{Error, Kind, Result, Timestamp};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::jwt::{Claims, Refusal, Unverified, sign};
use crate::Service;
pub(crate) use claims::ForeignClaims;
pub use config::OidcProvider;
use provider::Provider;

/// How long a login may take.
const LOGIN_SECS: i64 = 600;
/// Type and audience of what is kept of a login: it is no access token, and no access token is it.
const STATE: &str = "oidc-state+jwt";
const STATE_AUDIENCE: &str = "indelible-oidc";
/// Types of tokens that a provider's people may bring along.
const BEARER_TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];
const MAX_QUERY: usize = 8 << 10;

/// The providers in use.
pub(super) struct Providers(Vec<Provider>);

impl Providers {
    pub(super) fn new(configured: &[OidcProvider]) -> Result<Self> {
        if configured.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let client = provider::client()?;
        Ok(Self(configured.iter().map(|p| Provider::new(p.clone(), client.clone())).collect()))
    }
    /// The provider of an issuer's token, and the audience that the token is for.
    fn for_token(&self, issuer: &str, token: &Unverified<'_>) -> Result<(&Provider, &String), Refusal> {
        let mut of_issuer = self.0.iter().filter(|p| p.settings.issuer == issuer).peekable();
        if of_issuer.peek().is_none() {
            return Err(Refusal::Issuer);
        }
        of_issuer.flat_map(|p| p.settings.audiences.iter().map(move |a| (p, a))).find(|(_, a)| token.is_for(a)).ok_or(Refusal::Audience)
    }
    fn of(&self, name: &str) -> Result<&Provider> {
        self.0.iter().find(|p| p.settings.name == name).ok_or_else(|| Error::not_found("Login provider"))
    }
}

/// A login that begins.
#[derive(Debug)]
pub struct OidcStart {
    /// Where the browser goes now.
    pub location: String,
    /// What it must bring back: signed, and not to be read by scripts.
    pub state: String,
    /// Seconds for which that is good.
    pub seconds: i64,
}

/// Every login that fails is answered so; `why` is for the operator.
fn failed(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Unauthenticated, "The login failed. Begin it again.").with_internal(why)
}

impl Service {
    /// The names of the providers that people may log in with.
    pub fn oidc_names(&self) -> Vec<&str> {
        self.inner.tokens.oidc.0.iter().map(|p| p.settings.name()).collect()
    }
    /// Begins a login. `base` is the URL that this server has for browsers.
    pub async fn oidc_begin(&self, name: &str, base: &str) -> Result<OidcStart> {
        let provider = self.inner.tokens.oidc.of(name)?;
        if !config::is_safe(base) {
            return Err(Error::new(Kind::Unavailable(60), "Logins by a provider need the setting public_url, with https://."));
        }
        let now = self.inner.clock.now();
        let published = provider.published(now).await?;
        let mut random = [0; 80];
        self.inner.ids.fill(&mut random)?;
        let [state, nonce, verifier] = [&random[..16], &random[16..32], &random[32..]].map(|r| URL_SAFE_NO_PAD.encode(r));
        let redirect = format!("{}/v1/auth/oidc/{name}/callback", base.trim_end_matches('/'));
        let mut location = published.authorization.clone();
        location.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &provider.settings.client_id),
            ("redirect_uri", &redirect),
            ("scope", &provider.settings.scopes.join(" ")),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))),
            ("code_challenge_method", "S256"),
        ]);
        let seconds = now.micros().div_euclid(1_000_000);
        let kept = json!({
            "iss": self.inner.config.issuer, "aud": STATE_AUDIENCE, "iat": seconds, "exp": seconds + LOGIN_SECS,
            "provider": name, "state": state, "nonce": nonce, "verifier": verifier, "redirect": redirect,
        });
        let key = self.signing_key().await?;
        Ok(OidcStart { location: location.into(), state: sign(&key.pair, &key.id, STATE, &kept), seconds: LOGIN_SECS })
    }
    /// What the provider says of the person who comes back with `query`, in the browser that kept `state`.
    async fn oidc_claims(&self, name: &str, state: &str, query: &str) -> Result<ForeignClaims> {
        let provider = self.inner.tokens.oidc.of(name)?;
        let now = self.inner.clock.now();
        let answer = Answer::read(query).ok_or_else(|| failed("the answer has a parameter twice, or is too long"))?;
        let kept = Unverified::read(state).map_err(|_| failed("no login was begun in this browser"))?;
        let kept = self.own_claims(kept, STATE, STATE_AUDIENCE).await?.map_err(|why| failed(format!("what the browser kept of the login: {why}")))?;
        let of = |name| kept.text(name).map_err(failed);
        if of("provider")? != name || !same(of("state")?, answer.state.as_deref().unwrap_or_default()) {
            return Err(failed("the answer is another login's"));
        }
        let published = provider.published(now).await?;
        let issuer = &provider.settings.issuer;
        if answer.issuer.as_ref().map_or(published.names_itself, |i| i != issuer) {
            return Err(failed("the answer is another issuer's"));
        }
        let code = match (answer.error, answer.code) {
            (None, Some(code)) => code,
            (error, _) => return Err(failed(format!("the provider {name} answered without a code: {:?}", error.unwrap_or_default().chars().take(60).collect::<String>()))),
        };
        let form = [("grant_type", "authorization_code"), ("code", &*code), ("redirect_uri", of("redirect")?), ("code_verifier", of("verifier")?)];
        let tokens = provider.exchange(&published, &form).await?;
        let token = tokens.get("id_token").and_then(|t| t.as_str()).ok_or_else(|| failed(format!("the provider {name} gave no ID token")))?;
        let claims = self.id_token(provider, token, of("nonce")?, now).await?.map_err(|why| failed(format!("the ID token of {name}: {why}")))?;
        ForeignClaims::read(&provider.settings, &claims).map_err(|why| failed(format!("the ID token of {name}: {why}")))
    }
    async fn id_token(&self, provider: &Provider, text: &str, nonce: &str, now: Timestamp) -> Result<Result<Claims, Refusal>> {
        let token = match Unverified::read(text) {
            Ok(token) if token.kind().is_none_or(|kind| kind.eq_ignore_ascii_case("jwt")) => token,
            Ok(_) => return Ok(Err(Refusal::Type)),
            Err(why) => return Ok(Err(why)),
        };
        let client = &*provider.settings.client_id;
        Ok(provider.verify(token, now).await?.and_then(|claims| {
            claims.check(&provider.settings.issuer, client, now)?;
            // A token for several is for the one who asked for it.
            let asked = claims.find("azp").map(|azp| azp == client);
            if asked == Some(false) || (asked.is_none() && claims.audiences().len() > 1) {
                return Err(Refusal::Claim("azp"));
            }
            if same(claims.text("nonce")?, nonce) { Ok(claims) } else { Err(Refusal::Claim("nonce")) }
        }))
    }
    /// Checks a token that says to be of somebody else than this server.
    pub(super) async fn foreign(&self, token: Unverified<'_>) -> Result<Result<ForeignClaims, Refusal>> {
        let found = token.issuer().and_then(|issuer| self.inner.tokens.oidc.for_token(issuer, &token));
        let (provider, audience) = match found {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        if !token.kind().is_none_or(|kind| BEARER_TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind))) {
            return Ok(Err(Refusal::Type));
        }
        let now = self.inner.clock.now();
        Ok(provider.verify(token, now).await?.and_then(|claims| {
            claims.check(&provider.settings.issuer, audience, now)?;
            ForeignClaims::read(&provider.settings, &claims)
        }))
    }
}

/// The parameters of a provider's answer.
#[derive(Default)]
struct Answer {
    code: Option<String>,
    state: Option<String>,
    issuer: Option<String>,
    error: Option<String>,
}

impl Answer {
    fn read(query: &str) -> Option<Self> {
        let mut answer = Self::default();
        if query.len() > MAX_QUERY {
            return None;
        }
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let known = match &*name {
                "code" => &mut answer.code,
                "state" => &mut answer.state,
                "iss" => &mut answer.issuer,
                "error" => &mut answer.error,
                _ => continue,
            };
            if known.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(answer)
    }
}

fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests;
