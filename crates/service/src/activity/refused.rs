//! Credentials that were good once: whoever tries one is told nothing, but the project that they belonged to is.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use indelible_model::{KeyId, Timestamp};
use indelible_store::KeyRow;

use crate::caller::{Grant, Scopes};
use crate::credentials::{Credential, digest};
use crate::{Service, in_time, patience};

/// How often a project is told of one dead key: whoever has it must not fill the log.
const TOLD_MICROS: i64 = 60_000_000;
/// Keys that are remembered.
const TOLD_MOST: usize = 10_000;

/// When projects were last told of their dead keys.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<BTreeMap<KeyId, Timestamp>>);

impl Told {
    /// True if it is time to tell of a key, which then counts as told.
    fn is_due(&self, key: KeyId, now: Timestamp) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MOST {
            told.retain(|_, at| now.micros().abs_diff(at.micros()) < TOLD_MICROS.unsigned_abs());
        }
        if told.len() >= TOLD_MOST || told.get(&key).is_some_and(|at| now.micros().abs_diff(at.micros()) < TOLD_MICROS.unsigned_abs()) {
            return false;
        }
        told.insert(key, now);
        true
    }
}

impl Service {
    /// The key behind a credential that was revoked or has ended, as a grant that allows nothing; `None` for all others, and for one of which the project
    /// was told within the last minute.
    pub async fn withdrawn(&self, credential: Credential<'_>) -> Option<Grant> {
        let (Credential::Secret(secret) | Credential::Pair { token: secret, .. }) = credential;
        let find = async { self.inner.store.glance().await?.key_find(&digest(secret)).await };
        let row = in_time(patience(&self.inner.store), find).await.ok()??;
        let now = self.inner.clock.now();
        if self.grant_of_key(&row, now).ok()?.is_some() || !self.inner.told.is_due(row.id, now) {
            return None;
        }
        let grant = self.grant_of_key(&KeyRow { revoked_at: None, expires_at: None, ..row }, now).ok()??;
        Some(Grant { scopes: Scopes::of(&[]), ..grant })
    }
}
