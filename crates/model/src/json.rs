//! A validating JSON scanner that rewrites what it reads into the compact canonical text that we store.
//!
//! The canonical text: no white space; strings with RFC 8785's minimal escapes (`\"`, `\\`, `\b \t \n \f \r`,
//! `\u00xx` for other controls, everything else as it is); numbers, literals and the order of members as received.
//! Refused: what RFC 8259 refuses, duplicate member names, lone surrogates, invalid UTF-8, and what exceeds a limit.
//! Never: turns a number into a machine number, or drops a byte of meaning.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// Why a text was refused, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {at}")]
pub struct JsonError {
    /// Byte offset in the text that was read.
    pub at: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// The kind of a JSON value, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{...}`
    Object,
    /// `[...]`
    Array,
    /// `"..."`
    String,
    /// A number.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// Reads one text from front to back.
pub struct Scanner<'a> {
    src: &'a [u8],
    pos: usize,
    depth: usize,
    max_depth: usize,
    max_name: usize,
    names: Vec<(usize, usize)>,
}

type Result<T> = std::result::Result<T, JsonError>;

impl<'a> Scanner<'a> {
    /// A scanner over `src`, which must be UTF-8, with the greatest nesting and the longest member name allowed.
    pub fn new(src: &'a [u8], max_depth: usize, max_name: usize) -> Result<Self> {
        if let Err(e) = std::str::from_utf8(src) {
            return Err(JsonError { at: e.valid_up_to(), reason: "invalid UTF-8" });
        }
        Ok(Self { src, pos: 0, depth: 0, max_depth, max_name, names: Vec::new() })
    }
    /// The byte offset reached.
    pub fn pos(&self) -> usize {
        self.pos
    }
    /// An error at the present offset.
    pub fn error<T>(&self, reason: &'static str) -> Result<T> {
        Err(JsonError { at: self.pos, reason })
    }
    /// Skips white space and looks at the next byte.
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(b) = self.src.get(self.pos) {
            if !matches!(b, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*b);
            }
            self.pos += 1;
        }
        None
    }
    /// The kind of the next value, without reading it.
    pub fn kind(&mut self) -> Result<Kind> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(_) => self.error("expected a JSON value"),
            None => self.error("unexpected end"),
        }
    }
    /// Reads `byte` or fails.
    pub fn expect(&mut self, byte: u8, reason: &'static str) -> Result<()> {
        if self.peek() == Some(byte) {
            self.pos += 1;
            return Ok(());
        }
        self.error(if self.pos >= self.src.len() { "unexpected end" } else { reason })
    }
    /// Fails unless only white space is left.
    pub fn finish(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.error("unexpected text after the value"),
        }
    }
    /// Enters an object or array; true if it has a first item.
    pub fn enter(&mut self, open: u8) -> Result<bool> {
        self.expect(open, "expected an object or array")?;
        self.depth += 1;
        if self.depth > self.max_depth {
            return self.error("nested too deeply");
        }
        let close = if open == b'{' { b'}' } else { b']' };
        if self.peek() == Some(close) {
            self.pos += 1;
            self.depth -= 1;
            return Ok(false);
        }
        Ok(true)
    }
    /// After an item: true if another follows, false if the container ended.
    pub fn more(&mut self, close: u8) -> Result<bool> {
        match self.peek() {
            Some(b',') => {
                self.pos += 1;
                Ok(true)
            }
            Some(b) if b == close => {
                self.pos += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(_) => self.error("expected a comma or the end of the container"),
            None => self.error("unexpected end"),
        }
    }
    /// Reads a member name and its colon, appending the canonical name (with quotes) to `out`.
    pub fn name(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.peek() != Some(b'"') {
            return self.error("expected a member name");
        }
        let start = out.len();
        self.string(out)?;
        if out.len() - start - 2 > self.max_name {
            return self.error("member name too long");
        }
        self.expect(b':', "expected a colon")
    }
    /// Reads any value, appending its canonical text to `out`.
    pub fn value(&mut self, out: &mut Vec<u8>) -> Result<Kind> {
        let kind = self.kind()?;
        match kind {
            Kind::Object => self.object(out)?,
            Kind::Array => {
                out.push(b'[');
                let mut more = self.enter(b'[')?;
                while more {
                    self.value(out)?;
                    more = self.more(b']')?;
                    if more {
                        out.push(b',');
                    }
                }
                out.push(b']');
            }
            Kind::String => self.string(out)?,
            Kind::Number => self.number(out)?,
            Kind::Bool | Kind::Null => self.literal(out)?,
        }
        Ok(kind)
    }
    fn object(&mut self, out: &mut Vec<u8>) -> Result<()> {
        out.push(b'{');
        let base = self.names.len();
        let mut more = self.enter(b'{')?;
        while more {
            let start = out.len();
            self.name(out)?;
            self.names.push((start, out.len()));
            out.push(b':');
            self.value(out)?;
            more = self.more(b'}')?;
            if more {
                out.push(b',');
            }
        }
        out.push(b'}');
        let names = &mut self.names[base..];
        if has_duplicates(names, out) {
            return self.error("duplicate member name");
        }
        self.names.truncate(base);
        Ok(())
    }
    /// Reads a string, appending its canonical text with quotes.
    pub fn string(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.expect(b'"', "expected a string")?;
        out.push(b'"');
        loop {
            let rest = &self.src[self.pos..];
            let Some(len) = memchr2(b'"', b'\\', rest) else {
                self.pos = self.src.len();
                return self.error("unexpected end");
            };
            let run = &rest[..len];
            // A fold, not a search: it runs on many bytes at once, and a control character is the rare case.
            if run.iter().fold(u8::MAX, |least, b| least.min(*b)) < 0x20 {
                self.pos += run.iter().position(|b| *b < 0x20).unwrap_or(0);
                return self.error("unescaped control character in a string");
            }
            out.extend_from_slice(run);
            self.pos += len + 1;
            if rest[len] == b'"' {
                out.push(b'"');
                return Ok(());
            }
            self.escape(out)?;
        }
    }
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let Some(b) = self.src.get(self.pos) else { return self.error("unexpected end") };
        self.pos += 1;
        let c = match b {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex4()?;
                let code = if (0xd800..0xdc00).contains(&first) {
                    if self.src.get(self.pos..self.pos + 2) != Some(b"\\u") {
                        return self.error("lone surrogate in a string");
                    }
                    self.pos += 2;
                    let second = self.hex4()?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return self.error("lone surrogate in a string");
                    }
                    0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                match char::from_u32(code) {
                    Some(c) => c,
                    None => return self.error("lone surrogate in a string"),
                }
            }
            _ => return self.error("unknown escape in a string"),
        };
        write_char(c, out);
        Ok(())
    }
    fn hex4(&mut self) -> Result<u32> {
        let Some(digits) = self.src.get(self.pos..self.pos + 4) else { return self.error("unexpected end") };
        let mut code = 0;
        for d in digits {
            let Some(v) = char::from(*d).to_digit(16) else { return self.error("bad \\u escape in a string") };
            code = code << 4 | v;
        }
        self.pos += 4;
        Ok(code)
    }
    fn number(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let start = self.pos;
        let src = self.src;
        let digits = |mut at: usize| {
            while src.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let mut at = start;
        if src[at] == b'-' {
            at += 1;
        }
        let int_end = if src.get(at) == Some(&b'0') { at + 1 } else { digits(at) };
        if int_end == at {
            return self.error("bad number");
        }
        at = int_end;
        if src.get(at) == Some(&b'.') {
            let end = digits(at + 1);
            if end == at + 1 {
                return self.error("bad number");
            }
            at = end;
        }
        if matches!(src.get(at), Some(b'e' | b'E')) {
            let from = at + 1 + usize::from(matches!(src.get(at + 1), Some(b'+' | b'-')));
            let end = digits(from);
            if end == from {
                return self.error("bad number");
            }
            at = end;
        }
        if src.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-')) {
            return self.error("bad number");
        }
        out.extend_from_slice(&src[start..at]);
        self.pos = at;
        Ok(())
    }
    fn literal(&mut self, out: &mut Vec<u8>) -> Result<()> {
        for word in [&b"true"[..], b"false", b"null"] {
            if self.src[self.pos..].starts_with(word) {
                out.extend_from_slice(word);
                self.pos += word.len();
                return Ok(());
            }
        }
        self.error("expected a JSON value")
    }
}

