use super::*;

fn of(raw: &str) -> Result<(TaskFilter, u32)> {
    translate(Some(raw), &Limits::default())
}

fn task(kind: AskedKind, status: TaskStatus, result: Option<Value>, error: Option<&str>) -> TaskInfo {
    let at = Timestamp::clamped(1_000_001);
    TaskInfo {
        id: TaskId([1; 9]),
        kind,
        status,
        progress: 40,
        result,
        error: error.map(str::to_owned),
        log: LogKind::Events,
        asked_by: json!({ "id": "mem_1", "type": "member", "meta": { "name": "Ann", "email": "ann@example.com" } }),
        request_id: "v-0b029305af4524cf42".to_owned(),
        channel: "API".to_owned(),
        created_at: at,
        updated_at: at,
        started_at: Some(at),
        finished_at: None,
        processing_ms: Some(7),
        export: None,
    }
}

#[test]
fn a_list_is_read_strictly() {
    assert_eq!(of("").expect("valid"), (TaskFilter::default(), 10));
    let (filter, most) = of("limit=100&end_date=2026-02-10T00:00:00.000Z&type=EXPORTS.CREATE&status=FAILED").expect("valid");
    let before = Timestamp::parse("2026-02-10T00:00:00Z").ok();
    assert_eq!((filter, most), (TaskFilter { kind: Some(AskedKind::Export), statuses: vec![TaskStatus::Failed, TaskStatus::Cancelled], before, ..TaskFilter::default() }, 100));
    assert_eq!(of("status=cancelled").expect("valid").0.statuses, [TaskStatus::Cancelled]);
    for (raw, member) in
        [("limit=0", "limit"), ("limit=101", "limit"), ("end_date=soon", "end_date"), ("type=VOUCHERS.IMPORT", "type"), ("status=SCHEDULED", "status"), ("page=2", "page")]
    {
        assert_eq!(of(raw).expect_err("refused").violations()[0].member, member);
    }
}

#[test]
fn every_status_has_its_words() {
    for (status, words) in [
        (TaskStatus::Queued, ("ENQUEUED", "UNKNOWN", "queued")),
        (TaskStatus::Running, ("IN_PROGRESS", "UNKNOWN", "running")),
        (TaskStatus::Done, ("DONE", "SUCCESS", "done")),
        (TaskStatus::Failed, ("FAILED", "FAILED", "failed")),
        (TaskStatus::Cancelled, ("FAILED", "FAILED", "cancelled")),
    ] {
        let action = Action::new(&task(AskedKind::Import, status, None, None));
        assert_eq!((action.status, action.operation_status, action.state), words);
        assert_eq!((action.r#type, action.request_id.as_str(), action.created_at.as_str()), ("EVENTS.IMPORT", "v-0b029305af4524cf42", "1970-01-01T00:00:01.000001Z"));
    }
}

#[test]
fn what_came_of_it() {
    let of = |kind, status, made: Option<Value>, error| result(&task(kind, status, made, error), "http://h");
    assert_eq!(of(AskedKind::Export, TaskStatus::Running, None, None), None);
    let done = of(AskedKind::Export, TaskStatus::Done, Some(json!({ "rows": 3 })), None).expect("over");
    assert_eq!((&done["done_count"], &done["failed_count"], &done["reports"], &done["errors"]), (&json!(3), &json!(0), &json!([]), &json!([])));
    let failed = of(AskedKind::Export, TaskStatus::Failed, None, Some("no room")).expect("over");
    assert_eq!((&failed["done_count"], &failed["errors"]), (&json!(0), &json!(["no room"])));
    assert_eq!(user(&task(AskedKind::Export, TaskStatus::Done, None, None).asked_by), Some(json!({ "id": "mem_1", "email": "ann@example.com", "name": "Ann" })));
    assert_eq!(user(&json!({ "id": "key_1", "type": "api_key" })), None);
}
