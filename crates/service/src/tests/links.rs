//! What links and tokens must keep: their hour, their export, and nothing but it.

use indelible_model::ids::hex;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::{Coding, Download, ExportInfo, ExportPart, ExportSpec, Exported, LinkPlace, LinkRefused, Place, SignedLink};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;

/// A service whose links are its own, and what somebody may do there.
async fn service(dir: &tempfile::TempDir) -> (Service, Grant) {
    let objects = Place::Directory(dir.path().join("objects"));
    let service = node(&Config { objects, ..small(testing::config(dir.path())) }, 1).await;
    let grant = grant(&service).await;
    append(&service, &grant, 0, 50).await;
    (service, grant)
}

async fn export(service: &Service, grant: &Grant, run: bool) -> ExportInfo {
    let what =
        Exported::Events { query: Box::new(Query::all(LogKind::Events)), format: Format::Ndjson, options: ExportOptions { coding: Coding::Gzip, ..ExportOptions::default() } };
    let spec = ExportSpec { object: "event".into(), what, parameters: json!({}), stem: "events".into(), request_id: "r".into(), channel: "API".into(), idempotency: None };
    let caller = grant.permit::<CanExport>().unwrap();
    let asked = service.export_start(&caller, spec).await.unwrap();
    while run && let Some(task) = service.next_task().await.unwrap() {
        service.run_asked(task).await;
    }
    service.export_info(&caller, asked.id).await.unwrap()
}

async fn ours(service: &Service, info: &ExportInfo, part: ExportPart) -> SignedLink {
    let link = service.export_link(info, part).await.unwrap().unwrap();
    let LinkPlace::Ours(ours) = link.place else { panic!("a link to elsewhere") };
    assert_eq!(link.expires_at.micros(), ours.date.micros() + HOUR);
    ours
}

async fn follow(service: &Service, link: &SignedLink) -> std::result::Result<Download, LinkRefused> {
    service.export_by_link(link).await.unwrap()
}

async fn refused(service: &Service, link: &SignedLink) -> LinkRefused {
    follow(service, link).await.err().unwrap()
}

