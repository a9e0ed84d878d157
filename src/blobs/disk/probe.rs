//! Whether uploads would work right now, and how much room there is.

use std::io;
use std::os::unix::fs::MetadataExt;

use super::Shared;
use super::files::{Identity, Room};
use crate::blobs::error::failed;
use crate::blobs::{BlobError, Usage};

/// Room without which the next photo might not fit: a probe alone would.
const LEAST_FREE_BYTES: u64 = 8 << 20;
/// What a probe writes.
const PROBE: &[u8] = b"halidom probe\n";

impl Shared {
    /// Writes, syncs, reads back and removes a file in staging, and looks whether the store's path still leads to it.
    pub(super) fn probe(&self) -> Result<(), BlobError> {
        self.standing.require_sound()?;
        self.require_blobs()?;
        let named = std::fs::metadata(&self.root).map_err(failed("look at the store's directory"))?;
        let held = self.files.root_identity().map_err(failed("look at the store's directory"))?;
        if held != Identity::of(&named) {
            return Err(failed("find the store's directory")(io::Error::other("another directory was mounted or moved over it")));
        }
        if self.usage()?.free_bytes < LEAST_FREE_BYTES {
            return Err(BlobError::NoSpace);
        }
        let staged = self.staging_path();
        let written = self.write_staged(&staged, PROBE).and_then(|()| self.read_small(&staged));
        let removed = self.files.remove(&staged).map_err(failed("remove a probe"));
        if written?.as_deref() != Some(PROBE) {
            return Err(failed("read a probe back")(io::Error::other("other bytes than were written")));
        }
        removed.map(|_| ())
    }

    /// Room on the file system.
    pub(super) fn usage(&self) -> Result<Usage, BlobError> {
        let Room { total_bytes, free_bytes, .. } = self.files.room().map_err(failed("ask for the file system's room"))?;
        Ok(Usage { total_bytes, free_bytes })
    }
}

impl Identity {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self::new(metadata.dev(), metadata.ino())
    }
}
