//! What is derived from blobs, kept beside them.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use object_store::PutPayload;

use super::ObjectStore;
use crate::blobs::derived::{DerivedKind, DerivedStore, MAX_DERIVED_BYTES};
use crate::blobs::{BlobError, path};
use crate::model::BlobHash;

#[async_trait]
impl DerivedStore for ObjectStore {
    async fn get_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<Option<Bytes>, BlobError> {
        let mut reading = match self.calls.get(&self.calls.at(&path::derived(kind, of)), 0..u64::MAX, None).await {
            Ok(reading) if reading.meta.size <= MAX_DERIVED_BYTES as u64 => reading,
            Ok(_) | Err(BlobError::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = BytesMut::new();
        while let Some(piece) = self.calls.piece(&mut reading).await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(Some(bytes.freeze()))
    }

    async fn put_derived(&self, kind: DerivedKind, of: &BlobHash, bytes: Bytes) -> Result<(), BlobError> {
        if bytes.len() > MAX_DERIVED_BYTES {
            return Err(BlobError::Internal { reason: "something derived of more bytes than it may have" });
        }
        self.calls.put_any(&self.calls.at(&path::derived(kind, of)), PutPayload::from_bytes(bytes)).await
    }

    async fn delete_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<(), BlobError> {
        self.calls.delete(&self.calls.at(&path::derived(kind, of))).await
    }
}
