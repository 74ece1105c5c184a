use std::sync::Arc;

use indelible_model::{Clock, Ids, KeyId, MemberId, ProjectId, TokenId};

use super::*;
use crate::caller::Scopes;
use crate::plans::{Plan, Plans};
use crate::{Config, testing};

const SECOND: i64 = 1_000_000;

fn clock() -> Clock {
    Clock::fixed(Timestamp::parse("2026-02-10T14:32:15.5Z").unwrap())
}

/// A service that shares its buckets with nobody, whatever the tests run on: then the fixed clock is all that counts.
async fn alone(logins: LoginLimits) -> (tempfile::TempDir, Service) {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::open(Config { logins, ..Config::embedded(dir.path()) }, clock(), Ids::seeded(1)).await.unwrap();
    (dir, service)
}

fn grant(who: Who, plan: Plan) -> Grant {
    Grant {
        project: ProjectId([1; 16]),
        project_name: "p".into(),
        who,
        scopes: Scopes::all(),
        organizations: None,
        plan: Arc::new(plan),
        per_minute: None,
        token: Some(TokenId([4; 16])),
    }
}

fn key(id: u8, face: Face) -> Who {
    Who::Key { id: KeyId([id; 16]), name: "k".into(), face }
}

fn member(id: u8) -> Who {
    Who::Member { id: MemberId([id; 16]), email: "a@b".into(), name: "A".into(), role: crate::caller::Role::Admin, operator: false }
}

fn plan(requests_per_minute: u64, burst: u64) -> Plan {
    Plan { requests_per_minute, burst, widget_requests_per_minute: 3, ..Plan::unrestricted() }
}

/// How many of `tries` are admitted.
async fn admitted(service: &Service, grant: &Grant, tries: u64) -> u64 {
    let mut admitted = 0;
    for _ in 0..tries {
        admitted += u64::from(service.admit(grant).await.refused.is_none());
    }
    admitted
}

#[tokio::test]
async fn a_bucket_empties_and_fills_evenly() {
    let (_dir, service) = alone(LoginLimits::default()).await;
    let grant = grant(key(1, Face::LogProof), plan(100, 120));
    for n in 1..=120 {
        let Admission { allowance: Some(a), refused: None } = service.admit(&grant).await else { panic!("{n}") };
        assert_eq!((a.limit, a.remaining, a.retry_after), (100, 120 - n, None));
        assert_eq!(a.reset_at.micros() - service.clock().now().micros(), n as i64 * 600_000);
    }
    let Admission { allowance: Some(a), refused: Some(error) } = service.admit(&grant).await else { panic!() };
    assert_eq!((a.limit, a.remaining, a.retry_after), (100, 0, Some(1)));
    assert_eq!((error.kind(), error.public()), (Kind::RateLimited(1), "Rate limit exceeded. Please retry after 1 seconds."));
    service.clock().advance(599_000);
    assert_eq!(admitted(&service, &grant, 5).await, 0);
    service.clock().advance(1_000);
    assert_eq!(admitted(&service, &grant, 5).await, 1);
    service.clock().advance(6 * SECOND);
    assert_eq!(admitted(&service, &grant, 50).await, 10);
    service.clock().advance(3600 * SECOND);
    assert_eq!(admitted(&service, &grant, 500).await, 120);
    // A clock that stepped back admits nothing more, and nobody for ever.
    service.clock().advance(-30 * SECOND);
    assert_eq!(admitted(&service, &grant, 5).await, 0);
    service.clock().advance(90 * SECOND);
    assert_eq!(admitted(&service, &grant, 500).await, 100);
}

