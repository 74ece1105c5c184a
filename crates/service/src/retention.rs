//! How long the events of each log are kept: told and changed. `maintain::retain` applies it.
//!
//! Promises: keeping longer takes effect at once; keeping shorter is announced, and takes effect after `retention_delay`, so that whoever watches the log has the
//! time to object; both are audited with who did it. Whoever is watched by the log `activity` cannot thin it: less than [`ACTIVITY_LEAST_DAYS`] is for operators.
//! Never: takes a row.

use indelible_archive::segment::hashes_last;
use indelible_model::{Error, HoldId, Kind, LogKind, ProjectId, Result, Timestamp};
use indelible_store::{NewSegment, RetentionRow};
use serde_json::{Value, json};

use crate::audit::Fact;
use crate::caller::{Caller, CanManageProject, CanReadLogs};
use crate::{Service, die_on_failed_sync};

/// Days for which a log may be kept.
pub const RETENTION_DAYS: std::ops::RangeInclusive<u64> = 1..=36_500;

/// Days for which the log `activity` is kept at least, unless an operator sets fewer.
pub const ACTIVITY_LEAST_DAYS: u64 = 184;

/// How long a log's events are kept, and what came of it so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Which log.
    pub log: LogKind,
    /// Days; `None` for ever.
    pub days: Option<u64>,
    /// Since when it is so.
    pub since: Timestamp,
    /// Fewer days that were announced, and when they take effect.
    pub announced: Option<(u64, Timestamp)>,
    /// From where on the chain verifies without the hashes that were kept; `None` while the log's first event is there.
    pub marker: Option<Marker>,
    /// How many events are gone.
    pub expired: u64,
    /// What legal holds keep beyond its time.
    pub kept: Vec<Kept>,
}

/// The last event of those that a log began with and that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Its position: rows are there from the next one on.
    pub position: u64,
    /// Its hash, which is the `previous_hash` of the next one.
    pub hash: [u8; 32],
}

/// What a hold keeps beyond its time. A segment that several hold counts for one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The hold.
    pub hold: HoldId,
    /// Segments: events leave by these.
    pub segments: u64,
    /// Events in them.
    pub events: u64,
}

/// What setting a retention does.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Nothing,
    Now(RetentionRow),
    Announced(RetentionRow),
}

fn change(row: &RetentionRow, days: Option<u64>, now: Timestamp, delay_micros: i64) -> Change {
    let length = |days: Option<u64>| days.unwrap_or(u64::MAX);
    if length(days) >= length(row.days) {
        if days == row.days && row.next.is_none() {
            return Change::Nothing;
        }
        let since = if days == row.days { row.since } else { now };
        return Change::Now(RetentionRow { days, since, next: None, ..row.clone() });
    }
    match (days, row.next) {
        (Some(days), Some((announced, _))) if days == announced => Change::Nothing,
        (Some(days), _) => Change::Announced(RetentionRow { next: Some((days, Timestamp::clamped(now.micros().saturating_add(delay_micros)))), ..row.clone() }),
        (None, _) => Change::Nothing,
    }
}

/// As it is audited.
fn state(row: &RetentionRow) -> Value {
    json!({ "days": row.days, "announced": row.next.map(|(days, at)| json!({ "days": days, "at": at.to_string() })) })
}

