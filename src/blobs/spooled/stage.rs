//! Receiving a copy: on the local disk, or in memory, whichever place it goes to then.

use async_trait::async_trait;
use bytes::Bytes;

use super::SpooledStore;
use crate::blobs::disk::DiskStaged;
use crate::blobs::{BlobError, Content, Digests, Staged};
use crate::model::BlobKey;

/// A copy being received.
pub(super) struct SpooledStaged {
    store: SpooledStore,
    staged: Box<DiskStaged>,
}

impl SpooledStaged {
    pub(super) fn new(store: SpooledStore, staged: DiskStaged) -> Self {
        Self { store, staged: Box::new(staged) }
    }
}

#[async_trait]
impl Staged for SpooledStaged {
    async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        self.staged.write(chunk).await
    }

    async fn digests(&mut self) -> Result<Digests, BlobError> {
        self.staged.digests().await
    }

    async fn contents(&mut self) -> Result<Bytes, BlobError> {
        self.staged.contents().await
    }

    async fn publish_as(self: Box<Self>, key: &BlobKey, content: &Content) -> Result<(), BlobError> {
        let Self { store, mut staged } = *self;
        let put = match store.service() {
            Some(service) => service.put_staged(&mut staged, key, content).await,
            None => Err(BlobError::Away),
        };
        match put {
            Ok(()) => {
                staged.discard().await;
                Ok(())
            }
            Err(error) if super::is_away(&error) => store.publish_here(staged, key, content, error).await,
            Err(error) => {
                staged.discard().await;
                Err(error)
            }
        }
    }

    async fn discard(self: Box<Self>) {
        self.staged.discard().await;
    }
}

impl SpooledStore {
    /// Publishes a copy on the local disk that the service did not take, for this reason. It may have taken it all the same: the same bytes under
    /// the same key.
    async fn publish_here(&self, mut staged: Box<DiskStaged>, key: &BlobKey, content: &Content, why: BlobError) -> Result<(), BlobError> {
        let digests = staged.digests().await?;
        content.require(key, &digests)?;
        // A recompressed copy can wait: its photo is there. And of what waits nothing but the key says what it is.
        let may_wait = self.0.settings.takes && *content == Content::raw(key.hash);
        if !may_wait || !self.0.backlog.add(*key, digests.size_bytes, self.0.settings.max_bytes)? {
            staged.discard().await;
            return Err(why);
        }
        let published = staged.publish_as(key, content).await;
        match &published {
            Ok(()) => tracing::debug!(%key, %why, "kept on the local disk until the object store takes it"),
            // What is there of it all the same goes with the key's deletion.
            Err(_) => self.0.backlog.remove(key),
        }
        published
    }
}
