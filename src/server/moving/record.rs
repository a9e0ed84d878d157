//! Where the blobs are, where that is not what the settings say, or not all: a small file in the data directory.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::BlobHash;

/// The file's name.
const FILE: &str = "blobs-home.json";
const VERSION: u32 = 1;
/// More than it ever holds.
const MAX_BYTES: u64 = 64 << 10;

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
        Self { version: VERSION, was, home, other: None }
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

    /// Takes it away, durably: the settings say where the blobs are.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn remove(data: &Path) -> io::Result<()> {
        match fs::remove_file(Self::path(data)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        File::open(data)?.sync_all()
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
        fs::write(data.path().join(FILE), "{}").unwrap();
        assert!(Record::load(data.path()).is_err());
    }
}
