//! From a mapping file's TOML to rules.
//!
//! A case is the mapping that it uses, overlaid with what the file says outside of cases, overlaid with what the case says.
//! Never: lets an unknown key pass.

use indelible_model::json;
use toml::{Table, Value};

use super::path::Path;
use super::rules::{Metadata, Node, Rules, Test, Want};
use super::template::Candidates;
use super::time::{TimeRules, Unit, Without};
use super::{Mapping, MappingError};

/// The external id where a mapping names none.
const FILE_AND_LINE: &str = "{$file}:{$line}";
/// How deep cases may lie inside cases.
const MAX_CASES_DEPTH: usize = 4;
/// Cases of a mapping and of those that it uses: each holds rules of its own, and few bytes can name many.
const MAX_CASES: usize = 256;

/// The kind of a member with a fixed name.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Value,
    /// Free names, any values.
    Free,
    /// As text, but written into `meta`, where the event keeps it.
    Meta,
}
use Shape::{Free, Meta, Text, Value as Any};

/// Members of the event, with those of theirs that may be mapped.
const SECTIONS: [(&str, &[(&str, Shape)]); 7] = [
    ("actor", &[("id", Text), ("type", Text), ("name", Meta), ("email", Meta), ("meta", Free)]),
    ("target", &[("id", Text), ("type", Text), ("name", Meta), ("meta", Free)]),
    ("context", &[]),
    ("diff", &[("before", Any), ("after", Any)]),
    ("subject", &[("id", Text), ("type", Text), ("name", Text), ("meta", Free)]),
    ("organization", &[("id", Text), ("name", Text)]),
    (
        "http",
        &[
            ("method", Text),
            ("endpoint", Text),
            ("url", Text),
            ("status", Any),
            ("channel", Text),
            ("duration_ms", Any),
            ("request_id", Text),
            ("app_id", Text),
            ("client_app_id", Text),
            ("request_body", Any),
            ("response_body", Any),
        ],
    ),
];
/// What else a mapping may say.
const KEYS: [&str; 11] = ["about", "use", "root", "ignore_case", "absent", "time", "case", "action", "occurred_at", "external_id", "metadata"];

type Result<T> = std::result::Result<T, MappingError>;

fn fail<T>(at: impl Into<String>, reason: impl Into<String>) -> Result<T> {
    Err(MappingError { at: at.into(), reason: reason.into() })
}

/// What a file says about itself, and its rules; none for the native mapping.
pub(super) fn mapping(text: &str) -> Result<(String, Option<Rules>)> {
    let mut table = table_of(text)?;
    let about = match table.get("about") {
        None => String::new(),
        Some(Value::String(about)) => about.clone(),
        Some(_) => return fail("about", "must be a text"),
    };
    if let Some(native) = table.remove("native") {
        table.remove("about");
        if native != Value::Boolean(true) || !table.is_empty() {
            return fail("native", "must be true, and stand alone but for about");
        }
        return Ok((about, None));
    }
    let rules = rules(used(table, "")?, "", 0, &mut { MAX_CASES })?;
    Ok((about, Some(rules)))
}

fn table_of(text: &str) -> Result<Table> {
    text.parse::<Table>().or_else(|e| fail("", e.to_string()))
}

/// The table over the mapping that it uses, if it uses one.
fn used(mut table: Table, at: &str) -> Result<Table> {
    let name = match table.remove("use") {
        None => return Ok(table),
        Some(Value::String(name)) => name,
        Some(_) => return fail(join(at, "use"), "must be the name of a built-in mapping"),
    };
    match Mapping::builtin(&name).map(table_of) {
        Some(Ok(base)) if !base.contains_key("native") && !base.contains_key("use") => Ok(overlay(base, table)),
        _ => fail(join(at, "use"), format!("`{name}` is not a built-in mapping that can be used")),
    }
}

