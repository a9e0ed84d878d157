//! Removing what is forgotten, for good. A disk may take its time, but nobody waits for it for ever: what it did not do in time is asked of it
//! again, and other deletions go on meanwhile.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::model::HashPrefix;
use crate::runtime;
use crate::service::ServiceError;

use super::RenditionDisk;

/// A disk that has not answered by then is not waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

const AWAY: ServiceError = ServiceError::Unavailable("cache of renditions");

impl RenditionDisk {
    /// Removes all renditions of a blob from the disk; one that renders meanwhile will not come there.
    ///
    /// # Errors
    /// `Unavailable` where the system would not remove them, or not in time: ask again. The cause is logged. What has begun goes to its end
    /// also then, maybe after a later call: what it finds by then of the same blob, owned anew, is rendered again.
    pub(in super::super) async fn forget(&self, blob: HashPrefix) -> Result<(), ServiceError> {
        let (begin, begun) = oneshot::channel();
        let disk = self.clone();
        let mut forgetting = Box::pin(async move { disk.forget_whenever(blob, begin).await });
        let forgotten = async {
            // Who gives up before its turn leaves nothing behind. From there on there is one task a thread at most.
            tokio::select! {
                biased;
                forgotten = &mut forgetting => return forgotten,
                _ = begun => {}
            }
            runtime::spawn_joined(forgetting).await?
        };
        self.in_time(forgotten).await?
    }

    /// Has nothing come to the disk that renders now, or waits to be written; what lies there stays.
    ///
    /// # Errors
    /// `Unavailable` where the disk does not answer in time: ask again.
    pub(in super::super) async fn forget_begun(&self) -> Result<(), ServiceError> {
        Ok(self.in_time(self.on_disk(|inner| inner.forgettings.add_all())).await??)
    }

    /// As [`RenditionDisk::forget`], however long it takes; `begin` is told when it is its turn.
    async fn forget_whenever(&self, blob: HashPrefix, begin: oneshot::Sender<()>) -> Result<(), ServiceError> {
        let forgotten = self.on_disk(move |inner| {
            if begin.send(()).is_err() {
                // Who asked has gone, and asks again.
                return Ok(vec![]);
            }
            inner.forgettings.add(blob);
            inner.files.forget(&blob)
        });
        let names = forgotten.await?.map_err(|error| {
            tracing::warn!(%error, "renditions on disk cannot be removed");
            AWAY
        })?;
        for name in names {
            // One that was rendered after that may be there by now.
            self.strike_off(name, 0).await;
        }
        Ok(())
    }

    /// Waits for what the disk was asked and can be asked again, but not for ever; and does not ask where it did not answer lately.
    ///
    /// # Errors
    /// `Unavailable` where it does not answer. Logged.
    pub(super) async fn in_time<T>(&self, asked: impl Future<Output = T>) -> Result<T, ServiceError> {
        if self.0.forgetting.holds() {
            return Err(AWAY);
        }
        let answer = runtime::timeout(self.0.patience, asked).await;
        if answer.is_none() {
            self.0.figures.failed.fetch_add(1, Ordering::Relaxed);
            self.0.forgetting.begin();
            tracing::warn!("the disk of the renditions does not answer: for a minute nothing is removed from it");
        }
        answer.ok_or(AWAY)
    }
}
