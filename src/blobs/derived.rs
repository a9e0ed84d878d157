//! The contract of a store of what is derived from blobs: kept beside them, and made again where it is missing.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use super::{BlobError, tree};
use crate::model::BlobHash;

/// The largest derived object, in bytes.
pub const MAX_DERIVED_BYTES: usize = 16 << 20;

/// What is derived from blobs: one object of each kind a blob, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DerivedKind {
    /// What small renditions of a photo are made from.
    Preview,
    /// What parts of a large blob are checked by ([`tree`]).
    Tree,
}

impl DerivedKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Preview, Self::Tree];

    /// Whether a blob of this length may have one.
    pub fn may_be_of(self, size_bytes: u64) -> bool {
        match self {
            Self::Preview => true,
            Self::Tree => tree::is_kept_of(size_bytes),
        }
    }
}

/// Objects that are derived from blobs. Whoever reads one checks it: what a power cut leaves of it may be torn, and nothing here promises that it lasts.
#[async_trait]
pub trait DerivedStore: Send + Sync + Debug + 'static {
    /// What of this kind is kept for a blob; `None` where nothing is, or nothing that could have been.
    async fn get_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<Option<Bytes>, BlobError>;

    /// Keeps something for a blob, whatever was kept: who reads sees the old or the new. It is not synced.
    ///
    /// # Errors
    /// [`BlobError::NoSpace`] also where there is little room: that is for originals.
    async fn put_derived(&self, kind: DerivedKind, of: &BlobHash, bytes: Bytes) -> Result<(), BlobError>;

    /// Removes what is kept for a blob, durably.
    async fn delete_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<(), BlobError>;
}

#[cfg(test)]
pub(crate) mod contract {
    use super::*;
    use crate::blobs::contract::bytes;

    /// What every such store does.
    pub(crate) async fn keeps_what_is_derived(store: &dyn DerivedStore) {
        for kind in DerivedKind::ALL {
            keeps_a_kind(store, kind).await;
        }
        let hash = BlobHash::of(b"one");
        for (seed, kind) in DerivedKind::ALL.into_iter().enumerate() {
            store.put_derived(kind, &hash, bytes(seed as u64, 10)).await.unwrap();
        }
        for (seed, kind) in DerivedKind::ALL.into_iter().enumerate() {
            assert_eq!(store.get_derived(kind, &hash).await.unwrap(), Some(bytes(seed as u64, 10)), "kinds are apart");
            store.delete_derived(kind, &hash).await.unwrap();
            assert!(store.get_derived(kind, &hash).await.unwrap().is_none());
        }
    }

    async fn keeps_a_kind(store: &dyn DerivedStore, kind: DerivedKind) {
        let (one, other) = (BlobHash::of(b"one"), BlobHash::of(b"other"));
        assert!(store.get_derived(kind, &one).await.unwrap().is_none());
        store.delete_derived(kind, &one).await.unwrap();
        for (round, length) in [0, 1, 300_000].into_iter().enumerate() {
            let kept = bytes(round as u64, length);
            store.put_derived(kind, &one, kept.clone()).await.unwrap();
            assert_eq!(store.get_derived(kind, &one).await.unwrap(), Some(kept), "it takes the place of what was there");
        }
        assert!(store.get_derived(kind, &other).await.unwrap().is_none());
        let too_large = Bytes::from(vec![0; MAX_DERIVED_BYTES + 1]);
        assert!(matches!(store.put_derived(kind, &other, too_large).await, Err(BlobError::Internal { .. })));
        store.put_derived(kind, &other, bytes(7, 10)).await.unwrap();
        store.delete_derived(kind, &one).await.unwrap();
        assert!(store.get_derived(kind, &one).await.unwrap().is_none());
        assert_eq!(store.get_derived(kind, &other).await.unwrap(), Some(bytes(7, 10)));
        store.delete_derived(kind, &other).await.unwrap();
    }
}
