//! What waits on the local disk: which copies, how much, since when, and who has one in hand. In memory; the local store's listing is what it is
//! made from at each opening.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::blobs::{BlobError, InventoryItem};
use crate::model::{BlobHash, BlobKey, BlobNonce};
use crate::runtime::Clock;

/// Copies that may wait: each takes some memory here.
const MAX_COPIES: usize = 1_000_000;

/// Copies on a local disk that wait to be put to the service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Backlog {
    state: Arc<Mutex<State>>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    copies: BTreeMap<BlobKey, Waiting>,
    bytes: u64,
    /// In hand: being put, or being deleted. One at a time has a key.
    in_hand: BTreeSet<BlobKey>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    size_bytes: u64,
    since: Duration,
    not_before: Duration,
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BacklogFigures {
    /// Copies.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long this process has known of the one that waits longest.
    pub oldest: Option<Duration>,
}

/// One who has a key in hand: nobody else puts or deletes that copy meanwhile.
#[derive(Debug)]
pub(super) struct InHand {
    backlog: Backlog,
    key: BlobKey,
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.backlog.state().in_hand.remove(&self.key);
    }
}

impl Backlog {
    pub(super) fn new(clock: Clock) -> Self {
        Self { state: Arc::default(), clock }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this copy waits.
    pub fn contains(&self, key: &BlobKey) -> bool {
        self.state().copies.contains_key(key)
    }

    /// The copies under a hash that wait, in ascending order.
    pub fn copies(&self, hash: &BlobHash) -> Vec<BlobKey> {
        let [first, last] = [[0; 12], [u8::MAX; 12]].map(|nonce| BlobKey { hash: *hash, nonce: BlobNonce::from_random(nonce) });
        self.state().copies.range(first..=last).map(|(key, _)| *key).collect()
    }

    /// How much waits.
    pub fn figures(&self) -> BacklogFigures {
        let now = self.clock.monotonic();
        let state = self.state();
        let oldest = state.copies.values().map(|waiting| waiting.since).min();
        BacklogFigures { copies: state.copies.len() as u64, bytes: state.bytes, oldest: oldest.map(|since| now.saturating_sub(since)) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state().copies.is_empty()
    }

    /// Whether there is room for a copy of this size.
    pub(super) fn has_room(&self, size_bytes: u64, max_bytes: u64) -> bool {
        let state = self.state();
        state.copies.len() < MAX_COPIES && state.bytes.saturating_add(size_bytes) <= max_bytes
    }

    /// Takes a copy in, where there is room; `Ok(false)` where there is none.
    pub(super) fn add(&self, key: BlobKey, size_bytes: u64, max_bytes: u64) -> Result<bool, BlobError> {
        let since = self.clock.monotonic();
        let mut state = self.state();
        if state.copies.contains_key(&key) {
            return Err(BlobError::Internal { reason: "the key is taken: every copy needs a fresh one" });
        }
        if state.copies.len() >= MAX_COPIES || state.bytes.saturating_add(size_bytes) > max_bytes {
            return Ok(false);
        }
        state.bytes += size_bytes;
        state.copies.insert(key, Waiting { size_bytes, since, not_before: Duration::ZERO });
        Ok(true)
    }

    /// Takes a copy in that lies there already, room or not.
    pub(super) fn found(&self, key: BlobKey, size_bytes: u64) {
        let since = self.clock.monotonic();
        let mut state = self.state();
        if state.copies.insert(key, Waiting { size_bytes, since, not_before: Duration::ZERO }).is_none() {
            state.bytes += size_bytes;
        }
    }

    pub(super) fn remove(&self, key: &BlobKey) {
        let mut state = self.state();
        if let Some(gone) = state.copies.remove(key) {
            state.bytes = state.bytes.saturating_sub(gone.size_bytes);
        }
    }

    /// Leaves a copy alone for a while.
    pub(super) fn put_off(&self, key: &BlobKey, pause: Duration) {
        let until = self.clock.monotonic() + pause;
        if let Some(waiting) = self.state().copies.get_mut(key) {
            waiting.not_before = until;
        }
    }

    /// Takes a key in hand, unless somebody has it.
    pub(super) fn take(&self, key: &BlobKey) -> Option<InHand> {
        self.state().in_hand.insert(*key).then(|| InHand { backlog: self.clone(), key: *key })
    }

    /// The copies that may be put now, in the order of their keys, `limit` at the most.
    pub(super) fn due(&self, limit: usize) -> Vec<BlobKey> {
        let now = self.clock.monotonic();
        let state = self.state();
        let due = state.copies.iter().filter(|(key, waiting)| waiting.not_before <= now && !state.in_hand.contains(*key));
        due.map(|(key, _)| *key).take(limit).collect()
    }

    /// All that wait, as a listing has them.
    pub(super) fn items(&self) -> Vec<InventoryItem> {
        let item = |(key, waiting): (&BlobKey, &Waiting)| InventoryItem::Copy { key: *key, size_bytes: waiting.size_bytes };
        self.state().copies.iter().map(item).collect()
    }
}
