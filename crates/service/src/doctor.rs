//! Checks everything that is stored, and says what is wrong where.

use std::collections::HashSet;

use indelible_archive::segment::hashes_last;
use indelible_archive::{Segment, keys};
use indelible_model::{Error, ProjectId, Result};

use crate::manifest::Entry;
use crate::read::files;
use crate::{Service, Verification};

/// Files of tasks looked up at once.
const FILES: u32 = 1000;

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
        for log in self.inner.store.glance().await?.log_list().await? {
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
            report.batches += log.head.hot_batches;
            let segments = self.segments(log.project, log.kind).await?;
            live.insert(keys::manifest(log.project, log.kind));
            for row in segments {
                report.segments += 1;
                let sizes = files(&row);
                live.extend(Entry::new(log.project, log.kind, &row).objects().into_iter().map(str::to_owned));
                let name = row.segment.name;
                let (objects, named, expired) = (self.inner.objects.clone(), name.clone(), row.expired);
                let check = tokio::task::spawn_blocking(move || match expired {
                    true => hashes_last(&objects, &named, sizes.count).map(|_| ()),
                    false => Segment::open(&objects, &named, &sizes)?.check(),
                });
                let result = check.await.unwrap_or_else(|e| Err(Error::corrupt(e)));
                if let Err(error) = result {
                    let now = self.inner.store.glance().await?.segment_range(log.project, log.kind, row.segment.first, row.segment.first, false, 1).await?;
                    if now.first().is_none_or(|n| (n.id, n.generation) != (row.id, row.generation)) {
                        continue;
                    }
                    report.problems += 1;
                    on(DoctorNote { severity: Severity::Problem, what: format!("{place}: segment {name}: {error}") });
                }
            }
        }
        for project in self.inner.store.glance().await?.project_list().await? {
            self.check_files(project.id, &mut live, &mut report, on).await?;
        }
        let objects = self.inner.objects.clone();
        for key in tokio::task::spawn_blocking(move || objects.list("")).await.map_err(Error::internal)?? {
            let segment = key.rsplit_once('/').map_or("", |(s, _)| s);
            if !live.contains(&key) && !self.inner.store.glance().await?.object_known(segment, &key).await? {
                on(DoctorNote { severity: Severity::Info, what: format!("{key}: a file that nothing knows; it can be deleted") });
            }
        }
        Ok(report)
    }
    /// The files of a project's tasks: that they are there, and as long as they should be.
    async fn check_files(&self, project: ProjectId, live: &mut HashSet<String>, report: &mut DoctorReport, on: &mut (dyn FnMut(DoctorNote) + Send)) -> Result<()> {
        let mut after = String::new();
        loop {
            let files = self.inner.store.glance().await?.task_file_list(project, &after, FILES).await?;
            let Some((_, last)) = files.last() else { return Ok(()) };
            after.clone_from(&last.object);
            for (task, file) in files {
                let (objects, key) = (self.inner.objects.clone(), file.object.clone());
                let found = tokio::task::spawn_blocking(move || objects.get(&key, None)).await.map_err(Error::internal)?.map(|o| o.len());
                live.insert(file.object.clone());
                let problem = match found {
                    Ok(len) if len == file.bytes => continue,
                    Ok(len) => format!("has {len} bytes instead of {}", file.bytes),
                    Err(e) => e.to_string(),
                };
                // It may have been deleted meanwhile.
                if self.inner.store.glance().await?.task_files(project, task).await?.iter().any(|f| f.object == file.object) {
                    report.problems += 1;
                    on(DoctorNote { severity: Severity::Problem, what: format!("{project}: {} of task {task}: {problem}", file.object) });
                }
            }
        }
    }
}
