//! Decides from footers alone that a row group holds no match.

use indelible_model::fields::Field;
use indelible_model::query::{Filter, Term, Test};
use indelible_model::{Result, Timestamp};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use crate::columns::{OCCURRED, column_of};
use crate::segment::{BLOOMED, Segment};

/// False only if no row of the group can pass.
pub(crate) fn may_match(segment: &Segment, group: usize, filter: &Filter) -> Result<bool> {
    let metadata = segment.metadata().metadata().row_group(group);
    if let Some(Statistics::Int64(s)) = metadata.column(OCCURRED).statistics()
        && let (Some(first), Some(last)) = (s.min_opt(), s.max_opt())
        && !filter.may_pass_within(Timestamp::clamped(*first), Timestamp::clamped(*last))
    {
        return Ok(false);
    }
    terms_may_match(segment, metadata, filter)
}

fn terms_may_match(segment: &Segment, metadata: &RowGroupMetaData, filter: &Filter) -> Result<bool> {
    for term in &filter.terms {
        if !term_may_match(segment, metadata, term)? {
            return Ok(false);
        }
    }
    for branch in &filter.either {
        if terms_may_match(segment, metadata, branch)? {
            return Ok(true);
        }
    }
    Ok(filter.either.is_empty())
}

fn term_may_match(segment: &Segment, metadata: &RowGroupMetaData, term: &Term) -> Result<bool> {
    if term.not {
        return Ok(true);
    }
    for field in &term.any_of {
        if field_may_match(segment, metadata, *field, &term.test)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn field_may_match(segment: &Segment, metadata: &RowGroupMetaData, field: Field, test: &Test) -> Result<bool> {
    let column = metadata.column(column_of(field));
    let statistics = if let Some(Statistics::ByteArray(s)) = column.statistics() { Some(s) } else { None };
    if statistics.is_some_and(|s| s.null_count_opt() == u64::try_from(metadata.num_rows()).ok()) {
        return Ok(false);
    }
    let Test::OneOf(values) = test else { return Ok(true) };
    if let Some(s) = statistics
        && let (Some(min), Some(max)) = (s.min_opt(), s.max_opt())
        && s.min_is_exact()
        && s.max_is_exact()
        && values.iter().all(|v| v.as_bytes() < min.data() || v.as_bytes() > max.data())
    {
        return Ok(false);
    }
    Ok(!BLOOMED.contains(&field) || bloom_may_match(segment, column, values)?)
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
