//! Who does the tasks: one dispatcher a node, and as many at a time as the settings allow.
//!
//! Promises: a lease is prolonged while work goes on and lost if that fails; what fails because something is away is tried again with growing pauses; what
//! cannot succeed fails once. Never: holds a transaction while it works.

use std::sync::{Arc, Weak};
use std::time::Duration;

use indelible_model::{Error, Kind, Result, Timestamp};
use indelible_store::{AskedTask, TaskFile, TaskStatus, WriteTx};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::AskedKind;
use crate::{Inner, Service, die_on_failed_sync};

/// Pause after a failure, times the attempts.
const RETRY_MICROS: i64 = 2_000_000;
const RETRY_MOST_MICROS: i64 = 60_000_000;
/// Attempts after which a task fails for good: with the pauses, more than an hour and a half.
const ATTEMPTS: u64 = 100;
/// Attempts of which nobody lived to tell, after which a task is not tried again.
const DEATHS: u64 = 10;
/// How often progress is written, and a wish to stop is seen.
const PROGRESS: Duration = Duration::from_secs(1);

/// What came of a task: published together.
pub(crate) struct Made {
    pub(crate) result: Value,
    pub(crate) files: Vec<TaskFile>,
}

/// A task that is being worked on.
pub(crate) struct Running {
    pub(crate) service: Service,
    pub(crate) task: AskedTask,
    /// What was done, of a task that ends without success but not without effect.
    pub(crate) so_far: Option<Made>,
    /// The last sign of life.
    alive: Timestamp,
}

impl Running {
    /// A sign of life and how far the work is, of a hundred, if the last one is some time ago. Fails if the task was taken away, or shall stop.
    pub(crate) async fn keep(&mut self, progress: u64) -> Result<()> {
        let now = self.service.inner.clock.now();
        if now.micros().abs_diff(self.alive.micros()) < self.service.beat().as_micros() as u64 {
            return Ok(());
        }
        match self.beat(progress, now).await {
            // While the lease lives, a database that is away takes nothing from us.
            Err(e) if matches!(e.kind(), Kind::Unavailable(_)) && now.micros().saturating_sub(self.alive.micros()) < self.service.inner.lease_micros() => Ok(()),
            beaten => beaten,
        }
    }
    async fn beat(&mut self, progress: u64, now: Timestamp) -> Result<()> {
        let inner = &self.service.inner;
        let until = Timestamp::clamped(now.micros() + inner.lease_micros());
        let mut tx = inner.store.write().await?;
        let cancel = tx.asked_heartbeat(&self.task, progress.min(99), now, until).await?.ok_or_else(lost)?;
        tx.commit().await?;
        self.alive = now;
        self.task.cancel = cancel;
        if cancel { Err(cancelled()) } else { Ok(()) }
    }
    /// Fails unless the task is still ours: before what another's work must not be mixed with.
    pub(crate) async fn confirm(&mut self) -> Result<()> {
        let now = self.service.inner.clock.now();
        self.beat(0, now).await
    }
    /// Does `work`, with signs of life meanwhile.
    pub(crate) async fn during<T>(&mut self, progress: u64, work: impl Future<Output = T>) -> Result<T> {
        let pause = self.service.beat();
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(pause) => self.keep(progress).await?,
            }
        }
    }
}

fn cancelled() -> Error {
    Error::new(Kind::Conflict, "The task was cancelled.")
}

fn lost() -> Error {
    Error::internal("the task's lease was lost")
}

/// Starts the dispatcher; it ends when the service is gone.
pub(crate) fn start(service: &Arc<Inner>) {
    let weak = Arc::downgrade(service);
    let slots = Arc::new(Semaphore::new(service.config.tasks.per_node.max(1)));
    tokio::spawn(async move {
        if let Some(inner) = weak.upgrade() {
            (Service { inner }).release_own().await;
        }
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let Some(inner) = Weak::upgrade(&weak) else { return };
            let (wake, pause) = (inner.store.asked_wake().clone(), Duration::from_millis(inner.config.seal.interval_ms.max(1)));
            let service = Service { inner };
            match service.next_task().await {
                Ok(Some(task)) => {
                    tokio::spawn(async move {
                        service.run_asked(task).await;
                        // A place in the project is free: whoever waits for it need not wait for the next round.
                        service.inner.store.asked_wake().ring();
                        drop(slot);
                    });
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    die_on_failed_sync(&error);
                    tracing::warn!(%error, "tasks could not be looked up; they will be again");
                }
            }
            drop((service, slot));
            wake.wait(pause).await;
        }
    });
}

