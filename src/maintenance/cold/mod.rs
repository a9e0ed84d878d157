//! Cold photos: JPEG originals that have lain for a while are recompressed without loss, one after the other, while nothing else goes on; or, where
//! the settings say so, become again what they were.
//!
//! `pick` says which, `swap` makes the copy that takes the other's place. All blobs are gone through again and again, beginning anywhere: so those at
//! the end get their turn also where the server is started often, and there is no position to keep.

mod figures;
mod pick;
mod swap;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;

pub use self::figures::{ColdFigures, ColdOutcome};
use self::pick::{Pick, Policy};
use crate::blobs::{BlobError, BlobStore, VerifyStore};
use crate::config::{ColdConfig, ColdMode};
use crate::metadata::{BlobRow, Metadata, MetadataError, StaysRawWhy, WriteError};
use crate::model::BlobHash;
use crate::runtime::{self, BlockingPool, Gone, Runtime, Shutdown};

/// How often it is looked whether nothing else goes on.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Pause after something failed that has nothing to do with a photo.
const RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

/// Whether anything goes on that somebody waits for.
pub trait Idleness: fmt::Debug + Send + Sync {
    /// Nothing does.
    fn is_idle(&self) -> bool;
}

/// Why the work was ended before its time. The next turn begins anew.
#[derive(Debug, thiserror::Error)]
pub enum ColdError {
    /// Metadata cannot be read or written.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The backend does not do its work.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// Threads gave no answer.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl From<WriteError<MetadataError>> for ColdError {
    fn from(error: WriteError<MetadataError>) -> Self {
        match error {
            WriteError::Refused(error) | WriteError::Failed(error) => Self::Metadata(error),
            WriteError::Busy => Self::Metadata(MetadataError::Unavailable { detail: "too many writes are waiting".to_owned() }),
        }
    }
}

/// What the work is done with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ColdJob {
    /// The site's metadata.
    pub metadata: Metadata,
    /// Its blobs, as they are served: checked, and decoded where they are recompressed.
    pub blobs: Arc<VerifyStore<Arc<dyn BlobStore>>>,
    /// Clock and randomness.
    pub runtime: Runtime,
    /// Where metadata is read.
    pub reading: BlockingPool,
    /// Where photos are recompressed; its threads let all others go first.
    pub encoding: BlockingPool,
    /// What else goes on.
    pub idleness: Arc<dyn Idleness>,
    /// What is done, and to what.
    pub settings: ColdConfig,
    /// What came of it.
    pub figures: Arc<ColdFigures>,
}

impl ColdJob {
    /// Works until the stop begins. A photo that is being worked on is left as it was.
    pub async fn run(self, mut shutdown: Shutdown) {
        if self.settings.mode == ColdMode::Off {
            return;
        }
        loop {
            let gone_through = tokio::select! {
                gone_through = self.go_through() => gone_through,
                () = shutdown.stopping() => return,
            };
            let pause = match gone_through {
                Ok(()) => self.settings.every,
                Err(error) => {
                    tracing::warn!(%error, "recompressing photos was ended before its time");
                    RETRY_AFTER
                }
            };
            if runtime::timeout(pause, shutdown.stopping()).await.is_some() {
                return;
            }
        }
    }

    /// Goes through all blobs once, and does what is to be done.
    ///
    /// # Errors
    /// What hinders: all that was done until then is.
    pub async fn go_through(&self) -> Result<(), ColdError> {
        let policy = self.read_policy().await?;
        let start = BlobHash::from_bytes(self.runtime.random.bytes());
        let mut after = Some(start);
        let mut is_second_leg = false;
        loop {
            self.until_idle().await;
            let (metadata, asked) = (self.metadata.clone(), policy.clone());
            let page = self.reading.run(move || pick::pick(&metadata.read(), after, &asked)).await??;
            // All that lies behind the start was gone through first.
            let end = is_second_leg.then_some(start);
            let is_round = |hash: &BlobHash| end.is_some_and(|end| *hash > end);
            let picked = page.items.into_iter().filter(|(row, _)| !is_round(&row.key.hash));
            let mut working =
                stream::iter(picked.map(|(row, pick)| self.work_on(row, pick))).buffer_unordered(self.settings.concurrency as usize);
            while let Some(done) = working.next().await {
                done?;
            }
            match page.next {
                Some(hash) if is_round(&hash) => return Ok(()),
                Some(hash) => after = Some(hash),
                None if is_second_leg => return Ok(()),
                None => (after, is_second_leg) = (None, true),
            }
        }
    }

    async fn read_policy(&self) -> Result<Arc<Policy>, ColdError> {
        let (metadata, settings) = (self.metadata.clone(), self.settings.clone());
        let now_ms = self.runtime.clock.unix_ms();
        Ok(Arc::new(self.reading.run(move || Policy::read(&metadata.read(), &settings, now_ms)).await??))
    }

    async fn until_idle(&self) {
        while !self.idleness.is_idle() {
            runtime::sleep(LOOK_EVERY).await;
        }
    }

    /// What is wrong with a single photo is counted and said, and keeps no other from its turn.
    async fn work_on(&self, row: BlobRow, pick: Pick) -> Result<(), ColdError> {
        self.until_idle().await;
        let done = match pick {
            Pick::Recompress => self.recompress(row).await,
            Pick::Undo => self.undo(row).await,
        };
        match done {
            Ok(outcome) => self.figures.count(outcome),
            Err(ColdError::Blobs(error @ (BlobError::NotFound | BlobError::Damaged { .. }))) => {
                tracing::error!(key = %row.key, %error, "a stored copy is damaged or gone");
                self.figures.count(ColdOutcome::Failed);
                let metadata = self.metadata.clone();
                metadata.write("damaged", move |tx| tx.mark_damaged(row.key)).await?;
            }
            // Of this photo, or of what was made of it: no other is to wait for that.
            Err(error @ (ColdError::Blobs(BlobError::Refused { .. } | BlobError::Internal { .. }) | ColdError::Gone(Gone::Panicked))) => {
                tracing::error!(key = %row.key, %error, "a photo could not be swapped for another form of it; it stays as it is");
                self.figures.count(ColdOutcome::Failed);
                if pick == Pick::Recompress {
                    self.note_raw(&row, StaysRawWhy::Unproven).await?;
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
