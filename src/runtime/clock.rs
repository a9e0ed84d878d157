//! Wall and monotonic time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time: the system's, or one that a test moves by hand. Cheap to clone; clones of a manual clock move together.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System { started: Instant },
    Manual { unix_ms: Arc<AtomicU64>, start_unix_ms: u64 },
}

#[allow(clippy::disallowed_methods)] // The one place that asks the system for the time.
impl Clock {
    /// The system's clocks.
    pub fn system() -> Self {
        Self(Kind::System { started: Instant::now() })
    }

    /// A clock that stands at `unix_ms` until [`Clock::advance`] moves it.
    pub fn manual(unix_ms: u64) -> Self {
        Self(Kind::Manual { unix_ms: Arc::new(AtomicU64::new(unix_ms)), start_unix_ms: unix_ms })
    }

    /// Wall clock time in milliseconds since the Unix epoch. May jump and go backwards.
    pub fn unix_ms(&self) -> u64 {
        match &self.0 {
            Kind::System { .. } => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis().try_into().unwrap_or(u64::MAX))
            }
            Kind::Manual { unix_ms, .. } => unix_ms.load(Ordering::SeqCst),
        }
    }

    /// Time since this clock was made; never goes backwards.
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Kind::System { started } => started.elapsed(),
            Kind::Manual { unix_ms, start_unix_ms } => Duration::from_millis(unix_ms.load(Ordering::SeqCst).saturating_sub(*start_unix_ms)),
        }
    }

    /// Moves a manual clock forward. Does nothing to the system's.
    pub fn advance(&self, by: Duration) {
        if let Kind::Manual { unix_ms, .. } = &self.0 {
            unix_ms.fetch_add(by.as_millis().try_into().unwrap_or(u64::MAX), Ordering::SeqCst);
        }
    }
}
