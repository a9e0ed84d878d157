//! Whether what the device says of durability can be believed.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Shared;
use crate::blobs::BlobError;
use crate::blobs::error::failed;

/// After a sync has failed the kernel has dropped what it could not write, and the next one says "done" of it. So a failure stands until
/// the store is opened anew, and nothing is taken on the strength of a later success.
///
/// Not so on a filer: there a file's sync speaks for that file alone, and a name is durable when the call that made it answers (RFC 8881, section
/// 18.26.3, for RENAME), so a failure is the upload's alone.
#[derive(Debug)]
pub(super) struct Standing {
    failures: AtomicU64,
    is_filer: bool,
}

impl Standing {
    pub(super) fn new(is_filer: bool) -> Self {
        Self { failures: AtomicU64::new(0), is_filer }
    }

    pub(super) fn sync_failures(&self) -> u64 {
        self.failures.load(Ordering::Acquire)
    }

    /// Called before, and again after, whatever is to be durable.
    ///
    /// # Errors
    /// [`BlobError::Suspect`] where a sync has failed since the store was opened.
    pub(super) fn require_sound(&self) -> Result<(), BlobError> {
        match self.sync_failures() {
            0 => Ok(()),
            _ if self.is_filer => Ok(()),
            sync_failures => Err(BlobError::Suspect { sync_failures }),
        }
    }

    /// What a failed sync means. A full disk, or a quota, is no failing device: it recovers.
    fn failed(&self, doing: &'static str, error: io::Error) -> BlobError {
        let error = BlobError::from_io(doing, error);
        if matches!(error, BlobError::NoSpace) {
            return error;
        }
        let before = self.failures.fetch_add(1, Ordering::AcqRel);
        if self.is_filer {
            tracing::error!(%error, "the filer has not made something durable; it was given up");
        } else if before == 0 {
            tracing::error!(%error, "the blob store takes nothing more until it is opened anew: look at the disk's health first");
        }
        error
    }
}

impl Shared {
    /// Syncs a file. The caller gives the file up where that fails.
    pub(super) fn sync_file(&self, at: &Path, file: &File) -> Result<(), BlobError> {
        self.files.sync_file(at, file).map_err(|error| self.standing.failed("sync a file", error))
    }

    /// Syncs a directory; an empty path is the root.
    pub(super) fn sync_directory(&self, at: &Path) -> Result<(), BlobError> {
        // That a directory cannot be opened says nothing of what was written.
        let directory = self.files.open_directory(at).map_err(failed("open a directory"))?;
        self.sync_opened(at, &directory)
    }

    /// Syncs a directory; answers whether it was there.
    pub(super) fn sync_directory_if_there(&self, at: &Path) -> Result<bool, BlobError> {
        match self.files.open_directory(at) {
            Ok(directory) => self.sync_opened(at, &directory).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(BlobError::from_io("open a directory", error)),
        }
    }

    fn sync_opened(&self, at: &Path, directory: &std::os::fd::OwnedFd) -> Result<(), BlobError> {
        self.files.sync_directory(at, directory).map_err(|error| self.standing.failed("sync a directory", error))
    }
}