/// True if two of the canonical texts that `ranges` name in `text` are equal. May reorder `ranges`.
pub fn has_duplicates(ranges: &mut [(usize, usize)], text: &[u8]) -> bool {
    let of = |r: &(usize, usize)| &text[r.0..r.1];
    if ranges.len() <= 12 {
        return ranges.iter().enumerate().any(|(i, a)| ranges[..i].iter().any(|b| of(a) == of(b)));
    }
    ranges.sort_unstable_by(|a, b| of(a).cmp(of(b)));
    ranges.windows(2).any(|w| of(&w[0]) == of(&w[1]))
}

/// Appends `c` as it stands inside a canonical string.
pub fn write_char(c: char, out: &mut Vec<u8>) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        '\r' => out.extend_from_slice(b"\\r"),
        c if c < ' ' => {
            out.extend_from_slice(b"\\u00");
            crate::ids::write_hex(&[c as u8], out);
        }
        c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Appends `text` as a canonical string with quotes.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.extend_from_slice(text.as_bytes());
    } else {
        for c in text.chars() {
            write_char(c, out);
        }
    }
    out.push(b'"');
}

/// The characters of a canonical string's inside (without its quotes).
pub fn unescape(inside: &[u8]) -> Cow<'_, str> {
    let plain = |b| std::str::from_utf8(b).map_or_else(|_| String::from_utf8_lossy(b), Cow::Borrowed);
    if memchr(b'\\', inside).is_none() {
        return plain(inside);
    }
    let mut out = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = memchr(b'\\', rest) {
        out.push_str(&plain(&rest[..at]));
        let (c, used) = match rest.get(at + 1) {
            Some(b'b') => ('\u{8}', 2),
            Some(b't') => ('\t', 2),
            Some(b'n') => ('\n', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'r') => ('\r', 2),
            Some(b'u') => {
                let digits = rest.get(at + 2..at + 6).and_then(|d| std::str::from_utf8(d).ok());
                let code = digits.and_then(|d| u32::from_str_radix(d, 16).ok()).unwrap_or(0xfffd);
                (char::from_u32(code).unwrap_or('\u{fffd}'), 6)
            }
            Some(b) => (char::from(*b), 2),
            None => ('\\', 1),
        };
        out.push(c);
        rest = &rest[(at + used).min(rest.len())..];
    }
    out.push_str(&plain(rest));
    Cow::Owned(out)
}

