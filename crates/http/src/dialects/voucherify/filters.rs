//! Voucherify's filters in the words of the domain: `{"junction", FIELD: {"conditions": {OPERATOR: [values]}}}`.
//!
//! Promises: a field, an operator or a value that is not understood is a violation that names its place; what is dropped by nobody cannot answer with more than
//! was asked for. `$after` and `$before` leave out the instant itself. All operators of a field must hold, whatever the junction.
//! Never: storage, or a field that the exported object lacks.

use indelible_model::fields::Field;
use indelible_model::query::{Filter, Term, Test};
use indelible_model::search::Needle;
use indelible_model::{Limits, Timestamp, Violation};
use indelible_service::Table;
use serde_json::{Map, Value};

use super::translate::instant;
use crate::query::shorten;

/// Where filters stand in a request.
const PLACE: &str = "parameters.filters";
/// Values of one operator at most.
const MOST: usize = 1000;

/// How the values of a field are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    /// As points in time, with when it happened.
    Time,
    /// As `SUCCESS` or `FAILURE`, with the HTTP status.
    Outcome,
    /// As texts, with a field.
    Text(Field),
}

const TIMES: &[&str] = &["$before", "$after"];
const SAME: &[&str] = &["$is", "$is_not"];
const AMONG: &[&str] = &["$in", "$not_in"];
const IDS: &[&str] = &["$in", "$not_in", "$is", "$is_not"];
const TEXTS: &[&str] = &["$is", "$is_not", "$in", "$not_in", "$has_value", "$is_unknown", "$contains", "$not_contain", "$starts_with", "$ends_with"];
/// Of JSON text, whose form is nobody's to know.
const WITHIN: &[&str] = &["$has_value", "$is_unknown", "$contains", "$not_contain"];

/// What requests can be filtered by: Voucherify's own five, then ours.
const API_LOG: [(&str, Compared, &[&str]); 12] = [
    ("created_at", Compared::Time, TIMES),
    ("status", Compared::Outcome, SAME),
    ("channel", Compared::Text(Field::HttpChannel), AMONG),
    ("app_id", Compared::Text(Field::AppId), IDS),
    ("client_app_id", Compared::Text(Field::ClientAppId), IDS),
    ("request_id", Compared::Text(Field::RequestId), IDS),
    ("method", Compared::Text(Field::HttpMethod), IDS),
    ("endpoint", Compared::Text(Field::HttpEndpoint), TEXTS),
    ("url", Compared::Text(Field::HttpUrl), TEXTS),
    ("user_email", Compared::Text(Field::ActorEmail), TEXTS),
    ("request_body", Compared::Text(Field::RequestBody), WITHIN),
    ("response_body", Compared::Text(Field::ResponseBody), WITHIN),
];

/// How a field of a table can be filtered.
fn compared(table: Table, name: &str) -> Option<(Compared, &'static [&'static str])> {
    match table {
        Table::ApiLog => API_LOG.into_iter().find(|(own, ..)| *own == name).map(|(_, compared, operators)| (compared, operators)),
        Table::Event if matches!(name, "created_at" | "occurred_at") => Some((Compared::Time, TIMES)),
        Table::Event => {
            let field = Field::ALL.iter().copied().find(|f| f.column() == name)?;
            Some((Compared::Text(field), if field.is_json() { WITHIN } else { TEXTS }))
        }
    }
}

/// The fields of a table that can be filtered.
fn filtered(table: Table) -> String {
    let all: Vec<&str> = match table {
        Table::ApiLog => API_LOG.iter().map(|(name, ..)| *name).collect(),
        Table::Event => ["created_at", "occurred_at"].into_iter().chain(Field::ALL.iter().map(|f| f.column())).collect(),
    };
    all.join(", ")
}

/// What a table's events must be like: for requests, that they are requests, which not all of their log is.
pub(super) fn base(table: Table) -> Filter {
    let requests = Term { any_of: vec![Field::HttpMethod, Field::HttpStatus], test: Test::Present, not: false };
    Filter { terms: if table == Table::ApiLog { vec![requests] } else { Vec::new() }, ..Filter::default() }
}

/// How fields are joined: true if one of them is enough. `and` unless said otherwise, in any case.
pub(super) fn junction(filters: &Map<String, Value>, violations: &mut Vec<Violation>) -> bool {
    match filters.get("junction").map(|j| j.as_str().map(str::to_ascii_lowercase)) {
        None => false,
        Some(Some(word)) if word == "and" || word == "or" => word == "or",
        Some(_) => {
            violations.push(Violation::new(format!("{PLACE}.junction"), "should be equal to one of the allowed values [ and, or ]"));
            false
        }
    }
}

