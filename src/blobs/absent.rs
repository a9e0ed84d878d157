//! A store that is known of, and is not there yet.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::error::INVENTORY_ENDED;
use super::store::{BlobRead, BlobStore, Deletion, Inventory, InventoryItem, Marker, Staged, Usage};
use super::{BlobError, DerivedKind, DerivedStore, Home};
use crate::model::{BlobHash, BlobKey};

/// Stands for a store that could not be opened: every call fails with [`BlobError::Away`]. So what must reach that store, such as a deletion, is not
/// taken for done.
#[derive(Debug, Clone, Copy)]
pub struct AbsentStore;

impl AbsentStore {
    /// A home that is away.
    pub fn home() -> Home {
        Home { blobs: Arc::new(Self), derived: Arc::new(Self) }
    }
}

#[async_trait]
impl BlobStore for AbsentStore {
    async fn stage(&self, _expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
        Err(BlobError::Away)
    }

    async fn open(&self, _key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        Err(BlobError::Away)
    }

    async fn copies(&self, _hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        Err(BlobError::Away)
    }

    async fn delete(&self, _key: &BlobKey) -> Result<Deletion, BlobError> {
        Err(BlobError::Away)
    }

    fn inventory(&self) -> Box<dyn Inventory> {
        Box::new(AbsentInventory { was_asked: false })
    }

    async fn marker(&self) -> Result<Option<Marker>, BlobError> {
        Err(BlobError::Away)
    }

    async fn claim(&self, _expected: Option<Marker>, _new: Marker) -> Result<(), BlobError> {
        Err(BlobError::Away)
    }

    async fn probe(&self) -> Result<(), BlobError> {
        Err(BlobError::Away)
    }

    async fn usage(&self) -> Result<Option<Usage>, BlobError> {
        Err(BlobError::Away)
    }
}

#[async_trait]
impl DerivedStore for AbsentStore {
    async fn get_derived(&self, _kind: DerivedKind, _of: &BlobHash) -> Result<Option<Bytes>, BlobError> {
        Err(BlobError::Away)
    }

    async fn put_derived(&self, _kind: DerivedKind, _of: &BlobHash, _bytes: Bytes) -> Result<(), BlobError> {
        Err(BlobError::Away)
    }

    async fn delete_derived(&self, _kind: DerivedKind, _of: &BlobHash) -> Result<(), BlobError> {
        Err(BlobError::Away)
    }
}

struct AbsentInventory {
    was_asked: bool,
}

#[async_trait]
impl Inventory for AbsentInventory {
    async fn next(&mut self) -> Result<Option<Vec<InventoryItem>>, BlobError> {
        Err(if std::mem::replace(&mut self.was_asked, true) { INVENTORY_ENDED } else { BlobError::Away })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::contract::{bytes, inventory, key, put};
    use crate::blobs::{MemoryStore, MovableStore, Needs};

    #[tokio::test]
    async fn beside_a_store_it_is_missed_and_holds_up_deletions() {
        let first = MemoryStore::new();
        let home = Home { blobs: Arc::new(first.clone()), derived: Arc::new(first.clone()) };
        let store = MovableStore::new(home.clone());
        store.pair(home.clone(), AbsentStore::home(), Needs::First);
        let one = put(&store, &bytes(1, 1000), 1).await.unwrap();
        assert_eq!(store.missed().len(), 1);
        assert!(store.open(&one).await.is_ok());
        assert!(matches!(store.delete(&one).await, Err(BlobError::Away)));
        assert!(matches!(store.delete_derived(DerivedKind::Preview, &one.hash).await, Err(BlobError::Away)));
        assert!(matches!(store.marker().await, Err(BlobError::Away)), "so nothing is deleted at all");
        assert!(matches!(inventory(&AbsentStore).await, Err(BlobError::Away)), "which is not to be taken for an empty one");
        assert!(first.open(&one).await.is_ok());
        assert!(matches!(store.open(&key(b"never", 1)).await, Err(BlobError::NotFound)));
        assert!(store.probe().await.is_ok());
        store.pair(home.clone(), AbsentStore::home(), Needs::Both);
        assert!(matches!(put(&store, &bytes(2, 1000), 1).await, Err(BlobError::Away)));
        assert!(store.probe().await.is_ok(), "photos are served all the same");
    }
}
