//! Download: the bytes of an original, checked before the first is given out (`protocols/blobs.md`, "Read").

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::Bytes;

use crate::blobs::{BlobError, BlobRead, BlobStore};
use crate::metadata::{BlobRow, Read};
use crate::model::photo::PhotoView;
use crate::model::{BlobHash, PhotoId};

use super::caller::{Caller, Scope};
use super::{ServiceError, Services};

/// A photo's original, not yet opened.
#[derive(Debug, Clone)]
pub struct Original {
    /// The photo.
    pub photo: PhotoView,
}

/// An open blob whose bytes were verified.
#[derive(Debug, Clone)]
pub struct BlobReader(Arc<dyn BlobRead>);

impl BlobReader {
    /// Of an open copy that was verified.
    pub(crate) fn new(verified: Arc<dyn BlobRead>) -> Self {
        Self(verified)
    }

    /// Length of the original in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }

    /// Exactly `length` bytes from `offset`.
    ///
    /// # Errors
    /// `Damaged` where the copy became unreadable since.
    pub async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, ServiceError> {
        Ok(self.0.read_at(offset, length).await?)
    }

    /// The file that the bytes lie in, from its begin to its end, where the store has one a blob.
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_fd()
    }

    /// Brings these bytes to where reading the file does not wait for a device.
    ///
    /// # Errors
    /// `Damaged` where they cannot be read any more.
    pub async fn warm(&self, offset: u64, length: usize) -> Result<(), ServiceError> {
        Ok(self.0.warm(offset, length).await?)
    }
}

impl Services {
    /// Looks up whose bytes a download would give; opens nothing, so that HEAD and 304 cost no read.
    ///
    /// # Errors
    /// `NotFound`, also for another user's.
    pub fn original(&self, caller: &Caller, id: PhotoId) -> Result<Original, ServiceError> {
        caller.require(Scope::Read)?;
        Ok(Original { photo: self.photo(caller, id)? })
    }

    /// Opens a blob's bytes, verified against the hash: the row's copy, or any other under the hash that is good.
    ///
    /// # Errors
    /// `Damaged` where no copy at this site is good: wrong bytes are never given out.
    pub async fn open_blob(&self, hash: BlobHash) -> Result<BlobReader, ServiceError> {
        let Some(row) = self.blob_row(&hash)? else { return Err(ServiceError::Damaged) };
        let failed = match self.blobs.open(&row.key).await {
            Ok(reader) => return Ok(BlobReader::new(reader)),
            Err(error @ (BlobError::NotFound | BlobError::Damaged { .. })) => error,
            Err(error) => return Err(error.into()),
        };
        // The row may have moved on between the look and the read: once more.
        if let Some(now) = self.blob_row(&hash)?
            && now.key != row.key
            && let Ok(reader) = self.blobs.open(&now.key).await
        {
            return Ok(BlobReader::new(reader));
        }
        tracing::error!(key = %row.key, error = %failed, "a stored copy is damaged or gone");
        for copy in self.blobs.copies(&hash).await? {
            if copy != row.key
                && let Ok(reader) = self.blobs.open(&copy).await
            {
                return Ok(BlobReader::new(reader));
            }
        }
        let marked = self.metadata.write("damaged", move |tx| -> Result<(), ServiceError> {
            tx.mark_damaged(row.key)?;
            Ok(())
        });
        marked.await?;
        Err(ServiceError::Damaged)
    }

    fn blob_row(&self, hash: &BlobHash) -> Result<Option<BlobRow>, ServiceError> {
        Ok(self.metadata.read().blob(hash)?)
    }
}