#[tokio::test]
async fn each_credential_has_its_own() {
    let (_dir, service) = alone(LoginLimits::default()).await;
    let one = grant(key(1, Face::LogProof), plan(5, 5));
    assert_eq!(admitted(&service, &one, 9).await, 5);
    for (other, wants) in [
        (grant(key(2, Face::Aitronos), plan(5, 5)), 5),
        (grant(key(3, Face::Widget), plan(5, 5)), 3),
        (grant(member(1), plan(5, 5)), 5),
        (Grant { project: ProjectId([2; 16]), ..grant(member(1), plan(5, 5)) }, 5),
        (Grant { per_minute: Some(2), ..grant(key(4, Face::LogProof), plan(5, 5)) }, 2),
        (Grant { per_minute: Some(2), ..grant(key(5, Face::Widget), plan(5, 5)) }, 2),
        (Grant { per_minute: Some(9), ..grant(key(6, Face::LogProof), plan(5, 4)) }, 4),
        // Tokens of a key are the key.
        (Grant { token: None, ..one.clone() }, 0),
        // Another limit is another bucket.
        (grant(key(1, Face::LogProof), plan(7, 7)), 7),
    ] {
        assert_eq!(admitted(&service, &other, 9).await, wants, "{other:?}");
    }
    for who in [Who::Operator, Who::Server] {
        let Admission { allowance: None, refused: None } = service.admit(&grant(who, plan(1, 1))).await else { panic!() };
    }
}

#[tokio::test]
async fn defaults_are_met_by_nobody() {
    let (_dir, service) = alone(LoginLimits::default()).await;
    let grant = grant(key(1, Face::LogProof), Plan::unrestricted());
    let began = std::time::Instant::now();
    assert_eq!(admitted(&service, &grant, 100_000).await, 100_000);
    let each = began.elapsed() / 100_000;
    assert!(each < std::time::Duration::from_micros(20), "{each:?}");
}

#[tokio::test]
async fn failed_logins_are_counted_by_account_and_address() {
    let (_dir, service) = alone(LoginLimits { per_minute: 1000, failures: 3 }).await;
    let from = |n: u8| IpAddr::from([192, 0, 2, n]);
    for _ in 0..3 {
        service.admit_login(from(1), "Ann@example.com").await.unwrap();
    }
    assert_eq!(service.admit_login(from(1), " ann@EXAMPLE.com").await.unwrap_err().kind(), Kind::RateLimited(300));
    // Neither another account nor another address is concerned.
    service.admit_login(from(1), "bob@example.com").await.unwrap();
    service.admit_login(from(2), "ann@example.com").await.unwrap();
    service.clock().advance(300 * SECOND);
    service.admit_login(from(1), "ann@example.com").await.unwrap();
    assert!(service.admit_login(from(1), "ann@example.com").await.is_err());
    service.login_succeeded(from(1), "ann@example.com").await;
    for _ in 0..3 {
        service.admit_login(from(1), "ann@example.com").await.unwrap();
    }
    assert!(service.admit_login(from(1), "ann@example.com").await.is_err());
    // One subscriber has a whole /64.
    for n in 1..=3 {
        service.admit_login(format!("2001:db8::{n}").parse().unwrap(), "ann@example.com").await.unwrap();
    }
    assert!(service.admit_login("2001:db8::9".parse().unwrap(), "ann@example.com").await.is_err());
    service.admit_login("2001:db8:0:1::9".parse().unwrap(), "ann@example.com").await.unwrap();
}

#[tokio::test]
async fn an_account_fails_so_often_from_everywhere() {
    let (_dir, service) = alone(LoginLimits { per_minute: 1000, failures: 3 }).await;
    let from = |n: u8| IpAddr::from([192, 0, 2, n]);
    // What one address is refused does not count for the others.
    let mut admitted = 0;
    for _ in 0..100 {
        admitted += u32::from(service.admit_login(from(0), "ann").await.is_ok());
    }
    for n in 1..100 {
        admitted += u32::from(service.admit_login(from(n), "ann").await.is_ok());
    }
    assert_eq!(admitted, 60);
    assert_eq!(service.admit_login(from(200), "ann").await.unwrap_err().kind(), Kind::RateLimited(15));
    service.admit_login(from(200), "bob").await.unwrap();
}

