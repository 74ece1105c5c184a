//! From the outbox into the log, then out of the outbox: each fact once, because its name is its external id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Weak;
use std::time::Duration;

use indelible_model::ids::hex;
use indelible_model::{EventBatch, Kind, ProjectId, Result};
use indelible_store::OutboxRow;
use tokio::time::sleep;

use super::{AGAIN, push};
use crate::ingest::OWN;
use crate::{Inner, Service, die_on_failed_sync, in_time, patience};

/// Facts taken at once.
const FACTS: u32 = 200;
/// How long the first fact waits for others: one commit for many.
const GATHER: Duration = Duration::from_millis(50);

/// Empties the outbox whenever this process stored something in it, and from time to time, for others may have.
pub(super) async fn run(weak: Weak<Inner>) {
    loop {
        let Some(inner) = weak.upgrade() else { return };
        let wake = inner.store.outbox_wake().clone();
        let mut pause = Duration::from_millis(inner.config.seal.interval_ms.max(1));
        let service = Service { inner };
        if let Err(error) = Box::pin(service.drain_outbox()).await {
            die_on_failed_sync(&error);
            tracing::warn!(%error, "facts about the server wait in the outbox; it will be tried again");
            pause = AGAIN;
        }
        service.count_facts().await;
        drop(service);
        if wake.wait(pause).await {
            sleep(GATHER).await;
        }
    }
}

/// The event of a fact, with the fact's name.
fn named(fact: &OutboxRow) -> String {
    let inner = fact.event.trim_end().strip_suffix('}').unwrap_or(&fact.event);
    format!("{inner},\"external_id\":\"{OWN}{}\"}}", hex(&fact.digest))
}

impl Service {
    /// Brings all facts that wait into their logs.
    pub(crate) async fn drain_outbox(&self) -> Result<()> {
        let _one = self.inner.activity.draining.lock().await;
        let (mut after, mut stuck, mut failed) = (0, BTreeSet::new(), Ok(()));
        loop {
            let facts = self.inner.store.glance().await?.outbox_list(after, FACTS).await?;
            let Some(last) = facts.last() else { return failed };
            after = last.id;
            let mut projects: BTreeMap<ProjectId, Vec<OutboxRow>> = BTreeMap::new();
            for fact in facts {
                projects.entry(fact.project).or_default().push(fact);
            }
            let mut done = Vec::new();
            // What follows a fact that could not be stored waits behind it.
            for (project, facts) in projects.into_iter().filter(|(project, _)| !stuck.contains(project)).collect::<Vec<_>>() {
                match self.append_facts(project, &facts).await {
                    Ok(()) => done.extend(facts.iter().map(|f| f.id)),
                    Err(error) if error.kind() == Kind::NotFound => done.extend(facts.iter().map(|f| f.id)),
                    Err(error) => {
                        stuck.insert(project);
                        failed = Err(error);
                    }
                }
            }
            self.forget_facts(&done).await?;
        }
    }
    pub(super) async fn append_facts(&self, project: ProjectId, facts: &[OutboxRow]) -> Result<()> {
        let mut batch = EventBatch::default();
        facts.iter().for_each(|fact| push(&mut batch, &named(fact)));
        self.append_own(project, batch).await
    }
    /// Refreshes the gauge; it stays as it is while the database does not answer.
    async fn count_facts(&self) {
        let count = async { self.inner.store.glance().await?.outbox_count().await };
        if let Ok(waiting) = in_time(patience(&self.inner.store), count).await {
            self.inner.stats.outbox_facts.set(waiting);
        }
    }
    async fn forget_facts(&self, ids: &[u64]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut tx = self.inner.store.write().await?;
        tx.outbox_delete(ids).await?;
        tx.commit().await
    }
}
