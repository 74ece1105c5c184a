//! `multipart/form-data` (RFC 7578), read as it comes.
//!
//! Our own reader, because a part may be of any length and everything else must be small: the usual one bounds neither the head of a part nor what it reads ahead,
//! and does not give a refused body back.
//! Promises: at most one piece of the body and a delimiter are in memory, whatever is sent; a body without its closing delimiter is an error.
//! Never: decodes a part's content; `Content-Transfer-Encoding` is not of this time (RFC 7578, 4.7).

use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use indelible_model::{Error, Kind, Result};
use memchr::memmem;

use crate::pieces::Pieces;

/// Bytes of a part's head.
const HEAD: usize = 8 << 10;
/// Parts of a body.
const PARTS: usize = 16;
/// Characters of a boundary.
const BOUNDARY: std::ops::RangeInclusive<usize> = 1..=70;

/// The boundary that `Content-Type` names, if the body is multipart.
pub(crate) fn boundary(headers: &HeaderMap) -> Option<Result<String>> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (media, parameters) = value.split_once(';').unwrap_or((value, ""));
    if !media.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(parameters, "boundary").filter(|b| BOUNDARY.contains(&b.len()) && b.bytes().all(|b| matches!(b, b' '..=b'~')));
    Some(boundary.ok_or_else(|| Error::new(Kind::Malformed, "Content-Type names no boundary, or one that cannot be.")))
}

/// A part's head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The name of the field.
    pub(crate) name: String,
    /// The name of the file, if the client gave one.
    pub(crate) file_name: Option<String>,
}

/// The parts of a body.
pub(crate) struct Multipart<'a> {
    pieces: &'a mut Pieces,
    buffer: BytesMut,
    /// What stands before every part and after the last one.
    delimiter: Vec<u8>,
    parts: usize,
}

fn malformed(what: &str) -> Error {
    Error::new(Kind::Malformed, format!("The multipart body cannot be read: {what}."))
}

impl<'a> Multipart<'a> {
    pub(crate) fn new(pieces: &'a mut Pieces, boundary: &str) -> Self {
        // The first delimiter may stand at the very beginning.
        Self { pieces, buffer: BytesMut::from(&b"\r\n"[..]), delimiter: format!("\r\n--{boundary}").into_bytes(), parts: 0 }
    }
    /// The next part; `None` after the closing delimiter. What was not taken of the part before is passed over.
    pub(crate) async fn next(&mut self) -> Result<Option<Part>> {
        while self.chunk().await?.is_some() {}
        let _delimiter = self.buffer.split_to(self.delimiter.len());
        self.fill(2).await?;
        if self.buffer.starts_with(b"--") {
            return Ok(None);
        }
        self.parts += 1;
        if self.parts > PARTS {
            return Err(malformed("it has too many parts"));
        }
        let line = self.line().await?;
        if !line.iter().all(|b| matches!(b, b' ' | b'\t')) {
            return Err(malformed("something follows a boundary"));
        }
        let mut part = None;
        let mut room = HEAD;
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            room = room.checked_sub(line.len()).ok_or_else(|| malformed("the head of a part is too long"))?;
            let text = std::str::from_utf8(&line).map_err(|_| malformed("the head of a part is not UTF-8"))?;
            let (name, value) = text.split_once(':').ok_or_else(|| malformed("the head of a part has a line that is no header"))?;
            if name.trim().eq_ignore_ascii_case("content-disposition") {
                let parameters = value.split_once(';').map_or("", |(_, rest)| rest);
                part = parameter(parameters, "name").map(|name| Part { name, file_name: parameter(parameters, "filename") });
            }
        }
        part.map(Some).ok_or_else(|| malformed("a part has no name"))
    }
    /// More of the part's content, never empty; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(end) = memmem::find(&self.buffer, &self.delimiter) {
                return Ok((end > 0).then(|| self.buffer.split_to(end).freeze()));
            }
            // What may be the beginning of a delimiter stays.
            let sure = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
            if sure > 0 {
                return Ok(Some(self.buffer.split_to(sure).freeze()));
            }
            self.fill(self.buffer.len() + 1).await?;
        }
    }
    /// The whole of a small part; `None` if it has more than `most` bytes, or is not UTF-8.
    pub(crate) async fn text(&mut self, most: usize) -> Result<Option<String>> {
        let (mut text, mut fits) = (Vec::new(), true);
        while let Some(chunk) = self.chunk().await? {
            fits &= text.len() + chunk.len() <= most;
            if fits {
                text.extend_from_slice(&chunk);
            }
        }
        Ok(String::from_utf8(text).ok().filter(|_| fits))
    }
    /// A line of a head, without its end.
    async fn line(&mut self) -> Result<Bytes> {
        loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n") {
                let line = self.buffer.split_to(end).freeze();
                let _end = self.buffer.split_to(2);
                return Ok(line);
            }
            if self.buffer.len() > HEAD {
                return Err(malformed("the head of a part is too long"));
            }
            self.fill(self.buffer.len() + 1).await?;
        }
    }
    /// Reads on until the buffer has `bytes`.
    async fn fill(&mut self, bytes: usize) -> Result<()> {
        while self.buffer.len() < bytes {
            let piece = self.pieces.next().await?.ok_or_else(|| malformed("it ends before its closing boundary"))?;
            self.buffer.extend_from_slice(&piece);
        }
        Ok(())
    }
}

/// A parameter of a header. In quotes, a backslash counts only before a quote or a backslash: browsers send the backslashes of paths as they are.
fn parameter(mut text: &str, wanted: &str) -> Option<String> {
    loop {
        text = text.trim_start_matches([' ', '\t', ';']);
        let (name, rest) = text.split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            None => {
                let (value, rest) = rest.split_once(';').unwrap_or((rest, ""));
                (value.trim_end().to_owned(), rest)
            }
            Some(quoted) => {
                let (mut value, mut chars) = (String::new(), quoted.char_indices().peekable());
                let end = loop {
                    match (chars.next()?, chars.peek()) {
                        ((_, '\\'), Some((_, c @ ('"' | '\\')))) => {
                            value.push(*c);
                            chars.next();
                        }
                        ((at, '"'), _) => break at,
                        ((_, c), _) => value.push(c),
                    }
                };
                (value, &quoted[end + 1..])
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        text = rest;
    }
}

#[cfg(test)]
mod tests;
