use indelible_model::{KeyId, ProjectId};
use indelible_service::Scopes;

use super::*;

fn grant() -> Grant {
    Grant { project: ProjectId([1; 16]), project_name: "default".into(), key: KeyId([2; 16]), scopes: Scopes::all() }
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
        assert!(matches!(&filter.terms[..], [Term { any_of, test: Test::OneOf(v) }] if any_of == &[Field::OrganizationId] && v == &[one]), "{one}");
    }
}

#[test]
fn each_parameter_tests_its_field() {
    for (name, field) in EXACT {
        let filter = page(&format!("{name}=x"), "default").expect("valid").query.filter;
        assert!(matches!(&filter.terms[..], [Term { any_of, test: Test::OneOf(v) }] if any_of == &[*field] && v == &["x"]), "{name}");
        assert!(LIST.contains(name) && EXPORT.contains(name), "{name}");
    }
    let filter = page("action_type=updated&search_term=Ann", "default").expect("valid").query.filter;
    assert!(matches!(&filter.terms[0].test, Test::LastSegment(v) if v == "updated"));
    assert!(matches!(&filter.terms[1], Term { any_of, test: Test::Contains(_) } if any_of == SEARCHED));
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