/// The end of the canonical value that starts at `at` in `text` (offset after its last byte).
pub fn value_end(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => string_end(text, at),
        Some(b'{' | b'[') => {
            let (mut depth, mut i) = (0usize, at);
            while let Some(b) = text.get(i) {
                match b {
                    b'"' => {
                        i = string_end(text, i);
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return i + 1;
                        }
                    }
                    _ => {}
                }
                i += 1;
            }
            text.len()
        }
        _ => {
            let rest = text.get(at..).unwrap_or_default();
            at + rest.iter().position(|b| matches!(b, b',' | b'}' | b']')).unwrap_or(rest.len())
        }
    }
}

/// The end of the canonical string that starts (with its quote) at `at`.
pub fn string_end(text: &[u8], at: usize) -> usize {
    let mut i = at + 1;
    while let Some(len) = text.get(i..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        i += len;
        if text[i] == b'"' {
            return i + 1;
        }
        i += 2;
    }
    text.len()
}

/// The members of a canonical object's text, or of its inside: (name with quotes, value).
pub struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

/// Walks the members of canonical text: an object with its braces, or an object's inside.
pub fn members(text: &[u8]) -> Members<'_> {
    let inside = text.strip_prefix(b"{").and_then(|t| t.strip_suffix(b"}")).unwrap_or(text);
    Members { text: inside, at: 0 }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], &'a [u8]);
    fn next(&mut self) -> Option<Self::Item> {
        if self.text.get(self.at) != Some(&b'"') {
            return None;
        }
        let name_end = string_end(self.text, self.at);
        let value_end = value_end(self.text, name_end + 1);
        let item = (self.text.get(self.at..name_end)?, self.text.get(name_end + 1..value_end)?);
        self.at = value_end + 1;
        Some(item)
    }
}

/// The value of a canonical object's member, by its plain name.
pub fn member<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    members(object).find(|(n, _)| n.get(1..n.len() - 1) == Some(name.as_bytes())).map(|(_, v)| v)
}

/// The characters of a canonical string value; `None` for other kinds.
pub fn as_str(value: &[u8]) -> Option<Cow<'_, str>> {
    value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).map(unescape)
}

#[cfg(test)]
mod tests;
