//! Receiving a copy in memory.

use async_trait::async_trait;
use bytes::Bytes;

use super::MemoryStore;
use crate::blobs::{BlobError, Content, Digests, Operation, Staged};
use crate::model::BlobKey;

const GIVEN_UP: BlobError = BlobError::Internal { reason: "the copy failed or was given up before" };

/// A copy being received; counted in the store until it is dropped.
pub(super) struct MemoryStaged {
    store: MemoryStore,
    /// `None` after a failure.
    bytes: Option<Vec<u8>>,
}

impl MemoryStaged {
    pub(super) fn new(store: MemoryStore) -> Self {
        store.state().staged += 1;
        Self { store, bytes: Some(Vec::new()) }
    }

    fn bytes(&self) -> Result<&Vec<u8>, BlobError> {
        self.bytes.as_ref().ok_or(GIVEN_UP)
    }

    /// Does `work` unless it shall fail or something has failed before; a failure gives the room back.
    fn apply<T>(&mut self, operation: Operation, work: impl FnOnce(&mut Self) -> Result<T, BlobError>) -> Result<T, BlobError> {
        self.bytes()?;
        let faults = self.store.faults.clone();
        let done = faults.apply(operation, || work(self));
        if done.is_err() {
            self.release();
        }
        done
    }

    fn append(&mut self, chunk: &[u8]) -> Result<(), BlobError> {
        let mut state = self.store.state();
        let size = chunk.len() as u64;
        if state.capacity_bytes.is_some_and(|capacity| state.used_bytes() + size > capacity) {
            return Err(BlobError::NoSpace);
        }
        state.staged_bytes += size;
        self.bytes.as_mut().ok_or(GIVEN_UP)?.extend_from_slice(chunk);
        Ok(())
    }

    fn name(&mut self, key: &BlobKey, content: &Content) -> Result<(), BlobError> {
        let bytes = Bytes::copy_from_slice(self.bytes()?);
        content.require(key, &Digests::of(&bytes))?;
        self.release();
        let mut state = self.store.state();
        if state.copies.contains_key(key) {
            return Err(BlobError::Internal { reason: "the key is taken: every copy needs a fresh one" });
        }
        state.copies.insert(*key, bytes);
        Ok(())
    }

    fn release(&mut self) {
        if let Some(bytes) = self.bytes.take() {
            self.store.state().staged_bytes -= bytes.len() as u64;
        }
    }
}

#[async_trait]
impl Staged for MemoryStaged {
    async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        self.apply(Operation::Write, |this| this.append(&chunk))
    }

    async fn digests(&mut self) -> Result<Digests, BlobError> {
        self.apply(Operation::Digests, |this| Ok(Digests::of(this.bytes()?)))
    }

    async fn contents(&mut self) -> Result<Bytes, BlobError> {
        self.apply(Operation::Contents, |this| Ok(Bytes::copy_from_slice(this.bytes()?)))
    }

    async fn publish_as(mut self: Box<Self>, key: &BlobKey, content: &Content) -> Result<(), BlobError> {
        self.apply(Operation::Publish, |this| this.name(key, content))
    }

    async fn discard(self: Box<Self>) {}
}

impl Drop for MemoryStaged {
    fn drop(&mut self) {
        self.release();
        self.store.state().staged -= 1;
    }
}
