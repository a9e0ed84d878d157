//! A store that another process has open, to be read: nothing is locked, written or removed.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::lanes::Lanes;
use super::{DiskPools, DiskSettings, FilerSettings, Shared, inventory, read};
use crate::blobs::store::{BlobRead, BlobStore, Deletion, Inventory, Marker, Staged, Usage};
use crate::blobs::{BlobError, DerivedKind};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::Runtime;

/// What a site keeps in a directory, for a [`crate::blobs::StoreReader`] to read. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DiskReader {
    shared: Arc<Shared>,
    lanes: Lanes,
}

impl DiskReader {
    /// Opens a store that is there; `filer`: on a filer.
    ///
    /// # Errors
    /// [`BlobError::Refused`] where there is none, or one of another layout.
    pub async fn open(root: &Path, runtime: Runtime, pools: impl Into<DiskPools>, filer: Option<FilerSettings>) -> Result<Self, BlobError> {
        let (root, lanes) = (root.to_owned(), Lanes::new(pools.into(), filer.as_ref(), &runtime.clock));
        let settings = DiskSettings { create: false, may_be_empty: false, hold_bytes: 0, gather_bytes: 0, staging_bytes: 0, filer };
        let shared = lanes.io.run_long(move || Shared::open_to_read(root, runtime, settings)).await?;
        Ok(Self { shared: Arc::new(shared), lanes })
    }

    /// What of this kind is kept for a blob, see [`crate::blobs::DerivedStore::get_derived`].
    ///
    /// # Errors
    /// What the backend meets.
    pub(in crate::blobs) async fn derived(&self, kind: DerivedKind, of: BlobHash) -> Result<Option<Bytes>, BlobError> {
        self.run(move |shared| shared.get_derived(kind, &of)).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Shared) -> Result<T, BlobError> + Send + 'static) -> Result<T, BlobError> {
        let shared = self.shared.clone();
        self.lanes.io.run(0, move || work(&shared)).await
    }

    async fn open_copy(&self, key: BlobKey) -> Result<read::DiskRead, BlobError> {
        let (shared, lane) = (self.shared.clone(), self.lanes.io.clone());
        let opened = self.lanes.io.run(0, move || read::open(shared, lane, &key)).await?;
        Ok(read::DiskRead::new(opened, self.lanes.clone()))
    }
}

const ONLY_READ: &str = "the store was opened to be read";

/// Reads and lists as a [`super::DiskStore`] does; whatever would change the store is refused.
#[async_trait]
impl BlobStore for DiskReader {
    async fn stage(&self, _expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
        Err(BlobError::Refused { reason: ONLY_READ.to_owned() })
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        Ok(Arc::new(self.open_copy(*key).await?))
    }

    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        let hash = *hash;
        self.run(move |shared| shared.copies(&hash)).await
    }

    async fn delete(&self, _key: &BlobKey) -> Result<Deletion, BlobError> {
        Err(BlobError::Refused { reason: ONLY_READ.to_owned() })
    }

    fn inventory(&self) -> Box<dyn Inventory> {
        Box::new(inventory::DiskInventory::new(self.shared.clone(), self.lanes.clone()))
    }

    async fn marker(&self) -> Result<Option<Marker>, BlobError> {
        self.run(Shared::marker).await
    }

    async fn claim(&self, _expected: Option<Marker>, _new: Marker) -> Result<(), BlobError> {
        Err(BlobError::Refused { reason: ONLY_READ.to_owned() })
    }

    async fn probe(&self) -> Result<(), BlobError> {
        Err(BlobError::Refused { reason: ONLY_READ.to_owned() })
    }

    async fn usage(&self) -> Result<Option<Usage>, BlobError> {
        self.run(|shared| shared.usage().map(Some)).await
    }
}
