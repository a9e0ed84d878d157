//! Making a received copy durable under its final name.

use std::fs::File;
use std::io;
use std::path::Path;

use super::Shared;
use super::stage::Receiving;
use crate::blobs::error::failed;
use crate::blobs::{BlobError, Content, path};
use crate::model::{BlobHash, BlobKey};

/// Read at once to compare a copy with its key.
const COMPARED_BYTES: usize = 128 << 10;

impl Receiving {
    /// The write protocol: make sure of the directory, move the file there, sync the file and then the directory (decision 0011). When it
    /// answers `Ok`, nothing is left in staging; on an error the caller removes that, and what may have got its final name is taken back here.
    pub(super) fn publish(&mut self, key: &BlobKey, content: &Content) -> Result<(), BlobError> {
        content.require(key, &self.digests.finish())?;
        let (shared, staged, named) = (self.shared.clone(), self.path.clone(), path::copy(key));
        shared.standing.require_sound()?;
        let file = self.file()?;
        shared.fan_out.ensure(&shared, &key.hash)?;
        let written = content.written();
        if !shared.move_to_name(&staged, &named, (key, &written), file)? {
            // Somebody removed its directory.
            shared.fan_out.ensure(&shared, &key.hash)?;
            if !shared.move_to_name(&staged, &named, (key, &written), file)? {
                return Err(BlobError::from_io("name a copy", io::ErrorKind::NotFound.into()));
            }
        }
        if let Err(error) = shared.make_durable(&named, file, key) {
            shared.take_back(key, &named, &error);
            return Err(error);
        }
        self.release();
        Ok(())
    }
}

impl Shared {
    /// Moves a received file to its final name, where nothing may stand. `false`, and nothing is done, where its directory is gone.
    /// `written`: what its bytes hash to.
    fn move_to_name(&self, staged: &Path, named: &Path, (key, written): (&BlobKey, &BlobHash), file: &File) -> Result<bool, BlobError> {
        let Err(error) = self.files.move_new(staged, named) else { return Ok(true) };
        // The answer, not the work, may have failed: then our own file stands there.
        let ours = self.files.stat_file(staged, file).map_err(failed("look at a staged copy"))?.identity();
        let found = self.files.stat(named).map_err(failed("look at a copy's name"))?;
        let stands = found.is_some_and(|found| found.identity() == ours);
        match error.kind() {
            // How a repeated link or rename answers where the first one's reply got lost.
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound if stands => {
                if self.is_filer {
                    // Not every filer's inode numbers are one file's alone.
                    self.require_content(named, written)?;
                }
                // Linked, not renamed: the other name goes; if it cannot, the next opening sweeps it.
                let _ = self.files.remove(staged);
                Ok(true)
            }
            io::ErrorKind::NotFound => {
                self.fan_out.forget(&key.hash);
                Ok(false)
            }
            io::ErrorKind::AlreadyExists => Err(BlobError::Internal { reason: "the key is taken: every copy needs a fresh one" }),
            _ => {
                if stands {
                    let _ = self.files.remove(named);
                }
                Err(BlobError::from_io("name a copy", error))
            }
        }
    }

    /// That what stands under the name hashes to this.
    fn require_content(&self, named: &Path, written: &BlobHash) -> Result<(), BlobError> {
        let file = self.files.open(named).map_err(failed("open a copy"))?;
        let (mut hasher, mut piece, mut offset) = (blake3::Hasher::new(), vec![0; COMPARED_BYTES], 0);
        loop {
            match self.files.read(named, &file, &mut piece, offset).map_err(failed("read a copy back"))? {
                0 if BlobHash::from(hasher.finalize()) == *written => return Ok(()),
                0 => return Err(BlobError::Internal { reason: "the key is taken: every copy needs a fresh one" }),
                length => {
                    hasher.update(&piece[..length]);
                    offset += length as u64;
                }
            }
        }
    }

    /// Syncs a copy's bytes, then its name.
    pub(super) fn make_durable(&self, named: &Path, file: &File, key: &BlobKey) -> Result<(), BlobError> {
        // A failed sync is not repeated: the file is given up, see `Files::sync_file`. No close after it can fail for want of room.
        self.sync_file(named, file)?;
        self.sync_directory(&path::leaf(&key.hash))?;
        // A sync of another upload's may have failed meanwhile, of the same directory: then ours says nothing.
        self.standing.require_sound()
    }

    /// Removes a copy that could not be made durable. Best effort: the caller dooms the key.
    fn take_back(&self, key: &BlobKey, named: &Path, error: &BlobError) {
        let removed = self.files.remove(named).is_ok();
        let durable = removed && self.sync_directory(&path::leaf(&key.hash)).is_ok() && self.standing.require_sound().is_ok();
        // That the disk is full is told to whoever sent it, and no fault.
        if !(durable && matches!(error, BlobError::NoSpace)) {
            tracing::error!(%key, %error, removed, durable, "a copy could not be made durable, so it was taken back");
        }
    }
}
