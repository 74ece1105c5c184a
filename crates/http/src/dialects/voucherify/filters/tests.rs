use serde_json::json;

use super::*;

fn read(table: Table, filters: &Value) -> Result<Filter, Vec<(String, String)>> {
    let mut violations = Vec::new();
    let filter = translate(table, filters.as_object().expect("an object"), &Limits::default(), &mut violations);
    if violations.is_empty() { Ok(filter) } else { Err(violations.into_iter().map(|v| (v.member, v.message)).collect()) }
}

fn event(filters: &Value) -> Filter {
    read(Table::Event, filters).expect("valid")
}

fn one(field: Field, test: Test, not: bool) -> Term {
    Term { any_of: vec![field], test, not }
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|&t| t.to_owned()).collect()
}

#[test]
fn requests_are_requests() {
    let requests = Term { any_of: vec![Field::HttpMethod, Field::HttpStatus], test: Test::Present, not: false };
    assert_eq!(read(Table::ApiLog, &json!({})).expect("valid"), Filter { terms: vec![requests], ..Filter::default() });
    assert!(event(&json!({"junction": "and"})).is_empty());
}

#[test]
fn every_text_operator() {
    let at = |operator: &str, values: Value| event(&json!({"actor_id": {"conditions": {operator: values}}})).terms;
    let f = Field::ActorId;
    for (operator, values, want) in [
        ("$is", json!(["a"]), vec![one(f, Test::OneOf(texts(&["a"])), false)]),
        ("$is", json!("a"), vec![one(f, Test::OneOf(texts(&["a"])), false)]),
        ("$in", json!(["a", 7, true]), vec![one(f, Test::OneOf(texts(&["a", "7", "true"])), false)]),
        ("$is_not", json!(["a"]), vec![one(f, Test::OneOf(texts(&["a"])), true)]),
        ("$not_in", json!(["a", "b"]), vec![one(f, Test::OneOf(texts(&["a", "b"])), true)]),
        ("$starts_with", json!(["a", "b"]), vec![one(f, Test::StartsWith(texts(&["a", "b"])), false)]),
        ("$ends_with", json!(["a"]), vec![one(f, Test::EndsWith(texts(&["a"])), false)]),
        ("$contains", json!(["A"]), vec![one(f, Test::Contains(Needle::new("a")), false)]),
        ("$not_contain", json!(["a", "b"]), vec![one(f, Test::Contains(Needle::new("a")), true), one(f, Test::Contains(Needle::new("b")), true)]),
        ("$has_value", json!([]), vec![one(f, Test::Present, false)]),
        ("$has_value", json!([true]), vec![one(f, Test::Present, false)]),
        ("$has_value", json!(false), vec![one(f, Test::Present, true)]),
        ("$is_unknown", json!([true]), vec![one(f, Test::Present, true)]),
        ("$is_unknown", json!([false]), vec![one(f, Test::Present, false)]),
    ] {
        assert_eq!(at(operator, values.clone()), want, "{operator} {values}");
    }
}

#[test]
fn times_leave_out_the_instant() {
    let filter = event(&json!({"created_at": {"conditions": {"$after": ["1970-01-01T00:00:01Z"], "$before": "1970-01-01T00:00:02.000005Z"}}}));
    assert_eq!((filter.from, filter.to), (Some(Timestamp::clamped(1_000_001)), Some(Timestamp::clamped(2_000_004))));
    let narrowed = event(&json!({"created_at": {"conditions": {"$after": ["1970-01-02"]}}, "occurred_at": {"conditions": {"$after": ["1970-01-01"], "$before": ["1970-01-03"]}}}));
    let day = 86_400_000_000;
    assert_eq!((narrowed.from, narrowed.to), (Some(Timestamp::clamped(day + 1)), Some(Timestamp::clamped(2 * day - 1))));
}

#[test]
fn outcomes_are_classes_of_statuses() {
    let at = |operator: &str, values: Value| {
        let filter = read(Table::ApiLog, &json!({"status": {"conditions": {operator: values}}})).expect("valid");
        let term = filter.terms.into_iter().nth(1).expect("a term");
        assert_eq!(term.any_of, [Field::HttpStatus]);
        move |status: &str| term.test.passes(status) != term.not
    };
    for (operator, values, status, want) in [
        ("$is", json!(["SUCCESS"]), "204", true),
        ("$is", json!(["success"]), "302", true),
        ("$is", json!(["SUCCESS"]), "404", false),
        ("$is", json!(["FAILURE"]), "404", true),
        ("$is", json!(["FAILURE"]), "999", true),
        ("$is", json!(["FAILURE"]), "200", false),
        ("$is_not", json!(["FAILURE"]), "200", true),
        ("$is_not", json!(["FAILURE"]), "503", false),
        ("$is", json!(["FAILURE", "SUCCESS"]), "200", true),
    ] {
        assert_eq!(at(operator, values.clone())(status), want, "{operator} {values} {status}");
    }
}

