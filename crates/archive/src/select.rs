//! Evaluates a filter over columns: which rows pass.

use arrow_array::Array;
use indelible_model::fields::Field;
use indelible_model::line::Line;
use indelible_model::query::{Filter, Term, Test};

use crate::columns::{ColumnSet, Projection};
use crate::rows::Lines;

/// The columns that a filter reads.
pub(crate) fn projection(filter: &Filter) -> Projection {
    let mut fields: Vec<Field> = filter.terms.iter().flat_map(|t| t.any_of.iter().copied()).collect();
    fields.sort_unstable();
    fields.dedup();
    Projection { occurred_at: filter.from.is_some() || filter.to.is_some(), fields, ..Projection::default() }
}

/// The rows (numbers within the set, ascending) that pass all but the search.
pub(crate) fn matching(columns: &ColumnSet, filter: &Filter) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..columns.rows()).collect();
    if let Some(times) = columns.occurred_at().filter(|_| filter.from.is_some() || filter.to.is_some()) {
        let (from, to) = (filter.from.map_or(i64::MIN, |t| t.micros()), filter.to.map_or(i64::MAX, |t| t.micros()));
        let times = times.values();
        rows.retain(|r| (from..=to).contains(&times[*r]));
    }
    for term in &filter.terms {
        if rows.is_empty() {
            break;
        }
        keep(&mut rows, columns, term);
    }
    rows
}

fn keep(rows: &mut Vec<usize>, columns: &ColumnSet, term: &Term) {
    let texts: Vec<_> = term.any_of.iter().filter_map(|f| columns.text(*f)).collect();
    if let ([text], Test::OneOf(values)) = (&texts[..], &term.test)
        && let [value] = &values[..]
    {
        // The common case, without a call a row: lengths differ more often than not.
        let wanted = value.as_bytes();
        let len = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
        let views = text.views();
        rows.retain(|r| views[*r] as u32 == len && text.is_valid(*r) && text.value(*r).as_bytes() == wanted);
        return;
    }
    rows.retain(|r| texts.iter().any(|text| text.is_valid(*r) && term.test.passes(text.value(*r))));
}

/// Keeps the rows whose line passes the search. `line` gives a row's line.
pub(crate) fn searched(rows: &mut Vec<usize>, filter: &Filter, lines: &Lines, first_row: usize) {
    let Some(needle) = &filter.search else { return };
    rows.retain(|r| {
        let text = lines.get(r - first_row);
        Line::parse(text).is_some_and(|line| needle.is_in_event(line.action, line.details))
    });
}
