//! Bodies, queries and header values as the API log keeps them: without secrets, and not longer than a limit.
//!
//! Promises: what a name says is secret, and what looks like a credential of this server, is masked wherever it stands: in JSON of any depth, cut off or broken,
//! in JSON within JSON, in forms, queries and plain text. What comes out is JSON.
//! Never: fails; a body that cannot be shown safely is described instead.

use std::borrow::Cow;
use std::ops::Range;

use indelible_model::json::{Scanner, string_end, unescape, write_string};
use memchr::memchr;
use serde_json::json;

/// What stands for a secret.
const MASK: &str = "***";
/// Secret if a name has one of these in it, or is one of those; capitals, dashes and underscores aside.
const IN_NAMES: &[&str] = &["password", "passwd", "passphrase", "secret", "token", "apikey", "authorization", "credential", "privatekey", "signature", "assertion", "cookie"];
const NAMES: &[&str] = &["key", "pwd", "pass", "jwt", "auth"];
/// Secret in queries and forms only: elsewhere they mean something else.
const PARAMETERS: &[&str] = &["code", "state", "nonce", "codeverifier"];
/// How credentials of this server begin, how long they are at least, and whether they may follow a letter.
const CREDENTIALS: &[(&str, usize, bool)] = &[("lp_sk_", 14, true), ("lp_wt_", 14, true), ("ld_live_", 16, true), ("ld_test_", 16, true), ("ak_", 19, false), ("eyJ", 20, false)];
/// JSON within JSON within JSON, and so on.
const NESTED: usize = 4;
/// Nesting of a body that is kept as JSON; one that is deeper is kept as text.
const DEPTH: usize = 64;
const NAME_BYTES: usize = 1 << 10;

/// What was captured of a body.
#[derive(Debug, Default)]
pub(super) struct Captured {
    /// Its beginning.
    pub(super) bytes: Vec<u8>,
    /// How long it was.
    pub(super) total: usize,
}

/// A body as JSON text; `None` if there was none. `media` is its `Content-Type`, `coded` says that it is compressed.
pub(super) fn body(captured: &Captured, media: Option<&str>, coded: bool) -> Option<String> {
    if captured.total == 0 {
        return None;
    }
    let media = media.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let omitted = |why: &str| Some(json!({ "_omitted": why, "_bytes": captured.total }).to_string());
    let form = media == "application/x-www-form-urlencoded";
    let readable = form || media.is_empty() || media.starts_with("text/") || media.contains("json") || media.ends_with("xml");
    if coded {
        return omitted("compressed");
    } else if !readable {
        return omitted(&plain(&media));
    }
    let cut = captured.total > captured.bytes.len();
    let text = match std::str::from_utf8(&captured.bytes) {
        Ok(text) => text,
        // A character that the cut went through.
        Err(e) if cut && e.error_len().is_none() => std::str::from_utf8(&captured.bytes[..e.valid_up_to()]).unwrap_or_default(),
        Err(_) => return omitted("not UTF-8"),
    };
    // Half a credential may be too short to be known as one.
    let text = if cut { &text[..CREDENTIALS.iter().filter_map(|(start, ..)| unfinished(text, start)).min().unwrap_or(text.len())] } else { text };
    // Some clients send JSON as a form.
    let is_json = text.trim_start().starts_with(['{', '[', '"']) || (media.contains("json") && !form);
    let masked = match (is_json, form) {
        (true, _) => json_text(text, NESTED),
        (false, true) => query(text),
        (false, false) => plain(text),
    };
    if cut {
        return Some(json!({ "_truncated": captured.total, "_start": plain(&masked) }).to_string());
    }
    if is_json && let Some(canonical) = canonical(&masked) {
        return Some(canonical);
    }
    // What is not JSON after all may name its secrets in another way.
    Some(json!(plain(&masked)).to_string())
}

/// The text as one JSON value of the kind that can be stored.
fn canonical(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut scanner = Scanner::new(text.as_bytes(), DEPTH, NAME_BYTES).ok()?;
    scanner.value(&mut out).ok()?;
    scanner.finish().ok()?;
    String::from_utf8(out).ok()
}

