//! How far a mirror has come: a small file in the data directory.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::BlobHash;
use crate::server::note::Note;

const NOTE: Note = Note { file: "blobs-mirror.json", version: 1 };

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
        Self { version: NOTE.version, url, is_filled: false, passed: None, verified_ms: 0 }
    }

    pub(super) fn passed(&self) -> Option<BlobHash> {
        self.passed.as_ref()?.parse().ok()
    }

    /// What stands in the data directory; `None` where nothing does.
    ///
    /// # Errors
    /// What the system says; where it is of a later version, or no such file.
    pub(super) fn load(data: &Path) -> io::Result<Option<Self>> {
        NOTE.load(data)
    }

    /// Writes it down, durably.
    ///
    /// # Errors
    /// What the system says: then the former one stands, or this one.
    pub(super) fn save(&self, data: &Path) -> io::Result<()> {
        NOTE.save(data, self)
    }

    /// Takes it away, durably: there is no mirror any more, and what lies there is not kept up.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn remove(data: &Path) -> io::Result<()> {
        NOTE.remove(data)
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
