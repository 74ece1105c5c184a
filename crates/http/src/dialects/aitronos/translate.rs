//! Aitronos' parameters in the words of the domain.

use indelible_model::fields::Field;
use indelible_model::query::{Term, Test};
use indelible_model::search::Needle;
use indelible_model::time::End;
use indelible_model::{Filter, Limits, LogKind, Order, Query, Result, Timestamp};
use indelible_service::{Coding, ExportOptions, Grant};

use crate::native::input::Object;
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
    &["entity_type", "action_type", "actor_id", "target_id", "entity_id", "department_id", "from_date", "to_date", "search_term", "snapshot", "limit", "csv_safe", "bom"];
/// What a report allows.
pub(super) const REPORT: &[&str] = &["entity_type", "action_type", "actor_id", "target_id", "entity_id", "department_id", "from_date", "to_date", "search_term", "snapshot"];
/// What a report calls them.
const WORDS: &[(&str, &str)] = &[
    ("entity_type", "entity type is"),
    ("entity_id", "entity is"),
    ("action_type", "action is"),
    ("actor_id", "actor is"),
    ("target_id", "target is"),
    ("department_id", "department is"),
    ("from_date", "from"),
    ("to_date", "up to"),
    ("search_term", "a name or email contains"),
];
/// What a history allows.
pub(super) const HISTORY: &[&str] = &["action", "user_id", "start_date", "end_date", "limit", "offset"];
/// What the body of a change log's request allows.
const CHANGES: &[&str] = &["skip", "take", "start_date", "end_date", "resource_type", "action"];

const LIMIT: u64 = 50;
const MAX_LIMIT: u64 = 100;
/// Bytes of a time and of another text in a body.
const MAX_TIME: usize = 64;
const MAX_TEXT: usize = 1024;

fn means_project(organization: &str, grant: &Grant) -> bool {
    organization == grant.project_name || organization == grant.project.to_string()
}

/// True if a caller may ask for an organization of a path, be there events of it or not.
pub(super) fn may_ask(organization: &str, grant: &Grant) -> bool {
    means_project(organization, grant) || grant.sees(Some(organization))
}

/// Whose events a path's organization means: all that the caller sees for the project's own id or name, else one organization's.
fn scope(filter: &mut Filter, organization: &str, grant: &Grant) {
    if !means_project(organization, grant) {
        filter.equals(Field::OrganizationId, organization);
    }
}

/// The last part of an action, or a whole one.
fn action(action: String) -> Test {
    if action.contains('.') { Test::OneOf(vec![action]) } else { Test::LastSegment(action) }
}

