//! Files as rows of cells, whatever their form and compression.
//!
//! Promises: one row and a few buffers are in memory; cells are the file's own text, JSON other than strings as it stands.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;
use indelible_archive::objects::Object;
use indelible_model::{Error, Result, json};

use crate::import::csv_rows::Rows;

/// Bytes of a file that are read at a time, and of a decoder's output.
const READ: usize = 2 << 20;
const BUFFER: usize = 256 << 10;
/// Bytes of a row of CSV, far beyond the largest event.
const ROW: usize = 256 << 20;
/// Columns of a file: ours have some dozens.
const COLUMNS: usize = 1000;

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    form: Form,
    coding: Coding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Csv,
    Json,
    Ndjson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    None,
    Gzip,
    Zstd,
}

/// What is known of the columns so far.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) columns: Vec<String>,
}

impl Table {
    /// The number of a column.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c == name)
    }
    /// The number of a column, which may be a new one; `hint` is where it is likely to be.
    fn number(&mut self, name: &str, hint: usize) -> Result<usize> {
        if self.columns.get(hint).is_some_and(|c| c == name) {
            return Ok(hint);
        }
        if let Some(at) = self.column(name) {
            return Ok(at);
        }
        if self.columns.len() == COLUMNS {
            return Err(broken("too many columns"));
        }
        self.columns.push(name.to_owned());
        Ok(self.columns.len() - 1)
    }
}

impl Shape {
    /// By the end of a file's name; `None` for what has no rows to be read one after another.
    pub(super) fn of(name: &str) -> Option<Self> {
        let codings = [(".gz", Coding::Gzip), (".zst", Coding::Zstd)];
        let (name, coding) = codings.into_iter().find_map(|(end, coding)| Some((name.strip_suffix(end)?, coding))).unwrap_or((name, Coding::None));
        let form = match name.rsplit_once('.')?.1 {
            "csv" => Form::Csv,
            "json" => Form::Json,
            "ndjson" => Form::Ndjson,
            _ => return None,
        };
        Some(Self { form, coding })
    }
    /// Gives each row to `each`, with the columns known by then; all columns at the end.
    pub(super) fn read(self, object: Object, mut each: impl FnMut(&Table, &[Option<&str>]) -> Result<()>) -> Result<Table> {
        let raw = BufReader::with_capacity(READ, Whole { object, at: 0 });
        let decoded: Box<dyn BufRead> = match self.coding {
            Coding::None => Box::new(raw),
            Coding::Gzip => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(raw))),
            Coding::Zstd => Box::new(BufReader::with_capacity(BUFFER, zstd::stream::read::Decoder::with_buffer(raw).map_err(failed)?)),
        };
        match self.form {
            Form::Csv => csv(decoded, &mut each),
            Form::Json | Form::Ndjson => lines(decoded, self.form, &mut each),
        }
    }
}

type Each<'a> = &'a mut dyn FnMut(&Table, &[Option<&str>]) -> Result<()>;

fn csv(source: impl BufRead, each: Each<'_>) -> Result<Table> {
    let mut rows = Rows::new(source, ROW);
    let mut table = Table::default();
    let mut first = true;
    while let Some(whole) = rows.next().map_err(failed)? {
        let cells: std::result::Result<Vec<&str>, _> = rows.cells().map(std::str::from_utf8).collect();
        let cells = cells.ok().filter(|_| whole).ok_or_else(|| broken("a row is too long, or not UTF-8"))?;
        if std::mem::take(&mut first) {
            table.columns = cells.into_iter().map(str::to_owned).collect();
        } else {
            each(&table, &cells.into_iter().map(Some).collect::<Vec<_>>())?;
        }
    }
    Ok(table)
}

/// The rows of a JSON file as they come.
struct Lines<'a> {
    table: Table,
    each: Each<'a>,
}

impl Lines<'_> {
    fn row(&mut self, text: &[u8]) -> Result<()> {
        let mut cells: Vec<Option<Cow<'_, str>>> = Vec::with_capacity(self.table.columns.len());
        for (i, (name, value)) in json::members(text).enumerate() {
            let at = self.table.number(&json::as_str(name).unwrap_or_default(), i)?;
            if cells.len() <= at {
                cells.resize(at + 1, None);
            }
            cells[at] = match json::as_str(value) {
                None if value == b"null" => None,
                None => Some(std::str::from_utf8(value).map_err(broken)?.into()),
                text => text,
            };
        }
        let row: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
        (self.each)(&self.table, &row)
    }
}

/// Every row is on a line of its own, also within an array.
fn lines(mut source: impl BufRead, form: Form, each: Each<'_>) -> Result<Table> {
    let mut rows = Lines { table: Table::default(), each };
    let mut line = Vec::new();
    let mut first = form == Form::Json;
    while source.read_until(b'\n', &mut line).map_err(failed)? > 0 {
        let mut text = line.trim_ascii();
        if std::mem::take(&mut first) {
            text = text.strip_prefix(b"[").ok_or_else(|| broken("not an array"))?;
        }
        if form == Form::Json {
            text = text.strip_suffix(b",").or_else(|| text.strip_suffix(b"]")).unwrap_or(text);
        }
        if !text.is_empty() {
            rows.row(text)?;
        }
        line.clear();
    }
    Ok(rows.table)
}

fn broken(why: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("an export's file: {why}"))
}

/// What a failed read means.
fn failed(e: io::Error) -> Error {
    e.downcast::<Error>().unwrap_or_else(broken)
}

/// An object from its beginning to its end.
struct Whole {
    object: Object,
    at: u64,
}

impl Read for Whole {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = usize::try_from(self.object.len() - self.at).unwrap_or(usize::MAX).min(out.len());
        if len == 0 {
            return Ok(0);
        }
        let bytes = self.object.read(self.at, len).map_err(io::Error::other)?;
        out[..len].copy_from_slice(&bytes);
        self.at += len as u64;
        Ok(len)
    }
}
