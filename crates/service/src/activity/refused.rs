//! Requests that are refused again and again: the project is told of the first in a while, so that nobody fills its log with them.
//!
//! Promises: whoever tries a credential that was good once is told nothing, but the project that it belonged to is.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use indelible_model::{KeyId, MemberId, ProjectId, Timestamp};
use indelible_store::KeyRow;

use crate::caller::{Grant, Scopes, Who};
use crate::credentials::{Credential, digest};
use crate::{Service, in_time, patience};

/// How often a project is told of one dead key, or of one caller above its rate limit.
const TOLD_MICROS: i64 = 60_000_000;
/// Keys and members that are remembered.
const TOLD_MOST: usize = 10_000;

/// What a project is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    DeadKey(KeyId),
    LimitedKey(KeyId),
    LimitedMember(ProjectId, MemberId),
}

/// When projects were last told.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<BTreeMap<About, Timestamp>>);

impl Told {
    /// True if it is time to tell, which then counts as told.
    fn is_due(&self, about: About, now: Timestamp) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MOST {
            told.retain(|_, at| now.micros().abs_diff(at.micros()) < TOLD_MICROS.unsigned_abs());
        }
        if told.len() >= TOLD_MOST || told.get(&about).is_some_and(|at| now.micros().abs_diff(at.micros()) < TOLD_MICROS.unsigned_abs()) {
            return false;
        }
        told.insert(about, now);
        true
    }
}

impl Service {
    /// True if the project is to be told that this caller is above its rate limit: the first time in a minute.
    pub fn tells_of_limit(&self, grant: &Grant) -> bool {
        let about = match &grant.who {
            Who::Key { id, .. } => About::LimitedKey(*id),
            Who::Member { id, .. } => About::LimitedMember(grant.project, *id),
            Who::Operator | Who::Server => return true,
        };
        self.inner.told.is_due(about, self.inner.clock.now())
    }
    /// The key behind a credential that was revoked or has ended, as a grant that allows nothing; `None` for all others, and for one of which the project
    /// was told within the last minute.
    pub async fn withdrawn(&self, credential: Credential<'_>) -> Option<Grant> {
        let (Credential::Secret(secret) | Credential::Pair { token: secret, .. }) = credential;
        let find = async { self.inner.store.glance().await?.key_find(&digest(secret)).await };
        let row = in_time(patience(&self.inner.store), find).await.ok()??;
        let now = self.inner.clock.now();
        if self.grant_of_key(&row, now).ok()?.is_some() || !self.inner.told.is_due(About::DeadKey(row.id), now) {
            return None;
        }
        let grant = self.grant_of_key(&KeyRow { revoked_at: None, expires_at: None, ..row }, now).ok()??;
        Some(Grant { scopes: Scopes::of(&[]), ..grant })
    }
}
