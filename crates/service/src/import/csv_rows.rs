//! CSV files as lines: each row becomes a JSON object of strings, named by the header.
//!
//! Promises: cells come through unchanged; a byte order mark is skipped.
//! Never: guesses a type, or passes a row whose number of cells differs from the header's.

use std::io::Read;

use csv::{Reader, ReaderBuilder, StringRecord};
use indelible_model::json;

/// Why a CSV file could not be read on.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// Not CSV, not UTF-8, a row of another length, or the file could not be read.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// The header has an empty name.
    #[error("column {0} of the header has no name")]
    Unnamed(usize),
    /// The header has a name twice.
    #[error("the header names the column `{0}` twice")]
    Twice(String),
}

/// Reads rows one after another.
pub struct CsvRows<R> {
    reader: Reader<R>,
    /// The names as canonical JSON strings.
    names: Vec<Vec<u8>>,
    row: StringRecord,
    number: u64,
}

impl<R: Read> CsvRows<R> {
    /// Reads the header.
    pub fn new(source: R) -> Result<Self, CsvError> {
        let mut reader = ReaderBuilder::new().from_reader(source);
        let mut names: Vec<Vec<u8>> = Vec::new();
        for (i, name) in reader.headers()?.iter().enumerate() {
            let mut quoted = Vec::new();
            json::write_string(name, &mut quoted);
            if name.is_empty() {
                return Err(CsvError::Unnamed(i + 1));
            }
            if names.contains(&quoted) {
                return Err(CsvError::Twice(name.to_owned()));
            }
            names.push(quoted);
        }
        Ok(Self { reader, names, row: StringRecord::new(), number: 1 })
    }
    /// Appends the next row as a JSON object and gives its number, counting the header as row 1; `None` at the end.
    pub fn next_line(&mut self, out: &mut Vec<u8>) -> Result<Option<u64>, CsvError> {
        if !self.reader.read_record(&mut self.row)? {
            return Ok(None);
        }
        out.push(b'{');
        for (i, (name, cell)) in self.names.iter().zip(&self.row).enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name);
            out.push(b':');
            json::write_string(cell, out);
        }
        out.push(b'}');
        self.number += 1;
        Ok(Some(self.number))
    }
}

#[cfg(test)]
mod tests;