/// The filter of an export of a table. What cannot be read is noted.
pub(super) fn translate(table: Table, filters: &Map<String, Value>, limits: &Limits, violations: &mut Vec<Violation>) -> Filter {
    let any = junction(filters, violations);
    let mut fields = Vec::new();
    for (name, filter) in filters.iter().filter(|(name, _)| *name != "junction") {
        let mut reader = Reader { place: format!("{PLACE}.{}", shorten(name)), limits, violations };
        match compared(table, name) {
            Some((compared, operators)) => fields.push(reader.field(compared, operators, filter)),
            None => reader.refuse("", format!("is not a filter of {}; allowed are: {}", table.name(), filtered(table))),
        }
    }
    let mut all = base(table);
    if any && fields.len() > 1 {
        all.either = fields;
        return all;
    }
    for field in fields {
        all.from = all.from.max(field.from);
        all.to = all.to.into_iter().chain(field.to).min();
        all.terms.extend(field.terms);
    }
    all
}

/// Reads the filter of one field.
struct Reader<'a> {
    place: String,
    limits: &'a Limits,
    violations: &'a mut Vec<Violation>,
}

impl Reader<'_> {
    fn refuse(&mut self, within: &str, message: impl Into<String>) {
        self.violations.push(Violation::new(format!("{}{within}", self.place), message));
    }
    fn field(&mut self, compared: Compared, operators: &[&str], filter: &Value) -> Filter {
        let mut all = Filter::default();
        let Some(conditions) = filter.get("conditions").and_then(Value::as_object) else {
            self.refuse("", "must have the property 'conditions', an object");
            return all;
        };
        for (operator, values) in conditions {
            let within = format!(".conditions.{}", shorten(operator));
            if !operators.contains(&operator.as_str()) {
                self.refuse(&within, format!("is not an operator of this field; allowed are: {}", operators.join(", ")));
                continue;
            }
            let read = match compared {
                Compared::Text(field) if matches!(operator.as_str(), "$has_value" | "$is_unknown") => {
                    let wanted = (operator == "$has_value") == is_meant(values);
                    all.terms.push(Term { any_of: vec![field], test: Test::Present, not: !wanted });
                    Ok(())
                }
                _ => self.texts(values).and_then(|texts| condition(&mut all, compared, operator, texts)),
            };
            if let Err(message) = read {
                self.refuse(&within, message);
            }
        }
        all
    }
    /// The values of an operator as texts; one value may stand without its array.
    fn texts(&self, values: &Value) -> Result<Vec<String>, String> {
        let values = values.as_array().map_or(std::slice::from_ref(values), Vec::as_slice);
        if values.is_empty() || values.len() > MOST {
            return Err(format!("must have 1 to {MOST} values"));
        }
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        let most = self.limits.text_bytes;
        let fits = |text: &String| text.len() <= most;
        values
            .iter()
            .map(|v| text(v).filter(fits))
            .collect::<Option<_>>()
            .ok_or_else(|| format!("must have texts, numbers or times of at most {most} bytes (text_bytes) as its values"))
    }
}

/// True unless a client says that it does not want what it names: `{"$has_value": false}`.
fn is_meant(values: &Value) -> bool {
    let one = values.as_array().and_then(|all| all.first()).unwrap_or(values);
    *one != Value::Bool(false)
}

/// Adds the condition of an operator that the field has.
fn condition(all: &mut Filter, compared: Compared, operator: &str, texts: Vec<String>) -> Result<(), String> {
    match compared {
        Compared::Time => {
            let [text] = &texts[..] else { return Err("must have one value".to_owned()) };
            let at = instant(text)?.micros();
            if operator == "$after" {
                all.from = all.from.max(Some(Timestamp::clamped(at + 1)));
            } else {
                all.to = all.to.into_iter().chain([Timestamp::clamped(at - 1)]).min();
            }
        }
        Compared::Outcome => {
            let starts = texts.iter().map(|text| outcome(text)).collect::<Option<Vec<_>>>().ok_or("should be equal to one of the allowed values [ SUCCESS, FAILURE ]")?;
            let test = Test::StartsWith(starts.concat().chars().map(String::from).collect());
            all.terms.push(Term { any_of: vec![Field::HttpStatus], test, not: operator == "$is_not" });
        }
        Compared::Text(field) => {
            let not = matches!(operator, "$is_not" | "$not_in" | "$not_contain");
            let tests = match operator {
                "$starts_with" => vec![Test::StartsWith(texts)],
                "$ends_with" => vec![Test::EndsWith(texts)],
                "$contains" if texts.len() > 1 => return Err("must have one value".to_owned()),
                "$contains" | "$not_contain" => texts.iter().map(|text| Test::Contains(Needle::new(text))).collect(),
                _ => vec![Test::OneOf(texts)],
            };
            all.terms.extend(tests.into_iter().map(|test| Term { any_of: vec![field], test, not }));
        }
    }
    Ok(())
}

/// The first digits of the HTTP statuses that are printed with this word.
fn outcome(word: &str) -> Option<&'static str> {
    match word.to_ascii_uppercase().as_str() {
        "SUCCESS" => Some("123"),
        "FAILURE" => Some("0456789"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
