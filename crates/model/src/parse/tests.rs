use super::*;

fn push(text: &str) -> Result<(String, String, NewEvent), ParseError> {
    let mut batch = EventBatch::default();
    batch.push(text.as_bytes(), &Limits::default())?;
    let e = batch.events()[0].clone();
    let s = |r: &Range<usize>| String::from_utf8(batch.slice(r).to_vec()).unwrap();
    Ok((s(&e.action), s(&e.details), e))
}

fn members(text: &str) -> Vec<String> {
    match push(text) {
        Err(ParseError::Violations(v)) => v.into_iter().map(|v| v.member).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn absent_members_have_their_documented_form() {
    let (action, details, event) = push(r#"{"action":"a"}"#).unwrap();
    assert_eq!(action, "\"a\"");
    assert_eq!(details, r#""actor":null,"target":null,"context":{},"diff":null,"metadata":{}"#);
    assert_eq!((event.log, event.occurred_at, event.external_id), (LogKind::Events, None, None));
}

#[test]
fn members_come_in_the_order_of_the_format_and_keep_their_inside() {
    let (_, details, event) = push(
        r#" { "http":{"status":200}, "metadata" : {"b": 9007199254740993, "a":1.50} ,"external_id":"x\u0031","diff":{"after":[1],"before":null},"subject":{"id":"s"},"organization":{"id":"o"},"action":"a","target":{"id":"t"}}"#,
    )
    .unwrap();
    assert_eq!(
        details,
        r#""actor":null,"target":{"id":"t"},"context":{},"diff":{"after":[1],"before":null},"metadata":{"b":9007199254740993,"a":1.50},"subject":{"id":"s"},"organization":{"id":"o"},"http":{"status":200},"external_id":"x1""#
    );
    assert_eq!(event.log, LogKind::Activity);
}

#[test]
fn the_quick_start_form_is_folded_into_meta() {
    let details = |t: &str| push(t).unwrap().1;
    assert!(details(r#"{"action":"a","actor":{"id":"u","name":"N","email":"E"}}"#).starts_with(r#""actor":{"id":"u","meta":{"name":"N","email":"E"}}"#));
    assert!(details(r#"{"action":"a","actor":{"name":"N","meta":{"x":1,"name":"N"},"id":"u"}}"#).starts_with(r#""actor":{"id":"u","meta":{"x":1,"name":"N"}}"#));
    assert!(details(r#"{"action":"a","actor":{"name":"N"}}"#).starts_with(r#""actor":{"meta":{"name":"N"}}"#));
    assert_eq!(members(r#"{"action":"a","actor":{"name":"N","meta":{"name":"M"}}}"#), ["actor.name"]);
}

#[test]
fn every_broken_member_is_named() {
    assert_eq!(
        members(r#"{"actor":1,"target":{"id":7,"x":1},"nope":1,"occurred_at":"2026-01-01T00:00:00","metadata":[]}"#),
        ["action", "actor", "target.id", "target.x", "nope", "occurred_at", "metadata"]
    );
    assert_eq!(members(r#"{"action":""}"#), ["action"]);
    assert_eq!(members(r#"{"action":null}"#), ["action"]);
    assert_eq!(members(r#"{"action":"a","http":{"status":"200"}}"#), ["http.status"]);
    assert_eq!(members(r#"{"action":"a","external_id":""}"#), ["external_id"]);
    assert_eq!(members(&format!(r#"{{"action":"{}"}}"#, "a".repeat(9000))), ["action"]);
    assert_eq!(members("[]"), [""]);
}

#[test]
fn broken_json_is_a_syntax_error_and_adds_nothing() {
    let mut batch = EventBatch::default();
    for bad in ["", "{", r#"{"action":"a","action":"b"}"#, r#"{"action":"a"} x"#, r#"{"action":"\ud800"}"#] {
        assert!(matches!(batch.push(bad.as_bytes(), &Limits::default()), Err(ParseError::Syntax(_))), "{bad}");
    }
    assert!(batch.is_empty() && batch.bytes() == 0);
}
