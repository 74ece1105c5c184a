use indelible_model::fields::Field;

use super::*;

fn read(text: &str) -> Result<ScheduleSpec> {
    Object::parse(text.as_bytes(), SPEC).and_then(spec)
}

fn change(text: &str) -> Result<ScheduleChange> {
    Object::parse(text.as_bytes(), CHANGE).and_then(wanted)
}

fn members(error: &Error) -> Vec<String> {
    error.violations().iter().map(|v| v.member.clone()).collect()
}

#[test]
fn a_schedule_says_what_and_when() {
    let plain = read(r#"{"name":"n","every":"daily","at":"02:05"}"#).expect("valid");
    let want = Scheduled {
        timing: Timing { every: Every::Day, minute: 125 },
        log: LogKind::Events,
        format: Format::Csv(Layout::LogProof),
        coding: Coding::Identity,
        fields: Vec::new(),
        search: None,
    };
    assert_eq!((plain.name.as_str(), plain.what, plain.destination), ("n", want, None));
    let full = r#"{"name":"n","every":"monthly","day":31,"at":"23:59","log":"activity","format":"ndjson","compression":"zstd","filter":{"action":"doc.*","actor_id":"u","search":"x"},
        "destination":{"bucket":"b-1","prefix":"/a/b/","endpoint":"https://s3.example.com/","access_key_id":"id","secret_access_key":"hidden"}}"#;
    let full = read(full).expect("valid");
    assert_eq!(full.what.timing, Timing { every: Every::Month(31), minute: 1439 });
    assert_eq!((full.what.log, full.what.format, full.what.coding), (LogKind::Activity, Format::Ndjson, Coding::Zstd));
    assert_eq!((full.what.fields, full.what.search), (vec![(Field::Action, "doc.*".into()), (Field::ActorId, "u".into())], Some("x".into())));
    let destination = full.destination.expect("given");
    assert_eq!((destination.place.prefix.as_str(), destination.place.endpoint.as_deref(), destination.place.path_style), ("a/b", Some("https://s3.example.com"), true));
    assert!(!format!("{destination:?} {}", destination.to_json()).contains("hidden"));
}

#[test]
fn what_is_wrong_is_named() {
    for (text, want) in [
        ("{}", &["name", "at", "at", "every", "every"][..]),
        (r#"{"name":"n","every":"weekly","at":"01:00"}"#, &["every"]),
        (r#"{"name":"n","every":"daily","day":1,"at":"01:00"}"#, &["every"]),
        (r#"{"name":"n","every":"weekly","weekday":"Mon","at":"1:00"}"#, &["at", "weekday", "every"]),
        (r#"{"name":"n","every":"monthly","day":32,"at":"01:00"}"#, &["day", "every"]),
        (r#"{"name":"n","every":"daily","at":"01:00","log":"all","format":"xml","compression":"lz4"}"#, &["log", "format", "compression"]),
        (
            r#"{"name":"n","every":"daily","at":"01:00","filter":{"from":"2026"},"destination":{"bucket":"b"}}"#,
            &["filter.from", "destination.access_key_id", "destination.secret_access_key"],
        ),
    ] {
        assert_eq!(members(&read(text).expect_err(text)), want, "{text}");
    }
}

#[test]
fn a_change_leaves_what_it_does_not_name() {
    let none = change("{}").expect("valid");
    assert!(none.name.is_none() && none.timing.is_none() && none.active.is_none() && none.destination.is_none());
    assert_eq!(change(r#"{"destination":null,"active":true}"#).expect("valid").destination, Some(None));
    let timing = change(r#"{"every":"weekly","weekday":"sunday","at":"00:00"}"#).expect("valid").timing;
    assert_eq!(timing, Some(Timing { every: Every::Week(6), minute: 0 }));
    assert_eq!(members(&change(r#"{"at":"01:00","log":"events"}"#).expect_err("whole")), ["log", "every", "every"]);
}

#[test]
fn the_filter_has_a_member_for_each_field() {
    assert!(SCHEDULE_FIELDS.into_iter().all(|field| FILTER.contains(&field.column())));
    assert_eq!(FILTER.len(), SCHEDULE_FIELDS.len() + 1);
}
