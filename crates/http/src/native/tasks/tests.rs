use super::*;

fn read(raw: &str) -> Result<(TaskFilter, u32)> {
    translate(Some(raw), &Limits::default())
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

#[test]
fn a_list_is_filtered_as_asked() {
    assert_eq!(read("").expect("valid"), (TaskFilter::default(), 25));
    let (filter, per_page) = read("kind=import&status=failed&from=2026-02-10&to=2026-02-10&per_page=7").expect("valid");
    let (from, before) = (Some(time("2026-02-10T00:00:00Z")), Some(time("2026-02-11T00:00:00Z")));
    assert_eq!(filter, TaskFilter { kind: Some(AskedKind::Import), statuses: vec![TaskStatus::Failed], from, before, after: None });
    assert_eq!(per_page, 7);
}

#[test]
fn a_cursor_leads_to_older_tasks_within_the_range() {
    let (at, id) = (time("2026-02-10T14:32:15.123456Z"), TaskId([7; 9]));
    let text = cursor(at, id);
    assert_eq!(place(&text), Some((at, id)));
    let (filter, _) = read(&format!("cursor={text}")).expect("valid");
    assert_eq!((filter.before, filter.after), (Some(at), Some(id)));
    let (filter, _) = read(&format!("to=2026-02-09&cursor={text}")).expect("valid");
    assert_eq!((filter.before, filter.after), (Some(time("2026-02-10T00:00:00Z")), None));
    let other = URL_SAFE_NO_PAD.encode([2; 18]);
    for bad in ["x", "", &text[1..], &format!("{text}AA"), &other] {
        assert_eq!(place(bad), None, "{bad}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (raw, want) in
        [("kind=webhook", &["kind"][..]), ("status=DONE&from=now&to=x&per_page=101&cursor=x", &["status", "from", "to", "per_page", "cursor"]), ("limit=5", &["limit"])]
    {
        let members: Vec<_> = read(raw).expect_err(raw).violations().iter().map(|v| v.member.clone()).collect();
        assert_eq!(members, want, "{raw}");
    }
}
