//! A store that another process has open, to be read: nothing is locked, written or removed.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::lanes::Lanes;
use super::{DiskPools, DiskSettings, FilerSettings, Shared, read};
use crate::blobs::{BlobError, BlobRead, DerivedKind};
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
        let settings = DiskSettings { create: false, hold_bytes: 0, gather_bytes: 0, staging_bytes: 0, filer };
        let shared = lanes.io.run_long(move || Shared::open_to_read(root, runtime, settings)).await?;
        Ok(Self { shared: Arc::new(shared), lanes })
    }

    /// What of this kind is kept for a blob, see [`crate::blobs::DerivedStore::get_derived`].
    ///
    /// # Errors
    /// What the backend meets.
    pub(in crate::blobs) async fn derived(&self, kind: DerivedKind, of: BlobHash) -> Result<Option<Bytes>, BlobError> {
        let shared = self.shared.clone();
        self.lanes.io.run(0, move || shared.get_derived(kind, &of)).await
    }

    /// The keys of a blob's copies, see [`crate::blobs::BlobStore::copies`].
    pub(in crate::blobs) async fn copies(&self, hash: BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        let shared = self.shared.clone();
        self.lanes.io.run(0, move || shared.copies(&hash)).await
    }

    /// A copy as it is stored.
    pub(in crate::blobs) async fn open_copy(&self, key: BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        let (shared, lane) = (self.shared.clone(), self.lanes.io.clone());
        let opened = self.lanes.io.run(0, move || read::open(shared, lane, &key)).await?;
        Ok(Arc::new(read::DiskRead::new(opened, self.lanes.clone())))
    }
}