#[test]
fn operators_of_a_field_all_hold_and_the_junction_joins_fields() {
    let filters =
        |junction: &str| json!({"junction": junction, "actor_id": {"conditions": {"$is_not": ["a"], "$starts_with": ["u"]}}, "action": {"conditions": {"$in": ["x", "y"]}}});
    let actor = vec![one(Field::ActorId, Test::OneOf(texts(&["a"])), true), one(Field::ActorId, Test::StartsWith(texts(&["u"])), false)];
    let action = one(Field::Action, Test::OneOf(texts(&["x", "y"])), false);
    let mut all = event(&filters("AND")).terms;
    assert_eq!(all.len(), 3);
    all.retain(|t| t.any_of == [Field::ActorId]);
    assert_eq!(all, actor);
    let either = event(&filters("Or"));
    assert!(either.terms.is_empty() && either.either.len() == 2);
    let branch = |terms: Vec<Term>| Filter { terms, ..Filter::default() };
    assert!(either.either.contains(&branch(actor)) && either.either.contains(&branch(vec![action.clone()])));
    assert_eq!(event(&json!({"junction": "or", "action": {"conditions": {"$in": ["x", "y"]}}})), branch(vec![action]));
    let requests =
        read(Table::ApiLog, &json!({"junction": "or", "channel": {"conditions": {"$in": ["API"]}}, "created_at": {"conditions": {"$after": ["2026-01-01"]}}})).expect("valid");
    assert_eq!((requests.terms.len(), requests.either.len(), requests.from), (1, 2, None));
}

#[test]
fn what_is_not_understood_is_named() {
    let refused = |table, filters: Value| read(table, &filters).expect_err("refused").into_iter().map(|(member, _)| member).collect::<Vec<_>>();
    for (table, filters, want) in [
        (Table::ApiLog, json!({"junction": "xor"}), vec!["parameters.filters.junction"]),
        (Table::ApiLog, json!({"junction": null}), vec!["parameters.filters.junction"]),
        (Table::ApiLog, json!({"action": {"conditions": {"$is": ["x"]}}}), vec!["parameters.filters.action"]),
        (Table::ApiLog, json!({"created_at": {"$after": ["2026-01-01"]}}), vec!["parameters.filters.created_at"]),
        (Table::ApiLog, json!({"created_at": {"conditions": {"$is": ["2026-01-01"]}}}), vec!["parameters.filters.created_at.conditions.$is"]),
        (Table::ApiLog, json!({"created_at": {"conditions": {"$after": ["yesterday"]}}}), vec!["parameters.filters.created_at.conditions.$after"]),
        (Table::ApiLog, json!({"created_at": {"conditions": {"$after": ["2026-01-01", "2026-01-02"]}}}), vec!["parameters.filters.created_at.conditions.$after"]),
        (
            Table::ApiLog,
            json!({"status": {"conditions": {"$is": ["OK"], "$in": ["SUCCESS"]}}}),
            vec!["parameters.filters.status.conditions.$in", "parameters.filters.status.conditions.$is"],
        ),
        (Table::ApiLog, json!({"channel": {"conditions": {"$is": ["API"]}}}), vec!["parameters.filters.channel.conditions.$is"]),
        (Table::ApiLog, json!({"app_id": {"conditions": {"$contains": ["x"]}}}), vec!["parameters.filters.app_id.conditions.$contains"]),
        (Table::Event, json!({"action": {"conditions": {"$more_than": [1]}}}), vec!["parameters.filters.action.conditions.$more_than"]),
        (Table::Event, json!({"action": {"conditions": {"$is": []}}}), vec!["parameters.filters.action.conditions.$is"]),
        (Table::Event, json!({"action": {"conditions": {"$is": [null]}}}), vec!["parameters.filters.action.conditions.$is"]),
        (Table::Event, json!({"action": {"conditions": {"$contains": ["a", "b"]}}}), vec!["parameters.filters.action.conditions.$contains"]),
        (Table::Event, json!({"metadata": {"conditions": {"$is": ["{}"]}}}), vec!["parameters.filters.metadata.conditions.$is"]),
        (Table::Event, json!({"hash": {"conditions": {"$is": ["x"]}}}), vec!["parameters.filters.hash"]),
    ] {
        let mut found = refused(table, filters.clone());
        found.sort();
        assert_eq!(found, want, "{filters}");
    }
}

#[test]
fn every_filter_of_requests_is_one_of_their_fields() {
    for (name, ..) in API_LOG {
        assert!(Table::ApiLog.names().any(|field| field == name), "{name}");
    }
}
