//! A unit of reading: a run of rows of one segment's row group, or of one batch. Units are worked on in parallel and
//! independent of each other; whoever asks for them puts their results in order.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use indelible_model::line::Line;
use indelible_model::query::Filter;
use indelible_model::{Error, Result};

use crate::columns::{ColumnBuilder, ColumnSet, Projection};
use crate::rows::Lines;
use crate::segment::Segment;
use crate::{prune, select};

/// A decoded batch, with its columns once somebody asked for them.
#[derive(Debug)]
pub struct HotBatch {
    first: u64,
    lines: Lines,
    columns: OnceLock<ColumnSet>,
}

impl HotBatch {
    /// Decodes a batch's blobs.
    pub fn decode(first: u64, envelope: &[u8], body: &[u8]) -> Result<Self> {
        Ok(Self { first, lines: crate::batch::decode(envelope, body)?, columns: OnceLock::new() })
    }
    /// Its lines.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }
    /// Position of the first row.
    pub fn first(&self) -> u64 {
        self.first
    }
    /// About how many bytes it takes in memory, columns included.
    pub fn memory(&self) -> usize {
        self.lines.bytes() * 2 + 4096
    }
    fn columns(&self) -> Result<&ColumnSet> {
        if let Some(columns) = self.columns.get() {
            return Ok(columns);
        }
        let columns = columns_of(&self.lines, 0..self.lines.len())?;
        Ok(self.columns.get_or_init(|| columns))
    }
}

/// All columns of some rows of decoded lines.
fn columns_of(lines: &Lines, rows: impl IntoIterator<Item = usize>) -> Result<ColumnSet> {
    let mut builder = ColumnBuilder::new(false);
    let mut hashes = Vec::new();
    for row in rows {
        let line = Line::parse(lines.get(row)).ok_or_else(|| Error::corrupt("a stored event is not a line of hash format v1"))?;
        hashes.push([line.previous_hash, line.hash].concat());
        builder.push(&line)?;
    }
    let rows = builder.rows();
    Ok(ColumnSet::new(builder.finish()?, &Projection::stored().indexes(), rows)?.with_hash_pairs(hashes.iter().map(|h| &h[..])))
}

/// Where a unit's rows come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A row group of a segment.
    Segment(Arc<Segment>),
    /// A batch.
    Batch(Arc<HotBatch>),
}

/// A run of rows; for a segment within one row group.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Where from.
    pub source: Source,
    /// Which rows, numbered within the source.
    pub rows: Range<usize>,
}

/// Rows of a unit that passed a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selected {
    /// All of them.
    All,
    /// These, numbered within the source, ascending.
    Rows(Vec<usize>),
}

impl Selected {
    /// How many of a unit's rows.
    pub fn count(&self, unit: &Unit) -> usize {
        match self {
            Self::All => unit.rows.len(),
            Self::Rows(rows) => rows.len(),
        }
    }
}

