//! Runs the scenarios of `compat/`: requests and expected answers, as data (compat/README.md has the format).
//!
//! Each file gets a server of its own with an empty store. All of a dialect's failures are reported at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::http::{Answer, send};
use crate::pattern::{Mode, json_problems, text_matches};
use crate::root;
use crate::server::{KEY, OWNER, Server};

/// A file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// What it shows, in one sentence.
    title: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    request: Request,
    expect: Expect,
    /// Name -> where it stands in the answer: a JSON pointer, or `header:NAME`.
    #[serde(default)]
    capture: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    path: String,
    /// Beside the API key, which a null `authorization` takes away.
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    /// A JSON body.
    json: Option<Value>,
    /// A body as text.
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    status: Status,
    /// Name -> pattern, or null for a header that must not be there.
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    /// The body as JSON, with exactly these members.
    json: Option<Value>,
    /// The body as JSON, with at least these members.
    like: Option<Value>,
    /// The body as a text pattern; a list is joined.
    text: Option<Text>,
    /// Texts that the body has, byte for byte.
    #[serde(default)]
    contains: Vec<String>,
    /// Texts that the body has not.
    #[serde(default)]
    lacks: Vec<String>,
    /// How many lines the body has.
    lines: Option<usize>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Status {
    One(u16),
    OneOf(Vec<u16>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Whole(String),
    Parts(Vec<String>),
}

type Captured = BTreeMap<String, String>;

/// Puts what was captured in place of `${name}`.
fn fill(text: &str, captured: &Captured) -> String {
    captured.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

/// As [`fill`], for all strings of a value. In an array, `{"$repeat": n, "$item": x}` stands for n times x, with `${index}` from 1.
fn fill_json(value: &Value, captured: &Captured) -> Value {
    match value {
        Value::String(text) => Value::String(fill(text, captured)),
        Value::Array(items) => Value::Array(items.iter().flat_map(|item| repeat(item, captured)).collect()),
        Value::Object(members) => Value::Object(members.iter().map(|(name, v)| (name.clone(), fill_json(v, captured))).collect()),
        other => other.clone(),
    }
}

fn repeat(item: &Value, captured: &Captured) -> Vec<Value> {
    let (Some(times), Some(inner)) = (item.get("$repeat").and_then(Value::as_u64), item.get("$item")) else { return vec![fill_json(item, captured)] };
    let mut captured = captured.clone();
    let mut one = |i: u64| {
        captured.insert("index".to_owned(), i.to_string());
        fill_json(inner, &captured)
    };
    (1..=times).map(&mut one).collect()
}

fn ask(address: &str, request: &Request, captured: &Captured) -> Result<Answer, String> {
    let mut headers = vec![("authorization".to_owned(), format!("Bearer {KEY}"))];
    let body = match (&request.json, &request.text) {
        (Some(json), _) => {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
            fill_json(json, captured).to_string()
        }
        (None, Some(text)) => fill(text, captured),
        (None, None) => String::new(),
    };
    for (name, value) in &request.headers {
        headers.retain(|(n, _)| n != name);
        headers.extend(value.iter().map(|v| (name.clone(), fill(v, captured))));
    }
    send(address, &request.method, &fill(&request.path, captured), &headers, body.as_bytes())
}

fn problems(expect: &Expect, answer: &Answer, captured: &Captured) -> Vec<String> {
    let mut problems = Vec::new();
    let text = answer.text();
    let fits = match &expect.status {
        Status::One(status) => *status == answer.status,
        Status::OneOf(list) => list.contains(&answer.status),
    };
    if !fits {
        problems.push(format!("status {}", answer.status));
    }
    for (name, pattern) in &expect.headers {
        match (pattern, answer.header(name)) {
            (None, Some(value)) => problems.push(format!("header {name} must not be there, but is {value:?}")),
            (Some(pattern), value) if !value.is_some_and(|v| text_matches(&fill(pattern, captured), v)) => {
                problems.push(format!("header {name}: expected {pattern:?}, got {value:?}"))
            }
            _ => {}
        }
    }
    for (expected, mode) in [(&expect.json, Mode::Whole), (&expect.like, Mode::Part)] {
        let Some(expected) = expected else { continue };
        match serde_json::from_str::<Value>(&text) {
            Ok(actual) => problems.extend(json_problems(&fill_json(expected, captured), Some(&actual), mode, "$")),
            Err(e) => problems.push(format!("the body is not JSON: {e}")),
        }
    }
    let pattern = expect.text.as_ref().map(|t| match t {
        Text::Whole(text) => fill(text, captured),
        Text::Parts(parts) => fill(&parts.concat(), captured),
    });
    if let Some(pattern) = pattern.filter(|p| !text_matches(p, &text)) {
        problems.push(format!("text: expected {pattern:?}"));
    }
    problems.extend(expect.contains.iter().map(|t| fill(t, captured)).filter(|t| !text.contains(t)).map(|t| format!("the body lacks {t:?}")));
    problems.extend(expect.lacks.iter().map(|t| fill(t, captured)).filter(|t| text.contains(t)).map(|t| format!("the body has {t:?}")));
    if let Some(lines) = expect.lines.filter(|l| *l != text.lines().count()) {
        problems.push(format!("expected {lines} lines, got {}", text.lines().count()));
    }
    problems
}

fn capture(wanted: &BTreeMap<String, String>, answer: &Answer, captured: &mut Captured) -> Result<(), String> {
    let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
    for (name, place) in wanted {
        let value = match place.strip_prefix("header:") {
            Some(header) => answer.header(header).map(str::to_owned),
            None => json.as_ref().and_then(|j| j.pointer(place)).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)),
        };
        captured.insert(name.clone(), value.ok_or_else(|| format!("nothing to capture at {place}"))?);
    }
    Ok(())
}

