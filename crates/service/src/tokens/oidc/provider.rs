//! What a provider publishes about itself (OpenID Connect Discovery 1.0), and the one way to ask it.
//!
//! Promises: the document is of the issuer that was configured; bounded time and size; no redirect followed; after a key that is not known, one look for
//! new ones at a time, and not often. A provider that is away goes on with what was known for a day.
//! Never: an address that others could read or change on the way.

use std::sync::Arc;
use std::time::Duration;

use indelible_model::{Error, Kind, Result, Timestamp};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Url};
use serde_json::{Map, Value};

use super::config::{OidcProvider, is_safe};
use crate::tokens::jwk::{Algorithm, PublicKey};
use crate::tokens::jwt::{Claims, Refusal, Unverified, object};
use crate::tokens::paced::Paced;

const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 256 << 10;
const MAX_DEPTH: usize = 32;
const MAX_KEYS: usize = 100;
const PACE: Duration = Duration::from_secs(2);
const FRESH: Duration = Duration::from_secs(15 * 60);
const KEEP: Duration = Duration::from_secs(86_400);

/// A provider in use.
pub(super) struct Provider {
    pub(super) settings: Arc<OidcProvider>,
    client: Client,
    published: Paced<Published>,
}

/// What a provider says about itself.
pub(super) struct Published {
    pub(super) authorization: Url,
    pub(super) token: String,
    /// The client's secret goes into the body, because nothing else is supported.
    pub(super) secret_in_body: bool,
    /// Answers to a login name their issuer (RFC 9207).
    pub(super) names_itself: bool,
    algorithms: Vec<Algorithm>,
    keys: Vec<(Option<String>, PublicKey)>,
}

/// The client that all providers are asked with.
pub(super) fn client() -> Result<Client> {
    // Another one may be there already: any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(TIMEOUT).redirect(Policy::none()).user_agent("indelible").build().map_err(Error::internal)
}

impl Provider {
    pub(super) fn new(settings: OidcProvider, client: Client) -> Self {
        Self { settings: Arc::new(settings), client, published: Paced::new(PACE, FRESH, KEEP) }
    }
    /// What it published lately.
    pub(super) async fn published(&self, now: Timestamp) -> Result<Arc<Published>> {
        self.published.get(now, || self.discover()).await
    }
    /// What a token of it claims, if one of its keys signed it.
    pub(super) async fn verify(&self, token: Unverified<'_>, now: Timestamp) -> Result<Result<Claims, Refusal>> {
        let mut published = self.published(now).await?;
        if published.algorithms.contains(&token.algorithm()) && published.key(&token).is_none() {
            published = self.published.newer(now, || self.discover()).await?;
        }
        if !published.algorithms.contains(&token.algorithm()) {
            return Ok(Err(Refusal::Algorithm));
        }
        Ok(published.key(&token).ok_or(Refusal::Key).and_then(|key| token.verify(key)))
    }
    async fn discover(&self) -> Result<Published> {
        let issuer = &self.settings.issuer;
        let document = self.ask(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))).await?;
        let text = |name: &str| document.get(name).and_then(Value::as_str).ok_or_else(|| self.unusable(&format!("its discovery document lacks {name}")));
        let address = |name: &str| text(name).and_then(|url| if is_safe(url) { Ok(url) } else { Err(self.unusable(&format!("its {name} is not a safe URL"))) });
        let list = |name: &str| document.get(name).and_then(Value::as_array).map(|all| all.iter().filter_map(Value::as_str).collect::<Vec<_>>());
        if text("issuer")? != issuer {
            return Err(self.unusable("its discovery document is another issuer's"));
        }
        let methods = list("token_endpoint_auth_methods_supported").unwrap_or_default();
        let algorithms = list("id_token_signing_alg_values_supported").unwrap_or_default();
        let authorization = Url::parse(address("authorization_endpoint")?).map_err(Error::internal)?;
        let set = self.ask(address("jwks_uri")?).await?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or_else(|| self.unusable("its key set has no keys"))?;
        let named = |key: &Map<String, Value>| Some((key.get("kid").and_then(Value::as_str).map(str::to_owned), PublicKey::from_jwk(key)?));
        Ok(Published {
            authorization,
            token: address("token_endpoint")?.to_owned(),
            secret_in_body: methods.contains(&"client_secret_post") && !methods.contains(&"client_secret_basic"),
            names_itself: document.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
            algorithms: algorithms.into_iter().filter_map(Algorithm::parse).collect(),
            keys: keys.iter().take(MAX_KEYS).filter_map(Value::as_object).filter_map(named).collect(),
        })
    }
    /// Exchanges a login's code; the members of the answer.
    pub(super) async fn exchange(&self, published: &Published, form: &[(&str, &str)]) -> Result<Map<String, Value>> {
        // A serializer cannot wait on another thread, so it ends before the call.
        let request = {
            let mut body = form_urlencoded::Serializer::new(String::new());
            body.extend_pairs(form);
            let mut request = self.client.post(&published.token).header("content-type", "application/x-www-form-urlencoded").header("accept", "application/json");
            let id = &self.settings.client_id;
            match &self.settings.client_secret {
                Some(secret) if !published.secret_in_body => {
                    // RFC 6749, section 2.3.1: both are form-encoded first.
                    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                    request = request.basic_auth(encoded(id), Some(encoded(secret)));
                }
                Some(secret) => drop(body.append_pair("client_id", id).append_pair("client_secret", secret)),
                None => drop(body.append_pair("client_id", id)),
            }
            request.body(body.finish())
        };
        let (status, answer) = self.send(request).await?;
        if (400..500).contains(&status) {
            let why = answer.as_ref().and_then(|a| a.get("error")).and_then(Value::as_str).unwrap_or_default();
            let short: String = why.chars().filter(char::is_ascii_graphic).take(60).collect();
            return Err(super::failed(format!("the provider {} refused the code: {status} {short}", self.settings.name)));
        }
        self.good(status, answer)
    }
    /// The object that is at an address.
    async fn ask(&self, url: &str) -> Result<Map<String, Value>> {
        let (status, answer) = self.send(self.client.get(url)).await?;
        self.good(status, answer)
    }
    fn good(&self, status: u16, answer: Option<Map<String, Value>>) -> Result<Map<String, Value>> {
        answer.filter(|_| status == 200).ok_or_else(|| self.unusable(&format!("it answered {status}, or no JSON object")))
    }
    /// The status, and the object that is answered.
    async fn send(&self, request: RequestBuilder) -> Result<(u16, Option<Map<String, Value>>)> {
        let away = |e: reqwest::Error| self.unusable(&format!("it does not answer: {}", e.without_url()));
        let mut response = request.send().await.map_err(away)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(away)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(self.unusable("its answer is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((response.status().as_u16(), object(&body, MAX_DEPTH)))
    }
    fn unusable(&self, why: &str) -> Error {
        Error::new(Kind::Unavailable(5), "The login's provider cannot be used now. Try again shortly.").with_internal(format!("provider {}: {why}", self.settings.name))
    }
}

impl Published {
    /// The one key that a token can be meant to be checked with.
    fn key(&self, token: &Unverified<'_>) -> Option<&PublicKey> {
        let fits = |(name, key): &&(Option<String>, PublicKey)| key.algorithm() == token.algorithm() && token.key().is_none_or(|wanted| name.as_deref() == Some(wanted));
        let mut found = self.keys.iter().filter(fits).map(|(_, key)| key);
        found.next().filter(|_| found.next().is_none())
    }
}
