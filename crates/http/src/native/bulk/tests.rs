use super::*;

/// Index, line and member of a violation.
type Place = (Option<usize>, Option<usize>, String);

fn refused(text: &str, media: Media) -> (usize, Vec<Place>) {
    let failed = parse(text.as_bytes(), media, &Limits::default()).map(|b| b.len()).expect_err("refused");
    let found = if let Note::FirstOf(n) = failed.note { n } else { 0 };
    (found, failed.error.violations().iter().map(|v| (v.index, v.line, v.member.clone())).collect())
}

#[test]
fn lines_and_arrays_give_the_same_events() {
    let lines = "\n{\"action\":\"a\"}\r\n  \n{\"action\":\"b\",\"metadata\":{\"n\":1.50}}";
    let array = " [ {\"action\":\"a\"} , {\"action\":\"b\",\"metadata\":{\"n\":1.50}} ] ";
    let of = |text: &str, media| {
        let batch = parse(text.as_bytes(), media, &Limits::default()).expect("valid");
        batch.events().iter().map(|e| batch.slice(&e.details).to_vec()).collect::<Vec<_>>()
    };
    let want = of(lines, Media::Ndjson);
    assert_eq!(want.len(), 2);
    for (text, media) in [(lines, Media::Unsaid), (array, Media::Json), (array, Media::Unsaid)] {
        assert_eq!(of(text, media), want);
    }
}

#[test]
fn violations_name_index_and_line() {
    let (found, list) = refused("{\"action\":\"a\"}\n\n{\"action\":1,\"x\":2}\n{", Media::Ndjson);
    assert_eq!(found, 3);
    assert_eq!(list, [(Some(1), Some(3), "action".into()), (Some(1), Some(3), "x".into()), (Some(2), Some(4), String::new())]);
    let (_, list) = refused(r#"[{"action":"a"},{},{"action":"b"}"#, Media::Json);
    assert_eq!(list, [(Some(1), None, "action".into()), (None, None, String::new())]);
}

#[test]
fn many_violations_are_counted() {
    let (found, list) = refused(&"{}\n".repeat(250), Media::Ndjson);
    assert_eq!((found, list.len()), (250, 100));
}

#[test]
fn what_is_no_bulk_body_is_refused() {
    for (text, media) in [
        ("", Media::Ndjson),
        (" \n\n", Media::Unsaid),
        ("[]", Media::Json),
        ("{}", Media::Json),
        ("[", Media::Json),
        ("[{\"action\":\"a\"}] 1", Media::Json),
        ("[\"\u{0}\"]", Media::Json),
    ] {
        assert!(parse(text.as_bytes(), media, &Limits::default()).is_err_and(|f| f.error.kind() == ErrorKind::Invalid), "{text}");
    }
    let limits = Limits { bulk_events: 2, ..Limits::default() };
    assert!(parse(&b"{\"action\":\"a\"}\n".repeat(3), Media::Ndjson, &limits).is_err_and(|f| f.error.kind() == ErrorKind::TooLarge));
}

#[test]
fn positions_are_told_by_log() {
    let outcome = |log, position, duplicate| Outcome { log, position, duplicate };
    let show = |outcomes: Vec<Outcome>| serde_json::to_string(&Stored::new(&outcomes)).expect("JSON");
    assert_eq!(
        show(vec![outcome(LogKind::Events, 7, false), outcome(LogKind::Events, 3, true), outcome(LogKind::Activity, 1, false), outcome(LogKind::Events, 8, false)]),
        r#"{"data":{"accepted":3,"duplicates":1,"first_position":7,"last_position":8,"activity":{"accepted":1,"first_position":1,"last_position":1},"duplicate_positions":[[1,3]]},"meta":{}}"#
    );
    let all = show(vec![outcome(LogKind::Events, 3, true); 1001]);
    assert!(all.contains(r#""accepted":0,"duplicates":1001,"first_position":null"#) && all.contains(r#""duplicate_positions_omitted":1"#));
}