/// The fact that a log's retention is another one.
pub(crate) fn fact(action: &'static str, before: &RetentionRow, after: &RetentionRow) -> Fact<'static> {
    Fact { action, target: Some(("log", after.log.name().to_owned(), None)), diff: Some((state(before), state(after))), ..Fact::default() }
}

impl Service {
    /// How long the project's logs are kept.
    pub async fn retention(&self, caller: &Caller<CanReadLogs>) -> Result<Vec<Retention>> {
        caller.grant().whole_project()?;
        self.retentions(caller.project()).await
    }
    /// Sets how many days a log's events are kept (`None`: for ever): at once if that is longer, else it is announced. The present value takes an announcement back.
    pub async fn retention_set(&self, caller: &Caller<CanManageProject>, log: LogKind, days: Option<u64>) -> Result<Retention> {
        caller.grant().whole_project()?;
        if days.is_some_and(|d| !RETENTION_DAYS.contains(&d)) {
            return Err(Error::invalid_member("days", format!("must be a whole number from {} to {}, or null for ever.", RETENTION_DAYS.start(), RETENTION_DAYS.end())));
        }
        if log == LogKind::Activity && days.is_some_and(|d| d < ACTIVITY_LEAST_DAYS) && caller.grant().is_served() && caller.grant().admin().is_err() {
            let text = format!("The log activity is kept for at least {ACTIVITY_LEAST_DAYS} days; only an operator of the server may set fewer.");
            return Err(Error::new(Kind::Forbidden, text));
        }
        let (project, now) = (caller.project(), self.inner.clock.now());
        let delay = i64::try_from(self.inner.config.seal.retention_delay_secs).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let mut tx = self.inner.store.write().await?;
        let before = tx.retention_lock(project).await?.into_iter().find(|r| r.log == log).ok_or_else(|| Error::not_found("Project"))?;
        let changed = match change(&before, days, now, delay) {
            Change::Nothing => None,
            Change::Now(row) => Some(("retention.changed", row)),
            Change::Announced(row) => Some(("retention.announced", row)),
        };
        if let Some((action, after)) = changed {
            tx.retention_restore(project, &after).await?;
            self.audit(&mut tx, project, &caller.grant().who, &fact(action, &before, &after)).await?;
            tx.commit().await.inspect_err(die_on_failed_sync)?;
        } else {
            drop(tx);
        }
        self.retentions(project).await?.into_iter().find(|r| r.log == log).ok_or_else(|| Error::not_found("Project"))
    }
    async fn retentions(&self, project: ProjectId) -> Result<Vec<Retention>> {
        let mut tx = self.inner.store.read().await?;
        let kept = tx.legal_hold_kept(project).await?;
        let mut found = Vec::new();
        for row in tx.retention_list(project).await? {
            found.push((tx.segment_last_expired(project, row.log).await?, tx.expired_events(project, row.log).await?, row));
        }
        drop(tx);
        let mut out = Vec::with_capacity(found.len());
        for (last, expired, row) in found {
            let mut marker = None;
            if let Some(NewSegment { first, last, name, .. }) = last.map(|row| row.segment) {
                let objects = self.inner.objects.clone();
                let hash = tokio::task::spawn_blocking(move || hashes_last(&objects, &name, last + 1 - first)).await.map_err(Error::internal)??;
                marker = Some(Marker { position: last, hash });
            }
            let kept = kept.iter().filter(|k| k.log == row.log).map(|k| Kept { hold: k.hold, segments: k.segments, events: k.events }).collect();
            out.push(Retention { log: row.log, days: row.days, since: row.since, announced: row.next, marker, expired, kept });
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(days: Option<u64>, next: Option<(u64, i64)>) -> RetentionRow {
        RetentionRow { log: LogKind::Events, days, since: Timestamp::clamped(1), next: next.map(|(d, at)| (d, Timestamp::clamped(at))), holds: 4 }
    }

    #[test]
    fn longer_at_once_and_shorter_announced() {
        let set = |row: &RetentionRow, days| change(row, days, Timestamp::clamped(100), 7);
        let at = |days, next: Option<(u64, i64)>| RetentionRow { since: Timestamp::clamped(100), ..row(days, next) };
        for (before, days, want) in [
            (row(None, None), None, Change::Nothing),
            (row(Some(90), None), Some(90), Change::Nothing),
            (row(Some(90), None), Some(91), Change::Now(at(Some(91), None))),
            (row(Some(90), None), None, Change::Now(at(None, None))),
            (row(None, None), Some(90), Change::Announced(row(None, Some((90, 107))))),
            (row(Some(90), None), Some(30), Change::Announced(row(Some(90), Some((30, 107))))),
            // A later change takes the place of an announced one; the same one keeps its time.
            (row(Some(90), Some((30, 50))), Some(30), Change::Nothing),
            (row(Some(90), Some((30, 50))), Some(60), Change::Announced(row(Some(90), Some((60, 107))))),
            (row(Some(90), Some((30, 50))), Some(90), Change::Now(row(Some(90), None))),
            (row(Some(90), Some((30, 50))), Some(120), Change::Now(at(Some(120), None))),
        ] {
            assert_eq!(set(&before, days), want, "{before:?} {days:?}");
        }
    }
}
