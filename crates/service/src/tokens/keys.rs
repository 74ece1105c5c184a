//! The keys that our own tokens are signed with: made, changed every week, shared by all nodes through the database.
//!
//! Promises: a key verifies for as long as a token that it signed may live; a token of another node is known here at once; of two nodes that make a new
//! key at the same time, one does.
//! Never: a look into the database for each token, or for each token of a key that is not known.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indelible_model::{Error, Result, Timestamp};
use indelible_store::SigningKeyRow;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::jwk::{Algorithm, PublicKey};
use super::paced::Paced;
use crate::{Service, die_on_failed_sync, in_time, patience};

/// The longest that a token may live.
pub(super) const MAX_LIFETIME: Duration = Duration::from_secs(86_400);
/// How long a key signs.
const SIGNS: Duration = Duration::from_secs(7 * 86_400);
/// How long its tokens may outlive it; more than clocks may differ.
const SPARE: Duration = Duration::from_secs(600);
const PACE: Duration = Duration::from_millis(200);
const FRESH: Duration = Duration::from_secs(60);

/// A key of ours.
pub(super) struct OwnKey {
    /// Its name: the thumbprint of RFC 7638.
    pub(super) id: String,
    pub(super) pair: Ed25519KeyPair,
    pub(super) public: PublicKey,
    number: u64,
    created_at: Timestamp,
    retires_at: Timestamp,
}

/// The keys as they were in the database lately, the newest first.
pub(super) type Known = Paced<Vec<Arc<OwnKey>>>;

pub(super) fn known() -> Known {
    Paced::new(PACE, FRESH, Duration::ZERO)
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    Timestamp::clamped(at.micros().saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}

fn pair(private: &[u8; 32]) -> Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(private).map_err(|_| Error::corrupt("a signing key"))
}

fn coordinate(public: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(public)
}

fn thumbprint(public: &[u8]) -> String {
    let required = json!({ "crv": "Ed25519", "kty": "OKP", "x": coordinate(public) });
    URL_SAFE_NO_PAD.encode(Sha256::digest(required.to_string().as_bytes()))
}

impl OwnKey {
    fn new(row: &SigningKeyRow) -> Result<Arc<Self>> {
        let pair = pair(&row.private)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| Error::corrupt("a signing key"))?;
        Ok(Arc::new(Self { id: row.id.clone(), pair, public: PublicKey::Ed25519(public), number: row.number, created_at: row.created_at, retires_at: row.retires_at }))
    }
    fn signs(&self, now: Timestamp) -> bool {
        now < later(self.created_at, SIGNS)
    }
    fn lives(&self, now: Timestamp) -> bool {
        now < self.retires_at
    }
    /// The public half, as others read it.
    fn jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": coordinate(self.pair.public_key().as_ref()), "kid": self.id, "use": "sig", "alg": Algorithm::EdDsa.name() })
    }
}

impl Service {
    /// The key of a name, if a token of it may still live.
    pub(super) async fn own_key(&self, id: &str) -> Result<Option<Arc<OwnKey>>> {
        let now = self.inner.clock.now();
        let of = |keys: &[Arc<OwnKey>]| keys.iter().find(|k| k.id == id && k.lives(now)).cloned();
        match of(&self.own_keys(now).await?) {
            Some(key) => Ok(Some(key)),
            // Another node may have made it just now.
            None => Ok(of(&self.own_keys_anew(now).await?)),
        }
    }
    /// The key that signs now.
    pub(super) async fn signing_key(&self) -> Result<Arc<OwnKey>> {
        let now = self.inner.clock.now();
        let newest = |keys: &[Arc<OwnKey>]| keys.first().filter(|k| k.signs(now)).cloned();
        if let Some(key) = newest(&self.own_keys(now).await?) {
            return Ok(key);
        }
        self.rotate(now).await?;
        newest(&self.own_keys_anew(now).await?).ok_or_else(|| Error::internal("no key to sign with"))
    }
    /// The public keys, as a JSON Web Key Set (RFC 7517).
    pub async fn jwks(&self) -> Result<String> {
        let now = self.inner.clock.now();
        let keys: Vec<_> = self.own_keys(now).await?.iter().filter(|k| k.lives(now)).map(|k| k.jwk()).collect();
        Ok(json!({ "keys": keys }).to_string())
    }
    async fn own_keys(&self, now: Timestamp) -> Result<Arc<Vec<Arc<OwnKey>>>> {
        self.inner.tokens.own.get(now, || self.read_keys()).await
    }
    async fn own_keys_anew(&self, now: Timestamp) -> Result<Arc<Vec<Arc<OwnKey>>>> {
        self.inner.tokens.own.newer(now, || self.read_keys()).await
    }
    async fn read_keys(&self) -> Result<Vec<Arc<OwnKey>>> {
        let read = async { self.inner.store.glance().await?.signing_key_list().await };
        in_time(patience(&self.inner.store), read).await?.iter().map(OwnKey::new).collect()
    }
    /// Makes a new key, unless another node did, and forgets those whose tokens are over.
    async fn rotate(&self, now: Timestamp) -> Result<()> {
        let mut private = [0; 32];
        self.inner.ids.fill(&mut private)?;
        let mut tx = self.inner.store.write().await?;
        let newest = tx.signing_key_list().await?.first().map(OwnKey::new).transpose()?;
        if newest.as_ref().is_some_and(|k| k.signs(now)) {
            return Ok(());
        }
        let id = thumbprint(pair(&private)?.public_key().as_ref());
        let number = newest.map_or(1, |k| k.number + 1);
        let retires_at = later(now, SIGNS + MAX_LIFETIME + SPARE);
        if tx.signing_key_create(&SigningKeyRow { number, id: id.clone(), private, created_at: now, retires_at }).await? {
            tx.signing_key_retire(now).await?;
            tx.commit().await.inspect_err(die_on_failed_sync)?;
            tracing::info!(key = id, "a new key signs tokens");
        }
        Ok(())
    }
}
