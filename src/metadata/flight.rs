//! Copies that this run is writing. A key enters before its first byte reaches the backend under its final name, and leaves with the
//! commit that names or dooms it.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::queue::Queue;
use crate::model::BlobKey;

/// The keys in flight.
#[derive(Debug, Default)]
pub(super) struct Flight(Mutex<HashSet<BlobKey>>);

impl Flight {
    fn keys(&self) -> std::sync::MutexGuard<'_, HashSet<BlobKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this run is writing the copy.
    pub(super) fn contains(&self, key: &BlobKey) -> bool {
        self.keys().contains(key)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys().len()
    }

    /// All of them.
    pub(super) fn all(&self) -> HashSet<BlobKey> {
        self.keys().clone()
    }

    pub(super) fn enter(&self, key: BlobKey) -> bool {
        self.keys().insert(key)
    }

    /// The commit that named or doomed them is durable.
    pub(super) fn leave(&self, keys: &[BlobKey]) {
        let mut all = self.keys();
        for key in keys {
            all.remove(key);
        }
    }
}

/// A copy in flight. Cheap to clone; when the last clone goes and no commit has taken the copy, it is queued for deletion.
#[derive(Clone)]
pub struct InFlight(Arc<Guard>);

struct Guard {
    key: BlobKey,
    queue: Arc<Queue>,
}

impl InFlight {
    pub(super) fn new(key: BlobKey, queue: Arc<Queue>) -> Self {
        Self(Arc::new(Guard { key, queue }))
    }

    /// The key under which to write the copy.
    pub fn key(&self) -> BlobKey {
        self.0.key
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InFlight").field(&self.0.key).finish()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.queue.flight.contains(&self.key) {
            self.queue.abandon(self.key);
        }
    }
}
