//! Rate limits at the door, and how each dialect tells what is left.
//!
//! Promises: a request counts once, whatever it holds. Never: decides a limit.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use indelible_model::{Error, Timestamp};
use indelible_service::{Allowance, Face, Grant, Who};

use crate::app::App;
use crate::dialects::Dialect;
use crate::seen::{Learnt, Seen};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const VOUCHERIFY_LIMIT: HeaderName = HeaderName::from_static("x-rate-limit-limit");
const VOUCHERIFY_REMAINING: HeaderName = HeaderName::from_static("x-rate-limit-remaining");
const VOUCHERIFY_RETRY: HeaderName = HeaderName::from_static("x-rate-limit-retry");
const VOUCHERIFY_TYPE: HeaderName = HeaderName::from_static("x-rate-limit-type");

impl App {
    /// Counts the request for its credential; an error if there were too many. What is left is learnt in either case.
    pub(crate) async fn admit(&self, seen: &Seen, grant: &Grant) -> Result<(), Error> {
        if seen.learnt().allowance.is_some() {
            return Ok(());
        }
        let admission = self.service.admit(grant).await;
        seen.learn(|learnt| learnt.allowance = admission.allowance);
        admission.refused.map_or(Ok(()), Err)
    }
}

/// Tells what is left, in the words of a dialect.
pub(crate) fn show(dialect: Dialect, learnt: &Learnt, now: Timestamp, headers: &mut HeaderMap) {
    let Some(allowance) = learnt.allowance else { return };
    let Allowance { limit, remaining, reset_at, retry_after } = allowance;
    let second = |at: Timestamp| u64::try_from(at.micros()).unwrap_or(0).div_ceil(1_000_000);
    let told = match dialect {
        Dialect::LogProof => vec![(LIMIT, limit), (REMAINING, remaining)],
        Dialect::Aitronos => vec![(LIMIT, limit), (REMAINING, remaining), (RESET, second(reset_at))],
        Dialect::LoyaltyDog if has_loyaltydog_key(learnt) => vec![(LIMIT, limit), (REMAINING, remaining), (RESET, second(reset_at))],
        Dialect::LoyaltyDog | Dialect::Files => Vec::new(),
        Dialect::Voucherify => {
            headers.insert(VOUCHERIFY_TYPE, HeaderValue::from_static("api_calls"));
            let next = second(now) + u64::from(retry_after.unwrap_or(0));
            vec![(VOUCHERIFY_LIMIT, limit), (VOUCHERIFY_REMAINING, remaining), (VOUCHERIFY_RETRY, next)]
        }
    };
    headers.extend(told.into_iter().map(|(name, value)| (name, HeaderValue::from(value))));
}

/// LoyaltyDog limits its keys only, so only they are told of a limit.
fn has_loyaltydog_key(learnt: &Learnt) -> bool {
    learnt.grant.as_ref().is_some_and(|g| matches!(g.who, Who::Key { face: Face::LoyaltyDog | Face::LoyaltyDogTest, .. }))
}

#[cfg(test)]
mod tests;
