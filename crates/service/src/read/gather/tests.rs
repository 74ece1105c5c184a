use indelible_model::line::Line;
use indelible_model::query::{Order, Query};
use indelible_model::{Clock, EventBatch, Ids, Kind, Limits, LogKind, Timestamp};

use super::*;
use crate::{Caller, CanRead, CanWrite, Credential, SealConfig, Service, testing};

const EVENTS: u64 = 30;
const PAD: usize = 900_000;

/// Events of almost 1 MB, two of three of action `b`; the first two are small.
async fn large(dir: &std::path::Path) -> (Service, Caller<CanRead>) {
    let seal = SealConfig { seal_bytes: 1 << 40, merge_batches: 1 << 40, ..SealConfig::default() };
    let config = crate::Config { seal, ..testing::config(dir) };
    let service = Service::open(config, Clock::fixed(Timestamp::parse("2026-02-10T14:32:15.5Z").unwrap()), Ids::seeded(1)).await.unwrap();
    let first = service.bootstrap(Some("lp_sk_test_0123456789")).await.unwrap().unwrap();
    let grant = service.authenticate(Credential::Secret(&first.secret)).await.unwrap();
    for i in 0..EVENTS {
        let mut batch = EventBatch::default();
        let pad = if i < 2 { 10 } else { PAD };
        let action = if i % 3 > 0 { "b" } else { "a" };
        batch.push(format!(r#"{{"action":"{action}","metadata":{{"pad":"{}"}}}}"#, "p".repeat(pad)).as_bytes(), &Limits::default()).unwrap();
        service.append(&grant.permit::<CanWrite>().unwrap(), batch, None).await.unwrap();
    }
    (service.clone(), grant.permit().unwrap())
}

fn positions(page: &Page) -> Vec<u64> {
    page.lines.iter().map(|line| Line::parse(&[line, &b"\n"[..]].concat()).unwrap().position).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_large_events_end_at_their_bytes_and_go_on_where_they_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (service, read) = large(dir.path()).await;
    let whole = service.inner.reader.shared.budget.clone();
    for sealed in [false, true] {
        if sealed {
            service.seal_all().await.unwrap();
        }
        for (filtered, order) in [(false, Order::Ascending), (false, Order::Descending), (true, Order::Ascending), (true, Order::Descending)] {
            let back = order == Order::Descending;
            let mut query = Query { order, limit: Some(25), ..Query::all(LogKind::Events) };
            if filtered {
                query.filter.equals(indelible_model::fields::Field::Action, "b");
            }
            let mut all: Vec<u64> = (1..=EVENTS).filter(|p| !filtered || (p - 1) % 3 > 0).collect();
            if back {
                all.reverse();
            }
            let (mut by_offset, mut by_cursor, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
            loop {
                let page = service.page(&read, Query { skip: by_offset.len() as u64, ..query.clone() }).await.unwrap();
                let bytes: usize = page.lines.iter().map(Vec::len).sum();
                assert!(bytes <= PAGE_BYTES && (bytes > PAGE_BYTES - PAD - 1000 || !page.has_more), "{bytes}");
                assert_eq!(page.last_position, positions(&page).last().copied());
                sizes.push(page.lines.len());
                by_offset.extend(positions(&page));
                if !page.has_more {
                    break;
                }
            }
            assert_eq!(by_offset, all, "{sealed} {filtered} {order:?}");
            assert!(sizes.len() > 1 && sizes.len() <= 5, "{sizes:?}");
            let mut cursor = None;
            loop {
                let (after, before) = if back { (0, cursor) } else { (cursor.unwrap_or(0), None) };
                let page = service.page(&read, Query { after, before, ..query.clone() }).await.unwrap();
                by_cursor.extend(positions(&page));
                cursor = page.last_position;
                if !page.has_more {
                    break;
                }
            }
            assert_eq!(by_cursor, all, "{sealed} {filtered} {order:?}");
        }
    }
    assert!(whole.try_reserve(usize::MAX).is_some(), "all room was given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_holds_its_room_and_without_room_only_small_ones_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (service, read) = large(dir.path()).await;
    let budget = service.inner.reader.shared.budget.clone();
    let page = service.page(&read, Query { after: 2, ..Query::all(LogKind::Events) }).await.unwrap();
    let rest = service.inner.config.read_budget_bytes - page.lines.len() * PAD;
    assert!(budget.try_reserve(rest).is_none());
    assert!(budget.try_reserve(rest - page.lines.len() * 10_000).is_some(), "what was decoded beside the page is given back");
    drop(page);

    let all = budget.try_reserve(usize::MAX).unwrap();
    let small = Query { before: Some(3), ..Query::all(LogKind::Events) };
    assert_eq!(positions(&service.page(&read, small).await.unwrap()), [1, 2]);
    let (large, cut) = tokio::join!(service.page(&read, Query { after: 2, ..Query::all(LogKind::Events) }), service.page(&read, Query::all(LogKind::Events)));
    assert_eq!(large.map(|_| ()).unwrap_err().kind(), Kind::Unavailable(1));
    let cut = cut.unwrap();
    assert_eq!((positions(&cut), cut.has_more, cut.last_position), (vec![1, 2], true, Some(2)));
    drop(all);
    assert!(service.page(&read, Query { after: 2, ..Query::all(LogKind::Events) }).await.unwrap().lines.len() > 5);
}