impl Unit {
    /// Cuts the next unit off `rows` of a segment: from the front, or from the back if `back`; whole frames, about `target` bytes of lines, within one row group.
    pub fn cut(segment: &Arc<Segment>, rows: &Range<usize>, target: usize, back: bool) -> Self {
        let at = if back { rows.end - 1 } else { rows.start };
        let group = segment.groups()[group_of(segment, at)];
        let limit = rows.start.max(group.row)..rows.end.min(group.row + group.rows);
        let mut frame = segment.frame_of(at);
        let mut out = segment.frame_rows(frame);
        let wanted = (target / segment.line_bytes()).max(1);
        while out.len() < wanted {
            if back && out.start > limit.start {
                frame -= 1;
                out.start = segment.frame_rows(frame).start;
            } else if !back && out.end < limit.end {
                frame += 1;
                out.end = segment.frame_rows(frame).end;
            } else {
                break;
            }
        }
        Self { source: Source::Segment(Arc::clone(segment)), rows: out.start.max(limit.start)..out.end.min(limit.end) }
    }
    /// Position of a row number of this source.
    pub fn position(&self, row: usize) -> u64 {
        row as u64
            + match &self.source {
                Source::Segment(s) => s.first(),
                Source::Batch(b) => b.first(),
            }
    }
    /// Which rows pass.
    pub fn select(&self, filter: &Filter) -> Result<Selected> {
        if filter.is_empty() {
            return Ok(Selected::All);
        }
        select::check(filter)?;
        match &self.source {
            Source::Segment(segment) => self.select_segment(segment, filter),
            Source::Batch(batch) => {
                let mut rows = select::matching(batch.columns()?, filter);
                rows.retain(|r| self.rows.contains(r));
                select::searched(&mut rows, filter, &batch.lines, 0);
                Ok(Selected::Rows(rows))
            }
        }
    }
    fn select_segment(&self, segment: &Segment, filter: &Filter) -> Result<Selected> {
        let group = group_of(segment, self.rows.start);
        if !prune::may_match(segment, group, filter)? {
            return Ok(Selected::Rows(Vec::new()));
        }
        let projection = select::projection(filter);
        let rows: Vec<usize> = if projection.is_empty() {
            self.rows.clone().collect()
        } else {
            let columns = segment.columns(group, self.rows.clone(), None, &projection)?;
            select::matching(&columns, filter).into_iter().map(|r| r + self.rows.start).collect()
        };
        let Some(needle) = &filter.search else { return Ok(Selected::Rows(rows)) };
        let mut found = Vec::new();
        let window = segment.frames_window(by_frame(segment, &rows).map(|(frame, _)| frame))?;
        for (frame, picked) in by_frame(segment, &rows) {
            let lines = segment.frame_lines(&window, frame)?;
            if needle.may_be_in(lines.text()) {
                let mut picked = picked.to_vec();
                select::searched(&mut picked, filter, &lines, segment.frame_rows(frame).start);
                found.extend(picked);
            }
        }
        Ok(Selected::Rows(found))
    }
    /// How many of `rows` (ascending or descending), from the first one given on, take at most `most` bytes of lines to be decoded, but at least one; and how many
    /// bytes these take. Frames are decoded whole.
    pub fn fitting(&self, rows: &[usize], most: usize) -> (usize, usize) {
        let (mut count, mut bytes, mut last) = (0, 0, None);
        for row in rows {
            let more = match &self.source {
                Source::Batch(batch) => batch.lines.get(*row).len(),
                Source::Segment(segment) => {
                    let frame = segment.frame_of(*row);
                    if last.replace(frame) == Some(frame) { 0 } else { segment.frame_raw(frame) }
                }
            };
            if count > 0 && bytes + more > most {
                break;
            }
            count += 1;
            bytes += more;
        }
        (count, bytes)
    }
    /// Hands each selected row's line (with its line feed) to `each`, ascending.
    pub fn each_line(&self, selected: &Selected, mut each: impl FnMut(&[u8])) -> Result<()> {
        match &self.source {
            Source::Batch(batch) => match selected {
                Selected::All => self.rows.clone().for_each(|r| each(batch.lines.get(r))),
                Selected::Rows(rows) => rows.iter().for_each(|r| each(batch.lines.get(*r))),
            },
            Source::Segment(segment) => match selected {
                Selected::All => {
                    let frames = segment.frame_of(self.rows.start)..segment.frame_of(self.rows.end - 1) + 1;
                    let window = segment.frames_window(frames.clone())?;
                    for frame in frames {
                        let lines = segment.frame_lines(&window, frame)?;
                        let first = segment.frame_rows(frame).start;
                        (0..lines.len()).filter(|i| self.rows.contains(&(first + i))).for_each(|i| each(lines.get(i)));
                    }
                }
                Selected::Rows(rows) => {
                    let window = segment.frames_window(by_frame(segment, rows).map(|(frame, _)| frame))?;
                    for (frame, picked) in by_frame(segment, rows) {
                        let lines = segment.frame_lines(&window, frame)?;
                        let first = segment.frame_rows(frame).start;
                        picked.iter().for_each(|r| each(lines.get(r - first)));
                    }
                }
            },
        }
        Ok(())
    }
    /// Appends the selected rows' lines, ascending.
    pub fn write_lines(&self, selected: &Selected, out: &mut Vec<u8>) -> Result<()> {
        match (&self.source, selected) {
            (Source::Batch(batch), Selected::All) => out.extend_from_slice(batch.lines.run(self.rows.clone())),
            (Source::Segment(segment), Selected::All) => {
                let frames = segment.frame_of(self.rows.start)..segment.frame_of(self.rows.end - 1) + 1;
                let first = segment.frame_rows(frames.start).start;
                if first == self.rows.start && segment.frame_rows(frames.end - 1).end == self.rows.end {
                    return segment.frames_text(frames, out);
                }
                let lines = segment.frames_lines(frames)?;
                out.extend_from_slice(lines.run(self.rows.start - first..self.rows.end - first));
            }
            _ => self.each_line(selected, |line| out.extend_from_slice(line))?,
        }
        Ok(())
    }
    /// The compressed frames of all rows as they lie, if these are whole frames of a segment.
    pub fn frames(&self) -> Option<Result<Vec<u8>>> {
        let Source::Segment(segment) = &self.source else { return None };
        let frames = segment.frame_of(self.rows.start)..segment.frame_of(self.rows.end - 1) + 1;
        let whole = segment.frame_rows(frames.start).start == self.rows.start && segment.frame_rows(frames.end - 1).end == self.rows.end;
        whole.then(|| segment.frames_raw(frames))
    }
    /// Columns of the selected rows, ascending.
    pub fn columns(&self, selected: &Selected, projection: &Projection) -> Result<ColumnSet> {
        match (&self.source, selected) {
            (Source::Batch(batch), Selected::All) => columns_of(&batch.lines, self.rows.clone()),
            (Source::Batch(batch), Selected::Rows(rows)) => columns_of(&batch.lines, rows.iter().copied()),
            (Source::Segment(segment), _) => {
                let group = group_of(segment, self.rows.start);
                let picked = match selected {
                    Selected::All => None,
                    Selected::Rows(rows) => Some(&rows[..]),
                };
                let columns = segment.columns(group, self.rows.clone(), picked, projection)?;
                if !projection.hashes {
                    return Ok(columns);
                }
                let hashes = segment.hashes(self.rows.clone())?;
                let Some(picked) = picked else { return Ok(columns.with_hashes(&hashes)) };
                Ok(columns.with_hash_pairs(picked.iter().map(|r| &hashes[(r - self.rows.start) * 32..(r - self.rows.start + 2) * 32])))
            }
        }
    }
}

fn group_of(segment: &Segment, row: usize) -> usize {
    segment.groups().partition_point(|g| g.row <= row).saturating_sub(1)
}

/// Splits ascending rows by the frame that holds them.
fn by_frame<'a>(segment: &'a Segment, rows: &'a [usize]) -> impl Iterator<Item = (usize, &'a [usize])> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let frame = segment.frame_of(*rest.first()?);
        let end = segment.frame_rows(frame).end;
        let (picked, tail) = rest.split_at(rest.partition_point(|r| *r < end));
        rest = tail;
        Some((frame, picked))
    })
}

#[cfg(test)]
mod tests;
