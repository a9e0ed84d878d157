//! Putting what waits to the service.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};

use super::{SpooledStore, is_away};
use crate::blobs::{BlobError, BlobStore as _, Content, Damage, DiskStore, ObjectStore, Staged as _, copy_bytes, look};
use crate::model::BlobKey;

/// Copies that are on their way at once: uploads go first.
const AT_ONCE: usize = 8;
/// Copies that one pass takes on.
const BATCH: usize = 1024;
/// Pause before a copy is tried again that could not be put though the service answered.
const AGAIN: Duration = Duration::from_secs(60);
/// The same where the service did not answer.
const SOON: Duration = Duration::from_secs(1);

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Destaged {
    /// Copies that the service has now, and this disk no more.
    pub copies: u64,
    /// Copies that wait on, for a reason that is their own; they are tried again later.
    pub failed: u64,
    /// Whether it ended because the service does not answer.
    pub is_away: bool,
}

/// How one copy fared.
enum One {
    Destaged,
    /// Somebody else has it in hand, or it is gone.
    Nothing,
    Failed,
    Away,
}

impl SpooledStore {
    /// Puts what waits to the service, reads each copy back there and hashes it, then deletes it here. May be repeated and given up at any time.
    pub async fn destage(&self) -> Destaged {
        let mut done = Destaged::default();
        let (Some(service), Some(local)) = (self.service(), self.0.local.as_ref()) else { return Destaged { is_away: true, ..done } };
        if self.0.backlog.is_empty() {
            return done;
        }
        if service.is_away() {
            return Destaged { is_away: true, ..done };
        }
        let due = self.0.backlog.due(BATCH);
        let (is_away, service) = (&AtomicBool::new(false), &service);
        let each = |key| async move {
            // What has begun goes to its end: a local deletion that nobody waits for would be done all the same.
            if is_away.load(Ordering::Relaxed) { One::Nothing } else { self.destage_one(local, service, key).await }
        };
        let mut under_way = stream::iter(due).map(each).buffer_unordered(AT_ONCE);
        while let Some(one) = under_way.next().await {
            match one {
                One::Destaged => done.copies += 1,
                One::Nothing => {}
                One::Failed => done.failed += 1,
                One::Away => {
                    done.is_away = true;
                    is_away.store(true, Ordering::Relaxed);
                }
            }
        }
        done
    }

    async fn destage_one(&self, local: &DiskStore, service: &ObjectStore, key: BlobKey) -> One {
        let backlog = &self.0.backlog;
        // Held to the end, so that nothing deletes it in between and finds it put back.
        let Some(_in_hand) = backlog.take(&key).filter(|_| backlog.contains(&key)) else { return One::Nothing };
        let moved = async {
            let content = Content::raw(key.hash);
            if !look(service, &key, &content).await?.is_good() {
                put(local, service, &key).await?;
                if !look(service, &key, &content).await?.is_good() {
                    return Err(BlobError::Damaged { key, damage: Damage::Written });
                }
            }
            local.delete(&key).await
        };
        match moved.await {
            Ok(_) => {
                backlog.remove(&key);
                One::Destaged
            }
            // It never was: its publication failed, or was given up half way.
            Err(BlobError::NotFound) => {
                backlog.remove(&key);
                One::Nothing
            }
            Err(BlobError::Closed) => One::Away,
            Err(error) if is_away(&error) => {
                backlog.put_off(&key, SOON);
                One::Away
            }
            Err(error) => {
                tracing::error!(%key, %error, "a copy that waits on the local disk could not be put to the object store; it is tried again");
                backlog.put_off(&key, AGAIN);
                One::Failed
            }
        }
    }
}

/// Puts it over whatever is there: the key has no other bytes than its own.
async fn put(local: &DiskStore, service: &ObjectStore, key: &BlobKey) -> Result<(), BlobError> {
    let source = local.open(key).await?;
    let mut staged = Box::new(local.stage_here(Some(source.size_bytes()))?);
    copy_bytes(&*source, &mut *staged).await?;
    let found = staged.digests().await?.hash;
    let put = if found == key.hash {
        service.put_staged(&mut staged, key, &Content::raw(key.hash)).await
    } else {
        Err(BlobError::Damaged { key: *key, damage: Damage::Content { found } })
    };
    staged.discard().await;
    put
}
