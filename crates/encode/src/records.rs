//! Objects with a layout's cells as members: numbers and JSON text as they are, all else as strings, and null for what is absent.

use arrow_array::Array;
use indelible_archive::ColumnSet;
use indelible_model::json::write_string;
use indelible_model::query::last_segment;

use crate::cells::{self, Bound};
use crate::layout::{Cell, Layout};

/// Appends the rows of a unit, last one first if `back`, with `separator` between them.
pub fn write(layout: Layout, columns: &ColumnSet, back: bool, separator: &[u8], out: &mut Vec<u8>) {
    let mut members = Vec::new();
    for (i, (name, cell)) in layout.columns().into_iter().enumerate() {
        let mut start = if i == 0 { b"{".to_vec() } else { b",".to_vec() };
        write_string(name, &mut start);
        start.push(b':');
        let absent: &[u8] = if matches!(cell, Cell::Required(_)) { b"\"\"" } else { b"null" };
        members.push((start, cells::bind(cell, columns), absent));
    }
    let rows = columns.rows();
    out.reserve(rows * 384);
    let mut first = true;
    let mut row_out = |row: usize| {
        if !std::mem::take(&mut first) {
            out.extend_from_slice(separator);
        }
        for (start, cell, absent) in &members {
            out.extend_from_slice(start);
            if !value(cell, columns, row, out) {
                out.extend_from_slice(absent);
            }
        }
        out.push(b'}');
    };
    if back { (0..rows).rev().for_each(&mut row_out) } else { (0..rows).for_each(&mut row_out) }
}

/// Appends a cell's JSON value; false if it has none.
fn value(cell: &Bound<'_>, columns: &ColumnSet, row: usize, out: &mut Vec<u8>) -> bool {
    match cell {
        Bound::Text(a) if a.is_valid(row) => write_string(a.value(row), out),
        Bound::Json(a) | Bound::Plain(a) if a.is_valid(row) => out.extend_from_slice(a.value(row).as_bytes()),
        Bound::Last(a) if a.is_valid(row) => write_string(last_segment(a.value(row)), out),
        Bound::Object(cell) => match cells::object(*cell, columns, row) {
            Some(json) => out.extend_from_slice(json.as_bytes()),
            None => return false,
        },
        Bound::Fixed(Cell::Position) => cells::write(Cell::Position, columns, row, out),
        Bound::Fixed(cell) => {
            let start = out.len();
            out.push(b'"');
            cells::write(*cell, columns, row, out);
            if out.len() == start + 1 {
                out.truncate(start);
                return false;
            }
            out.push(b'"');
        }
        _ => return false,
    }
    true
}
