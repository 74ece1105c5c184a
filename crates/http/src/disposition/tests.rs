use super::*;

fn of(stem: &str) -> String {
    attachment(stem, "csv").to_str().expect("ASCII").to_owned()
}

#[test]
fn plain_names_have_one_form() {
    assert_eq!(of("audit-log-org_abc123-2026-02-10"), "attachment; filename=\"audit-log-org_abc123-2026-02-10.csv\"");
}

#[test]
fn hostile_names_stay_inside() {
    assert_eq!(of("a\"; filename=\"x.exe"), "attachment; filename=\"a___filename__x.exe.csv\"; filename*=UTF-8''a%22%3B%20filename%3D%22x.exe.csv");
    assert_eq!(of("../../etc"), "attachment; filename=\"_.._etc.csv\"");
    assert_eq!(of("a\r\nSet-Cookie: b"), "attachment; filename=\"a__Set-Cookie__b.csv\"; filename*=UTF-8''a__Set-Cookie%3A%20b.csv");
    assert_eq!(of("Zürich"), "attachment; filename=\"Z_rich.csv\"; filename*=UTF-8''Z%C3%BCrich.csv");
    assert!(of(&"ä".repeat(5000)).len() < 1000);
}

#[test]
fn stamps() {
    let at = Timestamp::parse("2026-02-10T14:32:15.123456Z").expect("a time");
    assert_eq!((day(at).as_str(), second(at).as_str()), ("2026-02-10", "2026-02-10-143215"));
}
