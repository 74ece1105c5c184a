//! Aitronos' parameters in the words of the domain.

use indelible_model::fields::Field;
use indelible_model::query::{Term, Test};
use indelible_model::search::Needle;
use indelible_model::time::End;
use indelible_model::{Filter, Limits, LogKind, Order, Query, Result};
use indelible_service::{Coding, ExportOptions, Grant};

use crate::query::Params;

/// Parameters that are compared with one field.
const EXACT: &[(&str, Field)] =
    &[("entity_type", Field::TargetType), ("entity_id", Field::TargetId), ("actor_id", Field::ActorId), ("target_id", Field::SubjectId), ("department_id", Field::DepartmentId)];
/// Where `search_term` looks.
const SEARCHED: &[Field] = &[Field::TargetName, Field::ActorName, Field::ActorEmail];

/// What a page allows.
pub(super) const LIST: &[&str] = &["entity_type", "action_type", "actor_id", "target_id", "entity_id", "department_id", "from_date", "to_date", "search_term", "skip", "limit"];
/// What an export allows.
pub(super) const EXPORT: &[&str] =
    &["entity_type", "action_type", "actor_id", "target_id", "entity_id", "department_id", "from_date", "to_date", "search_term", "limit", "csv_safe", "bom"];

const LIMIT: u64 = 50;
const MAX_LIMIT: u64 = 100;

/// Whose events a path's organization means: the whole project for its own id or name, else one organization in it.
fn scope(filter: &mut Filter, organization: &str, grant: &Grant) {
    if organization != grant.project_name && organization != grant.project.to_string() {
        filter.equals(Field::OrganizationId, organization);
    }
}

fn filter(params: &mut Params<'_>, organization: &str, grant: &Grant) -> Filter {
    let mut filter = Filter { from: params.bound("from_date", End::From), to: params.bound("to_date", End::To), ..Filter::default() };
    scope(&mut filter, organization, grant);
    for (name, field) in EXACT {
        if let Some(value) = params.text(name) {
            filter.equals(*field, value);
        }
    }
    if let Some(action) = params.text("action_type") {
        filter.test(Field::Action, if action.contains('.') { Test::OneOf(vec![action]) } else { Test::LastSegment(action) });
    }
    if let Some(term) = params.search("search_term") {
        filter.terms.push(Term { any_of: SEARCHED.to_vec(), test: Test::Contains(Needle::new(&term)) });
    }
    filter
}

/// A page: newest first.
#[derive(Debug)]
pub(super) struct List {
    pub(super) query: Query,
    pub(super) limit: u64,
}

/// A page of an organization's log.
pub(super) fn list(raw: Option<&str>, organization: &str, grant: &Grant, limits: &Limits) -> Result<List> {
    let mut params = Params::parse(raw, LIST, limits)?;
    let filter = filter(&mut params, organization, grant);
    let skip = params.number("skip", 0, u64::MAX).unwrap_or(0);
    let limit = params.number("limit", 1, MAX_LIMIT).unwrap_or(LIMIT);
    params.finish()?;
    Ok(List { query: Query { filter, order: Order::Descending, skip, limit: Some(limit), ..Query::all(LogKind::Events) }, limit })
}

/// The export of an organization's log: the newest `cap` rows, newest first; without the cap all rows, oldest first.
pub(super) fn export(raw: Option<&str>, organization: &str, grant: &Grant, coding: Coding, cap: u64, limits: &Limits) -> Result<(Query, ExportOptions)> {
    let mut params = Params::parse(raw, EXPORT, limits)?;
    let filter = filter(&mut params, organization, grant);
    let (order, limit) = match params.text("limit").as_deref() {
        None => (Order::Descending, Some(cap)),
        Some("none") => (Order::Ascending, None),
        Some(_) => {
            params.violate("limit", format!("must be none, which exports all rows; otherwise the newest {cap} are exported."));
            (Order::Descending, None)
        }
    };
    let options = ExportOptions { coding, csv_safe: params.flag("csv_safe"), bom: params.flag("bom"), end_line: false, digest: false };
    params.finish()?;
    Ok((Query { filter, order, limit, ..Query::all(LogKind::Events) }, options))
}

#[cfg(test)]
mod tests;