/// A query string or a form.
pub(super) fn query(text: &str) -> String {
    let pairs = text.split('&').map(|pair| {
        let Some((name, value)) = pair.split_once('=') else { return plain(pair) };
        let (decoded, inside) = (decode(name), decode(value));
        let masked = is_secret(&decoded, PARAMETERS) || json_text(&inside, NESTED) != inside || plain(&inside) != inside;
        format!("{}={}", plain(name), if masked { MASK } else { value })
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// Text of no known form: credentials, and what follows a secret name and `=` or `:`.
pub(super) fn plain(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut done, mut at) = (String::with_capacity(text.len()), 0, 0);
    while at < bytes.len() {
        let hidden = match bytes[at] {
            b'=' | b':' if is_secret(&decode(name_before(text, done, at)), &[]) => Some(value_after(bytes, at + 1)),
            b'l' | b'a' | b'e' => credential(bytes, at).map(|end| at..end),
            _ => None,
        };
        match hidden.filter(|h| !h.is_empty()) {
            Some(hidden) => {
                out.push_str(&text[done..hidden.start]);
                out.push_str(MASK);
                (done, at) = (hidden.end, hidden.end);
            }
            None => at += 1,
        }
    }
    out.push_str(&text[done..]);
    out
}

/// The name that ends at `end`, not before `from`; quotes, escaped or not, and spaces may follow it.
fn name_before(text: &str, from: usize, end: usize) -> &str {
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'[' | b']' | b'%');
    let back = |to: usize, goes: &dyn Fn(&u8) -> bool| to - text.as_bytes()[from..to].iter().rev().take_while(|b| goes(b)).count();
    let name_end = back(end, &|b| matches!(b, b' ' | b'"' | b'\'' | b'\\'));
    &text[back(name_end, &is_name)..name_end]
}

/// The bytes of the value that begins at `at`, perhaps after spaces, a quote and the word that says which kind of credential it is. A quoted value ends at its
/// quote, whatever else is in it; any other at white space or `&`.
fn value_after(bytes: &[u8], at: usize) -> Range<usize> {
    let skip = |at: usize, is: fn(u8) -> bool| at + bytes[at..].iter().take_while(|b| is(**b)).count();
    let is_space = |b| matches!(b, b' ' | b'\t');
    let opening = skip(at, is_space);
    let quotes = &bytes[opening..skip(opening, |b| matches!(b, b'"' | b'\'' | b'\\'))];
    let last = quotes.iter().rposition(|b| *b != b'\\');
    let mut start = last.map_or(opening, |last| opening + last + 1);
    let goes_on = bytes.get(start).is_some_and(|b| !b.is_ascii_whitespace() && !matches!(b, b'&' | b',' | b';' | b')' | b'}' | b']' | b'<' | b'>'));
    let is_empty = !goes_on && quotes.iter().filter(|b| **b != b'\\').count() == 2;
    let is_json = at >= 2 && bytes[at - 2] == b'"' && last.is_none();
    if is_empty || (is_json && is_word(&bytes[start..])) {
        return start..start;
    }
    for word in ["bearer ", "basic "] {
        if bytes.get(start..start + word.len()).is_some_and(|b| b.eq_ignore_ascii_case(word.as_bytes())) {
            start = skip(start + word.len(), is_space);
        }
    }
    let end = match last {
        Some(last) => {
            let slashes = quotes[..last].iter().rev().take_while(|b| **b == b'\\').count();
            closing(bytes, start, quotes[last], slashes)
        }
        None => skip(start, |b| !b.is_ascii_whitespace() && b != b'&'),
    };
    start..end
}

/// Where a quoted value ends: at its quote with as many backslashes before it as the first had, for text may be quoted within quoted text.
fn closing(bytes: &[u8], start: usize, quote: u8, slashes: usize) -> usize {
    let mut before = 0;
    for (at, b) in bytes.iter().enumerate().skip(start) {
        // Pairs of them are backslashes themselves.
        if *b == quote && (before <= slashes || before % 2 == 0) {
            return at - before.min(slashes);
        }
        before = if *b == b'\\' { before + 1 } else { 0 };
    }
    bytes.len()
}

/// True if one of JSON's words stands here, which are no secrets.
fn is_word(bytes: &[u8]) -> bool {
    let ends = |b: Option<&u8>| b.is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b',' | b'}' | b']'));
    ["null", "true", "false"].iter().any(|word| bytes.strip_prefix(word.as_bytes()).is_some_and(|rest| ends(rest.first())))
}

