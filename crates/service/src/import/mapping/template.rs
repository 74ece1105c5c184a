//! Templates: text with `{path}` placeholders, and lists of them of which the first usable one wins.
//!
//! A placeholder counts if its member is there, is neither null nor an empty text, and is not among the mapping's
//! `absent` texts. A template is usable if all its placeholders count.
//! Never: makes an object or a list into text unless `|json` asks for it.

use indelible_model::json;

use super::Source;
use super::path::{Path, Record};

/// Candidates, best first.
#[derive(Clone, Debug)]
pub(super) struct Candidates {
    /// The templates.
    templates: Vec<Template>,
    /// As the file has them, for messages.
    pub(super) shown: String,
}

#[derive(Clone, Debug)]
struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Member(Path, Option<Filter>),
    File,
    Line,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    Lower,
    Upper,
    Text,
    Json,
}

/// What templates are read against.
pub(super) struct Scope<'a> {
    pub(super) record: Record<'a>,
    pub(super) source: &'a Source<'a>,
    pub(super) ignore_case: bool,
    /// Canonical strings that count as absent.
    pub(super) absent: &'a [Vec<u8>],
}

impl<'a> Scope<'a> {
    /// The value at a path, if it counts.
    pub(super) fn find(&self, path: &Path) -> Option<&'a [u8]> {
        let value = self.record.find(path, self.ignore_case)?;
        let counts = value != b"null" && value != b"\"\"" && !self.absent.iter().any(|a| a == value);
        counts.then_some(value)
    }
}

/// A scalar's text; `None` for an object or a list.
pub(super) fn text_of(value: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
    match value.first()? {
        b'{' | b'[' => None,
        b'"' => json::as_str(value),
        _ => Some(String::from_utf8_lossy(value)),
    }
}

impl Candidates {
    /// Reads the templates of one member.
    pub(super) fn parse(texts: &[&str]) -> Result<Self, String> {
        let templates = texts.iter().map(|t| Template::parse(t)).collect::<Result<_, _>>()?;
        Ok(Self { templates, shown: texts.join(", ") })
    }
    /// The text of the first usable template.
    pub(super) fn text(&self, scope: &Scope<'_>) -> Option<String> {
        self.find(scope).map(|(text, _)| text)
    }
    /// The same, and whether it is constant.
    pub(super) fn find(&self, scope: &Scope<'_>) -> Option<(String, bool)> {
        self.templates.iter().find_map(|t| Some((t.text(scope)?, t.is_constant())))
    }
    /// Appends the first usable template as JSON: a lone placeholder keeps its value, all else is a string.
    /// Tells whether it is constant.
    pub(super) fn value(&self, scope: &Scope<'_>, out: &mut Vec<u8>) -> Option<bool> {
        for template in &self.templates {
            if let [Part::Member(path, None)] = &template.0[..] {
                if let Some(value) = scope.find(path) {
                    out.extend_from_slice(value);
                    return Some(false);
                }
            } else if let Some(text) = template.text(scope) {
                json::write_string(&text, out);
                return Some(template.is_constant());
            }
        }
        None
    }
}

impl Template {
    fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            if brace == "}" {
                return Err(format!("`{text}` has a }} without its {{; write }}}} for the character"));
            }
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            let (part, after) = placeholder(rest)?;
            parts.push(part);
            rest = after.strip_prefix('}').ok_or_else(|| format!("`{text}` has a placeholder without its }}"))?;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        if parts.is_empty() {
            return Err("is an empty text; leave the member out, or write [] for none".to_owned());
        }
        Ok(Self(parts))
    }
    fn is_constant(&self) -> bool {
        !self.0.iter().any(|p| matches!(p, Part::Member(..)))
    }
    fn text(&self, scope: &Scope<'_>) -> Option<String> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::File => out.push_str(scope.source.digest),
                Part::Line => out.push_str(&scope.source.line.to_string()),
                Part::Member(path, filter) => {
                    let value = scope.find(path)?;
                    match (text_of(value), filter) {
                        (Some(text), Some(Filter::Lower)) => out.push_str(&text.to_lowercase()),
                        (Some(text), Some(Filter::Upper)) => out.push_str(&text.to_uppercase()),
                        (Some(text), _) => out.push_str(&text),
                        (None, Some(Filter::Json)) => out.push_str(&String::from_utf8_lossy(value)),
                        (None, _) => return None,
                    }
                }
            }
        }
        Some(out)
    }
}

/// Reads the inside of a placeholder; what is left starts at its closing brace.
fn placeholder(text: &str) -> Result<(Part, &str), String> {
    for (word, part) in [("$file", Part::File), ("$line", Part::Line)] {
        if let Some(rest) = text.strip_prefix(word) {
            return Ok((part, rest));
        }
    }
    if text.starts_with('$') {
        return Err(format!("`{{{text}` is not known; there are {{$file}} and {{$line}}"));
    }
    let (path, rest) = Path::parse_prefix(text)?;
    let Some(filter) = rest.strip_prefix('|') else { return Ok((Part::Member(path, None), rest)) };
    for (word, known) in [("lower", Filter::Lower), ("upper", Filter::Upper), ("text", Filter::Text), ("json", Filter::Json)] {
        if let Some(rest) = filter.strip_prefix(word)
            && rest.starts_with('}')
        {
            return Ok((Part::Member(path, Some(known)), rest));
        }
    }
    Err(format!("`|{}` is not known; there are |lower, |upper, |text and |json", filter.split('}').next().unwrap_or(filter)))
}
