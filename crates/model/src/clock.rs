//! The one source of time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::time::Timestamp;

/// Tells the time: the system's, or a fixed one that tests move by hand.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The operating system's wall clock. It may step back; nothing here relies on it not to.
    System,
    /// A clock that stands still until [`Clock::advance`] is called.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at`.
    pub fn fixed(at: Timestamp) -> Self {
        Self::Fixed(Arc::new(AtomicI64::new(at.micros())))
    }
    /// Now, in microseconds since the Unix epoch, UTC.
    #[expect(clippy::disallowed_methods, reason = "the one place that may read the system clock")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                let micros = match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
                    Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
                    Err(_) => 0,
                };
                Timestamp::clamped(micros)
            }
            Self::Fixed(micros) => Timestamp::clamped(micros.load(Ordering::SeqCst)),
        }
    }
    /// Moves a fixed clock by `micros` (may be negative); no effect on the system clock.
    pub fn advance(&self, micros: i64) {
        if let Self::Fixed(now) = self {
            now.fetch_add(micros, Ordering::SeqCst);
        }
    }
}
