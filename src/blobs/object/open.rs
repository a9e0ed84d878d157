//! Opening a store, and whether it does its work.

use std::time::Duration;

use bytes::Bytes;
use object_store::PutPayload;

use super::calls::{Calls, unavailable};
use super::connect::Connection;
use super::{ObjectSettings, ObjectStore, inventory};
use crate::blobs::{BlobError, DiskStore, path};
use crate::runtime::Runtime;

/// What a probe writes.
const PROBE: &[u8] = b"halidom probe\n";

impl ObjectStore {
    /// Opens the store behind `connection`, and sets one up where there is none and the settings allow it. `spool`: where uploads are received, what
    /// lies in its staging is left alone, see [`ObjectStore::sweep`]; none where nothing is put.
    ///
    /// # Errors
    /// [`BlobError::Refused`] where what lies there is no store, only part of one, or of a newer layout; [`BlobError::Unavailable`] where the service does
    /// not answer, or does not let this program in.
    pub async fn open(
        connection: Connection,
        spool: Option<DiskStore>,
        runtime: Runtime,
        settings: &ObjectSettings,
    ) -> Result<Self, BlobError> {
        let store = Self { spool, ..Self::to_read(connection, runtime, settings) };
        let format = store.calls.at(path::FORMAT.as_ref());
        if settings.create && store.calls.get_format().await?.is_none() {
            if inventory::has_any(&store.calls).await? {
                return Err(BlobError::Refused { reason: format!("there are blobs, but no {format}: part of a store") });
            }
            // The same bytes, whoever puts them: it may be put twice.
            store.calls.put_any(&format, PutPayload::from_static(path::FORMAT_TEXT)).await?;
            return Ok(store);
        }
        store.require_layout().await?;
        Ok(store)
    }

    /// The store behind `connection`, to be read while another process has it open: nothing can be received, and nothing is asked of the service yet.
    pub fn to_read(connection: Connection, runtime: Runtime, settings: &ObjectSettings) -> Self {
        let calls = Calls::new(connection, &settings.prefix, settings.deadline.max(Duration::from_millis(100)));
        Self { calls, spool: None, runtime }
    }

    /// Looks whether there is a store.
    ///
    /// # Errors
    /// [`BlobError::Refused`] where there is none, or one of a newer layout; [`BlobError::Unavailable`] as [`ObjectStore::open`].
    pub async fn require_layout(&self) -> Result<(), BlobError> {
        let format = self.calls.at(path::FORMAT.as_ref());
        match self.calls.get_format().await? {
            Some(text) if text == path::FORMAT_TEXT => Ok(()),
            Some(text) => {
                let found = String::from_utf8_lossy(&text).trim().to_owned();
                Err(BlobError::Refused { reason: format!("its layout is {found:?}; this version knows \"halidom blobs 1\"") })
            }
            None => Err(BlobError::Refused { reason: format!("there is no blob store at {format} of {:?}", self.calls.connection()) }),
        }
    }

    /// Removes what an earlier process left in the spool.
    ///
    /// # Errors
    /// What its disk meets.
    pub async fn sweep(&self) -> Result<(), BlobError> {
        self.require_spool()?.sweep().await
    }

    /// Whether there are any copies.
    ///
    /// # Errors
    /// What the service meets.
    pub async fn was_used(&self) -> Result<bool, BlobError> {
        inventory::has_any(&self.calls).await
    }
}

/// Puts, reads back and deletes a small object where nothing else lies.
pub(super) async fn probe(calls: &Calls, runtime: &Runtime) -> Result<(), BlobError> {
    inventory::require_store(calls).await.map_err(|error| match error {
        BlobError::NotFound => unavailable("find the store", "there is no store any more where it was"),
        error => error,
    })?;
    let at = calls.at(&path::staging(runtime.random.bytes()));
    calls.put_any(&at, PutPayload::from_static(PROBE)).await?;
    let found: Option<Bytes> = calls.get_small(&at).await?.map(|(bytes, _)| bytes);
    calls.delete(&at).await?;
    if found.as_deref() == Some(PROBE) { Ok(()) } else { Err(unavailable("read a probe back", "other bytes than were put")) }
}
