//! Decides from footers alone that a row group holds no match.

use indelible_model::query::{Filter, Test};
use parquet::bloom_filter::Sbbf;
use parquet::file::statistics::Statistics;

use crate::columns::{OCCURRED, column_of};
use crate::segment::{BLOOMED, Segment};

/// False only if no row of the group can pass.
pub(crate) fn may_match(segment: &Segment, group: usize, filter: &Filter) -> bool {
    let metadata = segment.metadata().metadata().row_group(group);
    if let Some(Statistics::Int64(s)) = metadata.column(OCCURRED).statistics() {
        let after = filter.from.zip(s.max_opt()).is_some_and(|(from, max)| *max < from.micros());
        let before = filter.to.zip(s.min_opt()).is_some_and(|(to, min)| *min > to.micros());
        if after || before {
            return false;
        }
    }
    filter.terms.iter().all(|term| {
        let [field] = term.any_of[..] else { return true };
        let Test::OneOf(values) = &term.test else { return true };
        let column = metadata.column(column_of(field));
        if let Some(Statistics::ByteArray(s)) = column.statistics() {
            if s.null_count_opt() == u64::try_from(metadata.num_rows()).ok() {
                return false;
            }
            if let (Some(min), Some(max)) = (s.min_opt(), s.max_opt())
                && s.min_is_exact()
                && s.max_is_exact()
                && values.iter().all(|v| v.as_bytes() < min.data() || v.as_bytes() > max.data())
            {
                return false;
            }
        }
        if !BLOOMED.contains(&field) {
            return true;
        }
        match Sbbf::read_from_column_chunk(column, segment.columns_object()) {
            Ok(Some(bloom)) => values.iter().any(|v| bloom.check(v.as_bytes())),
            // A filter that cannot be read excludes nothing; the rows themselves are checked.
            _ => true,
        }
    })
}
