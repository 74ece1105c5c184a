//! CSV after RFC 4180: CRLF, quotes doubled, a field quoted if it holds a quote, a comma, CR or LF.
//!
//! An absent value is an empty field; an empty text is `""`. In the safe form a text that begins with `= + - @`, a tab, CR,
//! LF, a full-width form of these, or an apostrophe gets one apostrophe before it; a reader that strips exactly one leading
//! apostrophe has the text back. Numbers, times, ids and hashes are never changed.

use arrow_array::Array;
use indelible_archive::ColumnSet;
use indelible_model::json;
use indelible_model::query::last_segment;
use memchr::{memchr, memchr_iter, memchr3};

use crate::cells::{self, Bound};
use crate::layout::Layout;

/// Appends the rows of a unit, last one first if `back`.
pub fn write(layout: Layout, columns: &ColumnSet, back: bool, safe: bool, out: &mut Vec<u8>) {
    let bound: Vec<Bound<'_>> = layout.columns().into_iter().map(|(_, cell)| cells::bind(cell, columns)).collect();
    let rows = columns.rows();
    out.reserve(rows * 256);
    let mut row_out = |row: usize| {
        for (i, cell) in bound.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            match cell {
                Bound::Text(a) if a.is_valid(row) => text(a.value(row), safe, out),
                // No JSON text is run as a formula, and a negative number stays one.
                Bound::Json(a) if a.is_valid(row) => text(a.value(row), false, out),
                Bound::Last(a) if a.is_valid(row) => text(last_segment(a.value(row)), safe, out),
                Bound::Plain(a) if a.is_valid(row) => plain(a.value(row), safe, out),
                Bound::Object(cell) => {
                    if let Some(json) = cells::object(*cell, columns, row) {
                        text(&json, false, out);
                    }
                }
                Bound::Fixed(cell) => cells::write(*cell, columns, row, out),
                _ => {}
            }
        }
        out.extend_from_slice(b"\r\n");
    };
    if back { (0..rows).rev().for_each(&mut row_out) } else { (0..rows).for_each(&mut row_out) }
}

fn plain(value: &str, safe: bool, out: &mut Vec<u8>) {
    match json::as_str(value.as_bytes()) {
        Some(inside) => text(&inside, safe, out),
        None if value == "null" => {}
        // A number stays one, also if it is negative.
        None => text(value, false, out),
    }
}

/// True for the bytes that make a field stand in quotes.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    table[b'"' as usize] = true;
    table[b',' as usize] = true;
    table[b'\r' as usize] = true;
    table[b'\n' as usize] = true;
    table
};

/// True if the field must stand in quotes.
fn needs_quotes(b: &[u8]) -> bool {
    if b.len() <= 32 {
        return b.iter().fold(false, |found, c| found | SPECIAL[usize::from(*c)]);
    }
    memchr3(b'"', b',', b'\n', b).is_some() || memchr(b'\r', b).is_some()
}

/// True if a spreadsheet might run the text, or if it begins with the apostrophe that marks such texts.
fn is_trigger(text: &str) -> bool {
    matches!(text.chars().next(), Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '\'' | '＝' | '＋' | '－' | '＠'))
}

fn text(value: &str, safe: bool, out: &mut Vec<u8>) {
    let b = value.as_bytes();
    let mark = safe && is_trigger(value);
    if !b.is_empty() && !needs_quotes(b) {
        if mark {
            out.push(b'\'');
        }
        out.extend_from_slice(b);
        return;
    }
    out.push(b'"');
    if mark {
        out.push(b'\'');
    }
    let mut done = 0;
    for at in memchr_iter(b'"', b) {
        out.extend_from_slice(&b[done..=at]);
        out.push(b'"');
        done = at + 1;
    }
    out.extend_from_slice(&b[done..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(value: &str, safe: bool) -> String {
        let mut out = Vec::new();
        text(value, safe, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn quotes_after_rfc_4180() {
        assert_eq!(cell("plain", false), "plain");
        assert_eq!(cell("", false), "\"\"");
        assert_eq!(cell("a,b", false), "\"a,b\"");
        assert_eq!(cell("a\"b", false), "\"a\"\"b\"");
        assert_eq!(cell("a\r\nb", false), "\"a\r\nb\"");
        assert_eq!(cell(&format!("{}\r", "x".repeat(40)), false), format!("\"{}\r\"", "x".repeat(40)));
        assert_eq!(cell(&format!("{}\"", "x".repeat(40)), false), format!("\"{}\"\"\"", "x".repeat(40)));
    }

    #[test]
    fn the_safe_form_is_reversible() {
        for value in ["=1+1", "+1", "-5", "@x", "\tx", "\rx", "\nx", "'x", "''", "＝1", "x=1", ""] {
            let safe = cell(value, true);
            let mut inner = safe.strip_prefix('"').and_then(|s| s.strip_suffix('"')).unwrap_or(&safe).replace("\"\"", "\"");
            if inner.starts_with('\'') {
                inner.remove(0);
            }
            assert_eq!(inner, value);
            assert!(!safe.trim_start_matches('"').starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{safe}");
        }
        assert_eq!(cell("=1", false), "=1");
    }

    #[test]
    fn json_values_are_plain_text_where_they_are_strings() {
        let p = |v: &str| {
            let mut out = Vec::new();
            plain(v, false, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!((p("\"a\\nb\""), p("null"), p("{\"a\":1}"), p("1.50"), p("\"\"")), ("\"a\nb\"".into(), String::new(), "\"{\"\"a\"\":1}\"".into(), "1.50".into(), "\"\"".into()));
    }
}
