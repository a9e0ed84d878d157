//! A copy that takes another's place: the same blob in another encoding. "Swap" of the protocols.

use super::MetadataError;
use super::blob_life::NewBlob;
use super::column::Blobs;
use super::flight::InFlight;
use super::read::Read;
use super::record::{StaysRaw, StoredBlob};
use super::table;
use super::transaction::Transaction;
use crate::model::BlobKey;

/// What became of a copy that was to take another's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// It counts now; the other is queued for deletion.
    Named,
    /// The row had moved on; this one is queued for deletion.
    Stale,
}

impl Transaction<'_> {
    /// Step 3 of a swap: where the row still names `from`, which the bytes were read from, it names the durable copy in flight from now on, and the
    /// other is queued for deletion; else the new one is. Either way the copy leaves the flight with this commit.
    ///
    /// # Errors
    /// [`MetadataError::NotInFlight`] where `blob.key` is not the copy of `in_flight`, or was placed before.
    pub fn swap_blob(&mut self, in_flight: &InFlight, from: BlobKey, blob: NewBlob) -> Result<Swapped, MetadataError> {
        let row = self.standing(in_flight, blob.key)?;
        if row.is_none_or(|row| row.key != from) {
            self.queue_deletion(blob.key, false)?;
            self.landed.push(blob.key);
            return Ok(Swapped::Stale);
        }
        self.name_copy(row, blob)?;
        Ok(Swapped::Named)
    }

    /// Remembers that the blob is better left as it is, where the row still names this copy. Answers whether it does.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn set_stays_raw(&mut self, key: BlobKey, stays_raw: StaysRaw) -> Result<bool, MetadataError> {
        self.guard(|tx| {
            let Some(stored) = table::get::<Blobs>(tx.source(), &key.hash)?.filter(|stored| stored.nonce == key.nonce) else {
                return Ok(false);
            };
            tx.overlay.put::<Blobs>(&key.hash, &StoredBlob { stays_raw: Some(stays_raw), ..stored });
            Ok(true)
        })
    }
}
