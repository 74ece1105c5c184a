//! A Parquet file as a stream: one row group at a time, never the whole.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use indelible_archive::ColumnSet;
use indelible_model::{Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// Rows of a row group in an export.
const GROUP_ROWS: usize = 32_768;

/// Bytes after which a row group is closed, however few its rows.
const GROUP_BYTES: usize = 16 << 20;

/// Writes column sets as one Parquet file and hands its bytes out as they come.
pub struct ParquetStream {
    writer: ArrowWriter<Shared>,
    bytes: Shared,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Shared {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(buf);
        Ok(buf.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ParquetStream {
    /// Begins a file of the archive's schema.
    pub fn new() -> Result<Self> {
        let level = ZstdLevel::try_new(1).map_err(Error::internal)?;
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
        let bytes = Shared::default();
        let writer = ArrowWriter::try_new(bytes.clone(), schema(), Some(properties)).map_err(Error::internal)?;
        Ok(Self { writer, bytes })
    }
    /// Adds rows, last one first if `back`; returns the bytes that are ready, often none.
    pub fn push(&mut self, columns: &ColumnSet, back: bool) -> Result<Vec<u8>> {
        if columns.rows() > 0 {
            let batch = columns.batch();
            if back {
                for row in (0..batch.num_rows()).rev() {
                    self.writer.write(&batch.slice(row, 1)).map_err(Error::internal)?;
                }
            } else {
                self.writer.write(batch).map_err(Error::internal)?;
            }
            if self.writer.in_progress_rows() >= GROUP_ROWS || self.writer.in_progress_size() >= GROUP_BYTES {
                self.writer.flush().map_err(Error::internal)?;
            }
        }
        Ok(self.bytes.take())
    }
    /// Writes the footer; returns the last bytes.
    pub fn finish(self) -> Result<Vec<u8>> {
        let bytes = self.bytes.clone();
        self.writer.close().map_err(Error::internal)?;
        Ok(bytes.take())
    }
}

fn schema() -> SchemaRef {
    RecordBatch::schema(&indelible_archive::empty_batch())
}
