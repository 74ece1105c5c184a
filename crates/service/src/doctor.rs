//! Checks everything that is stored, and says what is wrong where.

use std::collections::HashSet;

use indelible_archive::{Segment, keys};
use indelible_model::{Error, Result};

use crate::{Service, Verification};

/// How bad a note is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// What was checked.
    Info,
    /// What is wrong.
    Problem,
}

/// One finding.
#[derive(Clone, Debug)]
pub struct DoctorNote {
    /// How bad.
    pub severity: Severity,
    /// What, and where.
    pub what: String,
}

/// The sums.
#[derive(Clone, Copy, Debug, Default)]
pub struct DoctorReport {
    /// Logs looked at.
    pub logs: u64,
    /// Events whose hash was recomputed.
    pub events: u64,
    /// Batches.
    pub batches: u64,
    /// Segments.
    pub segments: u64,
    /// Problems found.
    pub problems: u64,
}

impl Service {
    /// Reads every log: heads, gaps, every batch and segment, every hash, columns against lines, and files that nothing knows.
    pub async fn doctor(&self, on: &mut (dyn FnMut(DoctorNote) + Send)) -> Result<DoctorReport> {
        let mut report = DoctorReport::default();
        let mut live = HashSet::new();
        for log in self.inner.store.read().await?.log_list().await? {
            report.logs += 1;
            let place = format!("{}/{}", log.project, log.kind);
            let checked = match self.inner.reader.verify(log.project, log.kind, |_| {}).await {
                Ok(checked) => checked,
                Err(error) => Verification { reason: Some(error.to_string()), ..Verification::default() },
            };
            report.events += checked.events_checked;
            if checked.valid {
                on(DoctorNote { severity: Severity::Info, what: format!("{place}: {} events, chain valid", checked.events_checked) });
            } else {
                report.problems += 1;
                let at = checked.broken_at.map(|id| format!(" at {id}")).unwrap_or_default();
                on(DoctorNote {
                    severity: Severity::Problem,
                    what: format!("{place}: the chain is broken{at} after {} good events: {}", checked.events_checked, checked.reason.unwrap_or_default()),
                });
            }
            let mut tx = self.inner.store.read().await?;
            let segments = tx.segment_range(log.project, log.kind, 1, u64::MAX, false, 1_000_000).await?;
            report.batches += log.head.hot_batches;
            drop(tx);
            live.insert(keys::manifest(log.project, log.kind));
            for row in segments {
                report.segments += 1;
                let name = row.segment.name;
                live.extend(keys::objects(&name));
                let (objects, named) = (self.inner.objects.clone(), name.clone());
                let check = tokio::task::spawn_blocking(move || Segment::open(&objects, &named)?.check());
                let result = check.await.unwrap_or_else(|e| Err(Error::corrupt(e)));
                if let Err(error) = result {
                    report.problems += 1;
                    on(DoctorNote { severity: Severity::Problem, what: format!("{place}: segment {name}: {error}") });
                }
            }
        }
        let objects = self.inner.objects.clone();
        for key in tokio::task::spawn_blocking(move || objects.list()).await.map_err(Error::internal)?? {
            let segment = key.rsplit_once('/').map_or("", |(s, _)| s);
            if !live.contains(&key) && !self.inner.store.read().await?.object_known(segment).await? {
                on(DoctorNote { severity: Severity::Info, what: format!("{key}: a file that nothing knows; it can be deleted") });
            }
        }
        Ok(report)
    }
}
