//! Reading: from the page cache on the calling thread, from the device on the pool. On a filer any call may wait, an open file's status and its
//! closing too, so there all of it is done on the pool.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::io::Errno;

use super::Shared;
use super::files::Status;
use super::lanes::{Lane, Lanes};
use crate::blobs::error::failed;
use crate::blobs::{BlobError, BlobRead, Damage, FileVersion, path};
use crate::model::{BlobHash, BlobKey};

/// What is copied from the page cache by one call on an async thread: some 20 µs.
const CACHED_PIECE_BYTES: usize = 128 * 1024;
/// Longer reads go to the pool at once: clearing memory and copying alone would hold the async thread for too long.
const CACHED_READ_BYTES: usize = 1024 * 1024;

/// An open copy.
#[derive(Debug)]
pub(super) struct Opened {
    shared: Arc<Shared>,
    key: BlobKey,
    path: PathBuf,
    /// Taken when it is dropped.
    file: Option<File>,
    /// The same copy, opened once more after the filer had forgotten what was open.
    again: OnceLock<File>,
    lane: Lane,
    size_bytes: u64,
    written: (i64, i64),
    version: FileVersion,
}

/// An open copy and the pool to read it on.
#[derive(Debug)]
pub(super) struct DiskRead {
    opened: Arc<Opened>,
    lanes: Lanes,
}

/// Opens a copy. "Not found" is said only of a store that is there.
pub(super) fn open(shared: Arc<Shared>, lane: Lane, key: &BlobKey) -> Result<Opened, BlobError> {
    let path = path::copy(key);
    let file = match shared.open_copy(&path, &key.hash) {
        Ok(file) => file,
        // A directory that was put there as something else holds no copies.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            shared.require_blobs()?;
            return Err(BlobError::NotFound);
        }
        Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
            return Err(BlobError::Damaged { key: *key, damage: Damage::NotAFile });
        }
        Err(error) => return Err(BlobError::from_io("open a copy", error)),
    };
    let status = shared.files.stat_file(&path, &file).map_err(failed("look at a copy"))?;
    if !status.is_file {
        return Err(BlobError::Damaged { key: *key, damage: Damage::NotAFile });
    }
    let Status { size_bytes, written, version, .. } = status;
    Ok(Opened { shared, key: *key, path, file: Some(file), again: OnceLock::new(), lane, size_bytes, written, version })
}

impl Shared {
    fn open_copy(&self, path: &Path, hash: &BlobHash) -> io::Result<File> {
        match self.files.open(path) {
            // The client has remembered a directory that is another now.
            Err(error) if self.is_filer && Errno::from_io_error(&error) == Some(Errno::STALE) => self.files.open(path),
            // Or that there was nothing, and another machine has put it there since.
            Err(error) if self.is_filer && error.kind() == io::ErrorKind::NotFound => {
                self.see_others(hash);
                self.files.open(path)
            }
            other => other,
        }
    }

    /// Has an NFS client look anew at the directories of a hash, of which it may remember for half a minute what was not in them (nfs(5), "Directory
    /// entry caching").
    pub(super) fn see_others(&self, hash: &BlobHash) {
        if self.is_filer {
            let [first, ..] = *hash.as_bytes();
            // Best effort: what is wrong with them shows at the next call.
            let _ = self.files.refresh(&path::fan_out(first));
            let _ = self.files.refresh(&path::leaf(hash));
        }
    }
}

