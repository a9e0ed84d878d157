//! Deleting one exact copy, durably.

use super::Shared;
use crate::blobs::{BlobError, Deletion, path};
use crate::model::BlobKey;

impl Shared {
    /// Removes the copy and syncs its directory; also where it was absent: an earlier call may have removed it and then failed to sync.
    pub(super) fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        self.standing.require_sound()?;
        let removed = self.files.remove(&path::copy(key)).map_err(|error| BlobError::from_io("delete a copy", error))?;
        if removed {
            self.sync_directory(&path::leaf(&key.hash))?;
            return Ok(Deletion::Deleted);
        }
        self.require_blobs()?;
        // Its directory may never have been made.
        self.sync_directory_if_there(&path::leaf(&key.hash))?;
        Ok(Deletion::Absent)
    }
}
