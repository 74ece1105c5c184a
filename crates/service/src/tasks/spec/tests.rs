use indelible_model::Kind;
use proptest::prelude::*;

use super::*;

fn layouts() -> impl Strategy<Value = Layout> {
    let pick = |table: Table| {
        let names: Vec<_> = table.names().collect();
        proptest::sample::subsequence(names.clone(), 1..=names.len()).prop_shuffle().prop_map(move |fields| Layout::Picked(Pick::new(table, &fields).unwrap()))
    };
    prop_oneof![proptest::sample::select(LAYOUTS.map(|(_, layout)| layout).to_vec()), pick(Table::ApiLog), pick(Table::Event)]
}

fn formats() -> impl Strategy<Value = Format> {
    prop_oneof![proptest::sample::select(vec![Format::Json, Format::Ndjson, Format::Parquet]), layouts().prop_map(Format::Csv), layouts().prop_map(Format::Records)]
}

fn terms() -> impl Strategy<Value = Term> {
    let texts = || proptest::collection::vec(".{0,8}", 0..3);
    let test = prop_oneof![
        texts().prop_map(Test::OneOf),
        ".{0,8}".prop_map(Test::Wildcard),
        ".{0,8}".prop_map(Test::LastSegment),
        texts().prop_map(Test::StartsWith),
        texts().prop_map(Test::EndsWith),
        ".{0,8}".prop_map(|t| Test::Contains(Needle::new(&t))),
        (".{0,8}", ".{0,8}").prop_map(|(name, t)| Test::MemberContains(name, Needle::new(&t))),
        (".{0,8}", ".{0,8}").prop_map(|(name, t)| Test::MemberContains(name, Needle::new(&t))),
        Just(Test::Present),
    ];
    (proptest::collection::vec(proptest::sample::select(Field::ALL), 0..3), test, any::<bool>()).prop_map(|(any_of, test, not)| Term { any_of, test, not })
}

fn leaf() -> impl Strategy<Value = Filter> {
    let time = || proptest::option::of(any::<i64>().prop_map(Timestamp::clamped));
    (time(), time(), proptest::collection::vec(terms(), 0..3), proptest::option::of(".{0,8}")).prop_map(|(from, to, terms, search)| Filter {
        from,
        to,
        terms,
        search: search.map(|s| Needle::new(&s)),
        either: Vec::new(),
    })
}

fn filters() -> impl Strategy<Value = Filter> {
    leaf().prop_recursive(2, 8, 3, |branch| (leaf(), proptest::collection::vec(branch, 0..3)).prop_map(|(filter, either)| Filter { either, ..filter }))
}

fn options() -> impl Strategy<Value = ExportOptions> {
    (proptest::sample::select(CODINGS.map(|(_, coding)| coding).to_vec()), any::<[bool; 4]>()).prop_map(|(coding, [csv_safe, bom, end_line, digest])| ExportOptions {
        coding,
        csv_safe,
        bom,
        end_line,
        digest,
    })
}

fn queries() -> impl Strategy<Value = Query> {
    let order = proptest::sample::select(ORDERS.map(|(_, order)| order).to_vec());
    (proptest::sample::select(LogKind::ALL.to_vec()), filters(), order, any::<(u64, Option<u64>, Option<u64>, u64)>())
        .prop_map(|(log, filter, order, (after, before, limit, skip))| Query { log, filter, order, after, before, limit, skip })
}

proptest! {
    #[test]
    fn what_was_written_is_read_as_it_was(query in queries(), format in formats(), options in options()) {
        let text = write(&query, format, options).to_string();
        let (q, f, o) = read(&serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!((q, f, o), (query, format, options));
    }
}

fn written() -> Value {
    let mut query = Query { before: Some(100), order: Order::Descending, ..Query::all(LogKind::Activity) };
    query.filter.from = Timestamp::from_micros(5);
    query.filter.search = Some(Needle::new("Needle"));
    query.filter.terms.push(Term { any_of: vec![Field::HttpStatus], test: Test::StartsWith(vec!["5".into()]), not: true });
    let mut branch = Filter::default();
    branch.test(Field::HttpChannel, Test::Present);
    query.filter.either.push(branch);
    let pick = Pick::new(Table::ApiLog, &["url", "id"]).unwrap();
    write(&query, Format::Csv(Layout::Picked(pick)), ExportOptions { coding: Coding::Gzip, bom: true, ..ExportOptions::default() })
}

#[test]
fn the_form_of_version_1_stays() {
    let want = json!({
        "v": 1, "log": "activity",
        "filter": {
            "from": 5,
            "terms": [{"any_of": ["http_status"], "test": {"starts_with": ["5"]}, "not": true}],
            "either": [{"terms": [{"any_of": ["http_channel"], "test": {"present": true}, "not": false}]}],
            "search": "needle",
        },
        "order": "descending", "after": 0, "before": 100, "limit": null, "skip": 0,
        "format": "csv", "layout": {"table": "api_log", "fields": ["url", "id"]}, "coding": "gzip",
        "csv_safe": false, "bom": true, "end_line": false, "digest": false,
    });
    assert_eq!(written(), want);
    let plain = write(&Query::all(LogKind::Events), Format::Json, ExportOptions::default());
    assert_eq!((&plain["filter"], &plain["format"], &plain["layout"]), (&json!({}), &json!("json"), &Value::Null));
}

#[test]
fn anything_unknown_is_corrupt() {
    let good = written();
    assert!(read(&good).is_ok());
    for (place, value) in [
        ("/v", json!(2)),
        ("/log", json!("audit")),
        ("/order", json!("up")),
        ("/after", json!(-1)),
        ("/before", json!("100")),
        ("/limit", json!(1.5)),
        ("/format", json!("xml")),
        ("/format", json!("json")),
        ("/layout", json!("voucherify")),
        ("/layout", Value::Null),
        ("/layout/table", json!("voucher")),
        ("/layout/fields", json!(["url", "url"])),
        ("/layout/fields/0", json!("URL")),
        ("/coding", json!("br")),
        ("/bom", json!(1)),
        ("/filter", json!([])),
        ("/filter/from", Value::Null),
        ("/filter/from", json!(i64::MAX)),
        ("/filter/search", json!(5)),
        ("/filter/search", json!("Needle")),
        ("/filter/terms", json!({})),
        ("/filter/terms/0/any_of/0", json!("status")),
        ("/filter/terms/0/not", json!("yes")),
        ("/filter/terms/0/test", json!({"sounds_like": "x"})),
        ("/filter/terms/0/test", json!({"starts_with": "5"})),
        ("/filter/terms/0/test", json!({"starts_with": ["5"], "ends_with": ["5"]})),
        ("/filter/terms/0/test", json!({"member_contains": ["name"]})),
        ("/filter/either/0", Value::Null),
        ("/filter/either/0/terms/0/test/present", json!(false)),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap() = value;
        assert_eq!(read(&bad).map(|_| ()).unwrap_err().kind(), Kind::Corrupt, "{place} {bad}");
    }
    for place in ["", "/filter", "/filter/terms/0", "/filter/either/0", "/layout"] {
        let mut more = good.clone();
        more.pointer_mut(place).unwrap()["new"] = json!(1);
        assert_eq!(read(&more).map(|_| ()).unwrap_err().kind(), Kind::Corrupt, "{place}");
    }
    for name in good.as_object().unwrap().keys() {
        let mut less = good.clone();
        less.as_object_mut().unwrap().shift_remove(name);
        assert_eq!(read(&less).map(|_| ()).unwrap_err().kind(), Kind::Corrupt, "without {name}");
    }
}
