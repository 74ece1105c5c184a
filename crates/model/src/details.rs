//! What an event tells of itself, in one object: for dialects that know no diff.

use crate::json;

/// `{"before":...,"after":...}` with the members that there are; `None` without any. The texts are JSON.
pub fn diff(before: Option<&str>, after: Option<&str>) -> Option<String> {
    let mut out = String::new();
    for (name, value) in [("before", before), ("after", after)] {
        if let Some(value) = value {
            out.push(if out.is_empty() { '{' } else { ',' });
            out.extend(["\"", name, "\":", value]);
        }
    }
    if out.is_empty() {
        return None;
    }
    out.push('}');
    Some(out)
}

/// The metadata with the [`diff`] as a member; `{"metadata":...,"diff":...}` if the metadata has such a member of its own; `None` if
/// there is no diff and nothing in the metadata, which is an object. The texts are canonical JSON.
pub fn details(metadata: Option<&str>, before: Option<&str>, after: Option<&str>) -> Option<String> {
    let metadata = metadata.filter(|m| *m != "{}");
    match (metadata, diff(before, after)) {
        (None, None) => None,
        (Some(metadata), None) => Some(metadata.to_owned()),
        (None, Some(diff)) => Some(format!("{{\"diff\":{diff}}}")),
        (Some(metadata), Some(diff)) => Some(match metadata.strip_suffix('}') {
            Some(open) if json::member(metadata.as_bytes(), "diff").is_none() => format!("{open},\"diff\":{diff}}}"),
            _ => format!("{{\"metadata\":{metadata},\"diff\":{diff}}}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_diff_become_one_object() {
        for (metadata, before, after, want) in [
            (None, None, None, None),
            (Some("{}"), None, None, None),
            (Some(r#"{"a":1}"#), None, None, Some(r#"{"a":1}"#)),
            (Some("{}"), Some("1"), None, Some(r#"{"diff":{"before":1}}"#)),
            (None, None, Some(r#""x""#), Some(r#"{"diff":{"after":"x"}}"#)),
            (Some(r#"{"a":{"diff":0}}"#), Some("null"), Some("[]"), Some(r#"{"a":{"diff":0},"diff":{"before":null,"after":[]}}"#)),
            (Some(r#"{"diff":7,"b":2}"#), Some("1"), Some("2"), Some(r#"{"metadata":{"diff":7,"b":2},"diff":{"before":1,"after":2}}"#)),
            (Some(r#"{"diff":7}"#), None, None, Some(r#"{"diff":7}"#)),
        ] {
            assert_eq!(details(metadata, before, after).as_deref(), want);
        }
    }
}
