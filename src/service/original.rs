//! Download: the bytes of an original, checked before the first is given out (`protocols/blobs.md`, "Read").

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::blobs::{BlobError, BlobRead};
use crate::model::photo::PhotoView;
use crate::model::{BlobHash, BlobKey, Owner, PhotoId};

use super::caller::{Caller, Scope};
use super::shares::Share;
use super::stores::Stores;
use super::{ServiceError, Services};

/// A photo's original, not yet opened.
#[derive(Debug, Clone)]
pub struct Original {
    /// The photo.
    pub photo: PhotoView,
}

/// An open blob whose bytes were verified.
#[derive(Debug, Clone)]
pub struct BlobReader {
    copy: Arc<dyn BlobRead>,
    /// Where to tell that the copy is bad, and which it is, where a row names it.
    named: Option<(Stores, BlobKey)>,
    /// For as long as any clone lives.
    _turn: Option<Arc<Turn>>,
}

/// A download's place among all, and among its user's.
#[derive(Debug)]
struct Turn {
    _permit: OwnedSemaphorePermit,
    _share: Share<Owner>,
}

impl BlobReader {
    /// Of an open copy that was verified.
    pub(crate) fn new(verified: Arc<dyn BlobRead>) -> Self {
        Self { copy: verified, named: None, _turn: None }
    }

    /// The copy that a row names: where reading shows that it is bad, which of one that comes in passes nothing has shown before, the row is marked.
    pub(super) fn of(self, stores: Stores, key: BlobKey) -> Self {
        Self { named: Some((stores, key)), ..self }
    }

    /// Counted as under way for as long as any clone lives.
    pub(super) fn in_turn(self, permit: OwnedSemaphorePermit, share: Share<Owner>) -> Self {
        Self { _turn: Some(Arc::new(Turn { _permit: permit, _share: share })), ..self }
    }

    /// Length of the original in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.copy.size_bytes()
    }

    /// Whether it is checked while it is read, and its end is withheld until that has been done, see `BlobRead::is_sequential`.
    pub fn is_sequential(&self) -> bool {
        self.copy.is_sequential()
    }

    /// Exactly `length` bytes from `offset`.
    ///
    /// # Errors
    /// `Damaged` where the copy became unreadable since.
    pub async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, ServiceError> {
        let error = match self.copy.read_at(offset, length).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error,
        };
        if let (Some((stores, key)), BlobError::Damaged { .. } | BlobError::NotFound) = (&self.named, &error) {
            tracing::error!(%key, %error, "a stored copy turned out damaged or gone while it was read");
            if let Err(error) = stores.set_damaged(*key, true).await {
                tracing::warn!(%key, %error, "a copy that is damaged could not be marked");
            }
        }
        Err(error.into())
    }

    /// Whether nobody has written to the bytes since they were opened, as far as the store can tell.
    pub fn is_unchanged(&self) -> bool {
        self.copy.is_unchanged()
    }

    /// The file that the bytes lie in, from its begin to its end, where the store has one a blob.
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.copy.as_fd()
    }

    /// Brings these bytes to where reading the file does not wait for a device.
    ///
    /// # Errors
    /// `Damaged` where they cannot be read any more.
    pub async fn warm(&self, offset: u64, length: usize) -> Result<(), ServiceError> {
        Ok(self.copy.warm(offset, length).await?)
    }
}

impl Services {
    /// Looks up whose bytes a download would give; opens nothing, so that HEAD and 304 cost no read.
    ///
    /// # Errors
    /// `NotFound`, also for another user's.
    pub async fn original(&self, caller: &Caller, id: PhotoId) -> Result<Original, ServiceError> {
        caller.require(Scope::Read)?;
        Ok(Original { photo: self.photo(caller, id).await? })
    }

    /// Opens a photo's original to be downloaded, whole or this part of it, see `Stores::open_part`. It counts as under way until the last clone of the answer is
    /// dropped: past the limits on downloads nothing is opened, since each has a file open for as long as its client takes.
    ///
    /// # Errors
    /// Those of `open_blob`; `TooManyDownloads` where the caller has as many under way as one user may, `Busy` where all together have.
    pub async fn open_original(&self, caller: &Caller, original: &Original, part: Option<Range<u64>>) -> Result<BlobReader, ServiceError> {
        let Ok(permit) = self.limits.downloads.clone().try_acquire_owned() else {
            return Err(ServiceError::Busy("too many downloads at once"));
        };
        let Some(share) = self.limits.download_shares.take(caller.owner) else {
            return Err(ServiceError::TooManyDownloads { limit: self.limits.download_shares.limit() });
        };
        let blob = self.stores.open_part(original.photo.hash, part).await?;
        let (stored, named) = (blob.size_bytes(), original.photo.size_bytes);
        if stored != named {
            // The bytes are those of the hash: it is the photo's row that lies, and sending them again would mend nothing.
            return Err(ServiceError::Internal(format!("the photo {} names {named} bytes, its blob has {stored}", original.photo.id)));
        }
        Ok(blob.in_turn(permit, share))
    }

    /// Opens a blob's bytes, see `Stores::open_blob`.
    ///
    /// # Errors
    /// As there.
    pub async fn open_blob(&self, hash: BlobHash) -> Result<BlobReader, ServiceError> {
        self.stores.open_blob(hash).await
    }

    /// Sets or clears the mark, see `Stores::set_damaged`.
    pub(super) async fn set_damaged(&self, key: BlobKey, damaged: bool) -> Result<(), ServiceError> {
        self.stores.set_damaged(key, damaged).await
    }
}
