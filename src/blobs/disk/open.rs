//! Opening a store: the lock first, then the layout. The sweep of staging is the caller's to ask for, once it knows the store as its own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use super::buffers::Buffers;
use super::fan_out::FanOut;
use super::files::Files;
use super::holds::Holds;
use super::lock::Lock;
use super::standing::Standing;
use super::{DiskSettings, Shared, make_directory_durably, mount};
use crate::blobs::error::failed;
use crate::blobs::{BlobError, path};
use crate::runtime::Runtime;

/// Names that are listed at opening: far more than a process that died had uploads.
const SWEEP_LIMIT: usize = 1_000_000;
/// Buffers that are kept for the next uploads; more uploads than these have one of their own each.
const SPARE_GATHERS: usize = 32;
/// Read and hashed at once: stays in the processor's cache.
const PIECE_BYTES: usize = 128 << 10;
const SPARE_PIECES: usize = 16;

impl Shared {
    /// See [`super::DiskStore::open`].
    pub(super) fn open(root: PathBuf, runtime: Runtime, settings: DiskSettings) -> Result<Self, BlobError> {
        let is_checked = settings.filer.as_ref().is_some_and(|filer| filer.check_mount);
        if is_checked {
            mount::require_filer(&root)?;
        }
        if settings.create {
            make_directory_durably(&root).map_err(failed("make the store's directory"))?;
        }
        let files = Files::new(&root).map_err(failed("open the store's directory"))?;
        if is_checked {
            mount::require_hard(&root)?;
        }
        Self::open_files(root, files, runtime, settings)
    }

    /// Opens the store in a directory that is there.
    pub(super) fn open_files(root: PathBuf, files: Files, runtime: Runtime, settings: DiskSettings) -> Result<Self, BlobError> {
        if !settings.create && files.stat(path::FORMAT.as_ref()).map_err(failed("look at the store's format"))?.is_none() {
            // Before the lock: a directory that is no store gets no file from us.
            return Err(BlobError::Refused { reason: format!("there is no blob store in {}", root.display()) });
        }
        let lock = Lock::take(&files, &root, settings.filer.as_ref())?;
        let shared = Self::new(root, files, runtime, &settings, Some(lock));
        shared.set_up(settings.may_be_empty)?;
        Ok(shared)
    }

    /// See [`super::DiskReader::open`].
    pub(super) fn open_to_read(root: PathBuf, runtime: Runtime, settings: DiskSettings) -> Result<Self, BlobError> {
        if settings.filer.as_ref().is_some_and(|filer| filer.check_mount) {
            mount::require_filer(&root)?;
        }
        let files = Files::new(&root).map_err(failed("open the store's directory"))?;
        let shared = Self::new(root, files, runtime, &settings, None);
        match shared.read_small(path::FORMAT.as_ref())? {
            Some(format) if format == path::FORMAT_TEXT => Ok(shared),
            Some(format) => Err(other_layout(&format)),
            None => Err(BlobError::Refused { reason: format!("there is no blob store in {}", shared.root.display()) }),
        }
    }

    fn new(root: PathBuf, files: Files, runtime: Runtime, settings: &DiskSettings, lock: Option<Lock>) -> Self {
        Self {
            root,
            files,
            fan_out: FanOut::new(),
            runtime,
            gather_bytes: settings.gather_bytes,
            gathers: Holds::new(SPARE_GATHERS * settings.gather_bytes),
            holds: Holds::new(settings.hold_bytes),
            hashing: Arc::default(),
            pieces: Buffers::new(PIECE_BYTES, SPARE_PIECES),
            claims: Mutex::new(()),
            standing: Standing::new(settings.filer.is_some()),
            staged: AtomicU64::new(0),
            staging_bytes: settings.staging_bytes,
            clones_none_of: AtomicU64::new(0),
            // A filer's files know no reads that do not wait.
            reads_cached: AtomicBool::new(settings.filer.is_none()),
            is_filer: settings.filer.is_some(),
            _lock: lock,
        }
    }

    /// Checks the layout of a store that was set up, or sets one up. The format file comes last, so that its presence says that the rest
    /// is there and durable.
    fn set_up(&self, may_be_empty: bool) -> Result<(), BlobError> {
        let has_blobs = self.files.stat(path::BLOBS.as_ref()).map_err(failed("look at the store's directory"))?.is_some();
        match self.read_small(path::FORMAT.as_ref())? {
            Some(format) if format != path::FORMAT_TEXT => Err(other_layout(&format)),
            Some(_) if !has_blobs && !may_be_empty => {
                Err(BlobError::Refused { reason: format!("the directory {} is missing: is its disk mounted?", path::BLOBS) })
            }
            // Empty directories are lost by many a tool that copies stores.
            Some(_) => {
                self.make_directories()?;
                if has_blobs { Ok(()) } else { self.sync_directory(Path::new("")) }
            }
            None => self.create(has_blobs),
        }
    }

    fn create(&self, has_blobs: bool) -> Result<(), BlobError> {
        // An empty directory is what a set-up that was cut short leaves.
        if has_blobs && self.was_used()? {
            let reason = format!("there are blobs but no {}: a store that was copied in part?", path::FORMAT);
            return Err(BlobError::Refused { reason });
        }
        self.make_directories()?;
        self.sync_directory(Path::new(""))?;
        self.sync_own_name()?;
        self.write_small(path::FORMAT.as_ref(), path::FORMAT_TEXT, true)
    }

    fn make_directories(&self) -> Result<(), BlobError> {
        let mut directories = [path::BLOBS, path::STAGING].iter();
        directories.try_for_each(|directory| self.files.make_directory(directory.as_ref()).map_err(failed("make a directory")))
    }

    /// Whether there is anything where copies lie; fan-out directories that have held copies are never removed.
    pub(super) fn was_used(&self) -> Result<bool, BlobError> {
        Ok(!self.files.list(path::BLOBS.as_ref(), SWEEP_LIMIT).map_err(failed("list the store"))?.is_empty())
    }

    /// Makes the root's own name durable: whoever made it may not have done so.
    fn sync_own_name(&self) -> Result<(), BlobError> {
        match self.sync_directory(Path::new("..")) {
            // What this process may not read it has not made a name in.
            Err(BlobError::Unavailable { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other,
        }
    }

    /// Removes what an earlier process was receiving. Only under the lock: no running process's uploads lie here.
    pub(super) fn sweep(&self) -> Result<(), BlobError> {
        let names = self.files.list(path::STAGING.as_ref(), SWEEP_LIMIT).map_err(failed("list staging"))?;
        let mut removed = 0_u64;
        for name in names {
            let leftover = path::found(path::STAGING, &name);
            if path::is_staging_name(&name) {
                removed += u64::from(self.files.remove(&leftover).map_err(failed("sweep staging"))?);
            } else if !path::is_silly_rename(&name) {
                tracing::warn!(path = %leftover.display(), "not put there by this program, left alone");
            }
        }
        if removed > 0 {
            tracing::info!(removed, "removed unfinished uploads of an earlier run");
        }
        Ok(())
    }
}

fn other_layout(format: &[u8]) -> BlobError {
    let found = String::from_utf8_lossy(format).trim().to_owned();
    BlobError::Refused { reason: format!("its layout is {found:?}; this version knows \"halidom blobs 1\"") }
}
