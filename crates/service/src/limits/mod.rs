//! How often a key, a member or a source of logins may ask.
//!
//! Promises: a bucket of so many requests that fills again evenly (GCRA), for each key, member, address and account. Where nodes share a database they
//! share the buckets: together they admit no more than one node would, but for what a node holds in its hand (a hundredth of a bucket, for less than a second).
//! Never: waits long for a database, or refuses because it does not answer: then each node decides by itself. Keeps or stores an address or an account's name.

mod bucket;
mod shared;

use std::net::IpAddr;

use indelible_model::{Clock, Error, Kind, Result, Timestamp};
use indelible_store::Store;
use sha2::{Digest, Sha256};

use crate::Service;
use crate::caller::{Face, Grant, Who};
use bucket::{Buckets, Pace, Rate, Verdict};
use shared::Shared;

const MINUTE: u64 = 60;
/// Failed logins are counted over this time.
const FAILURES_SECS: u64 = 15 * MINUTE;
/// How many times as often an account may fail from all addresses together: one stranger must not keep its owner out.
const FROM_ANYWHERE: u64 = 20;

/// How often somebody may try to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginLimits {
    /// Logins a minute from one address.
    pub per_minute: u64,
    /// Failed logins of one account from one address in 15 minutes; from all addresses together, 20 times as many.
    pub failures: u64,
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self { per_minute: 60, failures: 10 }
    }
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Requests a minute.
    pub limit: u64,
    /// Requests that would be admitted now.
    pub remaining: u64,
    /// When all of them are there again, if nobody asks until then.
    pub reset_at: Timestamp,
    /// Seconds until the next request is admitted, if this one was not.
    pub retry_after: Option<u32>,
}

/// Whether a request is admitted.
#[derive(Debug)]
pub struct Admission {
    /// What is left; `None` where there is no limit.
    pub allowance: Option<Allowance>,
    /// [`Kind::RateLimited`], if it is not.
    pub refused: Option<Error>,
}

/// What is limited: what it is, and a digest of who it is.
type Name = [u8; 33];

fn name(what: u8, parts: [&[u8]; 2]) -> Name {
    let mut name = [what; 33];
    name[1..].copy_from_slice(&Sha256::digest(parts.concat()));
    name
}

/// All limits of a process.
pub(crate) struct Limiter {
    clock: Clock,
    pace: Pace,
    requests: Buckets,
    sources: Buckets,
    accounts: Buckets,
    logins: LoginLimits,
    /// Where buckets are shared with other nodes.
    shared: Option<Shared>,
}

impl Limiter {
    pub(crate) fn new(clock: &Clock, store: &Store, logins: LoginLimits) -> Self {
        let pace = Pace::of(clock);
        let buckets = || Buckets::new(pace.clone());
        let shared = (store.writers() > 1).then(|| Shared::new(store.clone(), pace.clone()));
        Self { clock: clock.clone(), requests: buckets(), sources: buckets(), accounts: buckets(), logins, shared, pace }
    }
    async fn take(&self, buckets: &Buckets, name: Name, rate: Rate) -> Verdict {
        let bucket = buckets.get(name, rate);
        match &self.shared {
            None => bucket.out_of_hand(self.pace.nanos()).unwrap_or_else(|| bucket.take(&self.pace)),
            Some(shared) => shared.take(&bucket, &name).await,
        }
    }
    async fn forget(&self, buckets: &Buckets, name: Name) {
        buckets.forget(&name);
        if let Some(shared) = &self.shared {
            shared.forget(&name).await;
        }
    }
    fn give_back(&self, name: Name, rate: Rate) {
        self.accounts.get(name, rate).give_back(self.pace.nanos());
    }
    /// The buckets that a failed login is taken out of, the narrow one first: what that refuses must not use up the other.
    fn failures(&self, source: IpAddr, account: &str) -> [(Name, Rate); 2] {
        let account = account.trim().to_lowercase();
        let rate = |failures: u64| Rate::new(failures, FAILURES_SECS, failures);
        let most = self.logins.failures;
        [(name(b'f', [&subscriber(source), account.as_bytes()]), rate(most)), (name(b'a', [account.as_bytes(), b""]), rate(most.saturating_mul(FROM_ANYWHERE)))]
    }
    fn allowance(&self, limit: u64, verdict: Verdict) -> Allowance {
        let reset_at = Timestamp::clamped(self.clock.now().micros().saturating_add_unsigned(verdict.full_in.div_ceil(1000)));
        Allowance { limit, remaining: verdict.left, reset_at, retry_after: verdict.refused_for.map(seconds) }
    }
}