fn overlay(mut base: Table, over: Table) -> Table {
    for (key, value) in over {
        let merged = match (base.remove(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => Value::Table(overlay(below, above)),
            (_, above) => above,
        };
        base.insert(key, merged);
    }
    base
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

fn rules(mut table: Table, at: &str, depth: usize, left: &mut usize) -> Result<Rules> {
    let cases = match table.remove("case") {
        None => Vec::new(),
        Some(Value::Array(cases)) => cases,
        Some(_) => return fail(join(at, "case"), "must be [[case]] tables"),
    };
    if !cases.is_empty() && depth >= MAX_CASES_DEPTH {
        return fail(join(at, "case"), "lies too deep inside other cases");
    }
    let mut compiled = Vec::with_capacity(cases.len());
    for (i, case) in cases.into_iter().enumerate() {
        let at = join(at, &format!("case.{}", i + 1));
        let Value::Table(mut case) = case else { return fail(at, "must be a table") };
        let Some(rest) = left.checked_sub(1) else { return fail(at, format!("is one case too many: {MAX_CASES} are allowed, with those of used mappings")) };
        *left = rest;
        let when = match case.remove("when") {
            Some(Value::Table(when)) if !when.is_empty() => when,
            _ => return fail(join(&at, "when"), "must say when the case applies, such as { kind = \"login\" }"),
        };
        let tests = when.iter().map(|(path, want)| test(path, want, &join(&at, "when"))).collect::<Result<_>>()?;
        let own = overlay(table.clone(), case);
        compiled.push((tests, rules(used(own, &at)?, &at, depth + 1, left)?));
    }
    if let Some(key) = table.keys().find(|k| !KEYS.contains(&k.as_str()) && !SECTIONS.iter().any(|(name, _)| name == k)) {
        return fail(join(at, key), "is not known in a mapping");
    }
    let time = time(table.get("time"), &join(at, "time"))?;
    let occurred_at = candidates(table.get("occurred_at"), &join(at, "occurred_at"))?;
    let action = candidates(table.get("action"), &join(at, "action"))?;
    let only_cases = action.shown.is_empty() && !compiled.is_empty();
    if occurred_at.shown.is_empty() && time.missing == Without::Error && !only_cases {
        return fail(join(at, "occurred_at"), "is not mapped; if the source has no times, say so: time.missing = \"import-time\"");
    }
    if action.shown.is_empty() && !only_cases {
        return fail(join(at, "action"), "is not mapped, and an event must have one");
    }
    let external_id = match table.get("external_id") {
        None => candidates(Some(&Value::String(FILE_AND_LINE.to_owned())), "")?,
        given => candidates(given, &join(at, "external_id"))?,
    };
    let metadata = match table.get("metadata") {
        None => Metadata::Record,
        Some(free @ Value::Table(_)) => Metadata::Object(free_node(free, &join(at, "metadata"))?),
        part => Metadata::Part(candidates(part, &join(at, "metadata"))?),
    };
    let mut members = Vec::new();
    for (name, shape) in SECTIONS {
        if let Some(value) = table.get(name) {
            members.push((name, section(value, shape, &join(at, name))?));
        }
    }
    Ok(Rules {
        root: match table.get("root") {
            None => Path::default(),
            Some(Value::String(path)) => Path::parse(path).or_else(|e| fail(join(at, "root"), e))?,
            Some(_) => return fail(join(at, "root"), "must be a path"),
        },
        ignore_case: match table.get("ignore_case") {
            None => false,
            Some(Value::Boolean(ignore)) => *ignore,
            Some(_) => return fail(join(at, "ignore_case"), "must be true or false"),
        },
        absent: texts(table.get("absent"), &join(at, "absent"))?.iter().map(|t| quoted(t)).collect(),
        action,
        occurred_at,
        time,
        external_id,
        metadata,
        members,
        cases: compiled,
    })
}

fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    json::write_string(text, &mut out);
    out
}

fn test(path: &str, want: &Value, at: &str) -> Result<Test> {
    let want = match want {
        Value::Boolean(present) => Want::Present(*present),
        texts_or_numbers => Want::OneOf(match texts_or_numbers {
            Value::Integer(number) => vec![number.to_string()],
            given => texts(Some(given), &join(at, path))?.into_iter().map(str::to_owned).collect(),
        }),
    };
    Ok(Test { path: Path::parse(path).or_else(|e| fail(at, e))?, want })
}

fn texts<'a>(value: Option<&'a Value>, at: &str) -> Result<Vec<&'a str>> {
    let list = match value {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => &list[..],
        Some(one) => std::slice::from_ref(one),
    };
    list.iter().map(|v| v.as_str().map_or_else(|| fail(at, "must be a text or a list of texts"), Ok)).collect()
}

