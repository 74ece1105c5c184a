use indelible_model::fields::Field;
use indelible_model::line::Line;
use indelible_model::query::{Order, Query};
use indelible_model::{Clock, EventBatch, EventId, Ids, Kind, Limits, LogKind, Timestamp};

use crate::{CanExport, CanRead, CanVerify, CanWrite, Coding, Config, Credential, ExportOptions, Format, Grant, Idempotency, Layout, Scope, Scopes, SealConfig, Service};

async fn service() -> (tempfile::TempDir, Service, Grant) {
    let dir = tempfile::tempdir().unwrap();
    let seal = SealConfig { seal_bytes: 1 << 40, segment_bytes: 1 << 20, merge_batches: 1 << 40, orphan_grace_secs: 0, ..SealConfig::default() };
    let config = Config { seal, ..crate::testing::config(dir.path()) };
    let clock = Clock::fixed(Timestamp::parse("2026-02-10T14:32:15.5Z").unwrap());
    let service = Service::open(config, clock, Ids::seeded(1)).await.unwrap();
    let first = service.bootstrap(Some("lp_sk_test_0123456789")).await.unwrap().unwrap();
    let grant = service.authenticate(Credential::Secret(&first.secret)).await.unwrap();
    (dir, service, grant)
}

fn batch(texts: &[String]) -> EventBatch {
    let mut batch = EventBatch::default();
    texts.iter().for_each(|t| batch.push(t.as_bytes(), &Limits::default()).unwrap());
    batch
}

