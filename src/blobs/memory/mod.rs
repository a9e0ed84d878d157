//! Blobs in memory, with faults on demand: the twin of the disk store for tests and simulations.

mod derived;
mod faults;
mod stage;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

pub use self::faults::Faults;
use self::stage::MemoryStaged;
use super::error::INVENTORY_ENDED;
use super::store::{BlobRead, BlobStore, Deletion, Inventory, InventoryItem, Marker, Staged, Usage};
use super::{BlobError, DerivedKind, Operation};
use crate::model::{BlobHash, BlobKey};

/// Items of an inventory taken under one lock.
const BATCH: usize = 1024;

/// Blobs in memory. Clones share everything, so that a test keeps one beside the store that it hands over.
///
/// Durability is a word here: everything lasts as long as a clone does. What was staged and neither published nor dropped counts against
/// the capacity, as on a disk.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct State {
    copies: BTreeMap<BlobKey, Bytes>,
    derived: BTreeMap<(DerivedKind, BlobHash), Bytes>,
    marker: Option<Marker>,
    staged: usize,
    staged_bytes: u64,
    capacity_bytes: Option<u64>,
    are_passes: bool,
    read_bytes: u64,
}

impl MemoryStore {
    /// An empty store without a limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// What shall fail.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Limits what may be stored and staged together; past it, writes are answered by [`BlobError::NoSpace`]. `None`: no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity_bytes = bytes;
    }

    /// Flips one bit of a copy; answers whether there was one with a byte.
    pub fn corrupt(&self, key: &BlobKey) -> bool {
        self.change(key, |bytes| match bytes.len() {
            0 => false,
            length => {
                bytes[length / 2] ^= 1;
                true
            }
        })
    }

    /// Cuts the last byte off a copy; answers whether there was one with a byte.
    pub fn truncate(&self, key: &BlobKey) -> bool {
        self.change(key, |bytes| bytes.pop().is_some())
    }

    /// Loses a copy without a word; answers whether it was there.
    pub fn lose(&self, key: &BlobKey) -> bool {
        self.state().copies.remove(key).is_some()
    }

    /// Puts any bytes under a key, whatever they hash to.
    pub fn put_raw(&self, key: BlobKey, bytes: Bytes) {
        self.state().copies.insert(key, bytes);
    }

    /// From now on copies are opened as over a network: their reads are passes, which may begin anywhere.
    pub fn come_in_passes(&self) {
        self.state().are_passes = true;
    }

    /// How many bytes of copies were read in all.
    pub fn read_bytes(&self) -> u64 {
        self.state().read_bytes
    }

    /// The keys of all copies, in order.
    pub fn keys(&self) -> Vec<BlobKey> {
        self.state().copies.keys().copied().collect()
    }

    /// How many copies are being received: 0 when nothing was left behind.
    pub fn staged(&self) -> usize {
        self.state().staged
    }

    fn change(&self, key: &BlobKey, change: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let mut state = self.state();
        let Some(bytes) = state.copies.get_mut(key) else { return false };
        let mut changed = bytes.to_vec();
        let done = change(&mut changed);
        *bytes = changed.into();
        done
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn used_bytes(&self) -> u64 {
        self.staged_bytes + self.copies.values().map(|bytes| bytes.len() as u64).sum::<u64>()
    }
}

#[async_trait]
impl BlobStore for MemoryStore {
    async fn stage(&self, _expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
        self.faults.apply(Operation::Stage, || Ok(Box::new(MemoryStaged::new(self.clone())) as Box<dyn Staged>))
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        self.faults.apply(Operation::Open, || {
            let state = self.state();
            let bytes = state.copies.get(key).cloned().ok_or(BlobError::NotFound)?;
            Ok(Arc::new(MemoryRead { bytes, is_pass: state.are_passes, store: self.clone() }) as Arc<dyn BlobRead>)
        })
    }

    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        self.faults.apply(Operation::Copies, || Ok(self.keys().into_iter().filter(|key| key.hash == *hash).collect()))
    }

    async fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        self.faults.apply(Operation::Delete, || Ok(if self.lose(key) { Deletion::Deleted } else { Deletion::Absent }))
    }

    fn inventory(&self) -> Box<dyn Inventory> {
        Box::new(MemoryInventory { store: self.clone(), after: None, failed: false })
    }

    async fn marker(&self) -> Result<Option<Marker>, BlobError> {
        self.faults.apply(Operation::Marker, || Ok(self.state().marker))
    }

    async fn claim(&self, expected: Option<Marker>, new: Marker) -> Result<(), BlobError> {
        self.faults.apply(Operation::Claim, || {
            let mut state = self.state();
            Marker::check_claim(state.marker, expected, new)?;
            state.marker = Some(new);
            Ok(())
        })
    }

    async fn probe(&self) -> Result<(), BlobError> {
        self.faults.apply(Operation::Probe, || {
            let state = self.state();
            match state.capacity_bytes {
                Some(capacity) if state.used_bytes() >= capacity => Err(BlobError::NoSpace),
                _ => Ok(()),
            }
        })
    }

    async fn usage(&self) -> Result<Option<Usage>, BlobError> {
        let state = self.state();
        Ok(state.capacity_bytes.map(|total| Usage { total_bytes: total, free_bytes: total.saturating_sub(state.used_bytes()) }))
    }
}

struct MemoryInventory {
    store: MemoryStore,
    after: Option<BlobKey>,
    failed: bool,
}

#[async_trait]
impl Inventory for MemoryInventory {
    async fn next(&mut self) -> Result<Option<Vec<InventoryItem>>, BlobError> {
        use std::ops::Bound::{Excluded, Unbounded};
        if self.failed {
            return Err(INVENTORY_ENDED);
        }
        let batch = self.store.faults.apply(Operation::Inventory, || {
            let from = self.after.map_or(Unbounded, Excluded);
            Ok(self.store.state().copies.range((from, Unbounded)).take(BATCH).map(|(key, bytes)| (*key, bytes.len() as u64)).collect())
        });
        let batch: Vec<_> = batch.inspect_err(|_| self.failed = true)?;
        let Some((last, _)) = batch.last() else { return Ok(None) };
        self.after = Some(*last);
        Ok(Some(batch.into_iter().map(|(key, size_bytes)| InventoryItem::Copy { key, size_bytes }).collect()))
    }
}

#[derive(Debug)]
struct MemoryRead {
    bytes: Bytes,
    is_pass: bool,
    store: MemoryStore,
}

#[async_trait]
impl BlobRead for MemoryRead {
    fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn is_sequential(&self) -> bool {
        self.is_pass
    }

    fn is_seekable(&self) -> bool {
        true
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        self.store.faults.apply(Operation::Read, || {
            let past = BlobError::Internal { reason: "a read past the end of a copy" };
            let start = usize::try_from(offset).map_err(|_| past.clone())?;
            match start.checked_add(length) {
                Some(end) if end <= self.bytes.len() => {
                    self.store.state().read_bytes += length as u64;
                    Ok(self.bytes.slice(start..end))
                }
                _ => Err(past),
            }
        })
    }
}