/// The end of the credential that begins at `at`.
fn credential(bytes: &[u8], at: usize) -> Option<usize> {
    let follows = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    CREDENTIALS.iter().find_map(|(start, least, anywhere)| {
        let rest = bytes[at..].strip_prefix(start.as_bytes())?;
        // Before it is measured: what is measured and left would be measured again and again.
        if follows && !*anywhere {
            return None;
        }
        let len = start.len() + rest.iter().take_while(|b| in_credential(**b)).count();
        (len >= *least).then_some(at + len)
    })
}

/// Where a credential that begins so reaches the end of the text.
fn unfinished(text: &str, start: &str) -> Option<usize> {
    let at = text.rfind(start)?;
    text.as_bytes()[at..].iter().all(|b| in_credential(*b)).then_some(at)
}

fn in_credential(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')
}

/// JSON text, whole or not, valid or not: the values of secret names, and credentials in all strings.
fn json_text(text: &str, nested: usize) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    while at < bytes.len() {
        if bytes[at] != b'"' {
            let end = memchr(b'"', &bytes[at..]).map_or(bytes.len(), |n| at + n);
            out.push_str(&plain(&text[at..end]));
            at = end;
            continue;
        }
        let end = string_end(bytes, at).min(bytes.len());
        let inside = text[at + 1..end].strip_suffix('"').filter(|_| end > at + 1).unwrap_or(&text[at + 1..end]);
        let colon = end + bytes[end..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        if bytes.get(colon) == Some(&b':') && is_secret(&unescape(inside.as_bytes()), &[]) {
            let start = colon + 1 + bytes[colon + 1..].iter().take_while(|b| b.is_ascii_whitespace()).count();
            out.push_str(&text[at..start]);
            at = skip(bytes, start);
            match &text[start..at] {
                said @ ("null" | "true" | "false" | "") => out.push_str(said),
                _ => out.push_str("\"***\""),
            }
            continue;
        }
        string(&text[at..end], inside, nested, &mut out);
        at = end;
    }
    out
}

/// A JSON string with its quotes, the last of which may be missing.
fn string(quoted: &str, inside: &str, nested: usize, out: &mut String) {
    if !inside.contains('\\') {
        out.push('"');
        out.push_str(&plain(inside));
        out.push_str(&quoted[1 + inside.len()..]);
        return;
    }
    // Escapes can hide a name or a credential, and JSON within the string needs them.
    let text = unescape(inside.as_bytes());
    let masked = if nested == 0 { Cow::Borrowed(MASK) } else { Cow::Owned(plain(&json_text(&text, nested - 1))) };
    if masked == text {
        out.push_str(quoted);
    } else {
        let mut whole = Vec::new();
        write_string(&masked, &mut whole);
        out.push_str(&String::from_utf8_lossy(&whole));
    }
}

/// The end of the value that starts at `at`, or of the text.
fn skip(bytes: &[u8], at: usize) -> usize {
    let (mut i, mut depth) = (at, 0usize);
    while let Some(b) = bytes.get(i) {
        match b {
            b'"' => {
                i = string_end(bytes, i).min(bytes.len());
                if depth == 0 {
                    return i;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return i,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return i + 1;
                }
            }
            b',' if depth == 0 => return i,
            b if b.is_ascii_whitespace() && depth == 0 => return i,
            _ => {}
        }
        i += 1;
    }
    bytes.len()
}

fn is_secret(name: &str, more: &[&str]) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let is = |names: &[&str]| names.contains(&plain.as_str());
    IN_NAMES.iter().any(|n| plain.contains(n)) || is(NAMES) || is(more)
}

/// The characters of a part of a query.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(b) = bytes.get(at) {
        let hex = |i: usize| bytes.get(at + i).and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match (b, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            (b, ..) => out.push(*b),
        }
        at += 1;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests;
