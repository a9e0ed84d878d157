//! How far a mirror has come: a small file in the data directory.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::BlobHash;

/// The file's name.
const FILE: &str = "blobs-mirror.json";
const VERSION: u32 = 1;
/// More than it ever holds.
const MAX_BYTES: u64 = 64 << 10;

/// What is known of a mirror that this site has claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    /// Where it is: a URL as of `storage.blobs`.
    pub(super) url: String,
    /// Everything was copied there once.
    pub(super) is_filled: bool,
    /// A pass over all copies has come to this one; absent: none is under way.
    pub(super) passed: Option<String>,
    /// When the last pass came to its end, in Unix milliseconds.
    pub(super) verified_ms: u64,
}

impl Record {
    pub(super) fn new(url: String) -> Self {
        Self { version: VERSION, url, is_filled: false, passed: None, verified_ms: 0 }
    }

    pub(super) fn passed(&self) -> Option<BlobHash> {
        self.passed.as_ref()?.parse().ok()
    }

    fn path(data: &Path) -> PathBuf {
        data.join(FILE)
    }

    /// What stands in the data directory; `None` where nothing does.
    ///
    /// # Errors
    /// What the system says; where it is of a later version, or no such file.
    pub(super) fn load(data: &Path) -> io::Result<Option<Self>> {
        let path = Self::path(data);
        let text = match fs::metadata(&path) {
            Ok(found) if found.len() <= MAX_BYTES => fs::read(&path)?,
            Ok(_) => return Err(io::Error::other("it is not a file of this program")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let record: Self = serde_json::from_slice(&text)?;
        if record.version == VERSION {
            Ok(Some(record))
        } else {
            Err(io::Error::other(format!("it is of version {}; this program knows {VERSION}", record.version)))
        }
    }

    /// Writes it down, durably.
    ///
    /// # Errors
    /// What the system says: then the former one stands, or this one.
    pub(super) fn save(&self, data: &Path) -> io::Result<()> {
        let (path, next) = (Self::path(data), data.join(format!("{FILE}.new")));
        let mut file = File::create(&next)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&next, &path)?;
        File::open(data)?.sync_all()
    }

    /// Takes it away, durably: there is no mirror any more, and what lies there is not kept up.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn remove(data: &Path) -> io::Result<()> {
        match fs::remove_file(Self::path(data)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => File::open(data)?.sync_all(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_back_and_a_later_version_is_refused() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Record::load(data.path()).unwrap(), None);
        let record = Record { passed: Some("ab".repeat(32)), ..Record::new("file:///b".into()) };
        record.save(data.path()).unwrap();
        assert_eq!(Record::load(data.path()).unwrap(), Some(record.clone()));
        assert_eq!(record.passed(), Some(BlobHash::from_bytes([0xab; 32])));
        Record { version: 2, ..record }.save(data.path()).unwrap();
        assert!(Record::load(data.path()).unwrap_err().to_string().contains("version 2"));
        Record::remove(data.path()).unwrap();
        Record::remove(data.path()).unwrap();
        assert_eq!(Record::load(data.path()).unwrap(), None);
    }
}
