//! Where an edge has bytes from: the backend, where this machine can read it, else its site.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Edge, refused};
use crate::blobs::{BlobError, BlobRead, DerivedKind, DerivedStore, MAX_DERIVED_BYTES, ReadBlob};
use crate::model::BlobHash;
use crate::runtime;
use crate::service::ServiceError;

/// Until the first byte of a photo, at most.
const LATENCY: Duration = Duration::from_secs(4);
/// The slowest line to a site that is waited for.
const BYTES_PER_SECOND: u64 = 1 << 20;
/// However large a photo is.
const LONGEST: Duration = Duration::from_secs(30);

/// A blob, not yet fetched.
#[derive(Debug)]
pub(super) struct EdgeRead {
    edge: Edge,
    hash: BlobHash,
    size_bytes: u64,
}

impl EdgeRead {
    pub(super) fn new(edge: Edge, hash: BlobHash, size_bytes: u64) -> Self {
        Self { edge, hash, size_bytes }
    }
}

#[async_trait]
impl BlobRead for EdgeRead {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Fetches the whole and looks whether it is what the hash names, whatever part is asked for: renditions read all of it, once.
    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        let whole = self.edge.fetch(self.hash, self.size_bytes).await?;
        let start = usize::try_from(offset).ok().filter(|start| start.checked_add(length).is_some_and(|end| end <= whole.len()));
        let start = start.ok_or(BlobError::Internal { reason: "a read past the end of a blob" })?;
        Ok(whole.slice(start..start + length))
    }
}

impl Edge {
    async fn fetch(&self, hash: BlobHash, size_bytes: u64) -> Result<Bytes, BlobError> {
        if let Some(bytes) = self.backend_bytes(hash, size_bytes).await {
            return Ok(bytes);
        }
        let mut failed = ServiceError::Unavailable("site");
        // Bytes say themselves whether they are the right ones: any site may give them.
        for (_, site) in self.0.sites.current_first() {
            let bytes = match site.edge_bytes(hash, size_bytes, transfer_time(size_bytes)).await {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::warn!(%hash, site = site.server(), %error, "a site does not give a blob's bytes");
                    failed = refused(&error);
                    continue;
                }
            };
            if let Some(bytes) = self.0.hashing.run(move || (BlobHash::of(&bytes) == hash).then_some(bytes)).await? {
                return Ok(bytes);
            }
            tracing::warn!(%hash, site = site.server(), "a site gives other bytes than the hash names");
            failed = ServiceError::Damaged;
        }
        // How long it is was the site's word, too.
        self.0.knowledge.forget(hash);
        Err(away("fetch a blob", failed))
    }

    /// From the backend, where it gives a good copy in time.
    async fn backend_bytes(&self, hash: BlobHash, size_bytes: u64) -> Option<Bytes> {
        let read = self.0.backend.as_ref()?.read(hash, size_bytes);
        match runtime::timeout(transfer_time(size_bytes), read).await {
            Some(Ok(ReadBlob::Good(bytes))) => return Some(bytes),
            // The photos may be on their way there, or from there.
            Some(Ok(ReadBlob::Absent)) => tracing::debug!(%hash, "the backend has no copy of a blob: the site is asked"),
            // The site may have another copy, or know better what is wrong.
            Some(Ok(ReadBlob::Damaged)) => tracing::warn!(%hash, "the backend has no good copy of a blob: the site is asked"),
            // Said when it went.
            Some(Err(BlobError::Away)) => {}
            Some(Err(error)) => tracing::warn!(%hash, %error, "the backend cannot be read: the site is asked"),
            None => tracing::warn!(%hash, "the backend takes too long to give a blob: the site is asked"),
        }
        None
    }

    async fn preview_from_backend(&self, of: BlobHash) -> Option<Bytes> {
        let read = self.0.backend.as_ref()?.preview(of);
        match runtime::timeout(transfer_time(0), read).await {
            Some(Ok(preview)) => return preview,
            Some(Err(BlobError::Away)) => {}
            Some(Err(error)) => tracing::warn!(hash = %of, %error, "the backend cannot be read: the site is asked"),
            None => tracing::warn!(hash = %of, "the backend takes too long to give a preview: the site is asked"),
        }
        None
    }
}

/// How long a photo may take to come: whoever waits for its rendition has gone then.
fn transfer_time(size_bytes: u64) -> Duration {
    (LATENCY + Duration::from_secs(size_bytes / BYTES_PER_SECOND)).min(LONGEST)
}

fn away(doing: &'static str, error: ServiceError) -> BlobError {
    BlobError::Unavailable { doing, source: Arc::new(io::Error::other(error)) }
}

/// Previews as the site keeps them. An edge keeps none there: the site makes its own.
#[async_trait]
impl DerivedStore for Edge {
    async fn get_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<Option<Bytes>, BlobError> {
        match kind {
            DerivedKind::Preview => {}
            // An edge reads photos whole.
            DerivedKind::Tree => return Ok(None),
        }
        if let Some(preview) = self.preview_from_backend(*of).await {
            return Ok(Some(preview));
        }
        let site = self.0.sites.current();
        site.edge_preview(*of, MAX_DERIVED_BYTES, transfer_time(0)).await.map_err(|error| away("fetch a preview", refused(&error)))
    }

    async fn put_derived(&self, _: DerivedKind, _: &BlobHash, _: Bytes) -> Result<(), BlobError> {
        Ok(())
    }

    async fn delete_derived(&self, _: DerivedKind, _: &BlobHash) -> Result<(), BlobError> {
        Ok(())
    }
}
