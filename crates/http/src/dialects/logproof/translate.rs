//! LogProof's parameters in the words of the domain.

use indelible_model::fields::Field;
use indelible_model::query::Test;
use indelible_model::search::Needle;
use indelible_model::time::End;
use indelible_model::{Filter, Limits, LogKind, Order, Query, Result};
use indelible_service::Layout;
use indelible_service::{Coding, ExportOptions, Format};

use super::cursor::Cursor;
use crate::query::Params;

/// Parameters that are compared with one field.
const EXACT: &[(&str, Field)] = &[
    ("actor_id", Field::ActorId),
    ("actor_type", Field::ActorType),
    ("target_id", Field::TargetId),
    ("target_type", Field::TargetType),
    ("subject_id", Field::SubjectId),
    ("organization_id", Field::OrganizationId),
    ("department_id", Field::DepartmentId),
    ("request_id", Field::RequestId),
    ("external_id", Field::ExternalId),
];

/// What a list allows.
pub(super) const LIST: &[&str] = &[
    "action",
    "actor_id",
    "actor_type",
    "target_type",
    "target_id",
    "from",
    "to",
    "search",
    "organization_id",
    "subject_id",
    "department_id",
    "request_id",
    "external_id",
    "log",
    "per_page",
    "cursor",
];
/// What an export allows.
pub(super) const EXPORT: &[&str] = &[
    "format",
    "action",
    "actor_id",
    "actor_type",
    "target_type",
    "target_id",
    "from",
    "to",
    "search",
    "organization_id",
    "subject_id",
    "department_id",
    "request_id",
    "external_id",
    "log",
    "csv_safe",
    "bom",
    "end",
];
/// What a verification allows.
pub(super) const VERIFY: &[&str] = &["log"];
/// What a timeline allows.
pub(super) const TIMELINE: &[&str] = &["action", "actor_id", "target_type", "target_id", "from", "to", "limit", "cursor"];

const PER_PAGE: u64 = 25;
const MAX_PER_PAGE: u64 = 100;
const TIMELINE_PAGE: u64 = 25;
const MAX_TIMELINE_PAGE: u64 = 50;

fn filter(params: &mut Params<'_>) -> Filter {
    let mut filter = Filter { from: params.bound("from", End::From), to: params.bound("to", End::To), ..Filter::default() };
    if let Some(action) = params.text("action") {
        filter.test(Field::Action, Test::exact_or_wildcard(&action));
    }
    for (name, field) in EXACT {
        if let Some(value) = params.text(name) {
            filter.equals(*field, value);
        }
    }
    filter.search = params.search("search").map(|text| Needle::new(&text));
    filter
}

/// A page of a list: newest first.
pub(super) fn list(raw: Option<&str>, limits: &Limits) -> Result<Query> {
    let mut params = Params::parse(raw, LIST, limits)?;
    let log = params.log();
    let limit = params.number("per_page", 1, MAX_PER_PAGE).unwrap_or(PER_PAGE);
    page(params, log, limit)
}

/// A page of a timeline: newest first.
pub(super) fn timeline(raw: Option<&str>, limits: &Limits) -> Result<Query> {
    let mut params = Params::parse(raw, TIMELINE, limits)?;
    let limit = params.number("limit", 1, MAX_TIMELINE_PAGE).unwrap_or(TIMELINE_PAGE);
    page(params, LogKind::Events, limit)
}

fn page(mut params: Params<'_>, log: LogKind, limit: u64) -> Result<Query> {
    let filter = filter(&mut params);
    let mut before = None;
    if let Some(text) = params.text("cursor") {
        match Cursor::decode(&text).filter(|c| c.log == log) {
            Some(cursor) => before = Some(cursor.before),
            None => params.violate("cursor", "is not a cursor of this list."),
        }
    }
    params.finish()?;
    Ok(Query { filter, order: Order::Descending, before, limit: Some(limit), ..Query::all(log) })
}

/// What to export, and how.
#[derive(Debug)]
pub(super) struct Export {
    pub(super) query: Query,
    pub(super) kind: Kind,
    pub(super) options: ExportOptions,
}

/// The formats of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Csv,
    Ndjson,
    Parquet,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Json, Self::Csv, Self::Ndjson, Self::Parquet];

    /// The parameter's value, which is the file's extension as well.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        }
    }
    pub(super) fn media(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::Ndjson => "application/x-ndjson",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
    pub(super) fn format(self) -> Format {
        match self {
            Self::Json => Format::Json,
            Self::Csv => Format::Csv(Layout::LogProof),
            Self::Ndjson => Format::Ndjson,
            Self::Parquet => Format::Parquet,
        }
    }
}

/// An export: oldest first, to a client that accepts `coding`.
pub(super) fn export(raw: Option<&str>, coding: Coding, limits: &Limits) -> Result<Export> {
    let mut params = Params::parse(raw, EXPORT, limits)?;
    let filter = filter(&mut params);
    let log = params.log();
    let mut kind = Kind::Json;
    if let Some(name) = params.text("format") {
        match Kind::ALL.into_iter().find(|k| k.name() == name) {
            Some(known) => kind = known,
            None => params.violate("format", "must be json or csv (also served: ndjson, parquet)."),
        }
    }
    // A Parquet file is compressed inside, column by column.
    let coding = if kind == Kind::Parquet { Coding::Identity } else { coding };
    let options = ExportOptions { coding, csv_safe: params.flag("csv_safe"), bom: params.flag("bom"), end_line: params.flag("end"), digest: false };
    for (set, name, needs) in [(options.csv_safe, "csv_safe", Kind::Csv), (options.bom, "bom", Kind::Csv), (options.end_line, "end", Kind::Ndjson)] {
        if set && kind != needs {
            params.violate(name, format!("goes with format={} only.", needs.name()));
        }
    }
    params.finish()?;
    Ok(Export { query: Query { filter, ..Query::all(log) }, kind, options })
}

/// Which log to verify.
pub(super) fn verify(raw: Option<&str>, limits: &Limits) -> Result<LogKind> {
    let mut params = Params::parse(raw, VERIFY, limits)?;
    let log = params.log();
    params.finish()?;
    Ok(log)
}

#[cfg(test)]
mod tests;