fn candidates(value: Option<&Value>, at: &str) -> Result<Candidates> {
    Candidates::parse(&texts(value, at)?).or_else(|e| fail(at, e))
}

fn free_node(value: &Value, at: &str) -> Result<Node> {
    match value {
        Value::Table(table) => {
            let members = table.iter().map(|(name, v)| Ok((name.clone(), free_node(v, &join(at, name))?)));
            Ok(Node::Free(members.collect::<Result<_>>()?))
        }
        other => Ok(Node::Value(candidates(Some(other), at)?)),
    }
}

fn section(value: &Value, shape: &[(&str, Shape)], at: &str) -> Result<Node> {
    let Value::Table(table) = value else { return fail(at, format!("must be a table: [{at}]")) };
    if shape.is_empty() {
        return free_node(value, at);
    }
    let known = || shape.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", ");
    if let Some(key) = table.keys().find(|k| !shape.iter().any(|(n, _)| n == k)) {
        return fail(join(at, key), format!("is not known; there are {}", known()));
    }
    let (mut members, mut meta) = (Vec::new(), Vec::new());
    for (name, shape) in shape {
        let (Some(value), at) = (table.get(*name), join(at, name)) else { continue };
        match shape {
            Text => members.push(((*name).to_owned(), Node::Text(candidates(Some(value), &at)?))),
            Any => members.push(((*name).to_owned(), Node::Value(candidates(Some(value), &at)?))),
            Meta => meta.push(((*name).to_owned(), Node::Text(candidates(Some(value), &at)?))),
            Free => match free_node(value, &at)? {
                Node::Free(more) => match more.iter().find(|(n, _)| meta.iter().any(|(m, _)| m == n)) {
                    Some((twice, _)) => return fail(join(&at, twice), "is given twice: here and beside meta"),
                    None => meta.extend(more),
                },
                _ => return fail(at, "must be a table"),
            },
        }
    }
    if !meta.is_empty() {
        members.push(("meta".to_owned(), Node::Free(meta)));
    }
    Ok(Node::Part(members))
}

fn time(value: Option<&Value>, at: &str) -> Result<TimeRules> {
    let mut rules = TimeRules::default();
    let table = match value {
        None => return Ok(rules),
        Some(Value::Table(table)) => table,
        Some(_) => return fail(at, "must be a table: [time]"),
    };
    for (key, value) in table {
        let at = join(at, key);
        let Some(text) = value.as_str() else { return fail(at, "must be a text") };
        let without = || match text {
            "error" => Ok(Without::Error),
            "import-time" => Ok(Without::ImportTime),
            _ => fail(&at, "must be \"error\" or \"import-time\""),
        };
        match key.as_str() {
            "assume_zone" => {
                let zone = if text == "UTC" { "Z" } else { text };
                if indelible_model::Timestamp::parse(&format!("2000-01-01T00:00:00{zone}")).is_err() {
                    return fail(at, "must be \"UTC\" or an offset such as \"+02:00\"");
                }
                rules.assume_zone = Some(zone.to_owned());
            }
            "epoch" => match Unit::named(text) {
                unit @ Some(_) => rules.epoch = unit,
                None => return fail(at, "must be \"s\", \"ms\", \"us\" or \"ns\""),
            },
            "missing" => rules.missing = without()?,
            "unreadable" => rules.unreadable = without()?,
            _ => return fail(at, "is not known; there are assume_zone, epoch, missing and unreadable"),
        }
    }
    Ok(rules)
}
