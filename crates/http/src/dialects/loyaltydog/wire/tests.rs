use indelible_model::EventId;
use serde_json::json;

use super::*;

fn line(action: &[u8], details: &[u8], occurred: &str) -> Vec<u8> {
    let at = Timestamp::parse(occurred).expect("a time");
    let mut out = Vec::new();
    Line { id: EventId([0x1f; 16]), position: 1, action, occurred_at: at, received_at: at, details, salt: [1; 16], hash: [2; 32], previous_hash: [3; 32] }.write(&mut out);
    out
}

fn read(line: &[u8]) -> serde_json::Value {
    serde_json::to_value(Item::read(line).expect("an entry")).expect("JSON")
}

#[test]
fn an_entry_has_its_seventeen_members() {
    let details = br#""actor":{"id":"u1","type":"user","meta":{"name":"Ann"}},"target":{"type":"card","id":"c1","meta":{"title":"Card"}},"subject":{"id":"s1","name":"Sue"},"context":{"ip":"::1","user_agent":"curl","request_id":"r1"},"diff":{"before":1,"after":null},"metadata":{"big":123456789012345678901234567890},"organization":{"id":"m1","name":"Shop"}"#;
    let text = serde_json::to_string(&Item::read(&line(br#""card.issued""#, details, "2026-01-01T00:00:00.5Z")).expect("an entry")).expect("JSON");
    assert_eq!(
        text,
        concat!(
            r#"{"id":"1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f","action":"card.issued","resourceType":"card","resourceId":"c1","actorId":"u1","actorType":"user","subjectId":"s1","#,
            r#""merchantId":"m1","ipAddress":"::1","userAgent":"curl","requestId":"r1","details":{"big":123456789012345678901234567890,"diff":{"before":1,"after":null}},"#,
            r#""timestamp":"2026-01-01T00:00:00.500000Z","actorName":"Ann","subjectName":"Sue","merchantName":"Shop","resourceName":"Card"}"#
        )
    );
}

#[test]
fn what_is_absent_is_null_but_for_what_the_dialect_requires() {
    let entry = read(&line(br#""a""#, br#""actor":null,"target":null,"context":{},"diff":null,"metadata":{}"#, "2026-01-01T00:00:00Z"));
    let some: Vec<_> = entry.as_object().expect("an object").iter().filter(|(_, v)| !v.is_null()).map(|(n, v)| (n.as_str(), v.clone())).collect();
    let want = [("id", json!("1f".repeat(16))), ("action", json!("a")), ("resourceType", json!("")), ("actorType", json!("")), ("timestamp", json!("2026-01-01T00:00:00Z"))];
    assert_eq!(some, want);
    assert!(Item::read(b"{}").is_err());
}

#[test]
fn only_a_failed_task_has_an_error() {
    for (state, status, error) in [
        (ExportState::Queued, "pending", None),
        (ExportState::Running, "processing", None),
        (ExportState::Finished, "success", None),
        (ExportState::Failed, "failed", Some("why")),
        (ExportState::Cancelled, "failed", Some("The export was cancelled.")),
        (ExportState::Expired, "failed", Some("The export's file has expired.")),
    ] {
        assert_eq!(told(state, Some("why")), (status, error));
    }
}
