//! Voucherify's requests for exports in the words of the domain.
//!
//! Promises: every member that is understood is checked, and what is wrong is named by its place; members that nobody knows are passed over, as Voucherify does.
//! An export's parameters are given back as they were sent, with the defaults filled in and nothing else.
//! Never: storage.

use indelible_model::time::End;
use indelible_model::{Error, Filter, Kind, Limits, LogKind, Order, Query, Result, Timestamp, Violation};
use indelible_service::{Coding, ExportOptions, ExportOrder, ExportState, Exported, ExportsFilter, Format, Layout, Pick, Table};
use serde_json::{Map, Value, json};

use super::filters;
use super::objects::{self, Object};
use crate::failed::{Failed, Note};
use crate::query::{Params, shorten};

/// What a list allows.
pub(crate) const LIST: &[&str] = &[
    "limit",
    "page",
    "order",
    "status",
    "exported_object",
    "object",
    "user_id",
    "created_from",
    "created_to",
    "[created_at][after]",
    "[created_at][before]",
    "created_at[after]",
    "created_at[before]",
];
/// Exports, or tasks, on a page of whoever says nothing, and at most.
pub(super) const PAGE: u64 = 10;
pub(super) const MOST: u64 = 100;
const PAGES: u64 = 100;
/// Violations that are told of.
const TOLD: usize = 10;
/// Fields of one file.
const FIELDS: usize = 64;
const FORMATS: [&str; 4] = ["csv", "json", "ndjson", "parquet"];
const COMPRESSIONS: [(&str, Coding); 3] = [("none", Coding::Identity), ("gzip", Coding::Gzip), ("zstd", Coding::Zstd)];
const ORDERS: [(&str, ExportOrder); 4] =
    [("created_at", ExportOrder::Created), ("-created_at", ExportOrder::CreatedBack), ("status", ExportOrder::Status), ("-status", ExportOrder::StatusBack)];

/// An export that somebody asks for.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) object: Object,
    pub(super) what: Exported,
    /// As they are shown.
    pub(super) parameters: Value,
}

fn one_of<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    format!("should be equal to one of the allowed values [ {} ]", all.into_iter().collect::<Vec<_>>().join(", "))
}

/// Reads the body of a request for an export.
pub(super) fn creation(text: &[u8], limits: &Limits) -> Result<Creation, Failed> {
    let body: Value = serde_json::from_slice(text).map_err(|e| Error::new(Kind::Malformed, format!("The body is not JSON: {e}.")))?;
    let Value::Object(mut body) = body else { return Err(Error::invalid_member("", "Payload should be object").into()) };
    let object = match body.get("exported_object") {
        None | Some(Value::Null) => return Err(Error::invalid_member("", "Payload must have required property 'exported_object'").into()),
        Some(name) => name.as_str().and_then(Object::parse),
    };
    let object = object.ok_or_else(|| Error::invalid_member("exported_object", one_of(Object::names())))?;
    let mut asked = Asked { object, limits, sent: Map::new(), shown: Map::new(), violations: Vec::new() };
    match body.remove("parameters") {
        None | Some(Value::Null) => {}
        Some(Value::Object(sent)) => asked.sent = sent,
        Some(_) => asked.refuse("parameters", "should be object"),
    }
    asked.read()
}

/// The parameters of an export, taken one by one.
struct Asked<'l> {
    object: Object,
    limits: &'l Limits,
    sent: Map<String, Value>,
    shown: Map<String, Value>,
    violations: Vec<Violation>,
}

