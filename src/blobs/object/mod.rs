//! Blobs in an object store: S3 and what speaks like it.
//!
//! A copy is received into a bounded local spool while it is hashed (`stage`), a disk store of its own, then put whole under its key: the service's 200 is
//! what makes it durable. A put overwrites, so that it may be repeated: a key is fresh and carries the hash of its bytes, so whatever stands
//! under it has the same ones. All calls of the service go through `calls`, which bounds their time, and through a `breaker`, so that one that is away is not
//! waited for again by every request. The layout is that of the disk store (`path`), so that a store can be copied from one to the other.
//!
//! There is no lock: whoever opens a store claims a new epoch, and an earlier process finds its marker gone before it deletes anything.

mod breaker;
mod calls;
mod connect;
mod derived;
mod inventory;
mod marker;
mod open;
mod read;
mod stage;
#[cfg(test)]
pub(super) mod tests;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use self::calls::Calls;
pub use self::connect::{Connection, S3Settings, UploadChecksum};
use super::disk::DiskStaged;
use super::store::{BlobRead, BlobStore, Deletion, Inventory, Marker, Staged, Usage};
use super::{BlobError, Content, DiskStore, path};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::Runtime;

/// How an object store is used.
#[derive(Debug, Clone)]
pub struct ObjectSettings {
    /// What all names begin with, without slashes at its ends; may be empty.
    pub prefix: String,
    /// Whether a store is set up where there is none. `false` for a site that has blobs already: another bucket is then an error, not an empty store.
    pub create: bool,
    /// The longest that a call may take, repetitions and all; one that carries bytes has a second more for each MiB.
    pub deadline: std::time::Duration,
}

/// Blobs in an object store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ObjectStore {
    calls: Arc<Calls>,
    /// What uploads are received in; none where it is only looked at.
    spool: Option<DiskStore>,
    runtime: Runtime,
}

impl ObjectStore {
    /// Whether the service has failed so often lately that it is not asked until it answers again.
    pub fn is_away(&self) -> bool {
        self.calls.is_away()
    }

    /// The local store that uploads are received in.
    pub fn spool(&self) -> Option<&DiskStore> {
        self.spool.as_ref()
    }

    /// Puts what was received on a local disk, which stays as it is. After an error it may have been put all the same.
    pub(super) async fn put_staged(&self, staged: &mut DiskStaged, key: &BlobKey, content: &Content) -> Result<(), BlobError> {
        stage::put_staged(&self.calls, staged, key, content).await
    }

    fn require_spool(&self) -> Result<&DiskStore, BlobError> {
        self.spool.as_ref().ok_or(BlobError::Internal { reason: "a store that was opened to be looked at is put to" })
    }
}

#[async_trait]
impl BlobStore for ObjectStore {
    async fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
        // Nobody sends what cannot be kept.
        self.calls.require_here()?;
        Ok(Box::new(stage::ObjectStaged::new(self.calls.clone(), self.require_spool()?.stage_here(expected_bytes)?)))
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        Ok(Arc::new(read::ObjectRead::open(self.calls.clone(), *key).await?))
    }

    async fn open_part(&self, key: &BlobKey, part: Range<u64>) -> Result<Arc<dyn BlobRead>, BlobError> {
        Ok(Arc::new(read::ObjectRead::open_part(self.calls.clone(), *key, part).await?))
    }

    async fn stored_bytes(&self, key: &BlobKey) -> Result<u64, BlobError> {
        self.calls.size(&self.calls.at(&path::copy(key))).await
    }

    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        inventory::copies(&self.calls, hash).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        self.calls.delete(&self.calls.at(&path::copy(key))).await?;
        Ok(Deletion::Gone)
    }

    fn inventory(&self) -> Box<dyn Inventory> {
        Box::new(inventory::ObjectInventory::new(self.calls.clone()))
    }

    async fn marker(&self) -> Result<Option<Marker>, BlobError> {
        marker::read(&self.calls).await
    }

    async fn claim(&self, expected: Option<Marker>, new: Marker) -> Result<(), BlobError> {
        marker::claim(&self.calls, &self.runtime, expected, new).await
    }

    async fn probe(&self) -> Result<(), BlobError> {
        open::probe(&self.calls, &self.runtime).await?;
        // Uploads need both.
        self.require_spool()?.probe().await
    }

    /// Not known: such a store has no end that it tells of.
    async fn usage(&self) -> Result<Option<Usage>, BlobError> {
        Ok(None)
    }
}
