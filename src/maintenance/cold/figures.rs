//! What came of recompressing, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// What came of one photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColdOutcome {
    /// It is recompressed.
    Recompressed {
        /// By how much its copy is smaller.
        saved_bytes: u64,
    },
    /// It would hardly be smaller.
    NoGain,
    /// The codec does not take it, or did not give it back as it was; or its copy is bad.
    Failed,
    /// It is again as it was.
    Undone,
    /// Its row had moved on meanwhile: nothing has changed.
    Stale,
}

/// How many since the start. Shared by whoever counts and whoever reads.
#[derive(Debug, Default)]
pub struct ColdFigures {
    recompressed: AtomicU64,
    no_gain: AtomicU64,
    failed: AtomicU64,
    undone: AtomicU64,
    saved_bytes: AtomicU64,
}

impl ColdFigures {
    pub(super) fn count(&self, outcome: ColdOutcome) {
        let figure = match outcome {
            ColdOutcome::Recompressed { saved_bytes } => {
                self.saved_bytes.fetch_add(saved_bytes, Ordering::Relaxed);
                &self.recompressed
            }
            ColdOutcome::NoGain => &self.no_gain,
            ColdOutcome::Failed => &self.failed,
            ColdOutcome::Undone => &self.undone,
            ColdOutcome::Stale => return,
        };
        figure.fetch_add(1, Ordering::Relaxed);
    }

    /// Photos by what came of them.
    pub fn outcomes(&self) -> [(&'static str, u64); 4] {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        [
            ("recompressed", read(&self.recompressed)),
            ("no_gain", read(&self.no_gain)),
            ("failed", read(&self.failed)),
            ("undone", read(&self.undone)),
        ]
    }

    /// By how many bytes copies are smaller than those that they took the place of.
    pub fn saved_bytes(&self) -> u64 {
        self.saved_bytes.load(Ordering::Relaxed)
    }
}
