use std::sync::Arc;

use indelible_model::ProjectId;
use indelible_service::{Plan, Scopes, Who};

use super::*;

fn bound(organizations: &[&str]) -> Grant {
    Grant {
        project: ProjectId([1; 16]),
        project_name: "default".into(),
        who: Who::Server,
        scopes: Scopes::all(),
        organizations: (!organizations.is_empty()).then(|| organizations.iter().map(|o| (*o).to_owned()).collect()),
        plan: Arc::new(Plan::unrestricted()),
        per_minute: None,
        token: None,
    }
}

fn grant() -> Grant {
    bound(&[])
}

fn page(raw: &str, organization: &str) -> Result<List> {
    list(Some(raw), organization, &grant(), &Limits::default())
}

fn file(raw: &str) -> Result<(Query, ExportOptions)> {
    export(Some(raw), "default", &grant(), Coding::Gzip, 10_000, &Limits::default())
}

fn members<T>(result: Result<T>) -> Vec<String> {
    result.err().map(|e| e.violations().iter().map(|v| v.member.clone()).collect()).unwrap_or_default()
}

#[test]
fn the_organization_of_the_path_narrows_or_means_the_whole_project() {
    for whole in ["default", "prj_01010101010101010101010101010101"] {
        assert!(page("", whole).expect("valid").query.filter.is_empty(), "{whole}");
    }
    for one in ["org_1", "prj_01010101010101010101010101010102", "Default", "*"] {
        let filter = page("", one).expect("valid").query.filter;
        assert!(matches!(&filter.terms[..], [Term { any_of, test: Test::OneOf(v), not: false }] if any_of == &[Field::OrganizationId] && v == &[one]), "{one}");
    }
}

#[test]
fn each_parameter_tests_its_field() {
    for (name, field) in EXACT {
        let filter = page(&format!("{name}=x"), "default").expect("valid").query.filter;
        assert!(matches!(&filter.terms[..], [Term { any_of, test: Test::OneOf(v), not: false }] if any_of == &[*field] && v == &["x"]), "{name}");
        assert!(LIST.contains(name) && EXPORT.contains(name), "{name}");
    }
    let filter = page("action_type=updated&search_term=Ann", "default").expect("valid").query.filter;
    assert!(matches!(&filter.terms[0].test, Test::LastSegment(v) if v == "updated"));
    assert!(matches!(&filter.terms[1], Term { any_of, test: Test::Contains(_), not: false } if any_of == SEARCHED));
    let filter = page("action_type=user.updated", "default").expect("valid").query.filter;
    assert!(matches!(&filter.terms[0].test, Test::OneOf(v) if v == &["user.updated"]));
}

#[test]
fn a_date_ends_with_its_day() {
    let filter = page("from_date=2025-12-01&to_date=2025-12-31", "default").expect("valid").query.filter;
    assert_eq!(filter.from.map(|t| t.to_string()).as_deref(), Some("2025-12-01T00:00:00.000000Z"));
    assert_eq!(filter.to.map(|t| t.to_string()).as_deref(), Some("2025-12-31T23:59:59.999999Z"));
}

#[test]
fn pages() {
    let first = page("", "default").expect("valid");
    assert_eq!((first.query.skip, first.query.limit, first.limit, first.query.order), (0, Some(50), 50, Order::Descending));
    let other = page("skip=20&limit=100", "default").expect("valid");
    assert_eq!((other.query.skip, other.query.limit), (20, Some(100)));
    assert_eq!(members(page("limit=0&skip=-1", "default")), ["skip", "limit"]);
    assert_eq!(members(page("limit=101&page=2", "default")), ["page", "limit"]);
}

#[test]
fn exports() {
    let (query, options) = file("").expect("valid");
    assert_eq!((query.order, query.limit, options.csv_safe, options.coding), (Order::Descending, Some(10_000), false, Coding::Gzip));
    let (query, options) = file("limit=none&csv_safe=true").expect("valid");
    assert_eq!((query.order, query.limit, options.csv_safe), (Order::Ascending, None, true));
    assert_eq!(members(file("limit=5&skip=1")), ["skip", "limit"]);
}

