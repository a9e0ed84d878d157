//! Small files in the data directory that say where blobs are: JSON with a version, written whole and durably.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// More than any of them ever holds.
const MAX_BYTES: u64 = 64 << 10;

/// Such a file: its name, and the version of what this program writes into it, as its field `version`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Note {
    pub(super) file: &'static str,
    pub(super) version: u32,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Note {
    fn path(self, data: &Path) -> PathBuf {
        data.join(self.file)
    }

    /// What stands in the data directory; `None` where nothing does.
    ///
    /// # Errors
    /// What the system says; where it is of another version, or no such file.
    pub(super) fn load<T: DeserializeOwned>(self, data: &Path) -> io::Result<Option<T>> {
        let path = self.path(data);
        let text = match fs::metadata(&path) {
            Ok(found) if found.len() <= MAX_BYTES => fs::read(&path)?,
            Ok(_) => return Err(io::Error::other("it is not a file of this program")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Version { version } = serde_json::from_slice(&text)?;
        if version == self.version {
            Ok(Some(serde_json::from_slice(&text)?))
        } else {
            Err(io::Error::other(format!("it is of version {version}; this program knows {}", self.version)))
        }
    }

    /// Writes it down, durably.
    ///
    /// # Errors
    /// What the system says: then the former one stands, or this one.
    pub(super) fn save<T: Serialize>(self, data: &Path, what: &T) -> io::Result<()> {
        let (path, next) = (self.path(data), data.join(format!("{}.new", self.file)));
        let mut file = File::create(&next)?;
        file.write_all(&serde_json::to_vec(what)?)?;
        file.sync_all()?;
        fs::rename(&next, &path)?;
        File::open(data)?.sync_all()
    }

    /// Takes it away, durably; one that is not there will do.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn remove(self, data: &Path) -> io::Result<()> {
        match fs::remove_file(self.path(data)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        File::open(data)?.sync_all()
    }
}
