use super::*;

fn limits() -> Limits {
    Limits::default()
}

fn members<T>(result: Result<T>) -> Vec<String> {
    result.err().map(|e| e.violations().iter().map(|v| v.member.clone()).collect()).unwrap_or_default()
}

#[test]
fn each_parameter_tests_its_field() {
    for (name, field) in EXACT {
        let query = list(Some(&format!("{name}=x%20y")), &limits()).expect("valid");
        let [term] = query.filter.terms.as_slice() else { panic!("{name}: one term") };
        assert_eq!(term.any_of, [*field], "{name}");
        assert!(matches!(&term.test, Test::OneOf(values) if values == &["x y"]), "{name}");
        assert!(LIST.contains(name) && EXPORT.contains(name), "{name}");
    }
}

#[test]
fn a_list_is_newest_first() {
    let query = list(None, &limits()).expect("valid");
    assert_eq!((query.order, query.limit, query.before, query.log), (Order::Descending, Some(25), None, LogKind::Events));
    assert!(query.filter.is_empty());
    let cursor = Cursor { log: LogKind::Activity, before: 9 }.encode();
    let query = list(Some(&format!("log=activity&cursor={cursor}&per_page=100&action=user.*&search=J%C3%B6rg")), &limits()).expect("valid");
    assert_eq!((query.before, query.limit, query.log), (Some(9), Some(100), LogKind::Activity));
    assert!(matches!(&query.filter.terms[0].test, Test::Wildcard(p) if p == "user.*"));
    assert!(query.filter.search.is_some());
}

#[test]
fn dates_mean_whole_days_at_both_ends() {
    let filter = list(Some("from=2026-02-10&to=2026-02-10"), &limits()).expect("valid").filter;
    assert_eq!(filter.from.map(|t| t.to_string()).as_deref(), Some("2026-02-10T00:00:00.000000Z"));
    assert_eq!(filter.to.map(|t| t.to_string()).as_deref(), Some("2026-02-10T23:59:59.999999Z"));
}

#[test]
fn a_cursor_belongs_to_its_log() {
    let cursor = Cursor { log: LogKind::Activity, before: 9 }.encode();
    assert_eq!(members(list(Some(&format!("cursor={cursor}")), &limits())), ["cursor"]);
    assert_eq!(members(list(Some("cursor=nonsense"), &limits())), ["cursor"]);
}

#[test]
fn formats_and_their_options() {
    for (raw, kind, format) in [
        (None, Kind::Json, Format::Json),
        (Some("format=json"), Kind::Json, Format::Json),
        (Some("format=csv&csv_safe=true&bom=1"), Kind::Csv, Format::Csv(Layout::LogProof)),
        (Some("format=ndjson&end=true&csv_safe=false"), Kind::Ndjson, Format::Ndjson),
        (Some("format=parquet"), Kind::Parquet, Format::Parquet),
    ] {
        let export = export(raw, Coding::Zstd, &limits()).expect("valid");
        assert_eq!((export.kind, export.kind.format(), export.query.order, export.query.limit), (kind, format, Order::Ascending, None));
        assert_eq!(export.options.coding, if kind == Kind::Parquet { Coding::Identity } else { Coding::Zstd });
    }
    assert_eq!(members(export(Some("format=pdf"), Coding::Identity, &limits())), ["format"]);
    assert_eq!(members(export(Some("end=true&bom=true&csv_safe=maybe"), Coding::Identity, &limits())), ["csv_safe", "bom", "end"]);
    assert_eq!(members(export(Some("per_page=5&cursor=x"), Coding::Identity, &limits())), ["per_page", "cursor"]);
}

#[test]
fn verification_names_a_log() {
    assert_eq!(verify(None, &limits()).ok(), Some(LogKind::Events));
    assert_eq!(verify(Some("log=activity"), &limits()).ok(), Some(LogKind::Activity));
    assert_eq!(members(verify(Some("from=2026-01-01"), &limits())), ["from"]);
}

#[test]
fn a_timeline_is_a_shorter_list() {
    let query = timeline(None, &limits()).expect("valid");
    assert_eq!((query.order, query.limit, query.before, query.log), (Order::Descending, Some(25), None, LogKind::Events));
    let cursor = Cursor { log: LogKind::Events, before: 9 }.encode();
    let raw = format!("limit=50&cursor={cursor}&action=user.*&actor_id=a&target_type=t&target_id=i&from=2026-02-10&to=2026-02-10");
    let query = timeline(Some(&raw), &limits()).expect("valid");
    assert_eq!((query.before, query.limit, query.filter.terms.len()), (Some(9), Some(50), 4));
    assert_eq!(members(timeline(Some("limit=51&log=activity&search=x"), &limits())), ["log", "search", "limit"]);
    let other = Cursor { log: LogKind::Activity, before: 9 }.encode();
    assert_eq!(members(timeline(Some(&format!("cursor={other}")), &limits())), ["cursor"]);
}
