//! CSV files as lines: each row becomes a JSON object of strings, named by the header.
//!
//! Promises: cells come through unchanged; a byte order mark is skipped; of a row that is too long no more than the limit is in memory.
//! Never: guesses a type, or passes a row whose number of cells differs from the header's.

use std::io::{self, BufRead};

use csv_core::{ReadRecordResult, Reader};
use indelible_model::json;

/// Columns of a file.
const COLUMNS: usize = 4096;
/// Bytes of a column's name, and of the header, as JSON. Each row, however short, becomes an object with all the names: this bounds what a byte of a file can become.
const NAME_BYTES: usize = 1024;
const HEADER_BYTES: usize = 128 << 10;

/// Why a CSV file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// The bytes could not be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The header is not one.
    #[error("the header {0}")]
    Header(String),
}

/// Reads rows one after another.
pub struct CsvRows<R> {
    rows: Rows<R>,
    /// The names as canonical JSON strings.
    names: Vec<Vec<u8>>,
    number: u64,
}

/// The cells of a file.
pub(crate) struct Rows<R> {
    source: R,
    reader: Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    /// How many of `ends` are of this row.
    cells: usize,
    most: usize,
}

impl<R: BufRead> Rows<R> {
    /// Rows of `most` bytes at most.
    pub(crate) fn new(source: R, most: usize) -> Self {
        Self { source, reader: Reader::new(), text: Vec::new(), ends: Vec::new(), cells: 0, most }
    }
    /// Reads a row: `Some(true)` if it is whole, `Some(false)` if it was too long and passed over, `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<bool>> {
        let (mut filled, mut whole) = (0, true);
        self.cells = 0;
        loop {
            let input = self.source.fill_buf()?;
            let (result, read, written, ended) = self.reader.read_record(input, &mut self.text[filled..], &mut self.ends[self.cells..]);
            self.source.consume(read);
            filled += written;
            self.cells += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if whole && self.text.len() < self.most => self.text.resize((self.text.len() * 2).clamp(1024, self.most.max(1024)), 0),
                ReadRecordResult::OutputEndsFull if whole && self.ends.len() < COLUMNS => self.ends.resize((self.ends.len() * 2).max(16), 0),
                // What is read on is needed for nothing but the row's end.
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => (filled, self.cells, whole) = (0, 0, false),
                ReadRecordResult::Record => return Ok(Some(whole)),
                ReadRecordResult::End => return Ok(None),
            }
        }
    }
    /// The cells of the row.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends[..self.cells]).map(|(start, end)| &self.text[*start..*end])
    }
}

impl<R: BufRead> CsvRows<R> {
    /// Reads the header. A row has `most` bytes at most.
    pub fn new(source: R, most: usize) -> Result<Self, CsvError> {
        let mut rows = Rows::new(source, most);
        let bad = |what: String| Err(CsvError::Header(what));
        match rows.next()? {
            Some(true) => {}
            Some(false) => return bad(format!("is longer than {most} bytes, or has more than {COLUMNS} columns")),
            None => return bad("is missing".to_owned()),
        }
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut bytes = 0;
        for (i, name) in rows.cells().enumerate() {
            let Ok(name) = std::str::from_utf8(name) else { return bad(format!("has a column that is not UTF-8: the {}. one", i + 1)) };
            let mut quoted = Vec::new();
            json::write_string(name, &mut quoted);
            if name.is_empty() {
                return bad(format!("has a column without a name: the {}. one", i + 1));
            }
            if quoted.len() > NAME_BYTES {
                return bad(format!("has a column whose name is longer than {NAME_BYTES} bytes: the {}. one", i + 1));
            }
            bytes += quoted.len();
            if bytes > HEADER_BYTES {
                return bad(format!("is longer than {HEADER_BYTES} bytes"));
            }
            if names.contains(&quoted) {
                return bad(format!("names the column `{name}` twice"));
            }
            names.push(quoted);
        }
        Ok(Self { rows, names, number: 1 })
    }
    /// Appends the next row as a JSON object and gives its number, counting the header as row 1; `None` at the end. Instead of the object it may give the reason
    /// why this row is none.
    pub fn next_line(&mut self, out: &mut Vec<u8>) -> io::Result<Option<(u64, Result<(), String>)>> {
        let Some(whole) = self.rows.next()? else { return Ok(None) };
        self.number += 1;
        Ok(Some((self.number, if whole { self.write(out) } else { Err(super::records::too_long(self.rows.most)) })))
    }
    fn write(&self, out: &mut Vec<u8>) -> Result<(), String> {
        if self.rows.cells != self.names.len() {
            return Err(format!("has {} cells, and the header has {}", self.rows.cells, self.names.len()));
        }
        out.push(b'{');
        for (i, (name, cell)) in self.names.iter().zip(self.rows.cells()).enumerate() {
            let Ok(cell) = std::str::from_utf8(cell) else { return Err(format!("the {}. cell is not UTF-8", i + 1)) };
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name);
            out.push(b':');
            json::write_string(cell, out);
        }
        out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests;
