//! The records of a file: NDJSON or CSV, plain, gzip or zstd, told apart by the content.
//!
//! Promises: memory is bounded whatever the file holds: of a record that is too long no more than the limit is gathered, and the next one is read all the same.
//! Never: knows what a record means.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::read::MultiGzDecoder;
use indelible_model::{Error, Kind, Result};

use super::csv_rows::{CsvError, CsvRows};
use super::stopped;

/// Bytes that are read at a time.
const BLOCK: usize = 2 << 20;

/// How a file is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    /// What messages call it.
    pub(super) name: &'a str,
    /// Bytes of a record.
    pub(super) most: usize,
    /// What a file from outside may cost; none for one that whoever runs the command chose.
    pub(super) bounds: Option<Bounds<'a>>,
}

/// What a file from outside may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds<'a> {
    /// The largest window of zstd, as a power of two.
    pub(super) window: u32,
    /// Bytes that it may unpack to.
    pub(super) plain: u64,
    /// Set when nobody wants the records any more.
    pub(super) over: &'a AtomicBool,
}

/// Unpacks within bounds.
struct Bounded<'a, R> {
    plain: R,
    reading: Reading<'a>,
    read: u64,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(bounds) = self.reading.bounds else { return self.plain.read(buf) };
        if bounds.over.load(Ordering::Relaxed) {
            return Err(io::Error::other(stopped()));
        }
        let n = self.plain.read(buf)?;
        self.read += n as u64;
        if self.read <= bounds.plain {
            return Ok(n);
        }
        let what = format!("{} unpacks to more than {} bytes, too many for its size (inflation_ratio).", self.reading.name, bounds.plain);
        Err(io::Error::other(Error::new(Kind::TooLarge, what)))
    }
}

impl Reading<'_> {
    /// Calls `take` with the line and the text of every record, or with the reason why it is none; in CSV with the row, the header being 1.
    pub(super) fn each<'s>(&self, packed: impl Read + 's, mut take: impl FnMut(u64, Result<&[u8], String>) -> Result<()>) -> Result<()> {
        let failed = |line: u64| move |e: io::Error| self.failed(line, e);
        let mut packed = BufReader::with_capacity(BLOCK, packed);
        let plain: Box<dyn Read + 's> = match packed.fill_buf().map_err(failed(1))? {
            [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(packed)),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(failed(1))?;
                if let Some(bounds) = self.bounds {
                    decoder.window_log_max(bounds.window).map_err(failed(1))?;
                }
                Box::new(decoder)
            }
            _ => Box::new(packed),
        };
        let mut plain = BufReader::with_capacity(256 << 10, Bounded { plain, reading: *self, read: 0 });
        let begins = plain.fill_buf().map_err(failed(1))?;
        match begins.iter().find(|b| !b.is_ascii_whitespace()) {
            None if begins.is_empty() => Ok(()),
            // Only in NDJSON do blank lines mean nothing, however many there are.
            None | Some(b'{') => self.lines(plain, take),
            Some(_) => {
                let mut rows = CsvRows::new(plain, self.most).map_err(|e| match e {
                    CsvError::Io(e) => self.failed(1, e),
                    CsvError::Header(_) => Error::new(Kind::Malformed, format!("{} is neither NDJSON nor CSV: {e}.", self.name)),
                })?;
                let (mut line, mut number) = (Vec::new(), 1);
                while let Some((row, made)) = rows.next_line(&mut line).map_err(|e| self.failed(number + 1, e))? {
                    number = row;
                    take(row, made.map(|()| &line[..]))?;
                    line.clear();
                }
                Ok(())
            }
        }
    }
    fn lines(&self, mut plain: impl BufRead, mut take: impl FnMut(u64, Result<&[u8], String>) -> Result<()>) -> Result<()> {
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let failed = |e: io::Error| self.failed(number, e);
            if plain.by_ref().take(self.most as u64 + 1).read_until(b'\n', &mut line).map_err(failed)? == 0 {
                break;
            }
            if line.len() > self.most && line.last() != Some(&b'\n') {
                plain.skip_until(b'\n').map_err(failed)?;
                take(number, Err(too_long(self.most)))?;
            } else if !line.trim_ascii().is_empty() {
                take(number, Ok(&line))?;
            }
        }
        Ok(())
    }
    /// What a source says of its own keeps its kind; all else is wrong with the bytes.
    fn failed(&self, line: u64, e: io::Error) -> Error {
        e.downcast::<Error>().unwrap_or_else(|e| Error::new(Kind::Malformed, format!("{} cannot be read on at line {line}: {e}.", self.name)))
    }
}

pub(super) fn too_long(most: usize) -> String {
    format!("is longer than {most} bytes")
}

#[cfg(test)]
mod tests;
