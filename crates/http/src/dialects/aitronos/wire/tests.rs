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
