//! The only caller of DELETE (`protocols/blobs.md`, "Delete batch"): keys that were doomed past their grace, exact keys only.
//!
//! Until the change log is shipped to the backend there is no second epoch that could adopt a key; the marker is read all the same
//! before the first delete of a batch, so that two sites never collect in one backend.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::blobs::{BlobStore, Deletion, Marker};
use crate::metadata::{MetadataError, Read};
use crate::model::{BlobKey, WallMs};

use super::{ServiceError, Services};

/// Keys that are read at once.
const SCAN_PIECE: usize = 1_000;
/// Keys that a batch looks at. The queue is in the order of keys, not of time, so those that are due have to be looked for.
const SCAN_LIMIT: usize = 10_000;

/// What a batch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Keys whose object is gone now, deleted or absent before.
    pub keys: usize,
    /// Keys that stay queued: their deletion failed and is tried again.
    pub failed: usize,
}

/// Where the next batch begins, so that keys that cannot be deleted do not stand in the way of those behind them. In memory: after a
/// restart it begins at the first key again.
#[derive(Debug, Default)]
pub(super) struct DeleteCursor(Mutex<Option<BlobKey>>);

impl DeleteCursor {
    fn get(&self) -> Option<BlobKey> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, at: Option<BlobKey>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}

impl Services {
    /// Deletes up to `limit` doomed keys that have waited for `grace`, going round the queue from where the last batch ended. `claim` is
    /// the marker as it stood when this site opened the backend.
    ///
    /// # Errors
    /// `Conflict` where the backend's marker is another by now, of another site or epoch: then nothing was deleted.
    pub async fn delete_doomed(&self, claim: Marker, grace: Duration, limit: usize) -> Result<Deleted, ServiceError> {
        let due = WallMs(self.runtime.clock.unix_ms().saturating_sub(grace.as_millis() as u64));
        let after = self.delete_cursor.get();
        let (batch, next) = self.read(move |at| Ok(due_keys(at, after, due, limit)?)).await?;
        if batch.is_empty() {
            self.delete_cursor.set(next);
            return Ok(Deleted::default());
        }
        let marker = self.blobs.marker().await?;
        if marker != Some(claim) {
            let detail = "the backend's marker is not the one under which this site opened it: nothing is deleted".to_owned();
            return Err(ServiceError::Conflict { code: "marker_lost", detail });
        }
        self.delete_cursor.set(next);
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

/// Doomed keys behind `after` that were queued before `due`, and where to go on: `None` where the end was reached, so at the beginning.
fn due_keys(
    at: &impl Read,
    mut after: Option<BlobKey>,
    due: WallMs,
    limit: usize,
) -> Result<(Vec<BlobKey>, Option<BlobKey>), MetadataError> {
    let mut keys = vec![];
    for _ in 0..SCAN_LIMIT / SCAN_PIECE {
        let page = at.doomed(after, SCAN_PIECE)?;
        for (key, since) in page.items {
            if since <= due {
                keys.push(key);
            }
            if keys.len() == limit {
                return Ok((keys, Some(key)));
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok((keys, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::{BlobError, Operation};
    use crate::model::{BlobHash, SiteId};
    use crate::service::readiness::tests::site;

    fn claim() -> Marker {
        Marker { site: SiteId::from_bytes([1; 16]), epoch: 1 }
    }

    /// Copies that were given up, queued for deletion.
    async fn doom(metadata: &crate::metadata::Metadata, count: u32) {
        for number in 0..count {
            drop(metadata.begin_copy(BlobHash::of(&number.to_be_bytes())));
        }
        // The writer takes what was given up with, or before, the next request.
        let done = metadata.write("after", |tx| -> Result<(), ServiceError> {
            tx.probe();
            Ok(())
        });
        done.await.unwrap();
    }

    fn doomed(metadata: &crate::metadata::Metadata) -> usize {
        metadata.read().doomed(None, 1_000).unwrap().items.len()
    }

    #[tokio::test]
    async fn keys_that_cannot_be_deleted_do_not_hold_up_the_others() {
        let (store, metadata, _, services) = site();
        store.claim(None, claim()).await.unwrap();
        doom(&metadata, 10).await;
        assert_eq!(doomed(&metadata), 10);
        for call in 0..4 {
            store.faults().fail(Operation::Delete, call, BlobError::NoSpace);
        }
        let batch = async || services.delete_doomed(claim(), Duration::ZERO, 4).await.unwrap();
        assert_eq!(batch().await, Deleted { keys: 0, failed: 4 });
        assert_eq!(batch().await, Deleted { keys: 4, failed: 0 }, "the next ones, not the same again");
        assert_eq!(batch().await, Deleted { keys: 2, failed: 0 });
        assert_eq!(batch().await, Deleted { keys: 4, failed: 0 }, "and round again");
        assert_eq!((batch().await, doomed(&metadata)), (Deleted::default(), 0));
    }

    #[tokio::test]
    async fn nothing_is_deleted_under_another_claim() {
        let (store, metadata, _, services) = site();
        doom(&metadata, 1).await;
        let batch = async || services.delete_doomed(claim(), Duration::ZERO, 4).await;
        let lost = |done| matches!(done, Err(ServiceError::Conflict { code: "marker_lost", .. }));
        assert!(lost(batch().await), "nobody's");
        store.claim(None, claim()).await.unwrap();
        let later = Marker { epoch: 2, ..claim() };
        store.claim(Some(claim()), later).await.unwrap();
        assert!(lost(batch().await), "the same site's, but a later life of it has claimed the store");
        store.claim(Some(later), Marker { site: SiteId::from_bytes([2; 16]), epoch: 2 }).await.unwrap();
        assert!(lost(batch().await), "another site's");
        assert_eq!(doomed(&metadata), 1);
        assert_eq!(services.delete_doomed(later, Duration::ZERO, 4).await.ok(), None);
    }
}
