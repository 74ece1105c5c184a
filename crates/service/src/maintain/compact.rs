//! Small segments into a large one.

use std::sync::Arc;

use indelible_archive::{Segment, SegmentWriter, Selected, Unit, keys};
use indelible_model::{Error, LogKind, ProjectId, Result, Timestamp};
use indelible_store::{SegmentRow, Task};

use super::draft::Draft;
use super::{DAY_MICROS, superseded};
use crate::Service;
use crate::read::files;

/// Small segments in a row from which on they are compacted.
const RUN: usize = 4;
/// A segment is small if it has less than this part of the aim.
const SMALL: u64 = 4;
/// Bytes of lines that are moved at once.
const MOVE_BYTES: usize = 8 << 20;

/// Parts of a log's retention within which segments are compacted: a segment leaves with its youngest event, and must not
/// grow younger for ever.
const RETENTION_PARTS: i64 = 4;

/// The first run of small neighbours that is worth compacting; `days` is the log's retention. One that a legal hold keeps
/// stays by itself, so that it keeps no others.
fn choose(rows: &[SegmentRow], aim: u64, days: Option<u64>) -> Option<&[SegmentRow]> {
    let part = days.map(|d| i64::try_from(d).unwrap_or(i64::MAX).saturating_mul(DAY_MICROS) / RETENTION_PARTS);
    let age = |row: &SegmentRow| part.map(|p| row.segment.max_received.micros().div_euclid(p.max(1)));
    let mut start = 0;
    while start < rows.len() {
        let mut bytes = 0;
        let alike = age(&rows[start]);
        let run = rows[start..]
            .iter()
            .take_while(|r| {
                bytes += r.segment.raw_bytes;
                !r.expired && r.held.is_none() && r.segment.raw_bytes < aim / SMALL && bytes <= aim && age(r) == alike
            })
            .count();
        if run >= RUN {
            return rows.get(start..start + run);
        }
        start += run.max(1);
    }
    None
}

impl Service {
    /// Compacts one run of a log's small segments. False if there is none.
    ///
    /// Commits only if every segment is still live at the generation that was read.
    pub(super) async fn compact_log(&self, project: ProjectId, log: LogKind, task: Option<&Task>) -> Result<bool> {
        let rows = self.segments(project, log).await?;
        let days = self.inner.store.glance().await?.retention_list(project).await?.into_iter().find(|r| r.log == log).and_then(|r| r.days);
        let Some(run) = choose(&rows, self.inner.config.seal.segment_bytes, days) else { return Ok(false) };
        let Some(first) = run.first() else { return Ok(false) };
        let (mut draft, writer) = Draft::begin(self, project, log, first.segment.first, task).await?;
        let done = self.compact_into(&mut draft, writer, project, log, run).await;
        draft.abandon(done).await?;
        self.inner.stats.compactions.add(1);
        Ok(true)
    }
    async fn compact_into(&self, draft: &mut Draft<'_>, mut writer: SegmentWriter, project: ProjectId, log: LogKind, run: &[SegmentRow]) -> Result<()> {
        for row in run {
            let (objects, input, sizes) = (self.inner.objects.clone(), row.segment.name.clone(), files(row));
            let segment = Arc::new(tokio::task::spawn_blocking(move || Segment::open(&objects, &input, &sizes)).await.map_err(Error::internal)??);
            let mut rows = 0..segment.count();
            while !rows.is_empty() {
                let unit = Unit::cut(&segment, &rows, MOVE_BYTES, false);
                rows.start = unit.rows.end;
                writer = tokio::task::spawn_blocking(move || {
                    let mut failed = Ok(());
                    unit.each_line(&Selected::All, |line| {
                        if failed.is_ok() {
                            failed = writer.push(line);
                        }
                    })?;
                    failed.map(|()| writer)
                })
                .await
                .map_err(Error::internal)??;
                draft.keep().await?;
            }
        }
        let (segment, mut tx) = draft.finish(writer).await?;
        let inputs: Vec<_> = run.iter().map(|r| (r.id, r.generation)).collect();
        let retired: Vec<_> = run.iter().flat_map(|r| keys::objects(&r.segment.name)).collect();
        let now = self.inner.clock.now();
        let due = Timestamp::clamped(now.micros().saturating_add(self.inner.grace_micros()));
        if !tx.segment_replace(project, log, &segment, &draft.staged, &inputs, &retired, (now, due)).await? {
            return Err(superseded("The segments changed while they were compacted."));
        }
        draft.confirm(&mut tx).await?;
        tx.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indelible_store::NewSegment;

    fn row(first: u64, raw_bytes: u64) -> SegmentRow {
        let at = Timestamp::clamped(0);
        let segment =
            NewSegment { first, last: first, version: 1, name: String::new(), raw_bytes, rows_bytes: 0, columns_bytes: 0, min_occurred: at, max_occurred: at, max_received: at };
        SegmentRow { id: first, generation: 1, segment, created_at: at, expired: first == 100, held: None }
    }

    #[test]
    fn runs_of_small_neighbours_up_to_the_aim() {
        let run = |sizes: &[u64]| {
            let rows: Vec<_> = (1..).zip(sizes).map(|(i, s)| row(i, *s)).collect();
            choose(&rows, 100, None).map(|r| (r[0].segment.first, r.len()))
        };
        assert_eq!(run(&[]), None);
        assert_eq!(run(&[1, 1, 1]), None);
        assert_eq!(run(&[1, 1, 1, 1]), Some((1, 4)));
        assert_eq!(run(&[90, 1, 1, 1, 1, 1]), Some((2, 5)));
        assert_eq!(run(&[24, 24, 24, 24, 24]), Some((1, 4)));
        assert_eq!(run(&[30, 1, 1, 30, 1, 1, 1]), None);
        // With a retention, what came in at very different times stays apart: three segments every three days, and a part is two and a half.
        let aged: Vec<_> = (1..)
            .take(8)
            .map(|i| {
                let mut row = row(i, 1);
                row.segment.max_received = Timestamp::clamped(i64::try_from(i).unwrap() / 3 * 3 * DAY_MICROS);
                row
            })
            .collect();
        assert_eq!(choose(&aged, 100, Some(10)).map(|r| (r[0].segment.first, r.len())), None);
        assert_eq!(choose(&aged, 100, Some(80)).map(|r| r.len()), Some(8));
        // An expired one has no rows to move.
        let rows: Vec<_> = (97..).take(8).map(|i| row(i, 1)).collect();
        assert_eq!(choose(&rows, 100, None).map(|r| (r[0].segment.first, r.len())), Some((101, 4)));
    }
}
