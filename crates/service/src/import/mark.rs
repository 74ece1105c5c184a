//! The mark of an imported event: which task made it, and of which line of its file. It is a member of the event's `context`.
//!
//! Promises: whatever the event holds stays as it is, number text included. Never: takes the place of a member that is there.

use indelible_model::{TaskId, json};

/// Appends `event`, a compact JSON object, with the mark in its context. A context that is no object stays, to be refused as an event.
pub(super) fn mark(event: &[u8], task: TaskId, line: u64, out: &mut Vec<u8>) {
    let context = json::member(event, "context").filter(|c| *c != b"null");
    let Some(context) = context.or(Some(b"{}")).filter(|c| c.starts_with(b"{")) else {
        out.extend_from_slice(event);
        return;
    };
    let start = out.len();
    let mut member = |name: &[u8], value: &[&[u8]]| {
        out.push(if out.len() == start { b'{' } else { b',' });
        out.extend_from_slice(name);
        out.push(b':');
        value.iter().for_each(|part| out.extend_from_slice(part));
    };
    for (name, value) in json::members(event).filter(|(name, _)| *name != b"\"context\"") {
        member(name, &[value]);
    }
    let inner = &context[..context.len() - 1];
    let comma: &[u8] = if inner == b"{" { b"" } else { b"," };
    let mark = format!("\"{}\":{{\"task\":\"{task}\",\"line\":{line}}}}}", free_name(context));
    member(b"\"context\"", &[inner, comma, mark.as_bytes()]);
    out.push(b'}');
}

/// The first of our names that the context does not have.
fn free_name(context: &[u8]) -> String {
    let is_free = |name: &str| json::member(context, name).is_none();
    let mut name = "import".to_owned();
    for n in 1_u64.. {
        if is_free(&name) {
            break;
        }
        name = if n == 1 { "indelible_import".to_owned() } else { format!("indelible_import_{n}") };
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(event: &str) -> String {
        let mut out = Vec::new();
        mark(event.as_bytes(), TaskId([7; 9]), 12, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_event_gets_one() {
        let mark = r#"{"task":"aa_070707070707070707","line":12}"#;
        for (event, want) in [
            (r#"{"action":"a"}"#, format!(r#"{{"action":"a","context":{{"import":{mark}}}}}"#)),
            (r#"{"context":null,"action":"a"}"#, format!(r#"{{"action":"a","context":{{"import":{mark}}}}}"#)),
            (r#"{"context":{},"n":1.50}"#, format!(r#"{{"n":1.50,"context":{{"import":{mark}}}}}"#)),
            (r#"{"context":{"a":-0.10,"b":{"import":1}},"n":9}"#, format!(r#"{{"n":9,"context":{{"a":-0.10,"b":{{"import":1}},"import":{mark}}}}}"#)),
            (r#"{"context":{"import":1}}"#, format!(r#"{{"context":{{"import":1,"indelible_import":{mark}}}}}"#)),
            (r#"{"context":{"import":1,"indelible_import":2}}"#, format!(r#"{{"context":{{"import":1,"indelible_import":2,"indelible_import_2":{mark}}}}}"#)),
            ("{}", format!(r#"{{"context":{{"import":{mark}}}}}"#)),
            (r#"{"context":[1],"a":1}"#, r#"{"context":[1],"a":1}"#.to_owned()),
        ] {
            assert_eq!(marked(event), want, "{event}");
        }
    }
}
