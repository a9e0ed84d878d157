//! A store that another process has open, to be read: nothing is locked, written or removed.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::lanes::Lanes;
use super::{DiskPools, DiskSettings, FilerSettings, Shared, read};
use crate::blobs::{BlobError, BlobRead as _};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::Runtime;

/// Reads what a site keeps in a directory. Cheap to clone.
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

    /// The bytes of a blob, whole: of any copy of this length whose bytes are those that the hash names. `None` where there is no good one.
    ///
    /// # Errors
    /// What the backend meets.
    pub async fn read(&self, hash: BlobHash, size_bytes: u64) -> Result<Option<Bytes>, BlobError> {
        for key in self.copies(hash).await? {
            match self.read_copy(key, size_bytes).await {
                Ok(Some(bytes)) => return Ok(Some(bytes)),
                // It went since it was listed, or is damaged: another may be good.
                Ok(None) | Err(BlobError::NotFound | BlobError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// What is kept for a blob, see [`crate::blobs::DerivedStore::get_derived`].
    ///
    /// # Errors
    /// What the backend meets.
    pub async fn derived(&self, of: BlobHash) -> Result<Option<Bytes>, BlobError> {
        let shared = self.shared.clone();
        self.lanes.io.run(0, move || shared.get_derived(&of)).await
    }

    async fn copies(&self, hash: BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        let shared = self.shared.clone();
        self.lanes.io.run(0, move || shared.copies(&hash)).await
    }

    async fn read_copy(&self, key: BlobKey, size_bytes: u64) -> Result<Option<Bytes>, BlobError> {
        let shared = self.shared.clone();
        let lane = self.lanes.io.clone();
        let opened = self.lanes.io.run(0, move || read::open(shared, lane, &key)).await?;
        let copy = read::DiskRead::new(opened, self.lanes.clone());
        let Some(length) = usize::try_from(size_bytes).ok().filter(|_| copy.size_bytes() == size_bytes) else { return Ok(None) };
        let bytes = copy.read_at(0, length).await?;
        let hashing = self.lanes.hashing.run(move || (BlobHash::of(&bytes) == key.hash).then_some(bytes));
        let good = hashing.await?;
        if good.is_none() {
            tracing::error!(%key, "a stored copy is damaged");
        }
        Ok(good)
    }
}
