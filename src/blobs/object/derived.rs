//! What is derived from blobs, kept beside them.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use object_store::PutPayload;

use super::ObjectStore;
use crate::blobs::derived::{DerivedStore, MAX_DERIVED_BYTES};
use crate::blobs::{BlobError, path};
use crate::model::BlobHash;

#[async_trait]
impl DerivedStore for ObjectStore {
    async fn get_derived(&self, of: &BlobHash) -> Result<Option<Bytes>, BlobError> {
        let mut reading = match self.calls.get(&self.calls.at(&path::preview(of)), 0, None).await {
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

    async fn put_derived(&self, of: &BlobHash, bytes: Bytes) -> Result<(), BlobError> {
        if bytes.len() > MAX_DERIVED_BYTES {
            return Err(BlobError::Internal { reason: "a preview of more bytes than one may have" });
        }
        self.calls.put_any(&self.calls.at(&path::preview(of)), PutPayload::from_bytes(bytes)).await
    }

    async fn delete_derived(&self, of: &BlobHash) -> Result<(), BlobError> {
        self.calls.delete(&self.calls.at(&path::preview(of))).await
    }
}
