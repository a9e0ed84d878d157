//! What the bytes of a copy are.

use super::{BlobError, Digests};
use crate::model::{BlobHash, BlobKey};

/// What the bytes of a copy hash to, and which blob they are: the same where they lie as they came. Of any other it is made only by who has read
/// the blob out of these very bytes, so that no copy gets a name that is not its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    blob: BlobHash,
    written: BlobHash,
}

impl Content {
    /// The blob's own bytes.
    pub fn raw(blob: BlobHash) -> Self {
        Self { blob, written: blob }
    }

    /// What a row of metadata says of the copy that it names: whoever wrote the row had it proven. `written`: where that is not the blob's own bytes.
    pub fn named(blob: BlobHash, written: Option<BlobHash>) -> Self {
        Self { blob, written: written.unwrap_or(blob) }
    }

    /// Bytes that were decoded, and gave the blob.
    pub(super) fn proven(blob: BlobHash, written: BlobHash) -> Self {
        Self { blob, written }
    }

    /// What the copy's own bytes hash to.
    pub fn written(&self) -> BlobHash {
        self.written
    }

    /// That these are the bytes, and this is the key's blob.
    pub(super) fn require(&self, key: &BlobKey, written: &Digests) -> Result<(), BlobError> {
        if written.hash == self.written && self.blob == key.hash {
            return Ok(());
        }
        Err(BlobError::Internal { reason: "published under another hash than its own" })
    }
}
