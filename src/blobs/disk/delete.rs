//! Deleting one exact copy, durably.

use std::io;

use super::Shared;
use crate::blobs::{BlobError, Deletion, path};
use crate::model::BlobKey;

impl Shared {
    /// Removes the copy and syncs its directory; also where it was absent: an earlier call may have removed it and then failed to sync.
    pub(super) fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        let removed = self.files.remove(&path::copy(key)).map_err(|error| BlobError::from_io("delete a copy", error))?;
        if removed {
            self.sync_directory(&path::leaf(&key.hash))?;
            return Ok(Deletion::Deleted);
        }
        self.require_blobs()?;
        match self.files.sync_directory(&path::leaf(&key.hash)) {
            // Its directory was never made.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Deletion::Absent),
            other => other.map(|()| Deletion::Absent).map_err(|error| self.sync_failed("sync a directory", error)),
        }
    }
}
