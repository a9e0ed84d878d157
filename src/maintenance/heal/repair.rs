//! Finding good bytes, and writing them anew.

use std::sync::Arc;

use super::{HealError, HealOutcome, Healer};
use crate::blobs::{BlobError, BlobStore, Content, Home, copy_bytes, look};
use crate::metadata::{BlobRow, Encoding, NewBlob, Swapped};
use crate::model::BlobKey;

/// A copy that is good.
#[derive(Debug)]
pub(super) struct Good {
    pub(super) store: Arc<dyn BlobStore>,
    pub(super) key: BlobKey,
}

impl Healer {
    /// Any other copy of the blob that lies there as it came: one that was replaced, and is not deleted yet.
    pub(super) async fn find_another(&self, row: &BlobRow, first: &Home, second: Option<&Home>) -> Result<Option<Good>, HealError> {
        let content = Content::raw(row.key.hash);
        for home in [Some(first), second].into_iter().flatten() {
            for key in home.blobs.copies(&row.key.hash).await?.into_iter().filter(|key| *key != row.key) {
                if look(&*home.blobs, &key, &content).await?.is_good() {
                    return Ok(Some(Good { store: home.blobs.clone(), key }));
                }
            }
        }
        Ok(None)
    }

    /// Writes the blob anew under a key of its own, to wherever blobs are written, and has the row name that copy. Where this ends before, the key is
    /// queued for deletion. `content`: what the bytes of the good copy are.
    pub(super) async fn repair(&self, row: &BlobRow, good: Good, content: Content) -> Result<HealOutcome, HealError> {
        let source = good.store.open(&good.key).await?;
        let size_bytes = source.size_bytes();
        let in_flight = self.metadata.begin_copy(row.key.hash);
        let key = in_flight.key();
        let mut staged = self.store.stage(Some(size_bytes)).await?;
        copy_bytes(&*source, &mut *staged).await?;
        if staged.digests().await?.hash != content.written() {
            staged.discard().await;
            // It was good a moment ago: looked at once more.
            return Err(changed().into());
        }
        staged.publish_as(&key, &content).await?;
        if !look(&self.store, &key, &content).await?.is_good() {
            return Err(BlobError::Refused { reason: "a copy that was just written does not read back".to_owned() }.into());
        }
        let is_raw = content == Content::raw(row.key.hash);
        let (encoding, stored_hash) = if is_raw { (Encoding::Raw, None) } else { (row.encoding, row.stored_hash) };
        let raw = NewBlob::raw(key, row.size_bytes, row.sha256, row.crc32);
        let (new, from) = (NewBlob { encoding, stored_bytes: size_bytes, stored_hash, ..raw }, row.key);
        let swapped = self.metadata.write("heal", move |tx| tx.swap_blob(&in_flight, from, new)).await?;
        Ok(if swapped == Swapped::Named { HealOutcome::Repaired } else { HealOutcome::Stale })
    }
}

fn changed() -> BlobError {
    BlobError::Refused { reason: "a copy that was good has changed".to_owned() }
}
