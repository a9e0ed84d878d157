//! Taking a file of the same file system without writing its bytes again: its blocks are shared (a reflink), or the file itself is (a hard
//! link). What is then in staging is read and hashed there, so that a file which changes meanwhile never gets a wrong name.

use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::DiskStore;
use super::stage::{DiskStaged, Receiving};
use crate::blobs::{BlobError, SourceFile, Staged, TakeError, TakeFile, Taken};

/// Bytes that are read at once to be hashed.
const PIECE_BYTES: usize = 256 << 10;

impl DiskStore {
    pub(super) async fn take_file(&self, source: &SourceFile, how: TakeFile) -> Result<(Box<dyn Staged>, Taken), TakeError> {
        self.shared.standing.require_sound()?;
        let mut receiving = Receiving::new(self.shared.clone(), self.lanes.io.clone());
        let shared_source = source.clone();
        // A large file takes as long to hash as it does to verify.
        let taken = self.lanes.verifying.run(source.size_bytes(), move || {
            let taken = receiving.share(&shared_source, how);
            match &taken {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => receiving.remove(),
            }
            Ok(taken.map(|taken| taken.map(|taken| (receiving, taken))))
        });
        if let Some((receiving, taken)) = taken.await?? {
            let staged: Box<dyn Staged> = Box::new(DiskStaged::whole(receiving, self.lanes.clone()));
            return match source.require_unchanged().await {
                Ok(()) => Ok((staged, taken)),
                Err(error) => {
                    staged.discard().await;
                    Err(error)
                }
            };
        }
        let staged = Box::new(DiskStaged::new(self.shared.clone(), self.lanes.clone(), Some(source.size_bytes())));
        Ok((source.copy_to(staged).await?, Taken::Copied))
    }
}

impl Receiving {
    /// Has the file in staging without writing its bytes, and hashes them there; `None` where the file system, or its owner, does not let it.
    fn share(&mut self, source: &SourceFile, how: TakeFile) -> Result<Option<Taken>, TakeError> {
        let taken = match how {
            TakeFile::Link if self.link(source)? => Taken::Linked,
            TakeFile::Link | TakeFile::Copy if self.clone_blocks(source)? => Taken::Cloned,
            TakeFile::Link | TakeFile::Copy => return Ok(None),
        };
        self.hash_file(source.size_bytes())?;
        Ok(Some(taken))
    }

    fn link(&mut self, source: &SourceFile) -> Result<bool, BlobError> {
        let (shared, path) = (self.shared.clone(), self.path.clone());
        match shared.files.link_new(source.file(), &path) {
            Ok(file) => {
                self.hold(file);
                Ok(true)
            }
            Err(error) => match Errno::from_io_error(&error) {
                // Another file system, one without links or with as many as it can; a file of somebody else's; one that has no name any more.
                Some(Errno::XDEV | Errno::PERM | Errno::ACCESS | Errno::MLINK | Errno::NOENT | Errno::OPNOTSUPP | Errno::NOSYS) => {
                    Ok(false)
                }
                _ => Err(BlobError::from_io("link a file into staging", error)),
            },
        }
    }

    fn clone_blocks(&mut self, source: &SourceFile) -> Result<bool, BlobError> {
        let (shared, path) = (self.shared.clone(), self.path.clone());
        let from = source.file().metadata().map_or(0, |metadata| metadata.dev());
        // Asked once of each file system in turn: a name in staging costs more than to copy a small photo.
        if source.size_bytes() == 0 || shared.clones_none_of.load(Ordering::Relaxed) == from {
            return Ok(false);
        }
        match shared.files.clone_blocks(&path, self.file()?, source.file().as_fd()) {
            Ok(()) => Ok(true),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::XDEV | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOTTY | Errno::NOSYS | Errno::PERM | Errno::TXTBSY) => {
                    shared.clones_none_of.store(from, Ordering::Relaxed);
                    self.remove();
                    Ok(false)
                }
                _ => Err(BlobError::from_io("share a file's blocks", error)),
            },
        }
    }

    /// Hashes what is in staging. Its blocks are the source's: where they cannot be read, that file is bad, not the store.
    fn hash_file(&mut self, size_bytes: u64) -> Result<(), TakeError> {
        let (shared, path) = (self.shared.clone(), self.path.clone());
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let offset = self.digests.size_bytes();
            let read = shared.files.read(&path, self.file()?, &mut piece, offset).map_err(TakeError::Source)?;
            self.digests.update(&piece[..read]);
            // Somebody goes on writing to it: there would be no end.
            if self.digests.size_bytes() > size_bytes {
                return Err(TakeError::Changed);
            }
            if read < piece.len() {
                return Ok(());
            }
        }
    }
}