/// Whole seconds that are not less than so many nanoseconds.
fn seconds(nanos: u64) -> u32 {
    u32::try_from(nanos.div_ceil(1_000_000_000)).unwrap_or(u32::MAX).max(1)
}

fn refusal(seconds: u32) -> Error {
    Error::new(Kind::RateLimited(seconds), format!("Rate limit exceeded. Please retry after {seconds} seconds."))
}

/// What limits the requests of a credential, and how many a minute it may make.
fn of_grant(grant: &Grant) -> Option<(Name, u64, Rate)> {
    let plan = &grant.plan;
    let (what, id, widget) = match &grant.who {
        Who::Key { id, face, .. } => (b'k', &id.0, *face == Face::Widget),
        Who::Member { id, .. } => (b'm', &id.0, false),
        Who::Operator | Who::Server => return None,
    };
    let (most, burst) = if widget { (plan.widget_requests_per_minute, plan.widget_requests_per_minute) } else { (plan.requests_per_minute, plan.burst) };
    // A key's own rate may be from a time when the plan allowed more.
    let (limit, burst) = grant.per_minute.filter(|own| *own < most).map_or((most, burst), |own| (own, own));
    // A member of two projects has a limit in each.
    Some((name(what, [id, &grant.project.0]), limit, Rate::new(limit, MINUTE, burst)))
}

/// Whom an address belongs to.
fn subscriber(source: IpAddr) -> Vec<u8> {
    match source.to_canonical() {
        IpAddr::V4(v4) => [&b"4"[..], &v4.octets()].concat(),
        // One subscriber has a whole /64.
        IpAddr::V6(v6) => [&b"6"[..], &v6.octets()[..8]].concat(),
    }
}

impl Service {
    /// Counts a request of a credential, and says whether it may go on.
    pub async fn admit(&self, grant: &Grant) -> Admission {
        let limiter = &self.inner.limiter;
        let Some((name, limit, rate)) = of_grant(grant) else { return Admission { allowance: None, refused: None } };
        let verdict = limiter.take(&limiter.requests, name, rate).await;
        let allowance = limiter.allowance(limit, verdict);
        Admission { allowance: Some(allowance), refused: allowance.retry_after.map(refusal) }
    }
    /// Counts an attempt to log in, before the password is looked at; [`Kind::RateLimited`] if its address tried too often, or the account failed too often.
    /// It answers alike whether or not there is such an account. [`Service::login_succeeded`] or [`Service::login_undecided`] must follow an attempt that
    /// was no failure.
    pub async fn admit_login(&self, source: IpAddr, account: &str) -> Result<()> {
        let limiter = &self.inner.limiter;
        let per_minute = limiter.logins.per_minute;
        let tries = Rate::new(per_minute, MINUTE, per_minute);
        let mut wait = limiter.take(&limiter.sources, name(b's', [&subscriber(source), b""]), tries).await.refused_for;
        // Taken now and given back later, so that many attempts at once are no way around it.
        for (name, rate) in limiter.failures(source, account) {
            if wait.is_none() {
                wait = limiter.take(&limiter.accounts, name, rate).await.refused_for;
            }
        }
        wait.map_or(Ok(()), |wait| Err(refusal(seconds(wait))))
    }
    /// Forgets the failed logins of an account from an address.
    pub async fn login_succeeded(&self, source: IpAddr, account: &str) {
        let limiter = &self.inner.limiter;
        let [(narrow, _), (wide, rate)] = limiter.failures(source, account);
        limiter.forget(&limiter.accounts, narrow).await;
        limiter.give_back(wide, rate);
    }
    /// Takes back an attempt that failed for another reason than what was shown.
    pub(crate) fn login_undecided(&self, source: IpAddr, account: &str) {
        let limiter = &self.inner.limiter;
        for (name, rate) in limiter.failures(source, account) {
            limiter.give_back(name, rate);
        }
    }
    /// Deletes shared buckets that are full again, which are as good as none.
    pub(crate) async fn sweep_rates(&self) -> Result<()> {
        match &self.inner.limiter.shared {
            Some(shared) => shared.sweep().await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