fn events(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|i| format!(r#"{{"action":"a.{}","actor":{{"id":"u{}"}},"metadata":{{"i":{i},"pad":"{}"}}}}"#, i % 3, i % 11, "p".repeat(i % 300))).collect()
}

fn idem(key: &str, digest: u8) -> Option<Idempotency> {
    Some(Idempotency { route: "r", key: key.into(), body_digest: [digest; 32] })
}

async fn export(service: &Service, grant: &Grant, query: Query, format: Format, options: ExportOptions) -> (Vec<u8>, u64) {
    let mut export = service.export(&grant.permit::<CanExport>().unwrap(), query, format, options).await.unwrap();
    let mut out = Vec::new();
    while let Some(chunk) = export.next().await {
        out.extend_from_slice(&chunk.unwrap());
    }
    (out, export.finished().unwrap().rows)
}

#[tokio::test]
async fn what_was_appended_is_read_back_sealed_or_not() {
    let (_dir, service, grant) = service().await;
    let write = grant.permit::<CanWrite>().unwrap();
    let read = grant.permit::<CanRead>().unwrap();
    for i in 0..40 {
        service.append(&write, batch(&events(i * 5, i * 5 + 5)), None).await.unwrap();
    }
    let big = service.append(&write, batch(&events(200, 9000)), None).await.unwrap();
    assert_eq!((big.outcomes[0].position, big.outcomes.last().unwrap().position), (201, 9000));
    let all = Query::all(LogKind::Events);
    let (hot, rows) = export(&service, &grant, all.clone(), Format::Ndjson, ExportOptions::default()).await;
    assert_eq!(rows, 9000);
    let mut chain = indelible_proof::Chain::from(1, indelible_proof::genesis(grant.project, LogKind::Events));
    for (i, line) in hot.split_inclusive(|b| *b == b'\n').enumerate() {
        chain.push(line).unwrap();
        assert!(String::from_utf8_lossy(line).contains(&format!("\"i\":{i},")));
    }
    let mut csv = Vec::new();
    for round in 0..4 {
        match round {
            1 => assert!(service.seal_log_once(&grant).await),
            2 => {
                service.append(&write, batch(&events(9000, 9010)), None).await.unwrap();
                assert!(service.seal_all().await.unwrap().seals > 0);
            }
            3 => {
                service.sweep_now().await;
            }
            _ => {}
        }
        let bounded = Query { before: Some(9001), ..all.clone() };
        let (now, _) = export(&service, &grant, bounded.clone(), Format::Ndjson, ExportOptions::default()).await;
        assert!(now == hot, "round {round}");
        let (zipped, _) = export(&service, &grant, bounded.clone(), Format::Ndjson, ExportOptions { coding: Coding::Zstd, ..ExportOptions::default() }).await;
        assert!(zstd::bulk::decompress(&zipped, hot.len()).unwrap() == hot);
        let (gzipped, _) = export(&service, &grant, bounded.clone(), Format::Ndjson, ExportOptions { coding: Coding::Gzip, ..ExportOptions::default() }).await;
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&gzipped[..]), &mut text).unwrap();
        assert!(text == hot);
        let (table, _) = export(&service, &grant, bounded.clone(), Format::Csv(Layout::LogProof), ExportOptions::default()).await;
        if round == 0 {
            csv = table;
        } else {
            assert!(table == csv, "round {round}");
        }
        let (array, _) = export(&service, &grant, Query { limit: Some(3), order: Order::Descending, ..bounded.clone() }, Format::Json, ExportOptions::default()).await;
        let array: Vec<serde_json::Value> = serde_json::from_slice(&array).unwrap();
        assert_eq!(array.iter().map(|e| e["sequence_number"].as_u64().unwrap()).collect::<Vec<_>>(), [9000, 8999, 8998]);
        let (records, _) = export(&service, &grant, bounded.clone(), Format::Records(Layout::LoyaltyDog), ExportOptions::default()).await;
        let records: Vec<serde_json::Value> = serde_json::from_slice(&records).unwrap();
        assert!(records.len() == 9000 && records.iter().enumerate().all(|(i, r)| r["details"]["i"] == i), "round {round}");
        let mut filtered = bounded.clone();
        filtered.filter.equals(Field::ActorId, "u7");
        let count = service.count(&read, &filtered).await.unwrap();
        assert_eq!(count, 9000 / 11 + u64::from(9000 % 11 > 7));
        let mut seen = Vec::new();
        let mut before = Some(9001);
        loop {
            let page = service.page(&read, Query { before, order: Order::Descending, limit: Some(100), ..filtered.clone() }).await.unwrap();
            seen.extend(page.lines.iter().map(|l| Line::parse(l).unwrap().position));
            before = page.last_position;
            if !page.has_more {
                break;
            }
        }
        assert_eq!(seen.len() as u64, count);
        assert!(seen.windows(2).all(|w| w[0] > w[1]));
        let skipped = service.page(&read, Query { skip: 10, limit: Some(5), ..filtered.clone() }).await.unwrap();
        let positions: Vec<_> = skipped.lines.iter().map(|l| Line::parse(l).unwrap().position).collect();
        assert_eq!(positions, seen.iter().rev().skip(10).take(5).copied().collect::<Vec<_>>());
        let verified = service.verify(&grant.permit::<CanVerify>().unwrap(), LogKind::Events).await.unwrap();
        assert!(verified.valid, "{verified:?}");
        for at in [0, 1, 4321, 8999] {
            let line = hot.split(|b| *b == b'\n').nth(at).unwrap();
            assert_eq!(service.event(&read, &LogKind::ALL, Line::parse(line).unwrap().id).await.unwrap(), line);
        }
        assert_eq!(service.event(&read, &LogKind::ALL, EventId([7; 16])).await.unwrap_err().kind(), Kind::NotFound);
        let mut problems = Vec::new();
        let report = service.doctor(&mut |n| problems.push(n)).await.unwrap();
        assert_eq!(report.problems, 0, "{problems:?}");
    }
}

