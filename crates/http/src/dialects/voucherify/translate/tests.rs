use indelible_model::Order;

use super::*;

fn of(body: &Value) -> Result<Creation, Failed> {
    creation(body.to_string().as_bytes(), &Limits::default())
}

fn valid(body: &Value) -> Creation {
    of(body).expect("valid")
}

fn refused(body: &Value) -> Vec<(String, String)> {
    of(body).expect_err("refused").error.violations().iter().map(|v| (v.member.clone(), v.message.clone())).collect()
}

fn events(creation: &Creation) -> (&Query, Format, ExportOptions) {
    match &creation.what {
        Exported::Events { query, format, options } => (query, *format, *options),
        Exported::Header(_) => panic!("a header"),
    }
}

#[test]
fn defaults_are_filled_in() {
    let asked = valid(&json!({"exported_object": "api_log"}));
    let (query, format, options) = events(&asked);
    assert_eq!((query.log, query.order, options), (LogKind::Activity, Order::Ascending, ExportOptions::default()));
    assert_eq!(format, Format::Csv(Layout::Picked(Pick::new(Table::ApiLog, Table::ApiLog.default_fields()).expect("fields"))));
    assert_eq!(asked.parameters, json!({"order": "created_at", "fields": Table::ApiLog.default_fields(), "filters": {"junction": "and"}}));
    let same = valid(
        &json!({"exported_object": "api_log", "parameters": {"order": null, "fields": [], "filters": null, "format": null, "compression": null, "csv_safe": null, "campaign_id": null}, "more": 1}),
    );
    assert_eq!(same.parameters, asked.parameters);
    let order = valid(&json!({"exported_object": "order", "parameters": {}}));
    assert_eq!(order.parameters, json!({"order": "created_at", "fields": ["id", "source_id", "status"], "filters": {"junction": "and"}}));
    assert!(matches!(order.what, Exported::Header(header) if header == "ID,Source ID,Status\r\n"));
}

#[test]
fn a_whole_request_is_shown_as_it_was_sent() {
    let filters = json!({"junction": "OR", "action": {"conditions": {"$starts_with": ["user."]}}, "created_at": {"conditions": {"$after": ["2026-02-10T00:00:00Z"]}}});
    let sent = json!({"order": "-created_at", "fields": ["action", "id", "action"], "filters": filters, "format": "csv", "compression": "gzip", "csv_safe": true, "unknown": 1});
    let asked = valid(&json!({"exported_object": "event", "parameters": sent}));
    assert_eq!(asked.parameters, json!({"order": "-created_at", "fields": ["action", "id"], "filters": filters, "format": "csv", "compression": "gzip", "csv_safe": true}));
    let (query, format, options) = events(&asked);
    assert_eq!((query.log, query.order, query.filter.either.len()), (LogKind::Events, Order::Descending, 2));
    assert_eq!(format, Format::Csv(Layout::Picked(Pick::new(Table::Event, &["action", "id"]).expect("fields"))));
    assert_eq!(options, ExportOptions { coding: Coding::Gzip, csv_safe: true, ..ExportOptions::default() });
}

