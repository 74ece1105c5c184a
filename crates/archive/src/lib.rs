//! Segments and batches: how events lie in bytes, and how they are found and read again.
//!
//! A segment is three immutable objects of the same rows in the same order: `rows.ndjson.zst` (the stored lines as
//! independent zstd frames), `columns.parquet` (every field that is filtered, searched or printed) and `hashes`.
//! Promises: what was written is synced before [`segment::SegmentWriter::finish`] returns; a reader sees exactly the rows
//! that were written or an error; memory is bounded by a row group, not by a segment.
//! Never: reads the database, decides what is live, or shows an Arrow type to a layer that does not encode.

pub mod batch;
mod columns;
mod footer;
pub mod keys;
pub mod objects;
mod prune;
pub mod rows;
pub mod segment;
pub mod select;
#[cfg(test)]
mod testing;
pub mod unit;

pub use columns::{ColumnSet, Projection};
pub use objects::{Objects, Place, S3Place};
pub use rows::Lines;
pub use segment::{Segment, SegmentFiles, SegmentInfo, SegmentWriter};
pub use unit::{Selected, Source, Unit};

use indelible_model::Error;
use parquet::errors::ParquetError;

/// An error of Arrow or Parquet over stored bytes; one of reading them stays what it is.
fn corrupt(what: &str) -> impl Fn(ParquetError) -> Error + '_ {
    move |e| match e {
        ParquetError::External(inner) => match inner.downcast::<Error>() {
            Ok(e) => *e,
            Err(e) => Error::corrupt(format!("{what}: {e}")),
        },
        e => Error::corrupt(format!("{what}: {e}")),
    }
}

/// A batch without rows, in the schema in which columns are read.
pub fn empty_batch() -> arrow_array::RecordBatch {
    arrow_array::RecordBatch::new_empty(columns::read_schema())
}