async fn whole(download: Download) -> Vec<u8> {
    let bytes = download.read(0, usize::try_from(download.bytes).unwrap()).await.unwrap();
    assert_eq!(download.sha256[..], Sha256::digest(&bytes)[..]);
    bytes.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_its_file_for_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let (service, grant) = service(&dir).await;
    let waiting = export(&service, &grant, false).await;
    assert_eq!((service.export_link(&waiting, ExportPart::File).await.unwrap(), service.export_token(&waiting)), (None, None));
    let info = export(&service, &grant, true).await;
    let (file, manifest) = (ours(&service, &info, ExportPart::File).await, ours(&service, &info, ExportPart::Manifest).await);
    assert_eq!((file.name.as_str(), manifest.name.as_str()), ("events-2026-02-10.ndjson.gz", "events-2026-02-10.ndjson.gz.manifest.json"));
    let download = follow(&service, &file).await.unwrap();
    assert_eq!((download.media, hex(&download.sha256)), ("application/gzip", info.file.as_ref().unwrap().sha256.clone()));
    whole(download).await;
    let download = follow(&service, &manifest).await.unwrap();
    assert_eq!(download.media, "application/json");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&whole(download).await).unwrap()["rows"], 50);
    // Its hour began with the second in which it was made.
    assert_eq!(file.date.micros() % SECOND, 0);
    service.clock().advance(HOUR - SECOND / 2 - 1);
    assert!(follow(&service, &file).await.is_ok());
    service.clock().advance(1);
    let LinkRefused::Late(at) = refused(&service, &file).await else { panic!("not late") };
    assert_eq!(at.micros(), file.date.micros() + HOUR);
    // Another asking, another hour.
    let fresh = ours(&service, &info, ExportPart::File).await;
    assert!(fresh != file && follow(&service, &fresh).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_changed_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (service, grant) = service(&dir).await;
    let (one, two) = (export(&service, &grant, true).await, export(&service, &grant, true).await);
    let link = ours(&service, &one, ExportPart::File).await;
    let (manifest, other) = (ours(&service, &one, ExportPart::Manifest).await, ours(&service, &two, ExportPart::File).await);
    let later = Timestamp::clamped(link.date.micros() + SECOND);
    for changed in [
        SignedLink { export: two.id, ..link.clone() },
        SignedLink { export: indelible_model::ExportId([7; 16]), ..link.clone() },
        SignedLink { name: manifest.name.clone(), ..link.clone() },
        SignedLink { name: "events".into(), ..link.clone() },
        SignedLink { name: String::new(), ..link.clone() },
        SignedLink { date: later, ..link.clone() },
        SignedLink { lifetime: 3599, ..link.clone() },
        SignedLink { lifetime: u64::MAX, ..link.clone() },
        SignedLink { signature: manifest.signature.clone(), ..link.clone() },
        SignedLink { signature: other.signature.clone(), ..link.clone() },
        SignedLink { signature: link.signature.to_uppercase(), ..link.clone() },
        SignedLink { signature: link.signature[..63].into(), ..link.clone() },
        SignedLink { signature: format!("{}0", link.signature), ..link.clone() },
        SignedLink { signature: String::new(), ..link.clone() },
    ] {
        assert_eq!(refused(&service, &changed).await, LinkRefused::Denied, "{changed:?}");
    }
    // Each digit counts.
    for i in 0..64 {
        let mut signature = link.signature.clone().into_bytes();
        signature[i] = if signature[i] == b'0' { b'1' } else { b'0' };
        assert_eq!(refused(&service, &SignedLink { signature: String::from_utf8(signature).unwrap(), ..link.clone() }).await, LinkRefused::Denied);
    }
    assert!(follow(&service, &link).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_lives_longer_than_the_settings_say_or_begins_tomorrow() {
    let dir = tempfile::tempdir().unwrap();
    let (service, grant) = service(&dir).await;
    let info = export(&service, &grant, true).await;
    let (link, token) = (ours(&service, &info, ExportPart::File).await, service.export_token(&info).unwrap());
    // The clock is set back: by a little, and by more.
    service.clock().advance(-30 * SECOND);
    assert!(follow(&service, &link).await.is_ok() && service.export_by_token(info.id, &token).await.is_ok());
    service.clock().advance(-60 * SECOND);
    assert_eq!(refused(&service, &link).await, LinkRefused::Denied);
    assert_eq!(service.export_by_token(info.id, &token).await.err().unwrap().kind(), Kind::Unauthenticated);
    service.clock().advance(90 * SECOND);
    assert!(follow(&service, &link).await.is_ok());
    // An operator makes links shorter: old ones are worth nothing.
    let mut config = service.inner.config.clone();
    service.close().await;
    config.tasks.link_secs = 1800;
    let again = node(&config, 2).await;
    assert_eq!(refused(&again, &link).await, LinkRefused::Denied);
    assert_eq!(again.export_by_token(info.id, &token).await.err().unwrap().kind(), Kind::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_die_with_their_export() {
    let dir = tempfile::tempdir().unwrap();
    let (service, grant) = service(&dir).await;
    let caller = grant.permit::<CanExport>().unwrap();
    let (one, two) = (export(&service, &grant, true).await, export(&service, &grant, true).await);
    let (link, token) = (ours(&service, &one, ExportPart::File).await, service.export_token(&one).unwrap());
    let open = follow(&service, &link).await.unwrap();
    assert!(open.still_there().await.unwrap());
    service.export_delete(&caller, one.id).await.unwrap();
    assert_eq!(refused(&service, &link).await, LinkRefused::Denied);
    assert_eq!(service.export_by_token(one.id, &token).await.err().unwrap().kind(), Kind::Unauthenticated);
    assert_eq!(service.export_download(&caller, one.id, ExportPart::File).await.err().unwrap().kind(), Kind::NotFound);
    assert!(!open.still_there().await.unwrap());
    // One whose time is over is known, and has no file.
    service.clock().advance(180 * DAY - HOUR / 2);
    let (link, token) = (ours(&service, &two, ExportPart::File).await, service.export_token(&two).unwrap());
    service.clock().advance(HOUR / 2 + 1);
    service.sweep_now().await;
    assert_eq!(refused(&service, &link).await, LinkRefused::Gone);
    assert_eq!(service.export_by_token(two.id, &token).await.err().unwrap().kind(), Kind::Unauthenticated);
    let two = service.export_info(&caller, two.id).await.unwrap();
    assert_eq!((service.export_link(&two, ExportPart::File).await.unwrap(), service.export_token(&two)), (None, None));
    assert_eq!(service.export_download(&caller, two.id, ExportPart::File).await.err().unwrap().kind(), Kind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_for_one_export_and_no_link() {
    let dir = tempfile::tempdir().unwrap();
    let (service, grant) = service(&dir).await;
    let (one, two) = (export(&service, &grant, true).await, export(&service, &grant, true).await);
    let token = service.export_token(&one).unwrap();
    assert!(token.len() == 28 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    let bytes = whole(service.export_by_token(one.id, &token).await.unwrap()).await;
    let caller = grant.permit::<CanExport>().unwrap();
    assert_eq!(whole(service.export_download(&caller, one.id, ExportPart::File).await.unwrap()).await, bytes);
    let bad = async |id, token: &str| assert_eq!(service.export_by_token(id, token).await.err().unwrap().kind(), Kind::Unauthenticated, "{token}");
    bad(two.id, &token).await;
    bad(indelible_model::ExportId([7; 16]), &token).await;
    for other in ["", "x", &token[..27], &format!("{token}A"), &token.to_lowercase(), &service.export_token(&two).unwrap()] {
        bad(one.id, other).await;
    }
    for i in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[i] = if changed[i] == b'A' { b'B' } else { b'A' };
        bad(one.id, std::str::from_utf8(&changed).unwrap()).await;
    }
    let link = ours(&service, &one, ExportPart::File).await;
    bad(one.id, &link.signature).await;
    bad(one.id, &link.signature[..28]).await;
    service.clock().advance(HOUR - SECOND);
    assert!(service.export_by_token(one.id, &token).await.is_ok());
    service.clock().advance(SECOND);
    bad(one.id, &token).await;
}
