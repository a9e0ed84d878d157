//! How far a move has come.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::metadata::SiteStats;
use crate::model::BlobHash;

/// Damaged blobs that are told apart.
const MAX_DAMAGED: usize = 100_000;

/// Shared by who moves and who looks on.
#[derive(Debug, Default)]
pub struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    told: MoveProgress,
    damaged: BTreeSet<BlobHash>,
}

/// What is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MoveProgress {
    /// `copying`, `verifying`, `switching`.
    pub phase: &'static str,
    /// Blobs that were looked at, and how many there were at the beginning.
    pub blobs: u64,
    /// See there.
    pub total_blobs: u64,
    /// Bytes of these, and of all at the beginning.
    pub bytes: u64,
    /// See there.
    pub total_bytes: u64,
    /// Bytes that were copied, since the server has started.
    pub copied_bytes: u64,
    /// Time that copying has taken since then.
    pub elapsed: Duration,
    /// Blobs that are damaged.
    pub damaged: u64,
    /// What keeps it from going on just now.
    pub error: Option<String>,
}

/// What is damaged.
pub(super) struct Damaged {
    pub(super) count: u64,
    pub(super) first: Option<BlobHash>,
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it has come.
    pub fn told(&self) -> MoveProgress {
        self.state().told.clone()
    }

    pub(in crate::maintenance) fn begin(&self, stats: &SiteStats) {
        let told = MoveProgress { phase: "copying", total_blobs: stats.blobs, total_bytes: stats.stored_bytes, ..MoveProgress::default() };
        *self.state() = State { told, damaged: BTreeSet::new() };
    }

    pub(in crate::maintenance) fn set_phase(&self, phase: &'static str) {
        self.state().told.phase = phase;
    }

    pub(super) fn set_error(&self, error: Option<String>) {
        self.state().told.error = error;
    }

    /// Starts to count a walk anew from `blobs` blobs.
    pub(in crate::maintenance) fn passed(&self, bytes: u64, copied_bytes: u64) {
        let told = &mut self.state().told;
        told.blobs += 1;
        told.bytes += bytes;
        told.copied_bytes += copied_bytes;
    }

    pub(in crate::maintenance) fn took(&self, elapsed: Duration) {
        self.state().told.elapsed = elapsed;
    }

    pub(super) fn note_damaged(&self, hash: BlobHash) {
        let mut state = self.state();
        if state.damaged.len() < MAX_DAMAGED {
            state.damaged.insert(hash);
        }
        state.told.damaged = state.damaged.len() as u64;
    }

    pub(super) fn note_sound(&self, hash: &BlobHash) {
        let mut state = self.state();
        state.damaged.remove(hash);
        state.told.damaged = state.damaged.len() as u64;
    }

    pub(super) fn damaged(&self) -> Damaged {
        let state = self.state();
        Damaged { count: state.damaged.len() as u64, first: state.damaged.first().copied() }
    }
}
