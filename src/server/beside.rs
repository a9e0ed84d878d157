//! A second store beside the one that is relied on: where the blobs go, where they were, or a mirror.

use bytes::Bytes;

use super::ServerError;
use super::backend::{Backend, Opener};
use super::claim::Claim;
use crate::blobs::{BlobError, BlobStore as _, DiskPools, Home};
use crate::config::{BlobsUrl, Config};
use crate::metadata::Metadata;
use crate::model::BlobHash;
use crate::runtime::Runtime;

/// What opens a second store for a site.
#[derive(Debug, Clone)]
pub(super) struct Beside {
    pub(super) config: Config,
    pub(super) runtime: Runtime,
    pub(super) metadata: Metadata,
    pub(super) claim: Claim,
    pub(super) pools: DiskPools,
}

impl Beside {
    /// Opens it and claims it as the site's, as its `home` is. `known`: it was before.
    pub(super) async fn open(&self, url: BlobsUrl, home: &Home, known: bool) -> Result<Home, ServerError> {
        let mut config = self.config.clone();
        config.storage.blobs = url;
        let opener = Opener::of(&self.metadata)?;
        let backend = Backend::open_beside(&config, &self.runtime, opener, self.pools.clone(), known).await?;
        let store = backend.store();
        let mut own = self.claim.look(&*home.blobs).await;
        let found = store.marker().await?;
        if let Some(later) = found.filter(|found| found.epoch > own.epoch) {
            // It was home before, or home was set up anew: the one that is relied on goes past it.
            own = self.claim.go_past(&*home.blobs, later).await?;
        }
        if found != Some(own) {
            store.claim(found, own).await?;
        }
        backend.sweep().await?;
        Ok(backend.home())
    }

    /// Whether what is put into `other` is found in `home`: the same place may have two URLs, and what is thought to be a copy would be the only one.
    pub(super) async fn is_same_place(&self, home: &Home, other: &Home) -> Result<bool, BlobError> {
        let probe = Bytes::from(self.runtime.random.bytes::<32>().to_vec());
        // In flight: so it is deleted, also where this ends half way.
        let in_flight = self.metadata.begin_copy(BlobHash::of(&probe));
        let key = in_flight.key();
        let mut staged = other.blobs.stage(Some(probe.len() as u64)).await?;
        staged.write(probe).await?;
        staged.publish(&key).await?;
        let found = home.blobs.stored_bytes(&key).await;
        other.blobs.delete(&key).await?;
        match found {
            Ok(_) => Ok(true),
            Err(BlobError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
