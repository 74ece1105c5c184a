//! LoyaltyDog's parameters in the words of the domain.

use indelible_model::fields::Field;
use indelible_model::query::{Term, Test};
use indelible_model::search::Needle;
use indelible_model::{Filter, Limits, LogKind, Order, Query, Timestamp};
use indelible_service::{Format, Layout};
use serde_json::Value;

use super::validate::{self, Body};
use crate::failed::Failed;

const LIMIT: u64 = 50;
const MAX_LIMIT: u64 = 200;
/// Characters of the name of a format.
const MAX_FORMAT: usize = 64;
/// The members of an export's body.
const ASKED: &[&str] = &["format", "merchantId", "subjectId", "actorId", "subjectName", "actorName", "merchantName", "actions", "resourceTypes", "fromDate", "toDate"];

/// A page of the log.
#[derive(Debug)]
pub(super) struct List {
    pub(super) query: Query,
    pub(super) page: u64,
    pub(super) limit: u64,
}

/// A file of the log.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) query: Query,
    pub(super) format: Format,
    /// What was asked for, for those who ask what it was.
    pub(super) shown: Value,
}

/// What the list and the export filter by, under their own names.
#[derive(Default)]
struct Wanted {
    merchant_id: Option<String>,
    subject_id: Option<String>,
    actor_id: Option<String>,
    subject_name: Option<String>,
    actor_name: Option<String>,
    merchant_name: Option<String>,
    actions: Option<Vec<String>>,
    resource_types: Option<Vec<String>>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Wanted {
    fn filter(self) -> Filter {
        let mut filter = Filter { from: self.from, to: self.to, ..Filter::default() };
        for (field, value) in [(Field::OrganizationId, self.merchant_id), (Field::SubjectId, self.subject_id), (Field::ActorId, self.actor_id)] {
            if let Some(value) = value {
                filter.equals(field, value);
            }
        }
        for (field, values) in [(Field::Action, self.actions), (Field::TargetType, self.resource_types)] {
            // An empty list asks for nothing in particular.
            if let Some(values) = values.filter(|v| !v.is_empty()) {
                filter.test(field, Test::OneOf(values));
            }
        }
        if let Some(name) = self.actor_name {
            // The user name is the id.
            filter.terms.push(Term { any_of: vec![Field::ActorName, Field::ActorEmail, Field::ActorId], test: Test::Contains(Needle::new(&name)), not: false });
        }
        if let Some(name) = self.merchant_name {
            filter.test(Field::OrganizationName, Test::Contains(Needle::new(&name)));
        }
        if let Some(name) = self.subject_name {
            let needle = Needle::new(&name);
            let (mut by_name, mut by_email) = (Filter::default(), Filter::default());
            by_name.test(Field::SubjectName, Test::Contains(needle.clone()));
            by_email.test(Field::SubjectMeta, Test::MemberContains("email".to_owned(), needle));
            filter.either = vec![by_name, by_email];
        }
        filter
    }
}

/// A page: newest first.
pub(super) fn list(raw: Option<&str>, limits: &Limits) -> Result<List, Failed> {
    let mut params = validate::Query::parse(raw, limits)?;
    let wanted = Wanted {
        merchant_id: params.text("merchantId", limits.text_bytes),
        subject_id: params.text("subjectId", limits.text_bytes),
        actor_id: params.text("actorId", limits.text_bytes),
        subject_name: params.text("subjectName", limits.search_bytes),
        actor_name: params.text("actorName", limits.search_bytes),
        merchant_name: params.text("merchantName", limits.search_bytes),
        actions: params.texts("action", limits.text_bytes),
        resource_types: params.texts("resourceType", limits.text_bytes),
        from: params.time("from"),
        to: params.time("to"),
    };
    let page = params.number("page", 1, u64::MAX);
    let limit = params.number("limit", LIMIT, MAX_LIMIT);
    params.problems.finish()?;
    let query = Query { filter: wanted.filter(), order: Order::Descending, skip: (page - 1).saturating_mul(limit), limit: Some(limit), ..Query::all(LogKind::Events) };
    Ok(List { query, page, limit })
}

/// A file: oldest first.
pub(super) fn export(mut body: Body, limits: &Limits) -> Result<Asked, Failed> {
    let format = match body.plain("format", MAX_FORMAT).as_deref() {
        // Absent, or a problem that is noted.
        None | Some("csv") => Format::Csv(Layout::LoyaltyDog),
        Some("json") => Format::Records(Layout::LoyaltyDog),
        Some(other) => {
            body.problems.mismatch("body", "format", "^(csv|json)$", other);
            Format::Csv(Layout::LoyaltyDog)
        }
    };
    let wanted = Wanted {
        merchant_id: body.text("merchantId", limits.text_bytes),
        subject_id: body.text("subjectId", limits.text_bytes),
        actor_id: body.text("actorId", limits.text_bytes),
        subject_name: body.text("subjectName", limits.search_bytes),
        actor_name: body.text("actorName", limits.search_bytes),
        merchant_name: body.text("merchantName", limits.search_bytes),
        actions: body.texts("actions", limits.text_bytes),
        resource_types: body.texts("resourceTypes", limits.text_bytes),
        from: body.time("fromDate"),
        to: body.time("toDate"),
    };
    let shown = body.shown(ASKED);
    body.problems.finish()?;
    Ok(Asked { query: Query { filter: wanted.filter(), ..Query::all(LogKind::Events) }, format, shown })
}

#[cfg(test)]
mod tests;
