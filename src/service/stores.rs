//! Metadata and blobs as everything in the service reads them.

use std::ops::Range;
use std::sync::Arc;

use crate::blobs::{BlobError, BlobRead, BlobStore, Damage};
use crate::metadata::{BlobRow, Metadata, Read, Snapshot};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::BlockingPool;

use super::{BlobReader, Blobs, ServiceError};

/// The stores of a site, and where reads of them run. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Stores {
    pub(super) metadata: Metadata,
    pub(super) blobs: Blobs,
    /// Single rows, which may have to come from the disk. Apart from scans, which must not hold them up.
    pub(super) lookup: BlockingPool,
    /// Scans.
    pub(super) scans: BlockingPool,
}

impl Stores {
    /// Runs a read that may take a while off the async threads.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Snapshot) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let metadata = self.metadata.clone();
        self.scans.run(move || read(&metadata.read())).await?
    }

    /// Looks up a few rows: on this thread where all of them lie in memory; else, once more, on one that may wait for the disk.
    pub(super) async fn look_up<T: Send + 'static>(
        &self,
        look: impl Fn(&Snapshot) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        if let Some(found) = self.metadata.look_in_memory(&look) {
            return found;
        }
        let metadata = self.metadata.clone();
        self.lookup.run(move || look(&metadata.read())).await?
    }

    /// Opens a blob's bytes, verified against the hash: the row's copy, or any other under the hash that is good.
    ///
    /// A copy that the row names and that is damaged or gone is marked, also where another serves in its place: the bytes are asked for
    /// again, and `check` tells. One that was marked and reads well now is unmarked.
    ///
    /// # Errors
    /// `Damaged` where no copy at this site is good: wrong bytes are never given out; what hinders, such as `Unavailable`, where one may be.
    /// `NotFound` where neither a row nor a photo names it.
    pub(super) async fn open_blob(&self, hash: BlobHash) -> Result<BlobReader, ServiceError> {
        self.open_part(hash, None).await
    }

    /// [`Stores::open_blob`] for who reads this part of it alone, where one is given: of a large one that comes over a network no more is read to check it than
    /// what covers the part.
    ///
    /// # Errors
    /// As there.
    pub(super) async fn open_part(&self, hash: BlobHash, part: Option<Range<u64>>) -> Result<BlobReader, ServiceError> {
        let mut tried: Option<BlobRow> = None;
        // A copy that cannot be had now may be good: that is no damage.
        let mut withheld: Option<BlobError> = None;
        // The row may move on between the look and the read: once more then.
        for _ in 0..2 {
            let Some(row) = self.blob_row(hash).await?.filter(|row| tried.is_none_or(|tried| tried.key != row.key)) else { break };
            match self.open_named(&row, part.clone()).await {
                Ok(reader) => return Ok(BlobReader::new(reader).of(self.clone(), row.key)),
                Err(error) if error.is_damage() => tracing::error!(key = %row.key, %error, "a stored copy is damaged or gone"),
                Err(error) => withheld = Some(error),
            }
            tried = Some(row);
            if withheld.is_some() {
                break;
            }
        }
        match tried {
            Some(row) if withheld.is_none() => {
                if let Err(error) = self.set_damaged(row.key, true).await {
                    // Another copy may be good all the same; the next read tries again.
                    tracing::warn!(key = %row.key, %error, "a copy that is damaged could not be marked");
                }
            }
            Some(_) => {}
            // Its row is still to come, as it may be for a photo of another site's; what no photo refers to is not given out.
            None if self.look_up(move |at| Ok(at.is_referenced(&hash)?)).await? => {}
            None => return Err(ServiceError::NotFound("blob")),
        }
        for copy in self.blobs.copies(&hash).await?.into_iter().filter(|copy| tried.is_none_or(|row| *copy != row.key)) {
            match self.open_verified(&copy).await {
                Ok(reader) => return Ok(BlobReader::new(reader)),
                Err(error) if error.is_damage() => {}
                Err(error) => withheld = withheld.or(Some(error)),
            }
        }
        Err(withheld.map_or(ServiceError::Damaged, ServiceError::from))
    }

    /// Opens a copy that was read whole lately, and was good.
    async fn open_verified(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        match self.blobs.verify_lately(key).await {
            Ok(()) => self.blobs.open(key).await,
            Err(error) => self.blobs.open_elsewhere(key, error).await,
        }
    }

    /// Opens the copy of a row. One that is marked as damaged is read now, whatever is remembered, and unmarked where it is good again. Where it is not,
    /// and another store has it, that one's is opened.
    async fn open_named(&self, row: &BlobRow, part: Option<Range<u64>>) -> Result<Arc<dyn BlobRead>, BlobError> {
        if row.damaged
            && let Err(error) = self.blobs.verify(&row.key).await
        {
            return self.blobs.open_elsewhere(&row.key, error).await;
        }
        let reader = match part {
            Some(part) => self.blobs.open_part(&row.key, part).await?,
            None => self.blobs.open(&row.key).await?,
        };
        if reader.size_bytes() != row.size_bytes {
            // Of one that is read in passes nobody has seen the end yet.
            let damage = Damage::Short { size_bytes: row.size_bytes, found_bytes: reader.size_bytes() };
            return self.blobs.open_elsewhere(&row.key, BlobError::Damaged { key: row.key, damage }).await;
        }
        if row.damaged
            && let Err(error) = self.set_damaged(row.key, false).await
        {
            // The bytes are good all the same; the next read tries again.
            tracing::warn!(key = %row.key, %error, "a copy that is good again could not be unmarked");
        }
        Ok(reader)
    }

    /// Sets or clears the mark, where the row still names the copy.
    pub(super) async fn set_damaged(&self, key: BlobKey, damaged: bool) -> Result<(), ServiceError> {
        if self.blob_row(key.hash).await?.is_none_or(|row| row.key != key || row.damaged == damaged) {
            return Ok(());
        }
        let label = if damaged { "damaged" } else { "undamaged" };
        let marked = self.metadata.write(label, move |tx| -> Result<(), ServiceError> {
            if damaged {
                tx.mark_damaged(key)?
            } else {
                tx.clear_damaged(key)?
            };
            Ok(())
        });
        Ok(marked.await?)
    }

    async fn blob_row(&self, hash: BlobHash) -> Result<Option<BlobRow>, ServiceError> {
        self.look_up(move |at| Ok(at.blob(&hash)?)).await
    }
}
