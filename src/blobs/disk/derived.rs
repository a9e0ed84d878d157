//! What is derived from blobs: a file each in a directory of its kind, made when it is needed, not synced.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;

use super::{DiskStore, Shared};
use crate::blobs::derived::{DerivedKind, DerivedStore, MAX_DERIVED_BYTES};
use crate::blobs::error::failed;
use crate::blobs::{BlobError, path};
use crate::model::BlobHash;

/// The part of the file system that is left to originals: one in so many bytes.
const LEFT_TO_ORIGINALS: u64 = 20;

#[async_trait]
impl DerivedStore for DiskStore {
    async fn get_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<Option<Bytes>, BlobError> {
        let of = *of;
        self.run(move |shared| shared.get_derived(kind, &of)).await
    }

    async fn put_derived(&self, kind: DerivedKind, of: &BlobHash, bytes: Bytes) -> Result<(), BlobError> {
        let of = *of;
        self.run(move |shared| shared.put_derived(kind, &of, &bytes)).await
    }

    async fn delete_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<(), BlobError> {
        let of = *of;
        self.run(move |shared| shared.delete_derived(kind, &of)).await
    }
}

impl Shared {
    pub(super) fn get_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<Option<Bytes>, BlobError> {
        let at = path::derived(kind, of);
        let file = match self.files.open(&at) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BlobError::from_io("open what is derived from a blob", error)),
        };
        let status = self.files.stat_file(&at, &file).map_err(failed("look at what is derived from a blob"))?;
        if !status.is_file || status.size_bytes > MAX_DERIVED_BYTES as u64 {
            return Ok(None);
        }
        let mut bytes = vec![0; status.size_bytes as usize];
        let length = self.files.read(&at, &file, &mut bytes, 0).map_err(failed("read what is derived from a blob"))?;
        bytes.truncate(length);
        Ok(Some(bytes.into()))
    }

    fn put_derived(&self, kind: DerivedKind, of: &BlobHash, bytes: &[u8]) -> Result<(), BlobError> {
        if bytes.len() > MAX_DERIVED_BYTES {
            return Err(BlobError::Internal { reason: "something derived of more bytes than it may have" });
        }
        self.standing.require_sound()?;
        let room = self.files.room().map_err(failed("look at the room"))?;
        if room.free_bytes < room.total_bytes / LEFT_TO_ORIGINALS + bytes.len() as u64 {
            return Err(BlobError::NoSpace);
        }
        let staged = self.staging_path();
        let written = self.write_derived(&staged, kind, of, bytes);
        if written.is_err() {
            let _ = self.files.remove(&staged);
        }
        written
    }

    fn write_derived(&self, staged: &std::path::Path, kind: DerivedKind, of: &BlobHash, bytes: &[u8]) -> Result<(), BlobError> {
        let file = self.files.create(staged).map_err(failed("create a file in staging"))?;
        self.files.write(staged, &file, bytes).map_err(|error| BlobError::from_io("write to staging", error))?;
        let named = path::derived(kind, of);
        match self.files.replace(staged, &named) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other.map_err(failed("name what is derived from a blob")),
        }
        for directory in path::derived_directories(kind, of) {
            self.files.make_directory(&directory).map_err(|error| BlobError::from_io("make a directory", error))?;
        }
        self.files.replace(staged, &named).map_err(failed("name what is derived from a blob"))
    }

    fn delete_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<(), BlobError> {
        self.standing.require_sound()?;
        self.files.remove(&path::derived(kind, of)).map_err(|error| BlobError::from_io("delete what is derived from a blob", error))?;
        // Also where it was absent: an earlier call may have removed it and then failed to sync. Its directory may never have been made.
        let [.., leaf] = path::derived_directories(kind, of);
        self.sync_directory_if_there(&leaf).map(drop)
    }
}
