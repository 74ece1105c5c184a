//! Evaluates a filter over columns: which rows pass.

use arrow_array::Array;
use indelible_model::line::Line;
use indelible_model::query::{Filter, Term, Test};
use indelible_model::{Error, Result};

use crate::columns::{ColumnSet, Projection};
use crate::rows::Lines;

/// The columns that a filter reads.
pub(crate) fn projection(filter: &Filter) -> Projection {
    let mut out = Projection::default();
    add(&mut out, filter);
    out
}

fn add(out: &mut Projection, filter: &Filter) {
    out.occurred_at |= is_timed(filter);
    out.fields.extend(filter.terms.iter().flat_map(|t| &t.any_of));
    filter.either.iter().for_each(|branch| add(out, branch));
}

fn is_timed(filter: &Filter) -> bool {
    filter.from.is_some() || filter.to.is_some()
}

/// An error for a filter whose branches search: rows are searched once they passed all else.
pub(crate) fn check(filter: &Filter) -> Result<()> {
    for branch in &filter.either {
        if branch.search.is_some() {
            return Err(Error::internal("a branch of a filter searches"));
        }
        check(branch)?;
    }
    Ok(())
}

/// The rows (numbers within the set, ascending) that pass all but the search.
pub(crate) fn matching(columns: &ColumnSet, filter: &Filter) -> Vec<usize> {
    let mut rows = (0..columns.rows()).collect();
    narrow(&mut rows, columns, filter);
    rows
}

fn narrow(rows: &mut Vec<usize>, columns: &ColumnSet, filter: &Filter) {
    if let Some(times) = columns.occurred_at().filter(|_| is_timed(filter)) {
        let (from, to) = (filter.from.map_or(i64::MIN, |t| t.micros()), filter.to.map_or(i64::MAX, |t| t.micros()));
        let times = times.values();
        rows.retain(|r| (from..=to).contains(&times[*r]));
    }
    for term in &filter.terms {
        if rows.is_empty() {
            return;
        }
        keep(rows, columns, term);
    }
    if !filter.either.is_empty() {
        let mut passed = vec![false; columns.rows()];
        for branch in &filter.either {
            let mut found: Vec<usize> = rows.iter().copied().filter(|r| !passed[*r]).collect();
            narrow(&mut found, columns, branch);
            found.into_iter().for_each(|r| passed[r] = true);
        }
        rows.retain(|r| passed[*r]);
    }
}

fn keep(rows: &mut Vec<usize>, columns: &ColumnSet, term: &Term) {
    let texts: Vec<_> = term.any_of.iter().filter_map(|f| columns.text(*f)).collect();
    if let ([text], Test::OneOf(values), false) = (&texts[..], &term.test, term.not)
        && let [value] = &values[..]
    {
        // The common case, without a call a row: lengths differ more often than not.
        let wanted = value.as_bytes();
        let len = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
        let views = text.views();
        rows.retain(|r| views[*r] as u32 == len && text.is_valid(*r) && text.value(*r).as_bytes() == wanted);
        return;
    }
    rows.retain(|r| texts.iter().any(|text| text.is_valid(*r) && term.test.passes(text.value(*r))) != term.not);
}

/// Keeps the rows whose line passes the search. `line` gives a row's line.
pub(crate) fn searched(rows: &mut Vec<usize>, filter: &Filter, lines: &Lines, first_row: usize) {
    let Some(needle) = &filter.search else { return };
    rows.retain(|r| {
        let text = lines.get(r - first_row);
        Line::parse(text).is_some_and(|line| needle.is_in_event(line.action, line.details))
    });
}
