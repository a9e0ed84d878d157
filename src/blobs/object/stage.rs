//! Receiving a copy into the spool, then putting it whole.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload};

use super::calls::Calls;
use crate::blobs::disk::DiskStaged;
use crate::blobs::{BlobError, Content, DerivedKind, Digests, Staged, path, tree};
use crate::model::BlobKey;

/// A larger copy is put in parts of this size: S3 takes 10,000 of at least 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// Parts of one copy that are on their way at once.
const PARTS_OF_ONE: usize = 4;

/// A copy being received.
pub(super) struct ObjectStaged {
    calls: Arc<Calls>,
    spooled: Box<DiskStaged>,
}

impl ObjectStaged {
    pub(super) fn new(calls: Arc<Calls>, spooled: DiskStaged) -> Self {
        Self { calls, spooled: Box::new(spooled) }
    }
}

/// Puts what was received, which stays as it is; then the tree of a large blob, whose parts are read by it from now on.
pub(super) async fn put_staged(calls: &Calls, staged: &mut DiskStaged, key: &BlobKey, content: &Content) -> Result<(), BlobError> {
    // The breaker may have opened since the first byte.
    calls.require_here()?;
    let digests = staged.digests().await?;
    content.require(key, &digests)?;
    put_bytes(calls, staged, key, &digests).await?;
    let is_blob = digests.hash == key.hash && tree::is_kept_of(digests.size_bytes);
    if let Some(tree) = staged.tree().filter(|_| is_blob)
        && let Err(error) = calls.put_any(&calls.at(&path::derived(DerivedKind::Tree, &key.hash)), tree.to_record().into()).await
    {
        // It is made when it is first needed.
        tracing::debug!(%key, %error, "a blob's tree could not be kept");
    }
    Ok(())
}

async fn put_bytes(calls: &Calls, staged: &mut DiskStaged, key: &BlobKey, digests: &Digests) -> Result<(), BlobError> {
    let at = calls.at(&path::copy(key));
    if digests.size_bytes > PART_BYTES as u64 {
        return put_in_parts(calls, staged, &at, digests.size_bytes).await;
    }
    let _room = if staged.is_held() { None } else { Some(calls.parts.acquire().await.map_err(|_| BlobError::Closed)?) };
    let bytes = staged.contents().await?;
    calls.put_copy(&at, PutPayload::from_bytes(bytes)).await
}

/// Puts the parts side by side. What an error leaves of them no listing shows; it costs room until the bucket's rules remove it.
async fn put_in_parts(calls: &Calls, staged: &mut DiskStaged, at: &Path, size_bytes: u64) -> Result<(), BlobError> {
    let mut upload = calls.begin_parts(at).await?;
    let mut put = put_parts(calls, staged, &mut *upload, size_bytes).await;
    if put.is_ok() {
        put = calls.part("end an object in parts", 0, upload.complete()).await.map(drop);
    }
    if put.is_err() {
        let _ = calls.part("give up an object in parts", 0, upload.abort()).await;
    }
    put
}

async fn put_parts(calls: &Calls, staged: &mut DiskStaged, upload: &mut dyn MultipartUpload, size_bytes: u64) -> Result<(), BlobError> {
    let mut under_way = FuturesUnordered::new();
    let mut offset = 0;
    while offset < size_bytes {
        if under_way.len() == PARTS_OF_ONE
            && let Some(done) = under_way.next().await
        {
            let () = done?;
        }
        let room = calls.parts.clone().acquire_owned().await.map_err(|_| BlobError::Closed)?;
        let length = PART_BYTES.min(usize::try_from(size_bytes - offset).unwrap_or(usize::MAX));
        let bytes = staged.read_back(offset, length).await?;
        let part = upload.put_part(PutPayload::from_bytes(bytes));
        under_way.push(async move {
            let put = calls.part("put a part of an object", length, part).await;
            drop(room);
            put
        });
        offset += length as u64;
    }
    while let Some(done) = under_way.next().await {
        let () = done?;
    }
    Ok(())
}

#[async_trait]
impl Staged for ObjectStaged {
    async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        self.spooled.write(chunk).await
    }

    async fn digests(&mut self) -> Result<Digests, BlobError> {
        self.spooled.digests().await
    }

    async fn contents(&mut self) -> Result<Bytes, BlobError> {
        self.spooled.contents().await
    }

    async fn publish_as(mut self: Box<Self>, key: &BlobKey, content: &Content) -> Result<(), BlobError> {
        let put = put_staged(&self.calls, &mut self.spooled, key, content).await;
        self.spooled.discard().await;
        put
    }

    async fn discard(self: Box<Self>) {
        self.spooled.discard().await;
    }
}