#[tokio::test]
async fn duplicates_get_the_existing_position_and_take_none() {
    let (_dir, service, grant) = service().await;
    let write = grant.permit::<CanWrite>().unwrap();
    let e = |id: &str| format!(r#"{{"action":"a","external_id":"{id}"}}"#);
    let first = service.append(&write, batch(&[e("x"), e("y"), e("x")]), None).await.unwrap();
    let flat = |a: &crate::Appended| a.outcomes.iter().map(|o| (o.position, o.duplicate)).collect::<Vec<_>>();
    assert_eq!(flat(&first), [(1, false), (2, false), (1, true)]);
    let again = service.append(&write, batch(&[e("z"), e("y"), r#"{"action":"b"}"#.into()]), None).await.unwrap();
    assert_eq!(flat(&again), [(3, false), (2, true), (4, false)]);
    let lines = service.appended_lines(&write, again).await;
    assert_eq!(lines.iter().map(|l| Line::parse(l).unwrap().position).collect::<Vec<_>>(), [3, 2, 4]);
    let many: Vec<String> = (0..3000).map(|i| e(&format!("{}-{}", i % 2000, "x".repeat(40)))).collect();
    let big = service.append(&write, batch(&many), None).await.unwrap();
    assert_eq!(big.outcomes.iter().filter(|o| o.duplicate).count(), 1000);
    assert_eq!(big.outcomes[2500].position, big.outcomes[500].position);
    assert!(service.verify(&grant.permit::<CanVerify>().unwrap(), LogKind::Events).await.unwrap().valid);
    assert_eq!(service.stored_events().await.unwrap(), 2004);
}

#[tokio::test]
async fn names_of_the_servers_own_events_are_refused_from_outside() {
    let (_dir, service, grant) = service().await;
    let e = |id: &str| format!(r#"{{"action":"member.login","http":{{}},"external_id":"{id}"}}"#);
    for id in ["indelible:1", r"\u0069ndelible:1", r"indelible\u003a1"] {
        let refused = service.append(&grant.permit().unwrap(), batch(&[e("x"), e(id)]), None).await.unwrap_err();
        let named: Vec<_> = refused.violations().iter().map(|v| (v.member.as_str(), v.message.as_str(), v.index)).collect();
        assert_eq!(named, [("external_id", "is reserved for the server's own events.", Some(1))], "{id}");
    }
    service.append(&grant.permit().unwrap(), batch(&[e("indelible"), e("Indelible:1"), e("x indelible:1")]), None).await.unwrap();
    // A backup is restored with the names that it has.
    let machine = service.operator(grant.project).await.unwrap();
    assert!(!service.append(&machine.permit().unwrap(), batch(&[e("indelible:1")]), None).await.unwrap().outcomes[0].duplicate);
}

#[tokio::test]
async fn a_guessed_external_id_gives_nothing_away() {
    let (_dir, service, grant) = service().await;
    let e = |id: &str, http: &str| format!(r#"{{"action":"a"{http},"external_id":"{id}"}}"#);
    let both = || batch(&[e("x", ""), e("y", r#","http":{"status":200}"#), e("x", "")]);
    service.append(&grant.permit().unwrap(), both(), None).await.unwrap();
    for (scopes, shown) in [
        (&[Scope::EventsWrite][..], [false, false, false]),
        (&[Scope::EventsWrite, Scope::EventsRead], [true, false, true]),
        (&[Scope::EventsWrite, Scope::LogsRead], [false, true, false]),
        (&Scope::ALL, [true, true, true]),
    ] {
        let write = Grant { scopes: Scopes::of(scopes), ..grant.clone() }.permit::<CanWrite>().unwrap();
        for idempotency in [idem(&format!("{scopes:?}"), 1), idem(&format!("{scopes:?}"), 1), None] {
            let again = service.append(&write, both(), idempotency).await.unwrap_or_else(|e| panic!("{scopes:?}: {e}"));
            let lines = service.appended_lines(&write, again).await;
            assert_eq!(lines.iter().map(|l| Line::parse(l).is_some()).collect::<Vec<_>>(), shown, "{scopes:?}");
            assert!(shown[0] || lines[0] == b"{\"sequence_number\":1}");
        }
        // One's own new events are shown, also by their key.
        let own = || batch(&[format!(r#"{{"action":"own{}"}}"#, scopes.len())]);
        let key = format!("own {scopes:?}");
        for _ in 0..2 {
            let stored = service.append(&write, own(), idem(&key, 1)).await.unwrap();
            assert!(Line::parse(&service.appended_lines(&write, stored).await[0]).is_some());
        }
    }
    // One who is bound to organizations sees what is theirs.
    let e = |of: &str| format!(r#"{{"action":"a","external_id":"e","organization":{{"id":"{of}"}}}}"#);
    let write = Grant { organizations: Some(["b".to_owned()].into()), ..grant.clone() }.permit::<CanWrite>().unwrap();
    for _ in 0..2 {
        let stored = service.append(&write, batch(&[e("b")]), None).await.unwrap();
        assert!(Line::parse(&service.appended_lines(&write, stored).await[0]).is_some());
    }
}

#[tokio::test]
async fn an_idempotency_key_replays_for_a_day() {
    let (_dir, service, grant) = service().await;
    let write = grant.permit::<CanWrite>().unwrap();
    let one = || batch(&[r#"{"action":"a"}"#.to_owned(), r#"{"action":"h","http":{"status":200}}"#.to_owned()]);
    let first = service.append(&write, one(), idem("k", 1)).await.unwrap();
    let again = service.append(&write, one(), idem("k", 1)).await.unwrap();
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!(first.outcomes, again.outcomes);
    assert_eq!(service.append(&write, one(), idem("k", 2)).await.unwrap_err().kind(), Kind::KeyReused);
    let both = tokio::join!(service.append(&write, one(), idem("c", 1)), service.append(&write, one(), idem("c", 1)));
    let conflicts = [&both.0, &both.1].iter().filter(|r| r.as_ref().is_err_and(|e| e.kind() == Kind::InFlight)).count();
    assert_eq!(conflicts, 1);
    service.clock().advance(25 * 3_600_000_000);
    assert!(!service.append(&write, one(), idem("k", 2)).await.unwrap().replayed);
    service.clock().advance(-48 * 3_600_000_000);
    service.append(&write, one(), None).await.unwrap();
    let all = export(&service, &grant, Query::all(LogKind::Events), Format::Ndjson, ExportOptions::default()).await.0;
    let times: Vec<_> = all.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| Line::parse(l).unwrap().received_at).collect();
    assert!(times.is_sorted() && times.len() == 4, "{times:?}");
}

#[tokio::test]
async fn after_a_drain_nothing_is_taken() {
    let (_dir, service, grant) = service().await;
    let write = grant.permit::<CanWrite>().unwrap();
    service.append(&write, batch(&events(0, 3)), None).await.unwrap();
    service.drain().await;
    assert!(matches!(service.append(&write, batch(&events(0, 3)), None).await.unwrap_err().kind(), Kind::Unavailable(_)));
    assert_eq!(service.count(&grant.permit::<CanRead>().unwrap(), &Query::all(LogKind::Events)).await.unwrap(), 3);
}

fn with_quota(grant: &Grant, events_per_month: u64) -> Grant {
    Grant { plan: std::sync::Arc::new(crate::Plan { events_per_month: Some(events_per_month), ..crate::Plan::unrestricted() }), ..grant.clone() }
}

#[tokio::test]
async fn a_quota_counts_the_months_new_events() {
    let (_dir, service, grant) = service().await;
    let free = grant.permit::<CanWrite>().unwrap();
    service.append(&free, batch(&events(0, 3)), None).await.unwrap();
    // What was stored before the plan changed counts, in this month.
    let limited = with_quota(&grant, 10);
    let write = limited.permit::<CanWrite>().unwrap();
    let e = |id: &str| format!(r#"{{"action":"a","external_id":"{id}"}}"#);
    service.append(&write, batch(&[e("x"), e("y"), e("x"), r#"{"action":"h","http":{"status":200}}"#.into()]), idem("k", 1)).await.unwrap();
    assert_eq!(service.usage(&limited).await.unwrap().events_this_month, 6);
    // What the server stores of itself does not count, in whichever log.
    let own = || crate::Caller::<CanWrite>::server(grant.project);
    service.append(&own(), batch(&[r#"{"action":"own","http":{"status":200}}"#.into(), e("own")]), None).await.unwrap();
    assert_eq!(service.usage(&limited).await.unwrap().events_this_month, 6);
    let refused = service.append(&write, batch(&events(0, 5)), idem("l", 1)).await.unwrap_err();
    // From 2026-02-10T14:32:15.5Z to the end of the month.
    assert_eq!(refused.kind(), Kind::QuotaExceeded(18 * 86_400 + 9 * 3600 + 27 * 60 + 45));
    assert_eq!(refused.public(), "The plan allows 10 events a month (UTC); 4 are left, and this request has 5 new ones. Nothing of it was stored.");
    service.append(&write, batch(&events(0, 4)), idem("l", 2)).await.unwrap();
    // Repeats and replays are free, the other log is not.
    assert!(service.append(&write, batch(&[e("x"), e("y"), e("x"), r#"{"action":"h","http":{"status":200}}"#.into()]), idem("k", 1)).await.unwrap().replayed);
    assert_eq!(service.append(&write, batch(&[e("y"), e("x")]), None).await.unwrap().outcomes.iter().filter(|o| o.duplicate).count(), 2);
    for more in [e("z"), r#"{"action":"h","http":{}}"#.into()] {
        assert!(matches!(service.append(&write, batch(&[e("y"), more]), None).await.unwrap_err().kind(), Kind::QuotaExceeded(_)));
    }
    // Whoever has no quota is not held up, and counts.
    service.append(&free, batch(&events(0, 1)), None).await.unwrap();
    assert_eq!(service.usage(&limited).await.unwrap().events_this_month, 11);
    service.clock().advance(19 * 86_400_000_000);
    assert_eq!(service.usage(&limited).await.unwrap().events_this_month, 0);
    service.append(&own(), batch(&[e("own too")]), None).await.unwrap();
    assert_eq!(service.usage(&limited).await.unwrap().events_this_month, 0);
    service.append(&write, batch(&events(0, 10)), None).await.unwrap();
    assert!(service.append(&write, batch(&[e("z")]), None).await.is_err());
    // A clock that steps back does not begin the month before again.
    service.clock().advance(-19 * 86_400_000_000);
    assert!(service.append(&write, batch(&[e("z")]), None).await.is_err());
    assert!(service.verify(&grant.permit::<CanVerify>().unwrap(), LogKind::Events).await.unwrap().valid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_exact_however_many_ask() {
    let (_dir, service, grant) = service().await;
    let mut all = tokio::task::JoinSet::new();
    for i in 0..60u64 {
        let (service, write) = (service.clone(), with_quota(&grant, 100).permit::<CanWrite>().unwrap());
        all.spawn(async move {
            let size = 1 + i % 4;
            match service.append(&write, batch(&events(0, size as usize)), None).await {
                Ok(_) => size,
                Err(e) => {
                    assert!(matches!(e.kind(), Kind::QuotaExceeded(_)), "{e}");
                    0
                }
            }
        });
    }
    let stored: u64 = all.join_all().await.into_iter().sum();
    assert_eq!(service.usage(&grant).await.unwrap().events_this_month, stored);
    // 150 were sent. Whoever was refused had more than was left, so the last of one fits as long as any is.
    assert!(stored > 96 && stored <= 100, "{stored}");
    assert_eq!(service.stored_events().await.unwrap(), stored);
}
