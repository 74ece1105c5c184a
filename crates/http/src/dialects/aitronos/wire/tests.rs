use indelible_model::EventId;

use super::*;

fn entry(details: &str, at: &str) -> serde_json::Value {
    let at = Timestamp::parse(at).expect("a time");
    let line = Line {
        id: EventId([0xab; 16]),
        position: 7,
        action: br#""user.role.updated""#,
        occurred_at: at,
        received_at: at,
        details: details.as_bytes(),
        salt: [0; 16],
        hash: [0; 32],
        previous_hash: [0; 32],
    };
    let mut text = Vec::new();
    line.write(&mut text);
    serde_json::to_value(Entry::read(&text, "org_asked").expect("a line")).expect("JSON")
}

#[test]
fn entity_is_target_and_target_is_subject() {
    let details = r#""actor":{"id":"usr_9","meta":{"name":"Admin","email":"a@example.com"}},"target":{"id":"usr_1","type":"user","meta":{"name":"Ann"}},"context":{},"diff":{"before":"member","after":{"role":"admin","n":12345678901234567890}},"metadata":{"department_id":"dep_1"},"subject":{"id":"dep_2","name":"Sales"},"organization":{"id":"org_1"}"#;
    let found = entry(details, "2025-01-20T14:45:00Z");
    let want: serde_json::Value = serde_json::from_str(
        r#"{"id":"aentry_abababababababababababababababab","entity_type":"user","entity_id":"usr_1","entity_name":"Ann","action_type":"updated","actor_id":"usr_9","actor_name":"Admin","actor_email":"a@example.com","target_id":"dep_2","target_name":"Sales","previous_value":"member","new_value":"{\"role\":\"admin\",\"n\":12345678901234567890}","metadata":{"department_id":"dep_1"},"organization_id":"org_1","department_id":"dep_1","created_at":"2025-01-20T14:45:00Z"}"#,
    )
    .expect("JSON");
    assert_eq!(found, want);
}

#[test]
fn absent_parts_are_empty_strings_where_the_model_requires_them() {
    let found = entry(r#""actor":null,"target":null,"context":{},"diff":{"before":null},"metadata":{}"#, "2025-01-20T14:45:00.5Z");
    for name in ["entity_type", "entity_id", "actor_id", "actor_name", "actor_email"] {
        assert_eq!(found[name], "", "{name}");
    }
    for name in ["entity_name", "target_id", "target_name", "previous_value", "new_value", "department_id"] {
        assert!(found[name].is_null(), "{name}");
    }
    assert_eq!((found["organization_id"].as_str(), found["created_at"].as_str()), (Some("org_asked"), Some("2025-01-20T14:45:00.500000Z")));
}

#[test]
fn a_line_that_cannot_be_read_is_corrupt() {
    assert!(Entry::read(b"{}", "o").is_err_and(|e| e.kind() == indelible_model::Kind::Corrupt));
}

fn changed(before: &str, after: &str) -> Vec<(String, Option<String>, Option<String>)> {
    changes(before, after).into_iter().map(|c| (c.field, c.old_value, c.new_value)).collect()
}

fn row(field: &str, old: Option<&str>, new: Option<&str>) -> (String, Option<String>, Option<String>) {
    (field.to_owned(), old.map(str::to_owned), new.map(str::to_owned))
}

#[test]
fn changes_are_told_field_by_field() {
    let found = changed(r#"{"role":"member","kept":1,"gone":{"a":[1,2]},"n":null}"#, r#"{"new":true,"role":"admin","kept":1,"n":"\u00e9"}"#);
    assert_eq!(found, [row("role", Some("member"), Some("admin")), row("gone", Some(r#"{"a":[1,2]}"#), None), row("n", None, Some("é")), row("new", None, Some("true"))]);
    assert_eq!(changed("null", r#"{"a\"b":"x"}"#), [row("a\"b", None, Some("x"))]);
    assert_eq!(changed(r#"{"a":"x"}"#, "null"), [row("a", Some("x"), None)]);
    assert_eq!(changed("{}", "null"), []);
}

#[test]
fn what_is_no_object_changes_as_one_value() {
    assert_eq!(changed(r#""member""#, r#""admin""#), [row("value", Some("member"), Some("admin"))]);
    assert_eq!(changed("null", "12345678901234567890"), [row("value", None, Some("12345678901234567890"))]);
    assert_eq!(changed(r#""x""#, r#"{"a":1}"#), [row("value", Some("x"), Some(r#"{"a":1}"#))]);
    assert_eq!(changed("1", "1"), []);
    assert_eq!(changed("null", "null"), []);
}