fn filter(params: &mut Params<'_>, organization: &str, grant: &Grant) -> Filter {
    let mut filter = Filter { from: params.bound("from_date", End::From), to: params.bound("to_date", End::To), ..Filter::default() };
    scope(&mut filter, organization, grant);
    for (name, field) in EXACT {
        if let Some(value) = params.text(name) {
            filter.equals(*field, value);
        }
    }
    if let Some(wanted) = params.text("action_type") {
        filter.test(Field::Action, action(wanted));
    }
    if let Some(term) = params.search("search_term") {
        filter.terms.push(Term { any_of: SEARCHED.to_vec(), test: Test::Contains(Needle::new(&term)), not: false });
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

/// The position after the last one that may be exported, if the caller names one.
fn before(params: &mut Params<'_>) -> Option<u64> {
    params.number("snapshot", 0, u64::MAX - 1).map(|snapshot| snapshot + 1)
}

/// The export of an organization's log: the newest `cap` rows, newest first; without the cap all rows, oldest first.
pub(super) fn export(raw: Option<&str>, organization: &str, grant: &Grant, coding: Coding, cap: u64, limits: &Limits) -> Result<(Query, ExportOptions)> {
    let mut params = Params::parse(raw, EXPORT, limits)?;
    let filter = filter(&mut params, organization, grant);
    let before = before(&mut params);
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
    Ok((Query { filter, order, before, limit, ..Query::all(LogKind::Events) }, options))
}

/// The same rows as a report, and its filter in words.
pub(super) fn report(raw: Option<&str>, organization: &str, grant: &Grant, cap: u64, limits: &Limits) -> Result<(Query, String)> {
    let mut params = Params::parse(raw, REPORT, limits)?;
    let filter = filter(&mut params, organization, grant);
    let before = before(&mut params);
    params.finish()?;
    let mut params = Params::parse(raw, REPORT, limits)?;
    let words: Vec<String> = WORDS.iter().filter_map(|(name, words)| Some(format!("{words} {}", params.search(name)?))).collect();
    let words = if words.is_empty() { "all entries".to_owned() } else { words.join("; ") };
    Ok((Query { filter, order: Order::Descending, before, limit: Some(cap), ..Query::all(LogKind::Events) }, words))
}

/// A page of what became of an assistant. With it the same page without a filter.
pub(super) fn history(raw: Option<&str>, assistant: &str, limits: &Limits) -> Result<(List, Query)> {
    let mut params = Params::parse(raw, HISTORY, limits)?;
    let mut filter = Filter::default();
    filter.equals(Field::TargetType, "assistant");
    filter.equals(Field::TargetId, assistant);
    let everything = Query { filter: filter.clone(), ..Query::all(LogKind::Events) };
    (filter.from, filter.to) = (params.bound("start_date", End::From), params.bound("end_date", End::To));
    if let Some(user) = params.text("user_id") {
        filter.equals(Field::ActorId, user);
    }
    if let Some(wanted) = params.text("action") {
        filter.test(Field::Action, action(wanted));
    }
    let skip = params.number("offset", 0, u64::MAX).unwrap_or(0);
    let limit = params.number("limit", 1, MAX_LIMIT).unwrap_or(LIMIT);
    params.finish()?;
    Ok((List { query: Query { filter, order: Order::Descending, skip, limit: Some(limit), ..Query::all(LogKind::Events) }, limit }, everything))
}

/// A page of changes: those of an organization, or those that a user made or underwent. With it the same page without a filter.
pub(super) fn changes(body: &[u8], organization: &str, user: Option<&str>, grant: &Grant) -> Result<(List, Query)> {
    let mut body = Object::parse(if body.is_empty() { b"{}" } else { body }, CHANGES)?;
    let mut filter = Filter::default();
    scope(&mut filter, organization, grant);
    if let Some(user) = user {
        filter.terms.push(Term { any_of: vec![Field::ActorId, Field::TargetId], test: Test::OneOf(vec![user.to_owned()]), not: false });
    }
    let limit = body.whole("take", 1, MAX_LIMIT).unwrap_or(LIMIT);
    let skip = body.whole("skip", 0, u64::MAX).unwrap_or(0);
    let everything = Query { filter: filter.clone(), ..Query::all(LogKind::Events) };
    for (name, end) in [("start_date", End::From), ("end_date", End::To)] {
        let Some(text) = body.text(name, MAX_TIME) else { continue };
        match (Timestamp::parse_bound(&text, end), end) {
            (Ok(at), End::From) => filter.from = Some(at),
            (Ok(at), End::To) => filter.to = Some(at),
            (Err(e), _) => body.violate(name, format!("{e}, or a date such as 2026-02-10.")),
        }
    }
    if let Some(kind) = body.text("resource_type", MAX_TEXT) {
        filter.equals(Field::TargetType, kind);
    }
    if let Some(wanted) = body.text("action", MAX_TEXT) {
        filter.test(Field::Action, action(wanted));
    }
    body.finish()?;
    Ok((List { query: Query { filter, order: Order::Descending, skip, limit: Some(limit), ..Query::all(LogKind::Events) }, limit }, everything))
}

#[cfg(test)]
mod tests;