impl Opened {
    /// The file to read.
    fn file(&self) -> io::Result<&File> {
        self.again.get().or(self.file.as_ref()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Reads, and reads once more from the copy opened anew, where a filer has lost what was open: a handle that is stale, or a state that could not be
    /// reclaimed after its restart, which the client tells as EIO.
    fn retried<T>(&self, mut read: impl FnMut(&File) -> io::Result<T>) -> io::Result<T> {
        let error = match read(self.file()?) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let is_lost = matches!(Errno::from_io_error(&error), Some(Errno::STALE | Errno::IO | Errno::BADF));
        if !(self.shared.is_filer && is_lost && self.again.get().is_none()) {
            return Err(error);
        }
        let Ok(file) = self.shared.files.open(&self.path) else { return Err(error) };
        read(self.again.get_or_init(|| file))
    }

    /// Fills as much as the page cache gives without waiting.
    fn fill_cached(&self, into: &mut [u8], offset: u64) -> usize {
        if !self.shared.reads_cached.load(Ordering::Relaxed) {
            return 0;
        }
        let mut filled = 0;
        while filled < into.len() {
            let end = into.len().min(filled + CACHED_PIECE_BYTES);
            match self.read_cached(&mut into[filled..end], offset + filled as u64) {
                Ok(count @ 1..) => filled += count,
                // Whatever it is, also an end of the file: the pool finds out.
                Ok(0) => break,
                Err(error) => {
                    if matches!(Errno::from_io_error(&error), Some(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL)) {
                        self.shared.reads_cached.store(false, Ordering::Relaxed);
                    }
                    break;
                }
            }
        }
        filled
    }

    fn read_cached(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.shared.files.read_cached(&self.path, self.file()?, into, offset)
    }

    /// Fills all, waiting for the device.
    fn fill(&self, into: &mut [u8], offset: u64) -> Result<(), BlobError> {
        let read = self.retried(|file| self.shared.files.read(&self.path, file, into, offset));
        let found = read.map_err(|error| BlobError::from_read(&self.key, error))?;
        self.require_all(offset, found, into.len())
    }

    /// Reads so many bytes, waiting for the device.
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, BlobError> {
        let read = self.retried(|file| self.shared.files.read_new(&self.path, file, length, offset));
        let bytes = read.map_err(|error| BlobError::from_read(&self.key, error))?;
        self.require_all(offset, bytes.len(), length)?;
        Ok(bytes)
    }

    fn require_all(&self, offset: u64, found: usize, length: usize) -> Result<(), BlobError> {
        if found < length {
            let damage = Damage::Short { size_bytes: self.size_bytes, found_bytes: offset + found as u64 };
            return Err(BlobError::Damaged { key: self.key, damage });
        }
        Ok(())
    }

    /// That nobody has written to the file. Deleting changes its other time, and is no harm to whoever has it open. Of a filer that is not asked: its
    /// times prove nothing, and what is read of it is hashed as it is given out.
    fn require_unchanged(&self) -> Result<(), BlobError> {
        if self.shared.is_filer {
            return Ok(());
        }
        let looked = self.file().and_then(|file| self.shared.files.stat_file(&self.path, file));
        let now = looked.map_err(failed("look at a copy"))?;
        if (now.size_bytes, now.written) == (self.size_bytes, self.written) {
            Ok(())
        } else {
            Err(BlobError::Damaged { key: self.key, damage: Damage::Written })
        }
    }

    /// Whether these bytes lie in the page cache, by samples of a byte each: the cache is filled and emptied in runs of pages.
    fn is_cached(&self, offset: u64, length: usize) -> bool {
        let mut sample = [0; 1];
        let last = (length as u64).saturating_sub(1);
        self.shared.reads_cached.load(Ordering::Relaxed)
            && (0..last).step_by(CACHED_PIECE_BYTES).chain([last]).all(|at| matches!(self.read_cached(&mut sample, offset + at), Ok(1)))
    }

    /// Reads bytes for the page cache's sake.
    fn read_through(&self, offset: u64, length: usize) -> Result<(), BlobError> {
        self.each_piece(offset, length as u64, |_| {})
    }

    fn make_durable(&self) -> Result<(), BlobError> {
        let file = self.file().map_err(failed("look at a copy"))?;
        self.shared.make_durable(&self.path, file, &self.key)?;
        // What the device has is what counts. Best effort: pages that others use stay.
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
        Ok(())
    }

    pub(super) fn content_hash(&self) -> Result<BlobHash, BlobError> {
        let mut hasher = blake3::Hasher::new();
        self.each_piece(0, self.size_bytes, |piece| {
            hasher.update(piece);
        })?;
        Ok(hasher.finalize().into())
    }

    /// Reads `length` bytes from `offset`, piece by piece in one buffer, waiting for the device.
    fn each_piece(&self, offset: u64, length: u64, mut each: impl FnMut(&[u8])) -> Result<(), BlobError> {
        let pieces = &self.shared.pieces;
        let mut buffer = pieces.take();
        buffer.resize(pieces.size_bytes(), 0);
        let mut done = 0;
        while done < length {
            let count = buffer.len().min(usize::try_from(length - done).unwrap_or(usize::MAX));
            self.fill(&mut buffer[..count], offset + done)?;
            each(&buffer[..count]);
            done += count as u64;
        }
        pieces.give_back(buffer);
        Ok(())
    }
}

impl Drop for Opened {
    /// Closing a file of a filer waits for its answer.
    fn drop(&mut self) {
        if self.lane.is_of_filer() {
            let files = (self.file.take(), self.again.take());
            self.lane.let_go(move || drop(files));
        }
    }
}

impl DiskRead {
    pub(super) fn new(opened: Opened, lanes: Lanes) -> Self {
        Self { opened: Arc::new(opened), lanes }
    }

    fn check_range(&self, offset: u64, length: usize) -> Result<(), BlobError> {
        if offset.checked_add(length as u64).is_none_or(|end| end > self.opened.size_bytes) {
            return Err(BlobError::Internal { reason: "a read past the end of a copy" });
        }
        Ok(())
    }
}

#[async_trait]
impl BlobRead for DiskRead {
    fn size_bytes(&self) -> u64 {
        self.opened.size_bytes
    }

    fn version(&self) -> Option<FileVersion> {
        (!self.is_sequential()).then_some(self.opened.version)
    }

    fn is_sequential(&self) -> bool {
        self.lanes.io.is_of_filer()
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn is_unchanged(&self) -> bool {
        self.opened.require_unchanged().is_ok()
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        self.check_range(offset, length)?;
        let bytes = if length > CACHED_READ_BYTES {
            let opened = self.opened.clone();
            self.lanes.io.run(length as u64, move || opened.read(offset, length)).await?
        } else {
            let mut bytes = vec![0; length];
            let filled = self.opened.fill_cached(&mut bytes, offset);
            if filled < length {
                let opened = self.opened.clone();
                let work = move || opened.fill(&mut bytes[filled..], offset + filled as u64).map(|()| bytes);
                bytes = self.lanes.io.run(length as u64, work).await?;
            }
            bytes
        };
        self.opened.require_unchanged()?;
        Ok(bytes.into())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        // Whoever sends from it does so on an async thread, which a filer that does not answer would hold.
        if self.is_sequential() { None } else { self.opened.file.as_ref().map(File::as_fd) }
    }

    async fn warm(&self, offset: u64, length: usize) -> Result<(), BlobError> {
        self.check_range(offset, length)?;
        if !self.opened.is_cached(offset, length) {
            let opened = self.opened.clone();
            self.lanes.io.run(length as u64, move || opened.read_through(offset, length)).await?;
        }
        self.opened.require_unchanged()
    }

    async fn make_durable(&self) -> Result<(), BlobError> {
        let opened = self.opened.clone();
        self.lanes.io.run(self.opened.size_bytes, move || opened.make_durable()).await
    }

    async fn content_hash(&self) -> Result<BlobHash, BlobError> {
        let opened = self.opened.clone();
        self.lanes.verifying.run(self.opened.size_bytes, move || opened.content_hash()).await
    }
}
