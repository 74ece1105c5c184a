//! The stored form of what an export reads and how it is written.
//!
//! Promises: what was written is read as it was, by this version and by later ones; anything else, be it one member more, is an error.
//! Never: says who asked; what the asker may see is stored beside it and applied anew.

use indelible_model::fields::Field;
use indelible_model::query::{Term, Test};
use indelible_model::search::Needle;
use indelible_model::{Error, Filter, LogKind, Order, Query, Result, Timestamp};
use serde_json::{Value, json};

use crate::read::{Coding, ExportOptions, Format};
use crate::{Layout, Pick, Table};

/// Version of the form.
const VERSION: u64 = 1;

const ORDERS: [(&str, Order); 2] = [("ascending", Order::Ascending), ("descending", Order::Descending)];
const CODINGS: [(&str, Coding); 3] = [("identity", Coding::Identity), ("gzip", Coding::Gzip), ("zstd", Coding::Zstd)];
const LAYOUTS: [(&str, Layout); 3] = [("logproof", Layout::LogProof), ("aitronos", Layout::Aitronos), ("loyaltydog", Layout::LoyaltyDog)];

/// The stored form of an export.
pub(crate) fn write(query: &Query, format: Format, options: ExportOptions) -> Value {
    let (name, layout) = match format {
        Format::Json => ("json", None),
        Format::Ndjson => ("ndjson", None),
        Format::Parquet => ("parquet", None),
        Format::Csv(layout) => ("csv", Some(layout)),
        Format::Records(layout) => ("records", Some(layout)),
    };
    json!({
        "v": VERSION, "log": query.log.name(), "filter": write_filter(&query.filter), "order": name_of(&ORDERS, query.order),
        "after": query.after, "before": query.before, "limit": query.limit, "skip": query.skip,
        "format": name, "layout": layout.map(write_layout), "coding": name_of(&CODINGS, options.coding),
        "csv_safe": options.csv_safe, "bom": options.bom, "end_line": options.end_line, "digest": options.digest,
    })
}

/// Reads what [`write`] gave.
pub(crate) fn read(value: &Value) -> Result<(Query, Format, ExportOptions)> {
    let read = || {
        let text = |name: &str| value.get(name)?.as_str();
        let number = |name: &str| value.get(name)?.as_u64();
        let flag = |name: &str| value.get(name)?.as_bool();
        let query = Query {
            log: LogKind::ALL.into_iter().find(|l| Some(l.name()) == text("log"))?,
            filter: filter(value.get("filter")?)?,
            order: named(&ORDERS, text("order")?)?,
            after: number("after")?,
            before: number("before"),
            limit: number("limit"),
            skip: number("skip")?,
        };
        let format = match text("format")? {
            "json" => Format::Json,
            "ndjson" => Format::Ndjson,
            "parquet" => Format::Parquet,
            "csv" => Format::Csv(layout(value.get("layout")?)?),
            "records" => Format::Records(layout(value.get("layout")?)?),
            _ => return None,
        };
        let coding = named(&CODINGS, text("coding")?)?;
        let options = ExportOptions { coding, csv_safe: flag("csv_safe")?, bom: flag("bom")?, end_line: flag("end_line")?, digest: flag("digest")? };
        // Whatever was passed over, or taken for something else, is missing when it is written again.
        (write(&query, format, options) == *value).then_some((query, format, options))
    };
    read().ok_or_else(|| Error::corrupt("the stored form of an export cannot be read"))
}

/// The stored form of a filter: fields by the names of their columns, times as microseconds, and no member for what is not asked for.
pub(crate) fn write_filter(filter: &Filter) -> Value {
    let parts = [
        ("from", filter.from.map(|t| t.micros().into())),
        ("to", filter.to.map(|t| t.micros().into())),
        ("terms", list(&filter.terms, write_term)),
        ("either", list(&filter.either, write_filter)),
        ("search", filter.search.as_ref().map(|needle| needle.text().into())),
    ];
    Value::Object(parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part?))).collect())
}

