use super::*;

fn of(body: &str) -> Result<(String, Value)> {
    let came = Came { channel: "Node.js", request_id: "v-1" };
    let (batch, told) = read(body.as_bytes(), &came, &Limits::default())?;
    let event = &batch.events()[0];
    let stored = format!("{{\"action\":{},{}}}", String::from_utf8_lossy(batch.slice(&event.action)), String::from_utf8_lossy(batch.slice(&event.details)));
    Ok((stored, serde_json::from_slice(&told).expect("JSON")))
}

#[test]
fn a_whole_event() {
    let (stored, told) = of(r#"{"event":"bought","customer":{"id":"cust_1","source_id":"s1","name":"Ann","email":"ann@example.com","phone":"1"},
        "metadata":{"big":12345678901234567890123,"x":{"y":[1]}},"referral":{"code":"r1"},"loyalty":{"code":"l1"},"unknown":1}"#)
    .expect("valid");
    assert_eq!(
        stored,
        r#"{"action":"bought","actor":{"type":"customer","id":"cust_1","meta":{"name":"Ann","email":"ann@example.com","source_id":"s1"}},"target":null,"context":{"channel":"Node.js","request_id":"v-1","referral":{"code":"r1"},"loyalty":{"code":"l1"}},"diff":null,"metadata":{"big":12345678901234567890123,"x":{"y":[1]}}}"#
    );
    assert_eq!(
        told,
        json!({"object": "event", "type": "bought", "customer": {"object": "customer", "id": "cust_1", "source_id": "s1", "name": "Ann", "email": "ann@example.com"},
            "referral": {"code": "r1"}, "loyalty": {"code": "l1"}})
    );
}

#[test]
fn as_little_as_there_may_be() {
    let (stored, told) = of(r#"{"event":"x","customer":{"source_id":"s1"}}"#).expect("valid");
    assert!(stored.contains(r#""actor":{"type":"customer","id":"s1","meta":{"source_id":"s1"}}"#), "{stored}");
    assert_eq!((&told["customer"]["id"], &told["referral"], &told["loyalty"]), (&json!("s1"), &Value::Null, &Value::Null));
    let (stored, _) = of(r#"{"event":"x","customer":{},"metadata":null,"referral":null}"#).expect("valid");
    assert!(stored.contains(r#""actor":{"type":"customer"}"#) && stored.contains(r#""metadata":{}"#), "{stored}");
}

#[test]
fn what_is_wrong_is_named() {
    let long = format!(r#"{{"event":"{}","customer":{{}}}}"#, "x".repeat(301));
    for (body, want) in [
        (r#"{"customer":{}}"#, &[("", "Payload must have required property 'event'")][..]),
        (r#"{"event":null,"customer":null}"#, &[("", "Payload must have required property 'event'"), ("", "Payload must have required property 'customer'")]),
        (r#"{"event":"","customer":[]}"#, &[("event", "should be a text of 1 to 300 characters"), ("customer", "should be object")]),
        (&long, &[("event", "should be a text of 1 to 300 characters")]),
        (r#"{"event":"x","customer":{"id":7}}"#, &[("customer.id", "should be string")]),
        (r#"{"event":"x","customer":{},"metadata":[],"loyalty":"l"}"#, &[("metadata", "should be object"), ("loyalty", "should be object")]),
    ] {
        let found = of(body).expect_err("refused");
        let found: Vec<(&str, &str)> = found.violations().iter().map(|v| (v.member.as_str(), v.message.as_str())).collect();
        assert_eq!(found, want, "{body}");
    }
    for body in ["", "[]", "7", "{", r#"{"event":"x","event":"y","customer":{}}"#] {
        assert_eq!(of(body).expect_err("refused").kind(), Kind::Malformed, "{body}");
    }
    // What the log takes of no event it takes of no custom one.
    assert_eq!(of(r#"{"event":"x","customer":{},"metadata":{"a":1,"a":2}}"#).expect_err("refused").kind(), Kind::Invalid);
}

#[test]
fn bodies_are_told_apart() {
    for (body, custom, expected) in [
        (r#"{"event":"x","customer":{}}"#, true, true),
        (r#"{"event":null,"customer":null}"#, true, true),
        (r#"{"event":"x"}"#, false, true),
        (r#"{"event":"x","customer":{},"action":null}"#, false, false),
        (r#"{"action":"y"}"#, false, false),
        ("[1,2,3]", false, true),
        ("", false, true),
    ] {
        assert_eq!((is_custom(body.as_bytes(), false), is_custom(body.as_bytes(), true)), (custom, expected), "{body}");
    }
}

/// serde_json builds no value as deep as these, so what is passed over was never built.
#[test]
fn what_is_passed_over_is_not_built() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(serde_json::from_str::<Value>(&deep).is_err());
    let body = format!(r#"{{"x":{deep},"event":"bought","customer":{{"id":"c","y":{deep}}}}}"#);
    assert!(is_custom(body.as_bytes(), false));
    assert!(of(&body).is_ok());
    for body in [format!(r#"{{"event":{deep},"customer":{{}}}}"#), format!(r#"{{"event":"x","customer":{deep}}}"#), format!(r#"{{"event":"x","customer":{{"id":{deep}}}}}"#)] {
        assert!(is_custom(body.as_bytes(), false));
        assert_eq!(of(&body).expect_err("refused").kind(), Kind::Invalid);
    }
}
