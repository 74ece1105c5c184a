use indelible_model::LogKind;

use super::*;

fn members(text: &str) -> Vec<String> {
    let name = |v: &Violation| v.index.map_or_else(|| v.member.clone(), |i| format!("{i}:{}", v.member));
    batch(text.as_bytes(), &Limits::default()).err().map(|e| e.violations().iter().map(name).collect()).unwrap_or_default()
}

#[test]
fn a_batch_is_cut_into_its_events() {
    let batch = batch(br#" { "events" : [ {"action":"a","metadata":{"n":12345678901234567890.50}} , {"action":"b","http":{}} ] } "#, &Limits::default()).expect("valid");
    assert_eq!(batch.len(), 2);
    let first = &batch.events()[0];
    assert!(std::str::from_utf8(batch.slice(&first.details)).is_ok_and(|t| t.contains("12345678901234567890.50")));
    assert_eq!(batch.events()[1].log, LogKind::Activity);
}

#[test]
fn what_is_wrong_is_named() {
    for (text, want) in [
        ("{}", &["events"][..]),
        ("[]", &[""]),
        ("", &[""]),
        ("nonsense", &[""]),
        (r#"{"events":{}}"#, &["events"]),
        (r#"{"events":[]}"#, &["events"]),
        (r#"{"events":[{"action":"a"}],"more":1}"#, &["more"]),
        (r#"{"events":[{"action":"a"}],"events":[]}"#, &[""]),
        (r#"{"events":[{"action":"a"},{"action":1},{"x":1},5]}"#, &["1:action", "2:action", "2:x", "3:"]),
        (r#"{"events":[{"action":"a"},{"action":"b","action":"c"}]}"#, &["1:"]),
        (r#"{"events":[{"action":"a"}"#, &["0:"]),
        (r#"{"events":[{"action":"a"}]} x"#, &[""]),
    ] {
        assert_eq!(members(text), want, "{text}");
    }
    let many = format!("{{\"events\":[{}]}}", vec![r#"{"action":"a"}"#; 101].join(","));
    assert_eq!(members(&many), ["events"]);
}

#[test]
fn answers_hold_the_lines_as_they_are() {
    let lines = [br#"{"id":"evt_1","n":1.50}"#.to_vec(), b"{}".to_vec()];
    let outcome = |duplicate| Outcome { log: LogKind::Events, position: 1, duplicate };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    assert_eq!(text(one(&lines[0], false)), r#"{"data":{"id":"evt_1","n":1.50}}"#);
    assert_eq!(text(one(&lines[1], true)), r#"{"data":{},"meta":{"duplicate":true}}"#);
    assert_eq!(text(many(&lines, &[outcome(false), outcome(false)])), r#"{"data":[{"id":"evt_1","n":1.50},{}]}"#);
    assert_eq!(text(many(&lines[1..], &[outcome(true)])), r#"{"data":[{}],"meta":{"duplicates":1}}"#);
    assert_eq!(text(page(&[], None)), r#"{"data":[],"meta":{"next_cursor":null,"has_more":false}}"#);
    let cursor = Cursor { log: LogKind::Events, before: 258 };
    assert_eq!(text(page(&lines[1..], Some(cursor))), r#"{"data":[{}],"meta":{"next_cursor":"AQAAAAAAAAAAAQI","has_more":true}}"#);
}

#[test]
fn verifications() {
    let verified = Verified::from(Verification {
        valid: false,
        events_checked: 3,
        first_event: Some(EventId([1; 16])),
        last_event: None,
        broken_at: None,
        reason: Some("hash".into()),
        ..Verification::default()
    });
    assert_eq!(
        serde_json::to_string(&verified).ok().as_deref(),
        Some(
            r#"{"data":{"status":"broken","events_checked":3,"first_event_id":"evt_01010101010101010101010101010101","last_event_id":null,"broken_at_event_id":null,"reason":"hash"}}"#
        )
    );
}
