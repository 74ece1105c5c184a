//! Rows out: selected rows of a unit as NDJSON, JSON, CSV, records or Parquet bytes.
//!
//! Promises: each unit is encoded without knowledge of its neighbours, so units are encoded in parallel and their bytes
//! follow each other; CSV is RFC 4180 with CRLF. A table is data ([`layout::Layout`]), not code.
//! Never: holds a whole result, knows who asks, or reads a file.

mod cells;
pub mod csv;
pub mod layout;
mod parquet_out;
pub mod records;
pub mod report;

use indelible_archive::{Projection, Selected, Unit};
use indelible_model::Result;

pub use layout::{Layout, Pick, Table};
pub use parquet_out::ParquetStream;

const SEPARATOR: &[u8] = b",\n";

/// How rows become bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Stored lines as they are.
    Ndjson,
    /// One array of the stored lines.
    Json,
    /// A table.
    Csv {
        /// Which columns.
        layout: Layout,
        /// Text that a spreadsheet would run as a formula gets one apostrophe before it.
        safe: bool,
        /// Begin with a byte order mark, for Excel.
        bom: bool,
    },
    /// One array of objects with a table's cells as members.
    Records {
        /// Which cells.
        layout: Layout,
    },
    /// The archive's own columns.
    Parquet,
}

impl Format {
    /// What comes before the first row.
    pub fn head(self) -> Vec<u8> {
        match self {
            Self::Ndjson | Self::Parquet => Vec::new(),
            Self::Json | Self::Records { .. } => b"[".to_vec(),
            Self::Csv { layout, bom, .. } => {
                let mut out = if bom { "\u{feff}".into() } else { Vec::new() };
                layout.write_header(&mut out);
                out
            }
        }
    }
    /// What comes after the last row.
    pub fn tail(self) -> &'static [u8] {
        if self.is_array() { b"]\n" } else { b"" }
    }
    /// What stands between rows, where a line's own end does not do.
    pub fn separator(self) -> &'static [u8] {
        if self.is_array() { SEPARATOR } else { b"" }
    }
    fn is_array(self) -> bool {
        matches!(self, Self::Json | Self::Records { .. })
    }
    /// Appends the selected rows of a unit, last one first if `back`. In an array the rows of a unit have [`Format::separator`]
    /// between them, and whoever joins units puts it between those that have rows. Parquet has no such form: see [`ParquetStream`].
    pub fn encode(self, unit: &Unit, selected: &Selected, back: bool, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Ndjson if !back => unit.write_lines(selected, out),
            Self::Ndjson | Self::Json => {
                let mut spans = Vec::with_capacity(selected.count(unit));
                let start = out.len();
                let comma = self == Self::Json;
                unit.each_line(selected, |line| {
                    if comma && !spans.is_empty() && !back {
                        out.extend_from_slice(SEPARATOR);
                    }
                    let at = out.len();
                    if comma {
                        out.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
                    } else {
                        out.extend_from_slice(line);
                    }
                    spans.push(at..out.len());
                })?;
                if back {
                    let separator = if comma { SEPARATOR } else { b"" };
                    let turned = spans.into_iter().rev().map(|s| &out[s]).collect::<Vec<_>>().join(separator);
                    out.truncate(start);
                    out.extend_from_slice(&turned);
                }
                Ok(())
            }
            Self::Csv { layout, safe, .. } => {
                let columns = unit.columns(selected, &layout.projection())?;
                csv::write(layout, &columns, back, safe, out);
                Ok(())
            }
            Self::Records { layout } => {
                let columns = unit.columns(selected, &layout.projection())?;
                records::write(layout, &columns, back, SEPARATOR, out);
                Ok(())
            }
            Self::Parquet => Ok(()),
        }
    }
    /// The columns that a unit is read for, if this format is made of columns.
    pub fn projection(self) -> Option<Projection> {
        match self {
            Self::Ndjson | Self::Json => None,
            Self::Csv { layout, .. } | Self::Records { layout } => Some(layout.projection()),
            Self::Parquet => Some(Projection::stored()),
        }
    }
}

#[cfg(test)]
mod tests;