#[tokio::test]
async fn what_was_not_decided_is_no_failure() {
    let (_dir, service) = alone(LoginLimits { per_minute: 10_000, failures: 3 }).await;
    let from = IpAddr::from([192, 0, 2, 1]);
    for _ in 0..100 {
        service.admit_login(from, "ann").await.unwrap();
        service.login_undecided(from, "ann");
    }
    // Nor is it a way to more failures.
    let mut admitted = 0;
    for _ in 0..10 {
        admitted += u32::from(service.admit_login(from, "ann").await.is_ok());
    }
    assert_eq!(admitted, 3);
    // One that succeeds leaves no trace in what all addresses have together.
    for _ in 0..100 {
        service.login_succeeded(from, "ann").await;
        service.admit_login(from, "ann").await.unwrap();
    }
}

#[tokio::test]
async fn logins_are_counted_by_address() {
    let (_dir, service) = alone(LoginLimits { per_minute: 4, failures: 1000 }).await;
    for (address, wants) in [("192.0.2.1", 4), ("::ffff:192.0.2.1", 0), ("192.0.2.2", 4), ("2001:db8::1", 4), ("2001:db8::ffff:1", 0), ("2001:db8:0:1::1", 4)] {
        let mut admitted = 0;
        for n in 0..6 {
            admitted += u32::from(service.admit_login(address.parse().unwrap(), &format!("{address}-{n}")).await.is_ok());
        }
        assert_eq!(admitted, wants, "{address}");
    }
    assert_eq!(service.admit_login("192.0.2.1".parse().unwrap(), "x").await.unwrap_err().kind(), Kind::RateLimited(15));
}

/// On a cluster: nodes that share buckets admit together what one would.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_their_buckets() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { plans: Plans::default(), logins: LoginLimits { per_minute: 1000, failures: 5 }, ..testing::config(dir.path()) };
    let mut nodes = Vec::new();
    for seed in 0..3 {
        nodes.push(Service::open(config.clone(), Clock::System, Ids::seeded(seed)).await.unwrap());
    }
    if nodes[0].inner.limiter.shared.is_none() {
        return;
    }
    for (limit, id) in [(40, 1), (1000, 2), (50_000, 3)] {
        let began = std::time::Instant::now();
        let statements = || nodes.iter().map(|n| n.database_counters().statements).sum::<u64>();
        let before = statements();
        let mut tasks = tokio::task::JoinSet::new();
        for node in nodes.iter().cycle().take(12) {
            let (node, grant) = (node.clone(), grant(key(id, Face::LogProof), plan(limit, limit)));
            tasks.spawn(async move { admitted(&node, &grant, limit).await });
        }
        let all: u64 = tasks.join_all().await.into_iter().sum();
        let refilled = limit as f64 * began.elapsed().as_secs_f64() / 60.0;
        assert!(all >= limit && all as f64 <= limit as f64 * 1.01 + refilled + 1.0, "{all} of {limit}, and {refilled} more");
        let asked = statements() - before;
        assert!(asked as f64 <= 130.0 + refilled * 6.0, "{asked} statements for {limit}");
    }
    // A failure that one node counted is known to the other.
    let from = IpAddr::from([192, 0, 2, 1]);
    for n in 0..5 {
        nodes[n % 3].admit_login(from, "ann").await.unwrap();
    }
    assert!(nodes[2].admit_login(from, "ann").await.is_err());
    nodes[0].login_succeeded(from, "ann").await;
    assert!(nodes[0].admit_login(from, "ann").await.is_ok());
    nodes[0].sweep_rates().await.unwrap();
}

/// A node that asks now and then gives back what it does not use.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_used_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::open(testing::config(dir.path()), Clock::System, Ids::seeded(1)).await.unwrap();
    let grant = grant(key(1, Face::LogProof), plan(60_000, 60_000));
    for _ in 0..4 {
        assert_eq!(service.admit(&grant).await.allowance.unwrap().remaining, 59_999);
        tokio::time::sleep(std::time::Duration::from_millis(650)).await;
    }
}
