//! A credential bound to organizations sees, writes, counts and finds nothing else.

use indelible_model::line::Line;
use indelible_model::{EventBatch, EventId, Kind, Limits, LogKind, Query};
use serde_json::Value;

use super::{node, small};
use crate::ingest::Idempotency;
use crate::{CanExport, CanRead, CanVerify, CanWrite, ExportOptions, Format, Grant, Layout, Scope, Scopes, Service, testing};

fn bound(grant: &Grant, organizations: &[&str]) -> Grant {
    Grant { organizations: Some(organizations.iter().map(|&o| o.to_owned()).collect()), ..grant.clone() }
}

fn batch(events: &[&str]) -> EventBatch {
    let mut batch = EventBatch::default();
    events.iter().for_each(|e| batch.push(e.as_bytes(), &Limits::default()).unwrap());
    batch
}

async fn export(service: &Service, grant: &Grant, format: Format) -> Vec<u8> {
    let mut export = service.export(&grant.permit::<CanExport>().unwrap(), Query::all(LogKind::Events), format, ExportOptions::default()).await.unwrap();
    let mut out = Vec::new();
    while let Some(chunk) = export.next().await {
        out.extend_from_slice(&chunk.unwrap());
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_organizations_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&small(testing::config(dir.path())), 1).await;
    let whole = super::grant(&service).await;
    let events = [
        r#"{"action":"one","organization":{"id":"a"}}"#,
        r#"{"action":"two","organization":{"id":"b"}}"#,
        r#"{"action":"three"}"#,
        r#"{"action":"four","organization":{"id":"a"},"metadata":{"needle":"n"}}"#,
        r#"{"action":"five","organization":{"id":"A"},"metadata":{"organization":{"id":"a"}}}"#,
    ];
    let stored = service.append(&whole.permit::<CanWrite>().unwrap(), batch(&events), None).await.unwrap();
    let lines = service.appended_lines(&whole.permit::<CanWrite>().unwrap(), stored).await;
    let ids: Vec<EventId> = lines.iter().map(|l| Line::parse(l).unwrap().id).collect();
    for sealed in [false, true] {
        if sealed {
            assert!(service.seal_log_once(&whole).await);
        }
        for (organizations, want) in [(&["a"][..], &[1, 4][..]), (&["a", "b"], &[1, 2, 4]), (&["c"], &[])] {
            let grant = bound(&whole, organizations);
            let read = grant.permit::<CanRead>().unwrap();
            let page = service.page(&read, Query::all(LogKind::Events)).await.unwrap();
            let positions: Vec<u64> = page.lines.iter().map(|l| Line::parse(l).unwrap().position).collect();
            assert_eq!(positions, want, "{organizations:?}");
            assert_eq!(service.count(&read, &Query::all(LogKind::Events)).await.unwrap(), want.len() as u64);
            let json: Vec<Value> = serde_json::from_slice(&export(&service, &grant, Format::Json).await).unwrap();
            assert_eq!(json.len(), want.len());
            let csv = String::from_utf8(export(&service, &grant, Format::Csv(Layout::LogProof)).await).unwrap();
            assert_eq!(csv.lines().count(), want.len() + 1, "{csv}");
            let missing = service.event(&read, &LogKind::ALL, EventId([7; 16])).await.unwrap_err();
            for (position, id) in (1..).zip(&ids) {
                match service.event(&read, &LogKind::ALL, *id).await {
                    Ok(_) => assert!(want.contains(&position)),
                    Err(e) => assert!(!want.contains(&position) && (e.kind(), e.public()) == (missing.kind(), missing.public())),
                }
            }
            assert_eq!(service.verify(&grant.permit::<CanVerify>().unwrap(), LogKind::Events).await.unwrap_err().kind(), Kind::Forbidden);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_writes_to_its_organizations_and_learns_nothing_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&small(testing::config(dir.path())), 1).await;
    let whole = super::grant(&service).await;
    let (all, a) = (whole.permit::<CanWrite>().unwrap(), bound(&whole, &["a"]).permit::<CanWrite>().unwrap());
    let b = bound(&whole, &["b"]).permit::<CanWrite>().unwrap();
    for foreign in [r#"{"action":"x"}"#, r#"{"action":"x","organization":{"id":"b"}}"#, r#"{"action":"x","organization":{"name":"a"}}"#] {
        let refused = service.append(&a, batch(&[r#"{"action":"x","organization":{"id":"a"}}"#, foreign]), None).await.unwrap_err();
        assert_eq!((refused.kind(), refused.violations()[0].index), (Kind::Invalid, Some(1)), "{foreign}");
    }
    let own = |id: &str| format!(r#"{{"action":"x","external_id":"e","organization":{{"id":"{id}"}}}}"#);
    let key = || Some(Idempotency { route: "r", key: "k".into(), body_digest: [1; 32] });
    for (i, (caller, organization)) in [(&all, "b"), (&a, "a"), (&b, "b")].into_iter().enumerate() {
        let stored = service.append(caller, batch(&[&own(organization)]), key()).await.unwrap();
        assert!(!stored.replayed && !stored.outcomes[0].duplicate, "{i}");
        let replayed = service.append(caller, batch(&[&own(organization)]), key()).await.unwrap();
        assert!(replayed.replayed && replayed.outcomes == stored.outcomes, "{i}");
        assert!(service.append(caller, batch(&[&own(organization)]), None).await.unwrap().outcomes[0].duplicate, "{i}");
    }
    assert_eq!(service.stored_events().await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_activity_of_a_project_needs_a_scope_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&small(testing::config(dir.path())), 1).await;
    let whole = super::grant(&service).await;
    let call = r#"{"action":"api.call","http":{"method":"GET"}}"#;
    let stored = service.append(&whole.permit::<CanWrite>().unwrap(), batch(&[call]), None).await.unwrap();
    let id = Line::parse(&service.appended_lines(&whole.permit::<CanWrite>().unwrap(), stored).await[0]).unwrap().id;
    let some = Grant { scopes: Scopes::of(&[Scope::EventsRead, Scope::Export]), ..whole.clone() };
    let (read, export) = (some.permit::<CanRead>().unwrap(), some.permit::<CanExport>().unwrap());
    let activity = Query::all(LogKind::Activity);
    assert_eq!(service.page(&read, activity.clone()).await.map(|_| ()).unwrap_err().kind(), Kind::Forbidden);
    assert_eq!(service.count(&read, &activity).await.unwrap_err().kind(), Kind::Forbidden);
    assert_eq!(service.export(&export, activity.clone(), Format::Json, ExportOptions::default()).await.map(|_| ()).unwrap_err().kind(), Kind::Forbidden);
    assert_eq!(service.event(&read, &LogKind::ALL, id).await.unwrap_err().kind(), Kind::NotFound);
    let read = whole.permit::<CanRead>().unwrap();
    assert!(service.event(&read, &LogKind::ALL, id).await.is_ok());
    assert!(service.count(&read, &activity).await.unwrap() > 0);
}
