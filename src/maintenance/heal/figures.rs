//! What came of repairing, for metrics and status.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::HealOutcome;

/// How many since the start. Shared by whoever counts and whoever reads.
#[derive(Debug, Default)]
pub struct HealFigures {
    repaired: AtomicU64,
    copied: AtomicU64,
    lost: AtomicU64,
    failed: AtomicU64,
    is_braked: AtomicBool,
}

impl HealFigures {
    pub(super) fn count(&self, outcome: HealOutcome) {
        let figure = match outcome {
            HealOutcome::Repaired => &self.repaired,
            HealOutcome::Copied => &self.copied,
            HealOutcome::Lost => &self.lost,
            HealOutcome::Sound | HealOutcome::Stale | HealOutcome::Braked => return,
        };
        figure.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_failure(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Answers whether it was otherwise before.
    pub(super) fn set_braked(&self, is_braked: bool) -> bool {
        self.is_braked.swap(is_braked, Ordering::Relaxed) != is_braked
    }

    /// Bad copies by what came of them.
    pub fn outcomes(&self) -> [(&'static str, u64); 4] {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        [("repaired", read(&self.repaired)), ("copied", read(&self.copied)), ("lost", read(&self.lost)), ("failed", read(&self.failed))]
    }

    /// Whether repairing has stopped for now, since too much is wrong.
    pub fn is_braked(&self) -> bool {
        self.is_braked.load(Ordering::Relaxed)
    }
}