/// Runs one file; the failure names the step and shows the answer.
fn run(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let scenario: Scenario = serde_json::from_str(&text).map_err(|e| format!("not a scenario: {e}"))?;
    let server = Server::start();
    let mut captured = Captured::from([("key", KEY), ("owner", OWNER.0), ("password", OWNER.1)].map(|(name, value)| (name.to_owned(), value.to_owned())));
    for (i, step) in scenario.steps.iter().enumerate() {
        let request = &step.request;
        let answer = ask(&server.address, request, &captured)?;
        let mut found = problems(&step.expect, &answer, &captured);
        found.extend(capture(&step.capture, &answer, &mut captured).err());
        if !found.is_empty() {
            let shown: String = answer.text().chars().take(2000).collect();
            return Err(format!("{}\n  step {}: {} {}\n    {}\n  answer {}: {shown}", scenario.title, i + 1, request.method, request.path, found.join("\n    "), answer.status));
        }
    }
    match server.log().lines().find(|l| l.contains("ERROR")) {
        Some(line) => Err(format!("{}\n  the server logged an error: {line}", scenario.title)),
        None => Ok(()),
    }
}

fn scenarios(dialect: &str) -> Vec<PathBuf> {
    let folder = root().join("compat").join(dialect);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).expect("a folder of scenarios").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    files
}

fn run_all(dialect: &str) {
    let files = scenarios(dialect);
    assert!(!files.is_empty(), "no scenario for {dialect}");
    let failures: Vec<String> = files.iter().filter_map(|f| run(f).err().map(|e| format!("{}: {e}", f.strip_prefix(root()).unwrap_or(f).display()))).collect();
    assert!(failures.is_empty(), "\n{} of {} scenarios failed\n\n{}\n", failures.len(), files.len(), failures.join("\n\n"));
}

#[test]
fn logproof() {
    run_all("logproof");
}

#[test]
fn aitronos() {
    run_all("aitronos");
}

#[test]
fn loyaltydog() {
    run_all("loyaltydog");
}

#[test]
fn voucherify() {
    run_all("voucherify");
}

#[test]
fn native() {
    run_all("native");
}

#[test]
fn scenarios_are_well_formed_and_numbered() {
    for dialect in ["logproof", "aitronos", "loyaltydog", "voucherify", "native"] {
        for (i, file) in scenarios(dialect).iter().enumerate() {
            let name = file.file_name().and_then(|n| n.to_str()).expect("a name");
            assert!(name.starts_with(&format!("{:04}-", i + 1)) && name.ends_with(".json"), "{dialect}/{name}: expected number {:04}", i + 1);
            let scenario: Result<Scenario, _> = serde_json::from_str(&fs::read_to_string(file).expect("text"));
            assert!(scenario.is_ok_and(|s| !s.steps.is_empty()), "{dialect}/{name} is not a scenario");
        }
    }
}

#[test]
fn values_are_filled_in() {
    let captured = Captured::from([("id".to_owned(), "evt_1".to_owned())]);
    let template: Value = serde_json::from_str(r#"{"a":"/${id}","b":[{"$repeat":2,"$item":{"n":"${index}"}},3]}"#).expect("JSON");
    assert_eq!(fill_json(&template, &captured).to_string(), r#"{"a":"/evt_1","b":[{"n":"1"},{"n":"2"},3]}"#);
}
