//! What the cells of a row hold, before a format puts it between its own marks.

use arrow_array::{Array, StringViewArray};
use indelible_archive::ColumnSet;
use indelible_model::Timestamp;
use indelible_model::details::{details, diff};
use indelible_model::fields::Field;
use indelible_model::ids::write_hex;
use indelible_model::line::write_number;

use crate::layout::Cell;

/// A cell's source, looked up once a unit.
pub(crate) enum Bound<'a> {
    /// Text.
    Text(&'a StringViewArray),
    /// JSON text.
    Json(&'a StringViewArray),
    /// Text of which the part after the last dot counts.
    Last(&'a StringViewArray),
    /// JSON text of which a string's characters count.
    Plain(&'a StringViewArray),
    /// What [`object`] makes.
    Object(Cell),
    /// What [`write`] writes.
    Fixed(Cell),
    /// No column.
    Absent,
}

/// Looks up a cell's source.
pub(crate) fn bind<'a>(cell: Cell, columns: &'a ColumnSet) -> Bound<'a> {
    let of = |field: Field, bound: fn(&'a StringViewArray) -> Bound<'a>| columns.text(field).map_or(Bound::Absent, bound);
    match cell {
        Cell::Text(f) | Cell::Required(f) if f.is_json() => of(f, Bound::Json),
        Cell::Text(f) | Cell::Required(f) => of(f, Bound::Text),
        Cell::LastSegment(f) => of(f, Bound::Last),
        Cell::Plain(f) => of(f, Bound::Plain),
        Cell::Diff | Cell::Details => Bound::Object(cell),
        fixed => Bound::Fixed(fixed),
    }
}

/// Appends a number, a time, an id, a hash or a word; nothing where the row has none.
pub(crate) fn write(cell: Cell, columns: &ColumnSet, row: usize, out: &mut Vec<u8>) {
    let occurred = |out: &mut Vec<u8>| time(columns.occurred_at().map(|t| t.value(row)), out);
    match cell {
        Cell::Id => {
            if let Some(ids) = columns.ids() {
                out.extend_from_slice(b"evt_");
                write_hex(ids.value(row), out);
            }
        }
        Cell::BareId => {
            if let Some(ids) = columns.ids() {
                write_hex(ids.value(row), out);
            }
        }
        Cell::Position => {
            if let Some(positions) = columns.positions() {
                write_number(u64::try_from(positions.value(row)).unwrap_or(0), out);
            }
        }
        Cell::OccurredAt => occurred(out),
        Cell::ReceivedAt => time(columns.received_at().map(|t| t.value(row)), out),
        Cell::OccurredAtShort => {
            occurred(out);
            if out.ends_with(b".000000Z") {
                out.truncate(out.len() - 8);
                out.push(b'Z');
            }
        }
        Cell::OccurredAtMillis => {
            occurred(out);
            out.truncate(out.len() - 4);
            out.push(b'Z');
        }
        Cell::Outcome => {
            if let Some(status) = value(columns, Field::HttpStatus, row) {
                out.extend_from_slice(if status.starts_with(['1', '2', '3']) { b"SUCCESS" } else { b"FAILURE" });
            }
        }
        Cell::Hash => write_hex(columns.hash(row), out),
        Cell::PreviousHash => write_hex(columns.previous_hash(row), out),
        Cell::Text(_) | Cell::Required(_) | Cell::LastSegment(_) | Cell::Plain(_) | Cell::Diff | Cell::Details => {}
    }
}

/// The JSON text of a cell that is made of several fields.
pub(crate) fn object(cell: Cell, columns: &ColumnSet, row: usize) -> Option<String> {
    let value = |field| value(columns, field, row);
    let (before, after) = (value(Field::DiffBefore), value(Field::DiffAfter));
    match cell {
        Cell::Details => details(value(Field::Metadata), before, after),
        _ => diff(before, after),
    }
}

fn value(columns: &ColumnSet, field: Field, row: usize) -> Option<&str> {
    columns.text(field).filter(|a| a.is_valid(row)).map(|a| a.value(row))
}

fn time(micros: Option<i64>, out: &mut Vec<u8>) {
    Timestamp::clamped(micros.unwrap_or(0)).write(out);
}
