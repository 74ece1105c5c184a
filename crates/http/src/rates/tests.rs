use std::sync::Arc;

use indelible_model::{KeyId, ProjectId};
use indelible_service::{Plan, Scopes};

use super::*;

fn learnt(face: Face, retry_after: Option<u32>) -> Learnt {
    let grant = Grant {
        project: ProjectId([1; 16]),
        project_name: "p".into(),
        who: Who::Key { id: KeyId([2; 16]), name: "k".into(), face },
        scopes: Scopes::all(),
        organizations: None,
        plan: Arc::new(Plan::unrestricted()),
        per_minute: None,
        token: None,
    };
    let allowance = Allowance { limit: 100, remaining: 7, reset_at: Timestamp::parse("2026-02-10T00:00:30.5Z").expect("a time"), retry_after };
    Learnt { grant: Some(Arc::new(grant)), allowance: Some(allowance), ..Learnt::default() }
}

fn shown(dialect: Dialect, learnt: &Learnt) -> Vec<String> {
    let mut headers = HeaderMap::new();
    show(dialect, learnt, Timestamp::parse("2026-02-10T00:00:00Z").expect("a time"), &mut headers);
    let mut lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
    lines.sort();
    lines
}

#[test]
fn each_dialect_has_its_own_headers() {
    let some = learnt(Face::LogProof, None);
    assert_eq!(shown(Dialect::LogProof, &some), ["x-ratelimit-limit: 100", "x-ratelimit-remaining: 7"]);
    assert_eq!(shown(Dialect::Aitronos, &some), ["x-ratelimit-limit: 100", "x-ratelimit-remaining: 7", "x-ratelimit-reset: 1770681631"]);
    let voucherify = |next: &str| ["x-rate-limit-limit: 100", "x-rate-limit-remaining: 7", next, "x-rate-limit-type: api_calls"].map(str::to_owned);
    assert_eq!(shown(Dialect::Voucherify, &some), voucherify("x-rate-limit-retry: 1770681600"));
    assert_eq!(shown(Dialect::Voucherify, &learnt(Face::LogProof, Some(12))), voucherify("x-rate-limit-retry: 1770681612"));
}

#[test]
fn loyaltydog_tells_its_own_keys_only() {
    let wanted = ["x-ratelimit-limit: 100", "x-ratelimit-remaining: 7", "x-ratelimit-reset: 1770681631"];
    assert_eq!(shown(Dialect::LoyaltyDog, &learnt(Face::LoyaltyDog, None)), wanted);
    assert_eq!(shown(Dialect::LoyaltyDog, &learnt(Face::LoyaltyDogTest, None)), wanted);
    assert!(shown(Dialect::LoyaltyDog, &learnt(Face::LogProof, None)).is_empty());
}

#[test]
fn nothing_is_told_where_nothing_is_limited() {
    for dialect in [Dialect::LogProof, Dialect::Aitronos, Dialect::LoyaltyDog, Dialect::Voucherify] {
        assert!(shown(dialect, &Learnt { allowance: None, ..learnt(Face::LoyaltyDog, None) }).is_empty());
    }
}
