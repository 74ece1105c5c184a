//! Expected answers: text with holes, and JSON compared whole or in part. Pure.
//!
//! `{{class}}` in an expected text stands for one of the classes below; all else must be equal.
//! An expected JSON string that is nothing but `{{number}}`, `{{object}}`, `{{absent}}` or `{{anything}}` is about the value's kind.

use serde_json::Value;

/// True if `text` can be a member of the class; `None` if there is no such class.
fn is_class(class: &str, text: &str) -> Option<bool> {
    let hex = |n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    // 0 stands for any digit, all else for itself.
    let shape = |form: &str| text.len() == form.len() && text.bytes().zip(form.bytes()).all(|(b, f)| if f == b'0' { b.is_ascii_digit() } else { b == f });
    Some(match class {
        "any" => !text.is_empty(),
        "hex32" => hex(32),
        "hex64" => hex(64),
        "digits" => !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()),
        "date" => shape("0000-00-00"),
        "stamp" => shape("0000-00-00-000000"),
        "seconds" => shape("0000-00-00T00:00:00Z"),
        "micros" => shape("0000-00-00T00:00:00.000000Z"),
        _ => return None,
    })
}

/// True if `text` is what `pattern` says. Panics if the pattern names no class: that is a mistake in a scenario.
pub(crate) fn text_matches(pattern: &str, text: &str) -> bool {
    let Some(start) = pattern.find("{{") else { return pattern == text };
    let Some(end) = pattern[start..].find("}}").map(|e| start + e) else { return pattern == text };
    let (class, rest) = (&pattern[start + 2..end], &pattern[end + 2..]);
    let Some(tail) = text.strip_prefix(&pattern[..start]) else { return false };
    assert!(is_class(class, "").is_some(), "no such class: {{{{{class}}}}}");
    (0..=tail.len()).filter(|cut| tail.is_char_boundary(*cut)).any(|cut| is_class(class, &tail[..cut]) == Some(true) && text_matches(rest, &tail[cut..]))
}

/// How an expected object is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The answer has exactly these members.
    Whole,
    /// The answer may have more members; arrays have exactly these items.
    Part,
}

/// The differences between an expected and an actual JSON value, each with its path.
pub(crate) fn json_problems(expected: &Value, actual: Option<&Value>, mode: Mode, path: &str) -> Vec<String> {
    let differ = || vec![format!("{path}: expected {expected}, got {}", actual.map_or("nothing".to_owned(), Value::to_string))];
    match (expected, actual) {
        (Value::String(e), None) if e == "{{absent}}" => Vec::new(),
        (_, None) => differ(),
        (Value::String(e), Some(a)) => {
            let fits = match (e.as_str(), a) {
                ("{{anything}}", _) | ("{{number}}", Value::Number(_)) | ("{{object}}", Value::Object(_)) => true,
                ("{{number}}" | "{{object}}" | "{{absent}}", _) => false,
                (pattern, Value::String(text)) => text_matches(pattern, text),
                _ => false,
            };
            if fits { Vec::new() } else { differ() }
        }
        (Value::Array(e), Some(Value::Array(a))) if e.len() == a.len() => {
            e.iter().zip(a).enumerate().flat_map(|(i, (e, a))| json_problems(e, Some(a), mode, &format!("{path}[{i}]"))).collect()
        }
        (Value::Object(e), Some(Value::Object(a))) => {
            let mut problems: Vec<String> = e.iter().flat_map(|(name, e)| json_problems(e, a.get(name), mode, &format!("{path}.{name}"))).collect();
            if mode == Mode::Whole {
                problems.extend(a.keys().filter(|k| !e.contains_key(*k)).map(|k| format!("{path}.{k}: not expected")));
            }
            problems
        }
        (e, Some(a)) if e == a => Vec::new(),
        _ => differ(),
    }
}

#[test]
fn texts_with_holes() {
    assert!(text_matches("evt_{{hex32}}", &format!("evt_{}", "0a".repeat(16))));
    assert!(!text_matches("evt_{{hex32}}", &format!("evt_{}", "0A".repeat(16))));
    assert!(text_matches("a-{{date}}.csv", "a-2026-11-21.csv"));
    assert!(text_matches("{{stamp}}x{{any}}", "2026-11-21-101112xy"));
    assert!(!text_matches("{{any}}", ""));
    assert!(!text_matches("plain", "plainer"));
}

#[test]
fn json_whole_and_in_part() {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let problems = |e: &str, a: &str, mode| json_problems(&value(e), Some(&value(a)), mode, "$").len();
    assert_eq!(problems(r#"{"a":1}"#, r#"{"a":1,"b":2}"#, Mode::Part), 0);
    assert_eq!(problems(r#"{"a":1}"#, r#"{"a":1,"b":2}"#, Mode::Whole), 1);
    assert_eq!(problems(r#"{"a":"{{absent}}","b":"{{number}}"}"#, r#"{"b":2}"#, Mode::Whole), 0);
    assert_eq!(problems(r#"{"a":"{{absent}}","b":"{{number}}"}"#, r#"{"a":1,"b":"2"}"#, Mode::Part), 2);
    assert_eq!(problems(r#"[{"a":1}]"#, r#"[{"a":1},{}]"#, Mode::Part), 1);
    assert_eq!(problems(r#"{"a":null}"#, "{}", Mode::Part), 1);
}
