//! Where the blobs are, where that is not what the settings say, or not all: a small file in the data directory.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::BlobHash;
use crate::server::note::Note;

const NOTE: Note = Note { file: "blobs-home.json", version: 1 };

/// Where the blobs are. URLs as of `storage.blobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    /// What the settings said when the first move began.
    pub(super) was: String,
    /// The store that is relied on.
    pub(super) home: String,
    /// Another, beside it.
    pub(super) other: Option<Other>,
}

/// Another store, which gets everything, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Other {
    pub(super) url: String,
    pub(super) role: Role,
    /// Of a target: all blobs up to this hash were copied.
    pub(super) copied: Option<String>,
    /// Of a target: the most bytes a second; 0: any.
    pub(super) max_bytes_per_second: u64,
    /// Of a target: whether damaged blobs are left behind.
    pub(super) despite_damage: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// The blobs go there.
    Target,
    /// They were there.
    Former,
}

impl Other {
    pub(super) fn copied(&self) -> Option<BlobHash> {
        self.copied.as_ref()?.parse().ok()
    }
}

impl Record {
    pub(super) fn new(was: String, home: String) -> Self {
        Self { version: NOTE.version, was, home, other: None }
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

    /// Takes it away, durably: the settings say where the blobs are.
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
        let other = Other {
            url: "file:///b".into(),
            role: Role::Target,
            copied: Some("ab".repeat(32)),
            max_bytes_per_second: 1,
            despite_damage: true,
        };
        let record = Record { other: Some(other), ..Record::new("default".into(), "file:///a".into()) };
        record.save(data.path()).unwrap();
        assert_eq!(Record::load(data.path()).unwrap(), Some(record.clone()));
        assert_eq!(record.other.as_ref().unwrap().copied(), Some(BlobHash::from_bytes([0xab; 32])));
        Record { version: 2, ..record }.save(data.path()).unwrap();
        assert!(Record::load(data.path()).unwrap_err().to_string().contains("version 2"));
        Record::remove(data.path()).unwrap();
        Record::remove(data.path()).unwrap();
        assert_eq!(Record::load(data.path()).unwrap(), None);
        std::fs::write(data.path().join(NOTE.file), "{}").unwrap();
        assert!(Record::load(data.path()).is_err());
    }
}
