use super::*;

const ALLOWED: &[&str] = &["action", "per_page", "bom", "from", "to", "log", "search"];

fn names(raw: &str) -> Vec<String> {
    let limits = Limits::default();
    let mut params = Params::parse(Some(raw), ALLOWED, &limits).expect("short enough");
    params.text("action");
    params.number("per_page", 1, 100);
    params.flag("bom");
    params.bound("from", End::From);
    params.bound("to", End::To);
    params.log();
    params.search("search");
    params.finish().err().map(|e| e.violations().iter().map(|v| v.member.clone()).collect()).unwrap_or_default()
}

#[test]
fn values_are_decoded() {
    let limits = Limits::default();
    let mut params = Params::parse(Some("action=user.%2A+%C3%A4%26&per_page=07&bom=1&from=2026-02-10T00:00:00+02:00&&to=2026-02-10"), ALLOWED, &limits).expect("short enough");
    assert_eq!(params.text("action").as_deref(), Some("user.* ä&"));
    assert_eq!(params.text("action"), None);
    assert_eq!(params.number("per_page", 1, 100), Some(7));
    assert!(params.flag("bom"));
    assert_eq!(params.bound("from", End::From).map(|t| t.to_string()).as_deref(), Some("2026-02-09T22:00:00.000000Z"));
    assert_eq!(params.bound("to", End::To).map(|t| t.to_string()).as_deref(), Some("2026-02-10T23:59:59.999999Z"));
    assert!(params.finish().is_ok());
}

#[test]
fn every_broken_rule_is_named() {
    for (raw, want) in [
        ("actoin=x", &["actoin"][..]),
        ("a%zz=x", &["a%zz"]),
        ("action=a&action=a", &["action"]),
        ("action=", &["action"]),
        ("action", &["action"]),
        ("action=%ff", &["action"]),
        ("action=%00", &["action"]),
        ("action=%2", &["action"]),
        ("per_page=0", &["per_page"]),
        ("per_page=101", &["per_page"]),
        ("per_page=%2B5", &["per_page"]),
        ("per_page=99999999999999999999999", &["per_page"]),
        ("bom=yes", &["bom"]),
        ("from=soon&to=2026-13-01", &["from", "to"]),
        ("log=other", &["log"]),
        ("x=1&y=2&bom=no", &["x", "y", "bom"]),
        ("", &[]),
        ("&&", &[]),
    ] {
        assert_eq!(names(raw), want, "{raw}");
    }
    let limits = Limits::default();
    assert_eq!(names(&format!("action={}&search={}", "a".repeat(limits.text_bytes + 1), "b".repeat(limits.search_bytes + 1))), ["action", "search"]);
}

#[test]
fn a_long_query_string_is_too_large() {
    let limits = Limits::default();
    let error = Params::parse(Some(&"x".repeat(limits.query_bytes + 1)), ALLOWED, &limits).err().map(|e| e.kind());
    assert_eq!(error, Some(Kind::TooLarge));
}
