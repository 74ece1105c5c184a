//! The runs of schedules: what each exports, and who begins it.

use indelible_model::{ExportId, KeyId, LogKind, MemberId, Order, Query, Result, ScheduleId, Timestamp};
use indelible_store::{AskedFilter, ExportFilter, ExportOrder, ExportRow, ScheduleRow, TaskStatus};
use serde_json::{Map, Value, json};

use super::Scheduled;
use crate::audit::Fact;
use crate::caller::{CanExport, Grant, Who};
use crate::credentials::{is_within, read_organizations};
use crate::exports::{ExportSpec, Exported};
use crate::read::ExportOptions;
use crate::tasks::{AskedKind, read_json};
use crate::{Service, die_on_failed_sync};

/// How long after its time a run begins, so that what was received before that time is committed.
const SETTLE_MICROS: i64 = 5_000_000;
/// How long after a failed run it is begun again.
const REPEAT_MICROS: i64 = 3_600_000_000;
/// Failed runs in a row, since the schedule was last changed, after which it stops.
const FAILURES: u32 = 3;
/// Runs begun in one sweep.
const RUNS: u32 = 100;

/// One run of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) schedule: ScheduleId,
    /// Its time, also if it is made up later.
    pub(crate) at: Timestamp,
    /// Where it goes on.
    pub(crate) after: u64,
    /// Its last position.
    pub(crate) to: u64,
    /// The run before it, for its manifest; null for the first.
    pub(crate) previous: Value,
}

impl Run {
    /// The beginning of its file's name: the same whenever the run is made, and another for each run.
    pub(crate) fn stem(&self, log: LogKind) -> String {
        let time = self.at.to_string();
        format!("{}-{}T{}-{}-{}-{}", log.name(), &time[..10], &time[11..13], &time[14..16], self.after + 1, self.to)
    }
    /// Adds what its task must know.
    pub(crate) fn write(&self, stored: &mut Map<String, Value>) {
        stored.insert("schedule".to_owned(), json!({ "id": self.schedule.to_string(), "run": self.at.to_string(), "first": self.after + 1, "last": self.to }));
        stored.insert("previous".to_owned(), self.previous.clone());
    }
    /// Reads what [`Run::write`] wrote.
    pub(crate) fn read(stored: &Value) -> Option<Self> {
        let run = stored.get("schedule")?;
        let (text, number) = (|name: &str| run.get(name)?.as_str(), |name: &str| run.get(name)?.as_u64());
        Some(Self {
            schedule: ScheduleId::parse(text("id")?)?,
            at: Timestamp::parse(text("run")?).ok()?,
            after: number("first")?.checked_sub(1)?,
            to: number("last")?,
            previous: stored.get("previous")?.clone(),
        })
    }
}

/// A run that is over, for the manifest of the next one. What is not known any more, or never was made, is null.
fn told(id: ExportId, last: Option<&ExportRow>) -> Result<Value> {
    let result = match last.and_then(|l| l.task.result.as_deref()) {
        Some(text) => read_json(text)?,
        None => Value::Null,
    };
    let of = |name: &str| result.get(name).cloned().unwrap_or_default();
    Ok(json!({ "export": id.to_string(), "name": of("name"), "sha256": of("sha256"), "rows": of("rows") }))
}

