//! The only caller of DELETE (`protocols/blobs.md`, "Delete batch"): keys that were doomed past their grace, exact keys only.
//!
//! Until the change log is shipped to the backend there is no second epoch that could adopt a key; the marker is read all the same
//! before the first delete of a batch, so that two sites never collect in one backend.

use std::time::Duration;

use crate::blobs::{BlobStore, Deletion};
use crate::metadata::{MetadataError, Read};
use crate::model::{BlobKey, WallMs};

use super::{ServiceError, Services};

/// Keys that are read at once.
const SCAN_PIECE: usize = 1_000;

/// What a batch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Keys whose object is gone now, deleted or absent before.
    pub keys: usize,
    /// Keys that stay queued: their deletion failed and is tried again.
    pub failed: usize,
}

impl Services {
    /// Deletes up to `limit` doomed keys that have waited for `grace`.
    ///
    /// # Errors
    /// `Conflict` where the backend's marker is not this site's: then nothing was deleted.
    pub async fn delete_doomed(&self, grace: Duration, limit: usize) -> Result<Deleted, ServiceError> {
        let due = WallMs(self.runtime.clock.unix_ms().saturating_sub(grace.as_millis() as u64));
        let batch = self.read(move |at| Ok(due_keys(at, due, limit)?)).await?;
        if batch.is_empty() {
            return Ok(Deleted::default());
        }
        let marker = self.blobs.marker().await?;
        if marker.is_none_or(|marker| marker.site != self.metadata.site()) {
            let detail = "the backend's marker is not this site's: nothing is deleted".to_owned();
            return Err(ServiceError::Conflict { code: "marker_lost", detail });
        }
        let mut gone = Vec::with_capacity(batch.len());
        let mut failed = 0;
        for key in batch {
            match self.blobs.delete(&key).await {
                Ok(Deletion::Deleted | Deletion::Absent) => gone.push(key),
                Err(error) => {
                    failed += 1;
                    tracing::warn!(%key, %error, "a doomed copy could not be deleted; it stays queued");
                }
            }
        }
        let keys = gone.len();
        self.metadata.write("doom.done", move |tx| -> Result<(), ServiceError> { Ok(tx.forget_doomed(gone)?) }).await?;
        Ok(Deleted { keys, failed })
    }
}

/// Doomed keys that were queued before `due`. The queue is in the order of keys, so it is walked: it is short but for a collection.
fn due_keys(at: &impl Read, due: WallMs, limit: usize) -> Result<Vec<BlobKey>, MetadataError> {
    let mut keys = vec![];
    let mut after = None;
    loop {
        let page = at.doomed(after, SCAN_PIECE)?;
        keys.extend(page.items.into_iter().filter(|(_, since)| *since <= due).map(|(key, _)| key));
        keys.truncate(limit);
        if page.next.is_none() || keys.len() == limit {
            return Ok(keys);
        }
        after = page.next;
    }
}
