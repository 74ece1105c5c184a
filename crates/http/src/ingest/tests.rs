use axum::http::{HeaderName, HeaderValue};

use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_bytes(v.as_bytes()).expect("a value"))).collect()
}

#[test]
fn media_types() {
    for (value, want) in [
        ("application/json", Ok(Media::Json)),
        ("Application/JSON; charset=utf-8", Ok(Media::Json)),
        ("application/x-ndjson", Ok(Media::Ndjson)),
        ("application/x-www-form-urlencoded", Ok(Media::Unsaid)),
        ("text/plain", Err(Kind::Unsupported)),
        ("application/xml", Err(Kind::Unsupported)),
        ("multipart/form-data; boundary=x", Err(Kind::Unsupported)),
    ] {
        assert_eq!(media(&headers(&[("content-type", value)])).map_err(|e| e.kind()), want, "{value}");
    }
    assert_eq!(media(&HeaderMap::new()).ok(), Some(Media::Unsaid));
    assert!(expect_json(&headers(&[("content-type", "application/x-ndjson")])).is_err());
}

#[test]
fn idempotency_keys() {
    let of = |pairs: &[(&'static str, &str)]| key(&headers(pairs)).map_err(|e| e.violations()[0].member.clone());
    assert_eq!(of(&[]), Ok(None));
    assert_eq!(of(&[("idempotency-key", "a-1~!")]), Ok(Some("a-1~!".to_owned())));
    assert_eq!(of(&[("idempotency-key", "a b")]), Ok(Some("a b".to_owned())));
    for bad in ["", "ä", &"x".repeat(256)] {
        assert_eq!(of(&[("idempotency-key", bad)]), Err("Idempotency-Key".to_owned()), "{bad}");
    }
    assert!(of(&[("idempotency-key", "a"), ("idempotency-key", "b")]).is_err());
    assert!(bound(Some("a".to_owned()), "r", Some([1; 32])).is_some_and(|i| i.key == "a" && i.body_digest == [1; 32]));
    assert!(bound(None, "r", Some([1; 32])).is_none());
}

#[test]
fn violations_carry_their_place() {
    let error = EventBatch::default().push(b"{\"action\":1}", &Limits::default()).expect_err("a number");
    let found = violations(error, Some(2), Some(5));
    assert!(found.iter().all(|v| v.index == Some(2) && v.line == Some(5) && v.member == "action"), "{found:?}");
    let error = EventBatch::default().push(b"{", &Limits::default()).expect_err("half an object");
    assert!(violations(error, None, None)[0].message.contains("at byte 1"));
}