impl Service {
    /// Begins the runs that are due, missed ones too, one at a time of each schedule. Idempotent.
    pub(crate) async fn sweep_schedules(&self, now: Timestamp) -> Result<()> {
        let (due, failed) = (Timestamp::clamped(now.micros() - SETTLE_MICROS), Timestamp::clamped(now.micros() - REPEAT_MICROS));
        for row in self.inner.store.glance().await?.schedule_list_due(due, failed, RUNS).await? {
            let id = row.id;
            // One that cannot run must not keep the others from it.
            if let Err(error) = Box::pin(self.run_schedule(row)).await {
                die_on_failed_sync(&error);
                tracing::warn!(%error, schedule = %id, "a schedule could not run; it will be tried again");
            }
        }
        Ok(())
    }
    async fn run_schedule(&self, row: ScheduleRow) -> Result<()> {
        let what = Scheduled::read(&row.spec)?;
        let Some(grant) = self.asker_now(&row, what.log).await? else { return self.stop_schedule(&row, "Whoever asked for it may not export this any more.").await };
        let last = match row.last_export {
            Some(id) => self.inner.store.glance().await?.export_find(row.project, id).await?,
            None => None,
        };
        let failed = match &last {
            Some(last) if last.task.status == TaskStatus::Failed => Run::read(&read_json(&last.task.asked.spec)?),
            _ => None,
        };
        if failed.is_some()
            && let Some(error) = self.failing(&row).await?
        {
            return self.stop_schedule(&row, &format!("{FAILURES} runs failed, one after the other. The last one: {error}")).await;
        }
        let (run, next_at, runs) = match failed {
            // What could not be made is made again as it was, before anything later.
            Some(run) => (run, row.next_at, row.runs),
            None => {
                let to = self.last_before(row.project, what.log, row.next_at).await?.max(row.position);
                let previous = row.last_export.map(|id| told(id, last.as_ref())).transpose()?.unwrap_or_default();
                (Run { schedule: row.id, at: row.next_at, after: row.position, to, previous }, what.timing.next(row.next_at)?, row.runs + 1)
            }
        };
        let mut parameters = what.to_json();
        parameters.insert("schedule".to_owned(), row.id.to_string().into());
        let query = Query { filter: grant.narrow(what.filter()), order: Order::Ascending, after: run.after, before: Some(run.to + 1), ..Query::all(what.log) };
        let spec = ExportSpec {
            object: if what.log == LogKind::Events { "event" } else { "api_log" }.to_owned(),
            what: Exported::Events { query: Box::new(query), format: what.format, options: ExportOptions { coding: what.coding, ..ExportOptions::default() } },
            parameters: Value::Object(parameters),
            stem: run.stem(what.log),
            request_id: row.id.to_string(),
            channel: "schedule".to_owned(),
            idempotency: None,
        };
        let mut tx = self.inner.store.write().await?;
        if tx.schedule_lock(row.project, row.id).await?.as_ref() != Some(&row) {
            // Another node was faster, or somebody changed it: the next sweep looks again.
            return Ok(());
        }
        let export = self.export_ask(&mut tx, &grant, &spec, Some(&run)).await?;
        tx.schedule_update(&ScheduleRow { position: run.to, last_export: Some(export), runs, next_at, ..row }).await?;
        tx.commit().await
    }
    /// What whoever asked for a schedule may do now, bound as they were then; `None` if they may not export the log any more.
    async fn asker_now(&self, row: &ScheduleRow, log: LogKind) -> Result<Option<Grant>> {
        let who = read_json(&row.asked_by)?;
        let text = |name: &str| who.get(name).and_then(Value::as_str).unwrap_or_default();
        let grant = match text("type") {
            "operator" => Some(self.operator(row.project).await?),
            "member" => match MemberId::parse(text("id")) {
                Some(id) => self.inner.store.glance().await?.membership(row.project, id).await?.map(|m| self.grant_of_member(&m)).transpose()?.flatten(),
                None => None,
            },
            _ => match KeyId::parse(text("id")) {
                Some(id) => self.inner.store.glance().await?.key_by_id(row.project, id).await?.map(|k| self.grant_of_key(&k, self.inner.clock.now())).transpose()?.flatten(),
                None => None,
            },
        };
        let organizations = read_organizations(row.organizations.as_deref())?;
        let may = |grant: &Grant| grant.permit::<CanExport>().is_ok() && grant.may_read(log).is_ok() && is_within(&organizations, &grant.organizations);
        Ok(grant.filter(may).map(|grant| Grant { organizations: organizations.clone(), ..grant }))
    }
    /// Why the last run failed, if too many did.
    async fn failing(&self, row: &ScheduleRow) -> Result<Option<String>> {
        let tasks = AskedFilter { kinds: vec![AskedKind::Export.name().to_owned()], from: Some(Scheduled::changed(&row.spec)?), ..AskedFilter::default() };
        let filter = ExportFilter { tasks, schedule: Some(row.id), ..ExportFilter::default() };
        let made = self.inner.store.glance().await?.export_list(row.project, &filter, ExportOrder::CreatedBack, 0, FAILURES).await?;
        let all = made.len() == FAILURES as usize && made.iter().all(|e| e.task.status == TaskStatus::Failed);
        Ok(made.into_iter().next().filter(|_| all).map(|last| last.task.error.unwrap_or_default()))
    }
    async fn stop_schedule(&self, row: &ScheduleRow, why: &str) -> Result<()> {
        let mut tx = self.inner.store.write().await?;
        if tx.schedule_lock(row.project, row.id).await?.as_ref() != Some(row) {
            return Ok(());
        }
        tx.schedule_update(&ScheduleRow { active: false, ..row.clone() }).await?;
        let metadata = Map::from_iter([("reason".to_owned(), why.into()), ("asked_by".to_owned(), read_json(&row.asked_by)?)]);
        let fact = Fact { action: "schedule.stopped", target: Some(("schedule", row.id.to_string(), Some(&row.name))), metadata, ..Fact::default() };
        self.audit(&mut tx, row.project, &Who::Server, &fact).await?;
        tx.commit().await
    }
}
