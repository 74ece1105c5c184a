use indelible_model::Timestamp;
use indelible_model::fields::Field;

use super::*;

fn read(text: &str) -> Result<HoldSpec> {
    Object::parse(text.as_bytes(), SPEC).and_then(spec)
}

#[test]
fn a_hold_names_events_or_a_filter() {
    let id = EventId([7; 16]);
    let named = read(&format!(r#"{{"case":"c 1","reason":"why","events":["{id}"]}}"#)).expect("valid");
    assert_eq!((named.case.as_str(), named.reason.as_str(), named.what), ("c 1", "why", Holding::Events(vec![id])));
    let filtered = read(r#"{"case":"c","reason":"r","filter":{"log":"activity","from":"2026-02-10","to":"2026-02-10","actor_id":"u1","action":"user.*"}}"#).expect("valid");
    let day = Timestamp::parse("2026-02-10T00:00:00Z").expect("a time");
    let want = HoldFilter {
        log: Some(LogKind::Activity),
        from: Some(day),
        to: Some(Timestamp::clamped(day.micros() + 86_399_999_999)),
        fields: vec![(Field::Action, "user.*".into()), (Field::ActorId, "u1".into())],
    };
    assert_eq!(filtered.what, Holding::Matching(want));
    assert_eq!(read(r#"{"case":"c","reason":"r","filter":{}}"#).expect("valid").what, Holding::Matching(HoldFilter::default()));
}

#[test]
fn what_is_wrong_is_named() {
    for (text, want) in [
        ("{}", &["case", "reason", "filter"][..]),
        (r#"{"case":"c","reason":"r","events":["evt_1"]}"#, &["events"]),
        (r#"{"case":"c","reason":"r","events":[]}"#, &["events", "filter"]),
        (r#"{"case":"c","reason":"r","events":["evt_00000000000000000000000000000000"],"filter":{}}"#, &["filter"]),
        (r#"{"case":"c","reason":"r","filter":[]}"#, &["filter", "filter"]),
        (r#"{"case":"c","reason":"r","filter":{"log":"all","from":"now","search":"x","to":5}}"#, &["filter.search", "filter.log", "filter.from", "filter.to"]),
        (r#"{"case":" ","reason":"r","filter":{},"until":"2027-01-01"}"#, &["until", "case"]),
    ] {
        let members: Vec<_> = read(text).expect_err(text).violations().iter().map(|v| v.member.clone()).collect();
        assert_eq!(members, want, "{text}");
    }
}

#[test]
fn the_filter_has_a_member_for_each_field() {
    assert!(HOLD_FIELDS.into_iter().all(|field| FILTER.contains(&field.column())));
    assert_eq!(FILTER.len(), HOLD_FIELDS.len() + 3);
}
