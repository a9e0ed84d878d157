//! A copy in another encoding that takes the place of the one that counts ("Swap" of the protocols).

use bytes::{Bytes, BytesMut};

use super::pick::CODEC;
use super::{ColdError, ColdJob, ColdOutcome};
use crate::blobs::{BlobError, BlobRead, BlobStore, Content, StaysRaw, copy_bytes, encode_cold};
use crate::metadata::{self, BlobRow, Encoding, NewBlob, StaysRawWhy, Swapped};
use crate::runtime;

/// What is read and written of an original at once.
const PIECE_BYTES: usize = 1 << 20;

impl ColdJob {
    /// Recompresses the blob of this row, and lets the row name the new copy once that was read back and gave the same bytes.
    pub(super) async fn recompress(&self, row: BlobRow) -> Result<ColdOutcome, ColdError> {
        let original = read_whole(&*self.blobs.open(&row.key).await?).await?;
        let encode = move || {
            runtime::give_way();
            encode_cold(&original)
        };
        let encoded = match self.encoding.run(encode).await? {
            Ok(encoded) => encoded,
            Err(why) => return self.keep_raw(row, why).await,
        };
        let container = encoded.bytes().clone();
        let new = NewBlob {
            encoding: Encoding::Lepton(CODEC),
            stored_bytes: container.len() as u64,
            stored_hash: Some(encoded.content().written()),
            ..NewBlob::raw(row.key, row.size_bytes, row.sha256, row.crc32)
        };
        let saved_bytes = row.stored_bytes.saturating_sub(new.stored_bytes);
        let pieces = Pieces::Whole(container);
        Ok(match self.swap(row, new, *encoded.content(), pieces).await? {
            Swapped::Named => ColdOutcome::Recompressed { saved_bytes },
            Swapped::Stale => ColdOutcome::Stale,
        })
    }

    /// The way back.
    pub(super) async fn undo(&self, row: BlobRow) -> Result<ColdOutcome, ColdError> {
        let reader = self.blobs.open(&row.key).await?;
        let new = NewBlob::raw(row.key, row.size_bytes, row.sha256, row.crc32);
        Ok(match self.swap(row, new, Content::raw(row.key.hash), Pieces::Of(&*reader)).await? {
            Swapped::Named => ColdOutcome::Undone,
            Swapped::Stale => ColdOutcome::Stale,
        })
    }

    /// Writes a copy under a key of its own, reads it back, and commits it. Where this ends before, the key is queued for deletion.
    async fn swap(&self, row: BlobRow, new: NewBlob, content: Content, pieces: Pieces<'_>) -> Result<Swapped, ColdError> {
        let in_flight = self.metadata.begin_copy(row.key.hash);
        let key = in_flight.key();
        let mut staged = self.blobs.stage(Some(new.stored_bytes)).await?;
        match pieces {
            Pieces::Whole(bytes) => staged.write(bytes).await?,
            Pieces::Of(reader) => copy_bytes(reader, &mut *staged).await?,
        }
        staged.publish_as(&key, &content).await?;
        match self.blobs.verify(&key).await {
            Ok(()) => {}
            // Of the new one, not of the one that counts.
            Err(BlobError::Damaged { damage, .. }) => {
                let reason = format!("a copy that was just written does not read back: {damage}");
                return Err(BlobError::Refused { reason }.into());
            }
            Err(error) => return Err(error.into()),
        }
        let new = NewBlob { key, ..new };
        Ok(self.metadata.write("swap", move |tx| tx.swap_blob(&in_flight, row.key, new)).await?)
    }

    /// Remembers that it is not to be tried again.
    async fn keep_raw(&self, row: BlobRow, why: StaysRaw) -> Result<ColdOutcome, ColdError> {
        let (outcome, kept) = match &why {
            StaysRaw::NoGain => (ColdOutcome::NoGain, StaysRawWhy::NoGain),
            StaysRaw::Unfit(_) => (ColdOutcome::Failed, StaysRawWhy::Unfit),
            StaysRaw::Unproven(_) => (ColdOutcome::Failed, StaysRawWhy::Unproven),
        };
        if kept == StaysRawWhy::Unproven {
            tracing::error!(key = %row.key, %why, "a photo cannot be recompressed without loss; it stays as it is");
        } else {
            tracing::debug!(key = %row.key, %why, "a photo stays as it is");
        }
        self.note_raw(&row, kept).await?;
        Ok(outcome)
    }

    pub(super) async fn note_raw(&self, row: &BlobRow, why: StaysRawWhy) -> Result<(), ColdError> {
        let (key, stays_raw) = (row.key, metadata::StaysRaw { codec: CODEC, why });
        self.metadata.write("stays raw", move |tx| tx.set_stays_raw(key, stays_raw)).await?;
        Ok(())
    }
}

/// Where the bytes of the new copy come from.
enum Pieces<'a> {
    Whole(Bytes),
    Of(&'a dyn BlobRead),
}

async fn next_piece(reader: &dyn BlobRead, offset: u64) -> Result<Bytes, BlobError> {
    let left = usize::try_from(reader.size_bytes().saturating_sub(offset)).unwrap_or(usize::MAX);
    reader.read_at(offset, left.min(PIECE_BYTES)).await
}

/// All of a copy, of which the row has said that it is not too large.
async fn read_whole(reader: &dyn BlobRead) -> Result<Bytes, BlobError> {
    let size_bytes = reader.size_bytes();
    let mut whole = BytesMut::with_capacity(usize::try_from(size_bytes).unwrap_or_default());
    while (whole.len() as u64) < size_bytes {
        let piece = next_piece(reader, whole.len() as u64).await?;
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}
