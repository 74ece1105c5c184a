//! Reads the footer of a segment's columns: what is where in the object, and the frame index of the rows.

use indelible_model::{Error, Result};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};

use crate::columns::read_schema;
use crate::corrupt;
use crate::objects::Object;

/// Bytes at the end of the object that are read first; they hold the footer of all but large segments.
const TAIL: usize = 256 << 10;

/// The footer of a segment's columns, with the place of each page.
pub(crate) fn read(columns: &Object, name: &str) -> Result<ArrowReaderMetadata> {
    let mut wanted = TAIL;
    loop {
        let len = usize::try_from(columns.len()).unwrap_or(usize::MAX).min(wanted);
        let tail = columns.read_kept(columns.len() - len as u64, len)?;
        let mut reader = ParquetMetaDataReader::new().with_offset_index_policy(PageIndexPolicy::Required).with_column_index_policy(PageIndexPolicy::Skip);
        match reader.try_parse_sized(&tail, columns.len()) {
            // Twice what lacks: the index of the pages lies before the footer, is smaller, and is only found in it.
            Err(ParquetError::NeedMoreData(needed)) if needed > len => wanted = needed.saturating_mul(2),
            Err(e) => return Err(corrupt(name)(e)),
            Ok(()) => {
                let metadata = reader.finish().map_err(corrupt(name))?;
                let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_schema(read_schema());
                return ArrowReaderMetadata::try_new(metadata.into(), options).map_err(corrupt(name));
            }
        }
        if len as u64 == columns.len() {
            return Err(Error::corrupt(format!("{name}: the footer is longer than the columns")));
        }
    }
}
