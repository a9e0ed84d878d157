//! What stands under a name, and giving a name to a file.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::model::BlobHash;

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// Nothing: the name is free.
    Nothing,
    /// A file with the wanted bytes.
    Same,
    /// Something else, which stays.
    Other,
}

/// Looks what stands under a name; reads a file only where it is as long as the wanted one.
pub(super) fn look(path: &Path, hash: &BlobHash, size_bytes: u64) -> io::Result<Existing> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Existing::Nothing),
        Err(error) => return Err(error),
    };
    if !metadata.is_file() || metadata.len() != size_bytes {
        return Ok(Existing::Other);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(if BlobHash::from(hasher.finalize()) == *hash { Existing::Same } else { Existing::Other })
}

/// Gives a synced file its final name, durably, without ever replacing what stands there.
pub(super) fn give_name(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        // A file system that cannot rename so. Looking first leaves a gap, but only against others that write here at this moment.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            if to.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)?;
        }
        Err(error) => return Err(error.into()),
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_there_is_known_by_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        let hash = BlobHash::of(b"photo");
        assert_eq!(look(&path, &hash, 5).unwrap(), Existing::Nothing);
        fs::write(&path, b"photo").unwrap();
        assert_eq!(look(&path, &hash, 5).unwrap(), Existing::Same);
        fs::write(&path, b"other").unwrap();
        assert_eq!(look(&path, &hash, 5).unwrap(), Existing::Other);
        assert_eq!(look(folder.path(), &hash, 5).unwrap(), Existing::Other);
    }

    #[test]
    fn a_name_that_is_taken_is_not_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("part"), folder.path().join("a.jpg"));
        fs::write(&from, b"new").unwrap();
        fs::write(&to, b"old").unwrap();
        assert_eq!(give_name(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&to).unwrap(), b"old");
        fs::remove_file(&to).unwrap();
        give_name(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"new");
        assert!(!from.exists());
    }
}
