//! Decides from footers alone that a row group holds no match.

use indelible_model::Result;
use indelible_model::query::{Filter, Test};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;

use crate::columns::{OCCURRED, column_of};
use crate::segment::{BLOOMED, Segment};

/// False only if no row of the group can pass.
pub(crate) fn may_match(segment: &Segment, group: usize, filter: &Filter) -> Result<bool> {
    let metadata = segment.metadata().metadata().row_group(group);
    if let Some(Statistics::Int64(s)) = metadata.column(OCCURRED).statistics() {
        let after = filter.from.zip(s.max_opt()).is_some_and(|(from, max)| *max < from.micros());
        let before = filter.to.zip(s.min_opt()).is_some_and(|(to, min)| *min > to.micros());
        if after || before {
            return Ok(false);
        }
    }
    for term in &filter.terms {
        let ([field], Test::OneOf(values)) = (&term.any_of[..], &term.test) else { continue };
        let column = metadata.column(column_of(*field));
        if let Some(Statistics::ByteArray(s)) = column.statistics() {
            if s.null_count_opt() == u64::try_from(metadata.num_rows()).ok() {
                return Ok(false);
            }
            if let (Some(min), Some(max)) = (s.min_opt(), s.max_opt())
                && s.min_is_exact()
                && s.max_is_exact()
                && values.iter().all(|v| v.as_bytes() < min.data() || v.as_bytes() > max.data())
            {
                return Ok(false);
            }
        }
        if BLOOMED.contains(field) && !bloom_may_match(segment, column, values)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn bloom_may_match(segment: &Segment, column: &ColumnChunkMetaData, values: &[String]) -> Result<bool> {
    let place = column.bloom_filter_offset().zip(column.bloom_filter_length());
    let range = place.and_then(|(offset, len)| Some(u64::try_from(offset).ok()?..u64::try_from(offset).ok()?.checked_add(u64::try_from(len).ok()?)?));
    let window = segment.columns_window(range.as_slice())?;
    match Sbbf::read_from_column_chunk(column, &window) {
        Ok(Some(bloom)) => Ok(values.iter().any(|v| bloom.check(v.as_bytes()))),
        // A filter that cannot be read excludes nothing; the rows themselves are checked.
        _ => Ok(true),
    }
}
