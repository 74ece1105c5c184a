//! Process-wide budgets of bytes: of request bodies, and of what is read.

use std::sync::Arc;
use std::time::Duration;

use indelible_model::{Error, Kind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a request waits for room before it is turned away.
const PATIENCE: Duration = Duration::from_secs(5);
const UNIT: usize = 1024;

/// The budget.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    room: Arc<Semaphore>,
    units: usize,
}

/// Bytes taken from the budget until dropped.
#[derive(Debug)]
pub struct Reservation {
    permit: OwnedSemaphorePermit,
}

impl Reservation {
    /// Gives back what is beyond `bytes`.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        drop(self.permit.split(self.permit.num_permits().saturating_sub(bytes.div_ceil(UNIT))));
    }
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self { room: Arc::new(Semaphore::new(units)), units }
    }
    /// Takes `bytes`, waiting a little; more than the whole budget counts as the whole. [`Kind::Unavailable`] if there is no room.
    pub(crate) async fn reserve(&self, bytes: usize) -> Result<Reservation> {
        let units = u32::try_from(bytes.div_ceil(UNIT).clamp(1, self.units)).unwrap_or(u32::MAX);
        let full = || Error::new(Kind::Unavailable(1), "The server is busy with other requests. Try again shortly.");
        let permit = tokio::time::timeout(PATIENCE, Arc::clone(&self.room).acquire_many_owned(units)).await.map_err(|_| full())?.map_err(|_| full())?;
        Ok(Reservation { permit })
    }
    /// Takes `bytes` if there is room right now.
    pub(crate) fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let units = u32::try_from(bytes.div_ceil(UNIT).clamp(1, self.units)).unwrap_or(u32::MAX);
        Arc::clone(&self.room).try_acquire_many_owned(units).ok().map(|permit| Reservation { permit })
    }
}