fn list<T>(all: &[T], write: fn(&T) -> Value) -> Option<Value> {
    (!all.is_empty()).then(|| all.iter().map(write).collect())
}

fn write_term(term: &Term) -> Value {
    let test = match &term.test {
        Test::OneOf(texts) => json!({ "one_of": texts }),
        Test::Wildcard(pattern) => json!({ "wildcard": pattern }),
        Test::LastSegment(text) => json!({ "last_segment": text }),
        Test::StartsWith(texts) => json!({ "starts_with": texts }),
        Test::EndsWith(texts) => json!({ "ends_with": texts }),
        Test::Contains(needle) => json!({ "contains": needle.text() }),
        Test::MemberContains(name, needle) => json!({ "member_contains": [name, needle.text()] }),
        Test::Present => json!({ "present": true }),
    };
    json!({ "any_of": term.any_of.iter().map(|f| f.column()).collect::<Vec<_>>(), "test": test, "not": term.not })
}

/// Reads what [`write_filter`] gave; members that it would not give are passed over.
fn filter(value: &Value) -> Option<Filter> {
    let time = |name: &str| value.get(name).map(|t| Timestamp::from_micros(t.as_i64()?)).map_or(Some(None), |t| t.map(Some));
    let many = |name: &str| value.get(name).map_or(Some(&[][..]), |all| all.as_array().map(Vec::as_slice));
    Some(Filter {
        from: time("from")?,
        to: time("to")?,
        terms: many("terms")?.iter().map(term).collect::<Option<_>>()?,
        either: many("either")?.iter().map(filter).collect::<Option<_>>()?,
        search: value.get("search").and_then(Value::as_str).map(Needle::new),
    })
}

fn term(value: &Value) -> Option<Term> {
    let field = |name: &Value| Field::ALL.iter().copied().find(|f| Some(f.column()) == name.as_str());
    let (name, test) = value.get("test")?.as_object()?.iter().next()?;
    let text = || test.as_str().map(str::to_owned);
    let texts = || test.as_array()?.iter().map(|t| t.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
    let test = match name.as_str() {
        "one_of" => Test::OneOf(texts()?),
        "wildcard" => Test::Wildcard(text()?),
        "last_segment" => Test::LastSegment(text()?),
        "starts_with" => Test::StartsWith(texts()?),
        "ends_with" => Test::EndsWith(texts()?),
        "contains" => Test::Contains(Needle::new(test.as_str()?)),
        "member_contains" => match &texts()?[..] {
            [name, text] => Test::MemberContains(name.clone(), Needle::new(text)),
            _ => return None,
        },
        "present" => Test::Present,
        _ => return None,
    };
    Some(Term { any_of: value.get("any_of")?.as_array()?.iter().map(field).collect::<Option<_>>()?, test, not: value.get("not")?.as_bool()? })
}

fn write_layout(layout: Layout) -> Value {
    match layout {
        Layout::Picked(pick) => json!({ "table": pick.table().name(), "fields": pick.fields().collect::<Vec<_>>() }),
        fixed => name_of(&LAYOUTS, fixed).into(),
    }
}

fn layout(value: &Value) -> Option<Layout> {
    if let Some(name) = value.as_str() {
        return named(&LAYOUTS, name);
    }
    let fields = value.get("fields")?.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
    Pick::new(Table::parse(value.get("table")?.as_str()?)?, &fields).map(Layout::Picked)
}

fn name_of<T: Copy + PartialEq>(all: &[(&'static str, T)], value: T) -> Option<&'static str> {
    all.iter().find(|(_, one)| *one == value).map(|(name, _)| *name)
}

fn named<T: Copy>(all: &[(&str, T)], name: &str) -> Option<T> {
    all.iter().find(|(one, _)| *one == name).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests;
