use std::cell::Cell;

use indelible_model::fields::Fields;
use indelible_model::query::Term;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

const FIELDS: [Field; 10] = [
    Field::Action,
    Field::ActorId,
    Field::ActorName,
    Field::ActorMeta,
    Field::TargetId,
    Field::TargetType,
    Field::SubjectId,
    Field::OrganizationId,
    Field::HttpStatus,
    Field::DiffBefore,
];
const TEXTS: [&str; 14] = ["user.login", "login", "u1", "u42", "t0", "t3", "t9", "order", "", "o1", "503", "null", "N 4", "zz"];
const EVENTS: u64 = 2400;

/// Events of which some fields are there in some row groups only.
fn varied() -> HotBatch {
    let pad = "x".repeat(20_000);
    chain(EVENTS, |p| {
        let actor = if p % 5 == 0 { "null".into() } else { format!(r#"{{"id":"u{}","meta":{{"name":"N {}"}}}}"#, p % 97, p % 7) };
        let target = format!(r#"{{"id":"t{}","type":"{}"}}"#, p / 500, ["order", "", "user"][usize::try_from(p % 3).unwrap()]);
        let diff = if p % 2 == 0 { r#"{"before":null,"after":1}"# } else { "null" };
        let more = if p > 1600 { format!(r#","organization":{{"id":"o{}"}},"http":{{"status":{}}}"#, p % 3, if p % 11 == 0 { 503 } else { 200 }) } else { String::new() };
        let action = if p % 20 == 0 { "\"user.login\"" } else { "\"view\"" };
        (action.into(), format!(r#""actor":{actor},"target":{target},"context":{{}},"diff":{diff},"metadata":{{"pad":"{pad}"}}{more}"#))
    })
}

fn terms() -> impl Strategy<Value = Vec<Term>> {
    let text = || proptest::sample::select(&TEXTS[..]).prop_map(str::to_owned);
    let texts = || proptest::collection::vec(text(), 0..4);
    let test = prop_oneof![
        4 => texts().prop_map(Test::OneOf),
        1 => proptest::sample::select(vec!["u*", "*", "*.login", "t*0", ""]).prop_map(|p| Test::Wildcard(p.to_owned())),
        1 => text().prop_map(Test::LastSegment),
        1 => texts().prop_map(Test::StartsWith),
        1 => texts().prop_map(Test::EndsWith),
        1 => text().prop_map(|t| Test::Contains(Needle::new(&t))),
        1 => text().prop_map(|t| Test::MemberContains("name".into(), Needle::new(&t))),
        1 => Just(Test::Present),
    ];
    let fields = proptest::collection::vec(proptest::sample::select(&FIELDS[..]), 1..3);
    proptest::collection::vec((fields, test, proptest::bool::weighted(0.3)).prop_map(|(any_of, test, not)| Term { any_of, test, not }), 0..3)
}

fn leaf() -> impl Strategy<Value = Filter> {
    let time = || {
        proptest::option::weighted(
            0.2,
            (0..i64::try_from(EVENTS).unwrap()).prop_map(|s| Timestamp::clamped(Timestamp::parse("2026-01-01T00:00:00Z").unwrap().micros() + s * 1_000_000)),
        )
    };
    (time(), time(), terms()).prop_map(|(from, to, terms)| Filter { from, to, terms, ..Filter::default() })
}

fn any_filter() -> impl Strategy<Value = Filter> {
    leaf().prop_recursive(2, 8, 3, |branch| (leaf(), proptest::collection::vec(branch, 0..4)).prop_map(|(filter, either)| Filter { either, ..filter }))
}

/// The same by the words of the definition.
fn passes(filter: &Filter, at: Timestamp, fields: &Fields<'_>) -> bool {
    let term = |t: &Term| t.any_of.iter().any(|f| fields.get(*f).is_some_and(|text| t.test.passes(text))) != t.not;
    filter.from.is_none_or(|from| from <= at)
        && filter.to.is_none_or(|to| at <= to)
        && filter.terms.iter().all(term)
        && (filter.either.is_empty() || filter.either.iter().any(|branch| passes(branch, at, fields)))
}

#[test]
fn any_filter_selects_what_its_definition_says() {
    let site = Site::directory();
    let hot = Arc::new(varied());
    let segment = segment(&site, &hot);
    assert!(segment.groups().len() > 2);
    let lines: Vec<_> = (0..hot.lines().len()).map(|row| Line::parse(hot.lines().get(row)).unwrap()).collect();
    let events: Vec<_> = lines.iter().map(|line| (line.occurred_at, Fields::read(line.action, line.details))).collect();
    let all = |source: Source| Unit { source, rows: 0..events.len() };
    let rows_of = |unit: &Unit, filter: &Filter| match unit.select(filter).unwrap() {
        Selected::All => unit.rows.clone().collect(),
        Selected::Rows(rows) => rows,
    };
    let (pruned, found) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config::with_cases(1000));
    let done = runner.run(&any_filter(), |filter| {
        let want: Vec<usize> = (0..events.len()).filter(|row| passes(&filter, events[*row].0, &events[*row].1)).collect();
        prop_assert_eq!(&rows_of(&all(Source::Batch(Arc::clone(&hot))), &filter), &want);
        let mut got = Vec::new();
        for (number, group) in segment.groups().iter().enumerate() {
            let rows = group.row..group.row + group.rows;
            got.extend(rows_of(&Unit { source: Source::Segment(Arc::clone(&segment)), rows: rows.clone() }, &filter));
            if !prune::may_match(&segment, number, &filter).unwrap() {
                pruned.set(pruned.get() + 1);
                prop_assert!(!want.iter().any(|row| rows.contains(row)));
            }
        }
        found.set(found.get() + usize::from(!want.is_empty()));
        prop_assert_eq!(got, want);
        Ok(())
    });
    done.unwrap();
    assert!(pruned.get() > 100 && found.get() > 100, "{pruned:?} {found:?}");
}

#[test]
fn a_branch_does_not_search() {
    let hot = Arc::new(batch(10));
    let unit = Unit { source: Source::Batch(hot), rows: 0..10 };
    let searching = Filter { search: Some(Needle::new("n 3")), ..Filter::default() };
    let mut login = Filter::default();
    login.equals(Field::ActorId, "u3");
    let nested = Filter { either: vec![searching.clone()], ..Filter::default() };
    for either in [vec![login.clone(), searching.clone()], vec![nested]] {
        assert_eq!(unit.select(&Filter { either, ..Filter::default() }).unwrap_err().kind(), Kind::Internal);
    }
    let whole = Filter { either: vec![login.clone()], ..searching };
    assert_eq!(unit.select(&whole).unwrap(), Selected::Rows(vec![2]));
    login.equals(Field::ActorId, "u4");
    assert_eq!(unit.select(&Filter { either: vec![login], ..whole }).unwrap(), Selected::Rows(vec![]));
}
