//! The rows of a CSV that comes in pieces.

use csv_core::{ReadRecordResult, Reader};
use indelible_model::Result;

/// The row in the making.
pub(super) struct Rows {
    reader: Reader,
    text: Vec<u8>,
    filled: usize,
    ends: Vec<usize>,
    cells: usize,
}

impl Rows {
    pub(super) fn new() -> Self {
        Self { reader: Reader::new(), text: Vec::new(), filled: 0, ends: Vec::new(), cells: 0 }
    }
    /// Takes the next bytes, and calls `each` with the cells of every row that they complete.
    pub(super) fn push(&mut self, mut csv: &[u8], mut each: impl FnMut(&[&str]) -> Result<()>) -> Result<()> {
        while !csv.is_empty() {
            let (result, read, written, ended) = self.reader.read_record(csv, &mut self.text[self.filled..], &mut self.ends[self.cells..]);
            csv = &csv[read..];
            self.filled += written;
            self.cells += ended;
            match result {
                ReadRecordResult::OutputFull => self.text.resize((self.text.len() * 2).max(1024), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize((self.ends.len() * 2).max(16), 0),
                ReadRecordResult::InputEmpty | ReadRecordResult::End => break,
                ReadRecordResult::Record => {
                    let mut start = 0;
                    let mut cells = Vec::with_capacity(self.cells);
                    for end in &self.ends[..self.cells] {
                        cells.push(std::str::from_utf8(&self.text[start..*end]).unwrap_or_default());
                        start = *end;
                    }
                    each(&cells)?;
                    (self.filled, self.cells) = (0, 0);
                }
            }
        }
        Ok(())
    }
}