#[test]
fn a_bound_caller_may_ask_for_its_own_organizations_and_for_the_whole() {
    let own = bound(&["org_1", "org_2"]);
    for organization in ["org_1", "org_2", "default", "prj_01010101010101010101010101010101"] {
        assert!(may_ask(organization, &own), "{organization}");
    }
    for organization in ["org_3", "", "ORG_1", "prj_01010101010101010101010101010102"] {
        assert!(!may_ask(organization, &own), "{organization}");
        assert!(may_ask(organization, &grant()), "{organization}");
    }
}

#[test]
fn a_snapshot_ends_the_rows() {
    let (query, _) = file("snapshot=41").expect("valid");
    assert_eq!(query.before, Some(42));
    assert_eq!(file("").expect("valid").0.before, None);
    let report = |raw| report(Some(raw), "default", &grant(), 10_000, &Limits::default());
    assert_eq!(report("snapshot=0").expect("valid").0.before, Some(1));
    assert_eq!(members(report("limit=none&csv_safe=true")), ["limit", "csv_safe"]);
}

#[test]
fn a_report_says_its_filter_in_words() {
    let words = |raw| report(Some(raw), "default", &grant(), 10_000, &Limits::default()).expect("valid").1;
    assert_eq!(words(""), "all entries");
    assert_eq!(words("to_date=2025-12-31&entity_type=user&search_term=Ann%20L"), "entity type is user; up to 2025-12-31; a name or email contains Ann L");
    for name in REPORT.iter().filter(|n| **n != "snapshot") {
        assert!(WORDS.iter().any(|(known, _)| known == name), "{name}");
    }
}

#[test]
fn change_logs() {
    let read = |body: &str, user| changes(body.as_bytes(), "org_1", user, &grant());
    let (first, everything) = read("", None).expect("valid");
    assert_eq!((first.query.skip, first.limit, first.query.order, first.query.filter.terms.len()), (0, 50, Order::Descending, 1));
    assert_eq!(everything.filter.terms.len(), 1);
    let body = r#"{"skip":0,"take":100,"start_date":"2025-01-01","end_date":"2025-01-01T12:00:00+01:00","resource_type":"user","action":"updated"}"#;
    let (page, everything) = read(body, Some("usr_1")).expect("valid");
    assert_eq!((page.limit, page.query.filter.terms.len(), everything.filter.terms.len()), (100, 4, 2));
    assert_eq!(page.query.filter.to.map(|t| t.to_string()).as_deref(), Some("2025-01-01T11:00:00.000000Z"));
    assert!(matches!(&page.query.filter.terms[1], Term { any_of, .. } if any_of == &[Field::ActorId, Field::TargetId]));
    assert_eq!(read(r#"{"take":null,"action":null}"#, None).expect("valid").0.limit, 50);
    let wrong = read(r#"{"take":101,"skip":-1,"start_date":"soon","limit":5,"action":7}"#, None).map(|_| ());
    assert_eq!(members(wrong), ["limit", "take", "skip", "start_date", "action"]);
}

#[test]
fn the_history_of_an_assistant() {
    let read = |raw: &str| history(Some(raw), "asst_1", &Limits::default());
    let (page, everything) = read("").expect("valid");
    assert_eq!((page.query.skip, page.limit, page.query.filter.terms.len(), everything.filter.terms.len()), (0, 50, 2, 2));
    let (page, everything) = read("action=updated&user_id=u&start_date=2025-01-01&end_date=2025-01-02&limit=10&offset=20").expect("valid");
    assert_eq!((page.query.skip, page.limit, page.query.filter.terms.len(), everything.filter.terms.len()), (20, 10, 4, 2));
    assert!(page.query.filter.from.is_some() && page.query.filter.to.is_some() && everything.filter.from.is_none());
    assert_eq!(members(read("limit=101&skip=1").map(|_| ())), ["skip", "limit"]);
}
