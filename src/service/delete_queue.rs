//! The only caller of DELETE (`protocols/blobs.md`, "Delete batch"): keys that were doomed past their grace, exact keys only.
//!
//! Until the change log is shipped to the backend there is no second epoch that could adopt a key; the marker is read all the same
//! before the first delete of a batch, so that two sites never collect in one backend.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::blobs::{BlobStore, Deletion, Marker};
use crate::metadata::{Doom, MetadataError, Read};
use crate::model::{BlobKey, HashPrefix, WallMs};

use super::edges::unowned;
use super::{CachedBlobs, ServiceError, Services, Unread};

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

/// How long doomed keys wait. Grace is no safety (a doomed key is never named again), but a courtesy to whoever looks on from outside.
#[derive(Debug, Clone, Copy)]
pub struct Graces {
    /// For copies that a row named: a copy of the blobs that a tool is making may have seen the directory before the copy that counts
    /// now was there, and metadata put back from before names this one.
    pub named: Duration,
    /// For copies of uploads that came to nothing: their last write may still be on its way to the disk.
    pub unnamed: Duration,
}

impl Graces {
    /// None at all.
    pub const NONE: Self = Self { named: Duration::ZERO, unnamed: Duration::ZERO };

    fn is_past(self, doom: Doom, now: WallMs) -> bool {
        let grace = if doom.was_named { self.named } else { self.unnamed };
        u128::from(now.0.saturating_sub(doom.since.0)) >= grace.as_millis()
    }
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

/// Renditions that may be of what nobody has any more: the disk would not give them, or not remove them.
#[derive(Debug)]
pub struct Uncleared {
    unread: Option<Unread>,
    blobs: Vec<HashPrefix>,
}

impl Services {
    /// Deletes up to `limit` doomed keys that have waited for their grace, going round the queue from where the last batch ended. `claim` is
    /// the marker as it stood when this site opened the backend.
    ///
    /// # Errors
    /// `Conflict` where the backend's marker is another by now, of another site or epoch: then nothing was deleted.
    pub async fn delete_doomed(&self, claim: Marker, graces: Graces, limit: usize) -> Result<Deleted, ServiceError> {
        let now = WallMs(self.runtime.clock.unix_ms());
        let after = self.delete_cursor.get();
        let (batch, next) = self.read(move |at| Ok(due_keys(at, after, |doom| graces.is_past(doom, now), limit)?)).await?;
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
        for (key, doom) in batch {
            match self.delete_copy(&key).await {
                Ok(Deletion::Deleted | Deletion::Absent | Deletion::Gone) => gone.push((key, doom)),
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

impl Services {
    /// Removes the renditions of what nobody has any more, of all that lie in the caches, or of what was `left`; to be called at the start. While
    /// the server was down, or the cache on disk another, they may have outlived their photos. Answers what is left, for a disk would not give
    /// or not remove it: to be called with that again.
    ///
    /// # Errors
    /// Where metadata cannot be read.
    pub async fn forget_unowned_renditions(&self, left: Option<Uncleared>) -> Result<Option<Uncleared>, ServiceError> {
        let CachedBlobs { mut blobs, unread } = match left {
            Some(Uncleared { unread: None, blobs }) => CachedBlobs { blobs, unread: None },
            Some(Uncleared { unread, blobs: before }) => {
                let mut found = self.renditions.cached_blobs(unread).await;
                found.blobs.extend(before);
                found
            }
            None => self.renditions.cached_blobs(None).await,
        };
        let mut kept = vec![];
        while !blobs.is_empty() {
            let asked = blobs.split_off(blobs.len().saturating_sub(SCAN_PIECE));
            for prefix in self.read(move |at| Ok(unowned(at, asked)?)).await? {
                // Logged where it failed.
                if self.renditions.forget_prefix(prefix).await.is_err() {
                    kept.push(prefix);
                }
            }
        }
        Ok((unread.is_some() || !kept.is_empty()).then_some(Uncleared { unread, blobs: kept }))
    }

    /// Deletes a copy, and, where the blob has no other, what was derived from it: the preview before, the tree after it. Whoever keeps a tree looks for
    /// the copy then, as they are below metadata.
    async fn delete_copy(&self, key: &BlobKey) -> Result<Deletion, ServiceError> {
        let hash = key.hash;
        // A preview that is made from here on looks for the blob once it is kept, and finds none. One removed for nothing is made again.
        let is_gone = self.look_up(move |at| Ok(at.blob(&hash)?.is_none())).await.unwrap_or(true);
        if is_gone {
            self.renditions.forget_preview(hash).await?;
            self.renditions.forget(hash).await?;
        }
        let deleted = self.blobs.delete(key).await?;
        if is_gone {
            self.blobs.forget_tree(&hash).await?;
        }
        Ok(deleted)
    }
}

/// Doomed keys, as they were queued, and where to go on.
type Due = (Vec<(BlobKey, Doom)>, Option<BlobKey>);

/// Doomed keys behind `after` that are due, and where to go on: `None` where the end was reached, so at the beginning.
fn due_keys(at: &impl Read, mut after: Option<BlobKey>, is_due: impl Fn(Doom) -> bool, limit: usize) -> Result<Due, MetadataError> {
    let mut keys = vec![];
    for _ in 0..SCAN_LIMIT / SCAN_PIECE {
        let page = at.doomed(after, SCAN_PIECE)?;
        for (key, doom) in page.items {
            if is_due(doom) {
                keys.push((key, doom));
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
    use crate::metadata::Placed;
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
        let batch = async || services.delete_doomed(claim(), Graces::NONE, 4).await.unwrap();
        assert_eq!(batch().await, Deleted { keys: 0, failed: 4 });
        assert_eq!(batch().await, Deleted { keys: 4, failed: 0 }, "the next ones, not the same again");
        assert_eq!(batch().await, Deleted { keys: 2, failed: 0 });
        assert_eq!(batch().await, Deleted { keys: 4, failed: 0 }, "and round again");
        assert_eq!((batch().await, doomed(&metadata)), (Deleted::default(), 0));
    }

    #[tokio::test]
    async fn a_copy_that_was_named_waits_longer() {
        let (store, metadata, runtime, services) = site();
        store.claim(None, claim()).await.unwrap();
        let bytes = crate::blobs::contract::bytes(1, 1000);
        let mut copies = vec![];
        for nonce in 0..2 {
            let in_flight = metadata.begin_copy(BlobHash::of(&bytes));
            let key = in_flight.key();
            let mut staged = store.stage(None).await.unwrap();
            staged.write(bytes.clone()).await.unwrap();
            let digests = staged.digests().await.unwrap();
            staged.publish(&key).await.unwrap();
            let new = crate::metadata::NewBlob::raw(key, 1000, digests.sha256, digests.crc32);
            let replaced = metadata.write("copy", move |tx| tx.replace_blob(&in_flight, new)).await.unwrap();
            assert_eq!(replaced, [Placed::Named, Placed::Replaced][nonce]);
            copies.push(key);
        }
        doom(&metadata, 1).await;
        let (minute, day) = (Duration::from_secs(60), Duration::from_secs(86_400));
        let graces = Graces { named: day, unnamed: minute };
        let deleted = async || services.delete_doomed(claim(), graces, 10).await.unwrap().keys;
        assert_eq!((deleted().await, doomed(&metadata)), (0, 2));
        runtime.clock.advance(minute);
        assert_eq!((deleted().await, doomed(&metadata)), (1, 1), "what was never named");
        runtime.clock.advance(day - minute - Duration::from_millis(1));
        assert_eq!((deleted().await, store.copies(&copies[0].hash).await.unwrap().len()), (0, 2));
        runtime.clock.advance(Duration::from_millis(1));
        assert_eq!((deleted().await, store.copies(&copies[0].hash).await.unwrap()), (1, vec![copies[1]]));
    }

    #[tokio::test]
    async fn nothing_is_deleted_under_another_claim() {
        let (store, metadata, _, services) = site();
        doom(&metadata, 1).await;
        let batch = async || services.delete_doomed(claim(), Graces::NONE, 4).await;
        let lost = |done| matches!(done, Err(ServiceError::Conflict { code: "marker_lost", .. }));
        assert!(lost(batch().await), "nobody's");
        store.claim(None, claim()).await.unwrap();
        let later = Marker { epoch: 2, ..claim() };
        store.claim(Some(claim()), later).await.unwrap();
        assert!(lost(batch().await), "the same site's, but a later life of it has claimed the store");
        store.claim(Some(later), Marker { site: SiteId::from_bytes([2; 16]), epoch: 2 }).await.unwrap();
        assert!(lost(batch().await), "another site's");
        assert_eq!(doomed(&metadata), 1);
        assert_eq!(services.delete_doomed(later, Graces::NONE, 4).await.ok(), None);
    }
}
