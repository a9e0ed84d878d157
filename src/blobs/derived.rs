//! The contract of a store of what is derived from blobs: kept beside them, and made again where it is missing.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use super::BlobError;
use crate::model::BlobHash;

/// The largest derived object, in bytes.
pub const MAX_DERIVED_BYTES: usize = 16 << 20;

/// One derived object a blob: its preview. Whoever reads one checks it: what a power cut leaves of it may be torn, and nothing here promises that it lasts.
#[async_trait]
pub trait DerivedStore: Send + Sync + Debug + 'static {
    /// What is kept for a blob; `None` where nothing is, or nothing that could have been.
    async fn get_derived(&self, of: &BlobHash) -> Result<Option<Bytes>, BlobError>;

    /// Keeps something for a blob, whatever was kept: who reads sees the old or the new. It is not synced.
    ///
    /// # Errors
    /// [`BlobError::NoSpace`] also where there is little room: that is for originals.
    async fn put_derived(&self, of: &BlobHash, bytes: Bytes) -> Result<(), BlobError>;

    /// Removes what is kept for a blob, durably.
    async fn delete_derived(&self, of: &BlobHash) -> Result<(), BlobError>;
}

#[cfg(test)]
pub(crate) mod contract {
    use super::*;
    use crate::blobs::contract::bytes;

    /// What every such store does.
    pub(crate) async fn keeps_what_is_derived(store: &dyn DerivedStore) {
        let (one, other) = (BlobHash::of(b"one"), BlobHash::of(b"other"));
        assert!(store.get_derived(&one).await.unwrap().is_none());
        store.delete_derived(&one).await.unwrap();
        for (round, length) in [0, 1, 300_000].into_iter().enumerate() {
            let kept = bytes(round as u64, length);
            store.put_derived(&one, kept.clone()).await.unwrap();
            assert_eq!(store.get_derived(&one).await.unwrap(), Some(kept), "it takes the place of what was there");
        }
        assert!(store.get_derived(&other).await.unwrap().is_none());
        let too_large = Bytes::from(vec![0; MAX_DERIVED_BYTES + 1]);
        assert!(matches!(store.put_derived(&other, too_large).await, Err(BlobError::Internal { .. })));
        store.put_derived(&other, bytes(7, 10)).await.unwrap();
        store.delete_derived(&one).await.unwrap();
        assert!(store.get_derived(&one).await.unwrap().is_none());
        assert_eq!(store.get_derived(&other).await.unwrap(), Some(bytes(7, 10)));
        store.delete_derived(&other).await.unwrap();
    }
}
