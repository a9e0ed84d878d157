//! The lock of a store's directory. On NFS 4 it is one across machines (flock(2)): the filer keeps it.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::FilerSettings;
use super::files::Files;
use crate::blobs::error::failed;
use crate::blobs::{BlobError, path};
use crate::runtime::spawn_thread;

/// The lock, for as long as this lives.
#[derive(Debug)]
pub(super) struct Lock {
    file: Option<File>,
    /// How long giving it back to a filer is waited for.
    limit: Option<Duration>,
}

impl Lock {
    /// Takes the lock.
    pub(super) fn take(files: &Files, root: &Path, filer: Option<&FilerSettings>) -> Result<Self, BlobError> {
        Ok(Self { file: Some(take(files, root)?), limit: filer.map(|filer| filer.deadline) })
    }
}

impl Drop for Lock {
    /// A filer that does not answer must not hold up the process's end, which gives the lock back as well.
    fn drop(&mut self) {
        let (file, Some(limit)) = (self.file.take(), self.limit) else { return };
        let (ended, has_ended) = mpsc::channel();
        let closing = spawn_thread("unlock", move || {
            drop(file);
            let _ = ended.send(());
        });
        if closing.is_ok() {
            let _ = has_ended.recv_timeout(limit);
        }
    }
}

/// Takes the directory's lock, which lasts as long as the file is open.
fn take(files: &Files, root: &Path) -> Result<File, BlobError> {
    let name = Path::new(path::LOCK);
    loop {
        let mut file = files.open_lock(name).map_err(failed("open the store's lock"))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let by = file.take(16).read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(BlobError::InUse { path: root.to_owned(), by });
            }
            Err(error) => return Err(BlobError::from_io("lock the store", error.into())),
        }
        // Someone may have removed the file between opening and locking: then the lock excludes nobody.
        let held = files.stat_file(name, &file).map_err(failed("look at the store's lock"))?;
        let named = files.stat(name).map_err(failed("look at the store's lock"))?;
        if named.is_some_and(|named| named.identity() == held.identity()) {
            // For whoever is refused; on a full disk the lock holds without it.
            let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
            return Ok(file);
        }
    }
}