#[test]
fn whole_events_have_no_fields() {
    for (name, format) in [("json", Format::Json), ("ndjson", Format::Ndjson), ("parquet", Format::Parquet)] {
        let asked = valid(&json!({"exported_object": "event", "parameters": {"format": name, "compression": "zstd", "fields": []}}));
        assert_eq!((events(&asked).1, events(&asked).2.coding), (format, Coding::Zstd));
        assert_eq!(asked.parameters, json!({"order": "created_at", "filters": {"junction": "and"}, "format": name, "compression": "zstd"}));
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (body, want) in [
        (json!([]), &[""][..]),
        (json!({}), &[""]),
        (json!({"exported_object": null}), &[""]),
        (json!({"exported_object": 7}), &["exported_object"]),
        (json!({"exported_object": "campaign"}), &["exported_object"]),
        (json!({"exported_object": "event", "parameters": []}), &["parameters"]),
        (json!({"exported_object": "event", "parameters": {"order": ""}}), &["parameters.order"]),
        (json!({"exported_object": "api_log", "parameters": {"order": "status"}}), &["parameters.order"]),
        (json!({"exported_object": "event", "parameters": {"fields": "id"}}), &["parameters.fields"]),
        (json!({"exported_object": "event", "parameters": {"filters": []}}), &["parameters.filters"]),
        (json!({"exported_object": "voucher", "parameters": {"filters": {"junction": "x", "anything": 1}}}), &["parameters.filters.junction"]),
        (
            json!({"exported_object": "event", "parameters": {"format": "xml", "compression": "br", "csv_safe": 1}}),
            &["parameters.format", "parameters.compression", "parameters.csv_safe"],
        ),
        (json!({"exported_object": "event", "parameters": {"format": "json", "fields": ["id"], "csv_safe": true}}), &["parameters.csv_safe", "parameters.fields"]),
        (json!({"exported_object": "voucher", "parameters": {"format": "parquet", "compression": "gzip"}}), &["parameters.format", "parameters.compression"]),
        (json!({"exported_object": "voucher_transactions", "parameters": {"campaign_id": 7}}), &["parameters.campaign_id"]),
        (json!({"exported_object": "event", "parameters": {"campaign_id": "c"}}), &["parameters.campaign_id"]),
        (
            json!({"exported_object": "event", "parameters": {"filters": {"x": {}, "action": {"conditions": {"$more_than": [1]}}}}}),
            &["parameters.filters.x", "parameters.filters.action.conditions.$more_than"],
        ),
    ] {
        let found = refused(&body);
        assert_eq!(found.iter().map(|(member, _)| member.as_str()).collect::<Vec<_>>(), want, "{body}");
    }
    let found = refused(&json!({"exported_object": "campaign"}));
    assert_eq!(
        found[0].1,
        "should be equal to one of the allowed values [ voucher, redemption, publication, customer, order, points_expiration, voucher_transactions, product, sku, api_log, event ]"
    );
    assert_eq!(creation(b"{", &Limits::default()).expect_err("refused").error.kind(), Kind::Malformed);
}

#[test]
fn unknown_fields_have_a_name_of_their_own() {
    for (object, fields) in [("event", json!(["id", "nothing"])), ("order", json!([7])), ("api_log", json!(["metadata"]))] {
        let failed = of(&json!({"exported_object": object, "parameters": {"fields": fields}})).expect_err("refused");
        assert_eq!(failed.note, Note::Named("invalid_export_fields"));
        assert!(failed.error.public().starts_with("Unsupported field used. Allowed fields: id, "), "{}", failed.error);
    }
}

#[test]
fn a_list_is_paged_ordered_and_filtered() {
    let of = |raw: &str| list(Some(raw), &Limits::default());
    let plain = of("").expect("valid");
    assert_eq!((plain.filter, plain.order, plain.skip, plain.most), (ExportsFilter::default(), ExportOrder::CreatedBack, 0, 10));
    let page = of("limit=100&page=100&order=-status&user_id=mem_1&exported_object=order&object=order").expect("valid");
    assert_eq!((page.order, page.skip, page.most), (ExportOrder::StatusBack, 9900, 100));
    assert_eq!((page.filter.user_id.as_deref(), page.filter.object.as_deref()), (Some("mem_1"), Some("order")));
    for (status, states) in [
        ("DONE", &[ExportState::Finished, ExportState::Expired][..]),
        ("ERROR", &[ExportState::Failed, ExportState::Cancelled]),
        ("SCHEDULED", &[ExportState::Queued]),
        ("expired", &[ExportState::Expired]),
    ] {
        assert_eq!(of(&format!("status={status}")).expect("valid").filter.states, states);
    }
    let between = |raw: &str| {
        let filter = of(raw).expect("valid").filter;
        (filter.from.map(Timestamp::micros), filter.before.map(Timestamp::micros))
    };
    assert_eq!(between("created_from=1970-01-01&created_to=1970-01-01"), (Some(0), Some(86_400_000_000)));
    assert_eq!(between("%5Bcreated_at%5D%5Bafter%5D=1970-01-01T00:00:00Z&[created_at][before]=1970-01-01T00:00:01Z"), (Some(1), Some(1_000_000)));
    assert_eq!(
        between("created_at[after]=1970-01-01T00:00:01Z&created_from=1970-01-01T00:00:00Z&created_at[before]=1970-01-02&created_to=1970-01-02"),
        (Some(1_000_001), Some(86_400_000_000))
    );
    for (raw, member) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("page=+1", "page"),
        ("page=101", "page"),
        ("order=id", "order"),
        ("status=done", "status"),
        ("object=campaign", "object"),
        ("exported_object=order&object=event", "object"),
        ("created_at[after]=x", "created_at[after]"),
        ("created_from=x", "created_from"),
        ("filter=x", "filter"),
    ] {
        assert_eq!(of(raw).expect_err("refused").violations()[0].member, member, "{raw}");
    }
}

#[test]
fn offsets_may_lack_their_colon() {
    let whole = Timestamp::parse("2026-02-10T14:32:15.123456+02:00").ok();
    for text in
        ["2026-02-10T14:32:15.123456+02:00", "2026-02-10T14:32:15.123456+0200", "2026-02-10 14:32:15.123456 0200", "2026-02-10T12:32:15.123456Z", "2026-02-10T12:32:15.123456"]
    {
        assert_eq!(instant(text).ok(), whole, "{text}");
    }
    assert_eq!(instant("2026-02-10").ok(), Timestamp::parse("2026-02-10T00:00:00Z").ok());
    for text in ["", "+0200", "soon", "2026-02-10T14:32:15é0200", "2026-02-10T14:32:15+2:00", "2026-02-10+0200"] {
        assert!(instant(text).is_err(), "{text}");
    }
}

#[test]
fn every_state_has_a_word() {
    assert_eq!(ExportState::ALL.map(word), ["SCHEDULED", "IN_PROGRESS", "DONE", "ERROR", "ERROR", "DONE"]);
}