impl Service {
    /// The pause between two signs of life.
    pub(crate) fn beat(&self) -> Duration {
        PROGRESS.min(Duration::from_micros(self.inner.lease_micros().unsigned_abs() / 4))
    }
    /// A process that has the database for itself finds what it left when it died.
    async fn release_own(&self) {
        if self.inner.store.writers() > 1 {
            return;
        }
        let released = async {
            let mut tx = self.inner.store.write().await?;
            tx.asked_release_all(self.inner.clock.now()).await?;
            tx.commit().await
        };
        if let Err(error) = released.await {
            die_on_failed_sync(&error);
            tracing::warn!(%error, "tasks that were running could not be given back; they go on when their leases end");
        }
    }
    pub(crate) async fn next_task(&self) -> Result<Option<AskedTask>> {
        let now = self.inner.clock.now();
        let per_project = self.inner.config.tasks.per_project.max(1);
        if !self.inner.store.glance().await?.asked_waiting(now, per_project).await? {
            return Ok(None);
        }
        let mut tx = self.inner.store.write().await?;
        let until = Timestamp::clamped(now.micros() + self.inner.lease_micros());
        let task = tx.asked_lease(now, until, per_project).await?;
        if task.is_some() {
            tx.commit().await?;
        }
        Ok(task)
    }
    /// Works on a task and says in the database what came of it.
    pub(crate) async fn run_asked(&self, task: AskedTask) {
        let mut running = Running { service: self.clone(), task, so_far: None, alive: self.inner.clock.now() };
        let done = if running.task.cancel {
            Err(cancelled())
        } else if running.task.error.is_none() && running.task.attempts > DEATHS {
            Err(Error::new(Kind::Corrupt, format!("The server ended {DEATHS} times while it worked on this task.")))
        } else {
            work(&mut running).await
        };
        let task = &running.task;
        let ended = match done {
            Ok(made) => {
                let published = self.publish(task, &made).await;
                if task.asked.kind == AskedKind::Import.name() {
                    // What an import stored stays, also if somebody stopped it at its last moment.
                    running.so_far = Some(made);
                }
                published
            }
            Err(error) => Err(error),
        };
        let Err(error) = ended else { return };
        die_on_failed_sync(&error);
        if error.may_have_happened() {
            // The next one who leases it sees what happened.
            tracing::warn!(%error, task = %task.asked.id, "it is not known whether a task ended");
            return;
        }
        if let Err(e) = self.end_badly(task, running.so_far.as_ref(), &error).await {
            die_on_failed_sync(&e);
            tracing::warn!(error = %e, task = %task.asked.id, "the end of a task could not be noted; it will be run again when its lease ends");
        }
    }
    async fn publish(&self, task: &AskedTask, made: &Made) -> Result<()> {
        let mut tx = self.inner.store.write().await?;
        finish(&mut tx, task, TaskStatus::Done, Some(made), None, self.inner.clock.now()).await?;
        tx.commit().await
    }
    async fn end_badly(&self, task: &AskedTask, so_far: Option<&Made>, error: &Error) -> Result<()> {
        let now = self.inner.clock.now();
        // It may have been stopped after the last sign of life.
        let row = self.inner.store.glance().await?.asked_find(task.project, task.asked.id).await?;
        let cancelled = task.cancel || row.is_some_and(|row| row.cancel && row.lease == task.lease);
        if cancelled {
            self.abandon_delivery(task).await.unwrap_or_else(|error| tracing::warn!(%error, task = %task.asked.id, "an upload of a cancelled task could not be given up"));
        }
        let mut tx = self.inner.store.write().await?;
        if cancelled {
            finish(&mut tx, task, TaskStatus::Cancelled, so_far, None, now).await?;
            return tx.commit().await;
        }
        let hopeless = matches!(
            error.kind(),
            Kind::Invalid
                | Kind::Malformed
                | Kind::Forbidden
                | Kind::NotFound
                | Kind::TooLarge
                | Kind::Unsupported
                | Kind::PlanFeature
                | Kind::PlanLimit
                | Kind::QuotaExceeded(_)
                | Kind::Corrupt
        );
        self.inner.stats.asked_failures.add(1);
        if hopeless || task.attempts >= ATTEMPTS {
            tracing::warn!(%error, task = %task.asked.id, project = %task.project, kind = task.asked.kind, "a task failed");
            finish(&mut tx, task, TaskStatus::Failed, so_far, Some(error.public()), now).await?;
        } else {
            tracing::warn!(%error, task = %task.asked.id, project = %task.project, kind = task.asked.kind, attempts = task.attempts, "a task failed; it will be tried again");
            let wait = RETRY_MICROS.saturating_mul(i64::try_from(task.attempts).unwrap_or(i64::MAX)).min(RETRY_MOST_MICROS);
            tx.asked_retry(task, error.public(), now, Timestamp::clamped(now.micros() + wait)).await?;
        }
        tx.commit().await
    }
}

async fn finish(tx: &mut WriteTx, task: &AskedTask, status: TaskStatus, made: Option<&Made>, error: Option<&str>, now: Timestamp) -> Result<()> {
    for file in made.iter().flat_map(|made| &made.files) {
        if !tx.task_file_add(task.project, task.asked.id, file).await? {
            return Err(Error::internal("a task's file was collected before it was published"));
        }
    }
    let result = made.map(|made| made.result.to_string());
    if tx.asked_finish(task, status, result.as_deref(), error, now).await? { Ok(()) } else { Err(lost()) }
}

async fn work(running: &mut Running) -> Result<Made> {
    match AskedKind::parse(&running.task.asked.kind) {
        Some(AskedKind::Export) => Box::pin(crate::exports::write::run(running)).await,
        Some(AskedKind::Import) => Box::pin(crate::import::task::run(running)).await,
        None => Err(Error::corrupt("unknown kind of task")),
    }
}
