//! Splits Rust source into code and string literals, well enough for checks on text. Never parses: it knows comments, strings and characters only.

/// A source file without its comments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Split {
    /// The code; comments are gone, literals are empty quotes, lines are as they were.
    pub(crate) code: String,
    /// The string literals, as written (escapes not resolved).
    pub(crate) strings: Vec<String>,
}

/// Splits `text`.
pub(crate) fn split(text: &str) -> Split {
    let mut out = Split::default();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if rest.starts_with("/*") {
            let comment = &rest[..block_comment(rest)];
            out.code.extend(comment.chars().filter(|c| *c == '\n'));
            rest = &rest[comment.len()..];
        } else if let Some(hashes) = raw_string(rest, &out.code) {
            let open = rest.find('"').unwrap_or(0) + 1;
            let close = format!("\"{}", "#".repeat(hashes));
            let len = rest[open..].find(&close).unwrap_or(rest.len() - open);
            push_string(&mut out, &rest[open..open + len]);
            rest = &rest[(open + len + close.len()).min(rest.len())..];
        } else if c == '"' {
            let len = plain_string(&rest[1..]);
            push_string(&mut out, &rest[1..1 + len]);
            rest = &rest[(len + 2).min(rest.len())..];
        } else if let Some(len) = character(rest) {
            out.code.push_str("''");
            rest = &rest[len..];
        } else {
            out.code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn push_string(out: &mut Split, literal: &str) {
    out.code.push_str("\"\"");
    out.code.extend(literal.chars().filter(|c| *c == '\n'));
    out.strings.push(literal.to_owned());
}

/// The length of a block comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    let bytes = text.as_bytes();
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" if depth == 1 => return at + 2,
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    text.len()
}

/// The number of hashes, if a raw string starts here (and not an identifier's last letter).
fn raw_string(text: &str, before: &str) -> Option<usize> {
    if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let after = ["r", "br", "cr"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

/// The length of a string's inside.
fn plain_string(text: &str) -> usize {
    let mut escaped = false;
    text.find(|c| {
        let end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        end
    })
    .unwrap_or(text.len())
}

/// The length of a character literal, if one starts here; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if let Some(escape) = inside.strip_prefix('\\') {
        let first = escape.chars().next()?.len_utf8();
        return Some(2 + first + escape[first..].find('\'')? + 1);
    }
    let first = inside.chars().next()?.len_utf8();
    inside[first..].starts_with('\'').then_some(first + 2)
}

#[test]
fn knows_comments_strings_characters_and_lifetimes() {
    let found = split("a // \"no\"\n/* /* no */ \"no\" */ b(\"yes \\\" // too\", r#\"raw \"x\"\"#, b\"bytes\") '\"' '\\'' &'a str");
    assert_eq!(found.strings, ["yes \\\" // too", "raw \"x\"", "bytes"]);
    assert_eq!(found.code, "a \n b(\"\", \"\", b\"\") '' '' &'a str");
}

#[test]
fn keeps_the_number_of_lines() {
    let text = "/* a\nb */ \"c\nd\" // e\nf";
    assert_eq!(split(text).code.lines().count(), text.lines().count());
}