impl Asked<'_> {
    fn read(mut self) -> Result<Creation, Failed> {
        let order = self.order();
        let file = self.file();
        let fields = self.fields(file.is_csv)?;
        let filter = self.filter();
        self.campaign();
        if !self.violations.is_empty() {
            self.violations.truncate(TOLD);
            return Err(Error::invalid(self.violations).into());
        }
        let what = match self.object {
            Object::Foreign(_) => Exported::Header(objects::header(fields.iter().map(String::as_str))),
            Object::Log(table) => {
                let log = if table == Table::ApiLog { LogKind::Activity } else { LogKind::Events };
                let format = match file.format {
                    "json" => Format::Json,
                    "ndjson" => Format::Ndjson,
                    "parquet" => Format::Parquet,
                    _ => {
                        let names: Vec<&str> = fields.iter().map(String::as_str).collect();
                        Format::Csv(Layout::Picked(Pick::new(table, &names).ok_or_else(|| Error::internal("fields that were checked are none"))?))
                    }
                };
                let options = ExportOptions { coding: file.coding, csv_safe: file.csv_safe, ..ExportOptions::default() };
                Exported::Events { query: Box::new(Query { filter, order, ..Query::all(log) }), format, options }
            }
        };
        Ok(Creation { object: self.object, what, parameters: Value::Object(self.shown) })
    }
    fn refuse(&mut self, place: &str, message: impl Into<String>) {
        self.violations.push(Violation::new(place, message));
    }
    /// A member that was sent, and is not null.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.sent.remove(name).filter(|value| !value.is_null())
    }
    /// One of the words; noted, and shown if it is good.
    fn word<'w>(&mut self, name: &str, words: &[&'w str]) -> Option<&'w str> {
        let sent = self.take(name)?;
        let found = words.iter().copied().find(|word| sent.as_str() == Some(word));
        match found {
            Some(_) => _ = self.shown.insert(name.to_owned(), sent),
            None => self.refuse(&format!("parameters.{name}"), one_of(words.iter().copied())),
        }
        found
    }
    fn order(&mut self) -> Order {
        let forth = self.object.orders();
        let back: Vec<String> = forth.iter().map(|order| format!("-{order}")).collect();
        let all: Vec<&str> = forth.iter().copied().chain(back.iter().map(String::as_str)).collect();
        let found = self.word("order", &all);
        if found.is_none() {
            self.shown.insert("order".to_owned(), forth.first().copied().into());
        }
        if found.is_some_and(|order| order.starts_with('-')) { Order::Descending } else { Order::Ascending }
    }
    /// What only we have: how the file is made.
    fn file(&mut self) -> File {
        let rows = matches!(self.object, Object::Log(_));
        let compressions = COMPRESSIONS.map(|(name, _)| name);
        let format = self.word("format", if rows { &FORMATS } else { &FORMATS[..1] }).unwrap_or(FORMATS[0]);
        let compression = self.word("compression", if rows { &compressions } else { &compressions[..1] });
        let coding = COMPRESSIONS.iter().find(|(name, _)| Some(*name) == compression).map(|(_, coding)| *coding).unwrap_or_default();
        let is_csv = format == FORMATS[0];
        let csv_safe = match self.take("csv_safe") {
            None => false,
            Some(Value::Bool(safe)) if is_csv => {
                self.shown.insert("csv_safe".to_owned(), safe.into());
                safe
            }
            Some(_) => {
                self.refuse("parameters.csv_safe", "should be boolean, and is for the format csv only");
                false
            }
        };
        File { format, is_csv, coding, csv_safe }
    }
    fn fields(&mut self, is_csv: bool) -> Result<Vec<String>, Failed> {
        let sent = match self.take("fields") {
            None => Vec::new(),
            Some(Value::Array(sent)) => sent,
            Some(_) => {
                self.refuse("parameters.fields", "should be array");
                return Ok(Vec::new());
            }
        };
        if !is_csv {
            if !sent.is_empty() {
                self.refuse("parameters.fields", "is for the format csv only: the others hold whole events");
            }
            return Ok(Vec::new());
        }
        let mut fields: Vec<String> = Vec::new();
        for field in &sent {
            let known = field.as_str().filter(|name| self.object.has_field(name));
            let Some(name) = known else {
                let allowed = self.object.fields().join(", ");
                return Err(Failed::new(Error::new(Kind::Malformed, format!("Unsupported field used. Allowed fields: {allowed}")), Note::Named("invalid_export_fields")));
            };
            if !fields.iter().any(|f| f == name) {
                fields.push(name.to_owned());
            }
        }
        if fields.len() > FIELDS {
            self.refuse("parameters.fields", format!("should have at most {FIELDS} items"));
        }
        if fields.is_empty() {
            fields = self.object.defaults().iter().map(|&name| name.to_owned()).collect();
        }
        self.shown.insert("fields".to_owned(), json!(fields));
        Ok(fields)
    }
    fn filter(&mut self) -> Filter {
        let mut sent = match self.take("filters") {
            None => Map::new(),
            Some(Value::Object(sent)) => sent,
            Some(_) => {
                self.refuse("parameters.filters", "should be object");
                return Filter::default();
            }
        };
        let filter = match self.object {
            Object::Log(table) => filters::translate(table, &sent, self.limits, &mut self.violations),
            Object::Foreign(_) => {
                filters::junction(&sent, &mut self.violations);
                Filter::default()
            }
        };
        sent.entry("junction").or_insert_with(|| "and".into());
        self.shown.insert("filters".to_owned(), Value::Object(sent));
        filter
    }
    /// Of a campaign we have nothing, so that it narrows an export of nothing, and no other.
    fn campaign(&mut self) {
        match (self.take("campaign_id"), self.object) {
            (None, _) => {}
            (Some(Value::String(id)), Object::Foreign(_)) => _ = self.shown.insert("campaign_id".to_owned(), id.into()),
            (Some(_), Object::Foreign(_)) => self.refuse("parameters.campaign_id", "should be string"),
            (Some(_), Object::Log(table)) => self.refuse("parameters.campaign_id", format!("is not a parameter of {}", table.name())),
        }
    }
}

