//! The marker, and the other small files that are written whole.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use super::Shared;
use crate::blobs::error::failed;
use crate::blobs::{BlobError, Marker, path};

/// More than any small file of ours holds.
const SMALL_BYTES: u64 = 4096;
/// The form of the marker's file.
const VERSION: u32 = 1;

/// The marker's file. Fields of later versions are refused with the version.
#[derive(Debug, Serialize, Deserialize)]
struct MarkerFile {
    version: u32,
    #[serde(flatten)]
    marker: Marker,
}

impl Shared {
    /// Reads the marker. A store that has vanished is an error, not an unclaimed one.
    pub(super) fn marker(&self) -> Result<Option<Marker>, BlobError> {
        let Some(text) = self.read_small(path::MARKER.as_ref())? else {
            self.require_blobs()?;
            return Ok(None);
        };
        match serde_json::from_slice::<MarkerFile>(&text) {
            Ok(MarkerFile { version: VERSION, marker }) => Ok(Some(marker)),
            Ok(MarkerFile { version, .. }) => {
                Err(BlobError::Refused { reason: format!("the marker is of version {version}; this program knows {VERSION}") })
            }
            Err(error) => Err(BlobError::Refused { reason: format!("the marker cannot be read: {error}") }),
        }
    }

    /// Writes the marker if it is as expected. Claims of this process wait for one another; the store's lock keeps out other processes.
    pub(super) fn claim(&self, expected: Option<Marker>, new: Marker) -> Result<(), BlobError> {
        let _one_at_a_time = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        self.standing.require_sound()?;
        Marker::check_claim(self.marker()?, expected, new)?;
        let text = serde_json::to_vec(&MarkerFile { version: VERSION, marker: new })
            .map_err(|_| BlobError::Internal { reason: "a marker that is no JSON" })?;
        self.write_small(path::MARKER.as_ref(), &text, expected.is_none())
    }

    /// Reads a small file; `None` where there is none.
    pub(super) fn read_small(&self, at: &Path) -> Result<Option<Vec<u8>>, BlobError> {
        let file = match self.files.open(at) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BlobError::from_io("open a small file", error)),
        };
        let status = self.files.stat_file(at, &file).map_err(failed("look at a small file"))?;
        if !status.is_file || status.size_bytes > SMALL_BYTES {
            return Err(BlobError::Refused { reason: format!("{} is not a file of this program", at.display()) });
        }
        let mut text = vec![0; status.size_bytes as usize];
        let length = self.files.read(at, &file, &mut text, 0).map_err(failed("read a small file"))?;
        text.truncate(length);
        Ok(Some(text))
    }

    /// Writes a small file whole and durably: staged, synced, moved, its directory synced. `new`: only where there is none.
    pub(super) fn write_small(&self, at: &Path, text: &[u8], new: bool) -> Result<(), BlobError> {
        let staged = self.staging_path();
        let written = self.write_staged(&staged, text).and_then(|()| {
            let moved = if new { self.files.move_new(&staged, at) } else { self.files.replace(&staged, at) };
            moved.map_err(failed("name a small file"))
        });
        if written.is_err() {
            let _ = self.files.remove(&staged);
        }
        written?;
        self.sync_directory(Path::new(""))
    }

    /// Writes and syncs a staging file; the caller removes it on failure.
    pub(super) fn write_staged(&self, staged: &Path, bytes: &[u8]) -> Result<(), BlobError> {
        let file = self.files.create(staged).map_err(failed("create a file in staging"))?;
        self.files.write(staged, &file, bytes).map_err(failed("write to staging"))?;
        self.sync_file(staged, &file)
    }

    /// A fresh name in staging.
    pub(super) fn staging_path(&self) -> PathBuf {
        path::staging(self.runtime.random.bytes())
    }

    /// Called where something was not found: fails where that is so because the store itself has gone.
    pub(super) fn require_blobs(&self) -> Result<(), BlobError> {
        match self.files.stat(path::BLOBS.as_ref()).map_err(failed("look at the store's directory"))? {
            Some(status) if status.is_file => Err(failed("find the store's directory")(std::io::ErrorKind::NotADirectory.into())),
            Some(_) => Ok(()),
            None => Err(failed("find the store's directory")(std::io::ErrorKind::NotFound.into())),
        }
    }
}
