//! Copies that wait to be repaired.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::blobs::{BlobError, DamageObserver};
use crate::model::BlobKey;

/// Copies that wait at once. More are told again when they are next read, or found by the next comparison.
const MAX_WAITING: usize = 100_000;

/// Copies that were found bad, each once. Shared by whoever reads and whoever repairs.
#[derive(Debug, Default)]
pub struct HealQueue {
    state: Mutex<State>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct State {
    order: VecDeque<BlobKey>,
    waiting: HashSet<BlobKey>,
}

impl HealQueue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has this copy looked at.
    pub fn add(&self, key: BlobKey) {
        let mut state = self.state();
        if state.order.len() < MAX_WAITING && state.waiting.insert(key) {
            state.order.push_back(key);
            self.notify.notify_one();
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.state().order.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until there is one. For one task alone.
    pub(super) async fn wait(&self) {
        while self.is_empty() {
            self.notify.notified().await;
        }
    }

    /// The next one.
    pub(super) fn take(&self) -> Option<BlobKey> {
        let mut state = self.state();
        let key = state.order.pop_front()?;
        state.waiting.remove(&key);
        Some(key)
    }
}

impl DamageObserver for HealQueue {
    fn is_bad(&self, key: &BlobKey, _error: &BlobError) {
        self.add(*key);
    }
}
