//! Which local directories photos may wait in for an object store: a small file in the data directory, so that a disk that is not mounted is no empty one.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::note::Note;

const NOTE: Note = Note { file: "blobs-spools.json", version: 1 };

/// The directories that were ever allowed to keep a photo that a service did not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spools {
    version: u32,
    directories: BTreeSet<PathBuf>,
}

impl Spools {
    /// What stands in the data directory; none where nothing does.
    ///
    /// # Errors
    /// What the system says; where it is of a later version, or no such file.
    pub(super) fn load(data: &Path) -> io::Result<Self> {
        Ok(NOTE.load(data)?.unwrap_or_else(|| Self { version: NOTE.version, directories: BTreeSet::new() }))
    }

    /// Whether photos may wait there.
    pub(super) fn has(&self, directory: &Path) -> bool {
        self.directories.contains(directory)
    }

    /// Adds one, durably: before the first photo is kept there.
    ///
    /// # Errors
    /// What the system says: then it may be known or not.
    pub(super) fn add(mut self, data: &Path, directory: &Path) -> io::Result<()> {
        if self.directories.insert(directory.to_owned()) { NOTE.save(data, &self) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_was_added_is_known_from_then_on() {
        let data = tempfile::tempdir().unwrap();
        let [one, other] = ["/mnt/one/0123456789abcdef", "/mnt/other/0123456789abcdef"].map(Path::new);
        assert!(!Spools::load(data.path()).unwrap().has(one));
        Spools::load(data.path()).unwrap().add(data.path(), one).unwrap();
        Spools::load(data.path()).unwrap().add(data.path(), other).unwrap();
        let known = Spools::load(data.path()).unwrap();
        assert!(known.has(one) && known.has(other));
        std::fs::write(data.path().join(NOTE.file), r#"{"version":2}"#).unwrap();
        assert!(Spools::load(data.path()).is_err());
    }
}
