//! A disk that failed is left alone for a while: asking it again at once would hold up every request for nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::runtime::Clock;

const LENGTH: Duration = Duration::from_secs(60);

/// Whether something is left alone for now.
#[derive(Debug)]
pub(super) struct Pause {
    clock: Clock,
    /// Monotonic, in milliseconds; 0: there was none.
    until_ms: AtomicU64,
}

impl Pause {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, until_ms: AtomicU64::new(0) }
    }

    pub(super) fn begin(&self) {
        self.until_ms.store(self.now_ms().saturating_add(LENGTH.as_millis() as u64), Ordering::Relaxed);
    }

    pub(super) fn holds(&self) -> bool {
        let until = self.until_ms.load(Ordering::Relaxed);
        until > 0 && self.now_ms() < until
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends() {
        let clock = Clock::manual(0);
        let pause = Pause::new(clock.clone());
        assert!(!pause.holds());
        pause.begin();
        assert!(pause.holds());
        clock.advance(LENGTH);
        assert!(!pause.holds());
    }
}
