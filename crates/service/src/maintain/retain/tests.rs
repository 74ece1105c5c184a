use indelible_model::query::Query;
use indelible_model::{Clock, EventBatch, Ids, Limits};

use super::*;
use crate::holds::{HoldFilter, HoldSpec, Holding};
use crate::{CanManageProject, CanRead, CanWrite, Config, Credential, SealConfig, testing};

/// Between the look and the transaction that acts on it, everything may change; then nothing must happen.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_out_is_worth_nothing_once_something_changed() {
    let dir = tempfile::tempdir().unwrap();
    let seal = SealConfig { orphan_grace_secs: 0, retention_delay_secs: 0, ..SealConfig::default() };
    let config = Config { seal, ..testing::config(dir.path()) };
    let service = Service::open(config, Clock::fixed(Timestamp::parse("2026-02-10T14:32:15.5Z").unwrap()), Ids::seeded(1)).await.unwrap();
    let first = service.bootstrap(Some("lp_sk_test_0123456789")).await.unwrap().unwrap();
    let grant = service.authenticate(Credential::Secret(&first.secret)).await.unwrap();
    let (project, log) = (grant.project, LogKind::Events);
    let mut batch = EventBatch::default();
    (0..20).for_each(|_| batch.push(br#"{"action":"a"}"#, &Limits::default()).unwrap());
    service.append(&grant.permit::<CanWrite>().unwrap(), batch, None).await.unwrap();
    assert!(service.seal_log_once(&grant).await);
    let manage = grant.permit::<CanManageProject>().unwrap();
    service.retention_set(&manage, log, Some(1)).await.unwrap();
    service.sweep_now().await;
    service.clock().advance(2 * DAY_MICROS);
    let now = service.clock().now();
    let look = async || service.look(project, log, now, 1, &mut Ok(())).await.unwrap().0;
    let there = async || service.count(&grant.permit::<CanRead>().unwrap(), &Query::all(log)).await.unwrap();
    let place = async || {
        let spec = HoldSpec { case: "c".into(), reason: "r".into(), what: Holding::Matching(HoldFilter { log: Some(log), ..HoldFilter::default() }) };
        service.hold_place(&manage, spec).await.unwrap()
    };

    // A hold that came in between is kept to, and so is one that went.
    let found = look().await.unwrap();
    let placed = place().await;
    service.expire(project, log, now, &found).await.unwrap();
    assert_eq!((found.gone.len(), there().await), (1, 20));
    let found = look().await.unwrap();
    assert_eq!((found.gone.len(), found.held.len()), (0, 1));
    service.hold_release(&manage, placed.hold.id, "over").await.unwrap();
    service.expire(project, log, now, &found).await.unwrap();
    assert!(look().await.unwrap().held.is_empty(), "what is not held is not noted as held");

    // A longer retention takes effect at once.
    let found = look().await.unwrap();
    service.retention_set(&manage, log, None).await.unwrap();
    service.expire(project, log, now, &found).await.unwrap();
    assert_eq!(there().await, 20);
    assert!(look().await.is_none());

    // Nothing changed: it goes, once. A hold that comes then finds nothing, and brings nothing back.
    service.retention_set(&manage, log, Some(1)).await.unwrap();
    service.change_announced(project, log, now).await.unwrap();
    let found = look().await.unwrap();
    service.expire(project, log, now, &found).await.unwrap();
    service.expire(project, log, now, &found).await.unwrap();
    assert_eq!((there().await, service.stats().expired_events.get()), (0, 20));
    assert_eq!(place().await.found, Some(0));
}
