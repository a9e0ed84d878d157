//! What is derived from blobs, in memory.

use async_trait::async_trait;
use bytes::Bytes;

use super::MemoryStore;
use crate::blobs::derived::{DerivedKind, DerivedStore, MAX_DERIVED_BYTES};
use crate::blobs::{BlobError, Operation};
use crate::model::BlobHash;

/// Fails as reads, writes and deletions of copies are asked to.
#[async_trait]
impl DerivedStore for MemoryStore {
    async fn get_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<Option<Bytes>, BlobError> {
        self.faults.apply(Operation::Read, || Ok(self.state().derived.get(&(kind, *of)).cloned()))
    }

    async fn put_derived(&self, kind: DerivedKind, of: &BlobHash, bytes: Bytes) -> Result<(), BlobError> {
        if bytes.len() > MAX_DERIVED_BYTES {
            return Err(BlobError::Internal { reason: "something derived of more bytes than it may have" });
        }
        self.faults.apply(Operation::Write, || {
            self.state().derived.insert((kind, *of), bytes);
            Ok(())
        })
    }

    async fn delete_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<(), BlobError> {
        self.faults.apply(Operation::Delete, || {
            self.state().derived.remove(&(kind, *of));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::derived_contract::keeps_what_is_derived;

    #[tokio::test]
    async fn it_does_what_such_a_store_does() {
        keeps_what_is_derived(&MemoryStore::new()).await;
    }
}