/// How a file is made.
struct File {
    format: &'static str,
    is_csv: bool,
    coding: Coding,
    csv_safe: bool,
}

/// A page of a list of exports.
#[derive(Debug)]
pub(super) struct List {
    pub(super) filter: ExportsFilter,
    pub(super) order: ExportOrder,
    pub(super) skip: u64,
    pub(super) most: u64,
}

/// Reads the parameters of a list.
pub(super) fn list(raw: Option<&str>, limits: &Limits) -> Result<List> {
    let mut params = Params::parse(raw, LIST, limits)?;
    let most = number(&mut params, "limit", MOST).unwrap_or(PAGE);
    let page = number(&mut params, "page", PAGES).unwrap_or(1);
    let order = params.text("order").and_then(|text| {
        let found = ORDERS.iter().find(|(name, _)| *name == text).map(|(_, order)| *order);
        if found.is_none() {
            params.violate("order", one_of(ORDERS.iter().map(|(name, _)| *name)));
        }
        found
    });
    let mut filter = ExportsFilter { user_id: params.text("user_id"), ..ExportsFilter::default() };
    if let Some(text) = params.text("status") {
        match states(&text) {
            Some(states) => filter.states = states,
            None => params.violate("status", one_of(WORDS.iter().map(|(word, _)| *word).chain(ExportState::ALL.into_iter().map(ExportState::name)))),
        }
    }
    for name in ["exported_object", "object"] {
        let Some(text) = params.text(name) else { continue };
        match Object::parse(&text).map(Object::name).filter(|object| filter.object.as_deref().is_none_or(|before| before == *object)) {
            Some(object) => filter.object = Some(object.to_owned()),
            None => params.violate(name, one_of(Object::names())),
        }
    }
    let later = |at: Timestamp| Timestamp::clamped(at.micros().saturating_add(1));
    let after = |at: Option<Timestamp>| at.map(later);
    let from = [params.bound("created_from", End::From), after(time(&mut params, "[created_at][after]")), after(time(&mut params, "created_at[after]"))];
    let before = [after(params.bound("created_to", End::To)), time(&mut params, "[created_at][before]"), time(&mut params, "created_at[before]")];
    (filter.from, filter.before) = (from.into_iter().flatten().max(), before.into_iter().flatten().min());
    params.finish()?;
    Ok(List { filter, order: order.unwrap_or_default(), skip: (page - 1) * most, most })
}

/// A whole number from 1 on.
pub(super) fn number(params: &mut Params<'_>, name: &str, most: u64) -> Option<u64> {
    let text = params.text(name)?;
    let number = text.parse::<u64>().ok().filter(|n| (1..=most).contains(n) && !text.starts_with('+'));
    if number.is_none() {
        params.violate(name, format!("must be an integer >= 1 and <= {most}, not {}", shorten(&text)));
    }
    number
}

/// A point in time, in Voucherify's words if it is none.
pub(super) fn time(params: &mut Params<'_>, name: &str) -> Option<Timestamp> {
    let text = params.text(name)?;
    instant(&text).map_err(|message| params.violate(name, message)).ok()
}

/// Reads a point in time. Clients write offsets without a colon too.
pub(super) fn instant(text: &str) -> Result<Timestamp, &'static str> {
    let offset = text.len().checked_sub(5).filter(|at| *at > 10).and_then(|at| text.split_at_checked(at));
    let is_offset = |offset: &str| offset.starts_with(['+', '-', ' ']) && offset[1..].bytes().all(|b| b.is_ascii_digit());
    let fixed = offset.filter(|(_, offset)| is_offset(offset)).map(|(local, offset)| format!("{local}{}:{}", &offset[..3], &offset[3..]));
    Timestamp::parse_bound(fixed.as_deref().unwrap_or(text), End::From).map_err(|_| "cannot be recognized as a ISO-8601 compliant date")
}

/// Voucherify's words for the states of an export.
const WORDS: [(&str, &[ExportState]); 4] = [
    ("SCHEDULED", &[ExportState::Queued]),
    ("IN_PROGRESS", &[ExportState::Running]),
    ("DONE", &[ExportState::Finished, ExportState::Expired]),
    ("ERROR", &[ExportState::Failed, ExportState::Cancelled]),
];

/// The states of a word, Voucherify's or ours.
fn states(word: &str) -> Option<Vec<ExportState>> {
    let theirs = WORDS.iter().find(|(name, _)| *name == word).map(|(_, states)| states.to_vec());
    theirs.or_else(|| ExportState::parse(word).map(|state| vec![state]))
}

/// Voucherify's word for a state.
pub(super) fn word(state: ExportState) -> &'static str {
    WORDS.iter().find(|(_, states)| states.contains(&state)).map_or("ERROR", |(word, _)| word)
}

#[cfg(test)]
mod tests;
