//! Wake-ups: who waits for tasks learns that there is one, in this process or in another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The name under which nodes wake each other.
pub(crate) const CHANNEL: &str = "indelible_tasks";
/// Sends a wake-up when the transaction commits.
pub(crate) const NOTIFY: &str = "SELECT pg_notify('indelible_tasks', '')";
/// Between attempts to reach the server again.
const AGAIN: Duration = Duration::from_secs(2);

/// Tells that a task was enqueued. A hint: who misses it finds the task by asking from time to time.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Bell>);

#[derive(Debug, Default)]
struct Bell {
    rung: AtomicU64,
    heard: AtomicU64,
    notify: Notify,
}

impl Wake {
    /// Returns when a task was enqueued since the last return, or after `most`; true if it was woken.
    pub async fn wait(&self, most: Duration) -> bool {
        let notified = self.0.notify.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        let rung = self.0.rung.load(Ordering::SeqCst);
        let woken = self.0.heard.swap(rung, Ordering::SeqCst) != rung || timeout(most, notified).await.is_ok();
        self.0.heard.store(self.0.rung.load(Ordering::SeqCst), Ordering::SeqCst);
        woken
    }
    /// Wakes who waits in this process.
    pub fn ring(&self) {
        self.0.rung.fetch_add(1, Ordering::SeqCst);
        self.0.notify.notify_waiters();
    }
}

/// Hears other nodes' wake-ups, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener(JoinHandle<()>);

impl Listener {
    pub(crate) fn start(pool: PgPool, wakes: [Wake; 2]) -> Self {
        Self(tokio::spawn(async move {
            while !pool.is_closed() {
                if let Err(error) = listen(&pool, &wakes).await {
                    tracing::debug!(%error, "wake-ups from other nodes are not heard; asking from time to time");
                }
                sleep(AGAIN).await;
            }
        }))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn listen(pool: &PgPool, wakes: &[Wake]) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // What was sent before, or while the connection was gone, was not heard.
        wakes.iter().for_each(Wake::ring);
        listener.try_recv().await?;
    }
}
