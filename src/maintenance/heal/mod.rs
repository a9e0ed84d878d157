//! Repairing copies that are damaged or gone, from wherever the blob is good ("Swap" of `protocols/blobs.md`).
//!
//! Whoever finds a copy bad, a download or a comparison of two stores, puts it into the queue. One task looks at it in both stores, and where one
//! of them is good, or another copy of the blob is, its bytes are written anew under a fresh key, to all stores, and the row names that one in the commit
//! that dooms the bad copy and takes the mark away. A copy that only the second store lacks is copied there as it is: nothing deletes a key that a row names.

mod brake;
mod figures;
mod queue;
mod repair;
#[cfg(test)]
mod tests;
mod touched;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use self::brake::Brake;
pub use self::figures::HealFigures;
pub use self::queue::HealQueue;
use crate::blobs::{BlobError, BlobStore, Content, Found, MovableStore, Transfer, look, transfer};
use crate::metadata::check::list_readable_blobs;
use crate::metadata::{BlobRow, Metadata, MetadataError, Read as _, WriteError};
use crate::model::BlobKey;
use crate::runtime::{self, BlockingPool, Clock, Gone, Shutdown};

/// How long it is waited after something failed: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Rows that are read at once.
const PAGE: usize = 1_000;

/// What came of a copy that was said to be bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealOutcome {
    /// It is good wherever it should be.
    Sound,
    /// No row names it any more.
    Stale,
    /// A good one has taken its place.
    Repaired,
    /// The second store has it now, which lacked it.
    Copied,
    /// No good one is known. The row is marked.
    Lost,
    /// Too much is wrong: it is left for later. Where the first store's is bad, the row is marked.
    Braked,
}

/// Why a copy could not be looked at or repaired now.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HealError {
    /// Metadata cannot be read or written.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A store does not do its work.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// Metadata has as much to write as it takes.
    #[error("too many writes are waiting")]
    Busy,
    /// Threads gave no answer.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl From<WriteError<MetadataError>> for HealError {
    fn from(error: WriteError<MetadataError>) -> Self {
        match error {
            WriteError::Refused(error) | WriteError::Failed(error) => Self::Metadata(error),
            WriteError::Busy => Self::Busy,
        }
    }
}

/// Repairs the copies of a site. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Healer {
    metadata: Metadata,
    store: MovableStore,
    /// Where metadata is read.
    reading: BlockingPool,
    clock: Clock,
    queue: Arc<HealQueue>,
    figures: Arc<HealFigures>,
    brake: Arc<Brake>,
    /// One that empties the queue at a time.
    turn: Arc<Semaphore>,
}

/// What a healer needs of a site.
#[derive(Debug)]
pub struct HealerParts {
    /// The site's metadata.
    pub metadata: Metadata,
    /// Its blobs, below what decorates them.
    pub store: MovableStore,
    /// Where metadata is read.
    pub reading: BlockingPool,
    /// For the brake.
    pub clock: Clock,
    /// Where bad copies are told.
    pub queue: Arc<HealQueue>,
    /// The most that is repaired in an hour.
    pub max_per_hour: u32,
}

impl Healer {
    /// Nothing runs yet.
    pub fn new(parts: HealerParts) -> Self {
        let HealerParts { metadata, store, reading, clock, queue, max_per_hour } = parts;
        Self {
            metadata,
            store,
            reading,
            clock,
            queue,
            figures: Arc::default(),
            brake: Arc::new(Brake::new(max_per_hour)),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// What came of it.
    pub fn figures(&self) -> &Arc<HealFigures> {
        &self.figures
    }

    /// What waits.
    pub fn queue(&self) -> &Arc<HealQueue> {
        &self.queue
    }

    /// Repairs what comes into the queue, until the stop begins.
    pub async fn run(self, mut shutdown: Shutdown) {
        tokio::select! {
            () = shutdown.stopping() => {}
            () = self.work() => {}
        }
    }

    async fn work(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            self.wait_for_brake().await;
            self.queue.wait().await;
            // Taken and looked at in one turn: whoever has the next finds it in the queue, marked or done.
            let Ok(turn) = self.turn.acquire().await else { return };
            let Some(key) = self.queue.take() else { continue };
            let healed = self.heal(key).await;
            if matches!(healed, Err(_) | Ok(HealOutcome::Braked)) {
                self.queue.add(key);
            }
            drop(turn);
            match healed {
                Ok(HealOutcome::Braked) => {}
                Ok(_) => pause = FIRST_PAUSE,
                Err(error) => {
                    tracing::warn!(%key, %error, "a copy could not be repaired; it is tried again");
                    self.figures.count_failure();
                    runtime::sleep(pause).await;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn wait_for_brake(&self) {
        while let Some(left) = self.brake.left(self.clock.monotonic()) {
            self.note_braked();
            runtime::sleep(left).await;
        }
        self.figures.set_braked(false);
    }

    fn note_braked(&self) {
        if self.figures.set_braked(true) {
            tracing::error!(
                waiting = self.queue.len(),
                "too many copies are damaged or gone at once: they are repaired no more until the hour is over (mirror.heal_per_hour); look at the disks"
            );
        }
    }

    /// Looks at a copy in both stores, and repairs what is bad, within the brake.
    ///
    /// # Errors
    /// Where a store cannot be asked just now: nothing is known then.
    pub async fn heal(&self, key: BlobKey) -> Result<HealOutcome, HealError> {
        self.heal_as(key, false).await
    }

    /// Repairs every copy that waits, or whose row is marked, whatever the brake says. Answers how many could not be looked at just now.
    ///
    /// # Errors
    /// Where metadata cannot be read.
    pub async fn heal_marked(&self) -> Result<u64, HealError> {
        let _turn = self.turn.acquire().await;
        let (mut after, mut left) = (None, 0);
        let mut waiting = vec![];
        while let Some(key) = self.queue.take() {
            if let Err(error) = self.heal_as(key, true).await {
                tracing::warn!(%key, %error, "a copy could not be repaired");
                waiting.push(key);
                left += 1;
            }
        }
        waiting.into_iter().for_each(|key| self.queue.add(key));
        loop {
            let metadata = self.metadata.clone();
            let page = self.reading.run(move || list_readable_blobs(&metadata.read(), after, PAGE)).await??;
            for row in page.items.into_iter().filter(|row| row.damaged) {
                match self.heal_as(row.key, true).await {
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(key = %row.key, %error, "a copy could not be repaired");
                        left += 1;
                    }
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(left);
            }
        }
    }

    async fn heal_as(&self, key: BlobKey, despite_brake: bool) -> Result<HealOutcome, HealError> {
        // In one store there is nothing to repair from, as a rule, and whoever has read the copy has marked it.
        if self.store.legs().1.is_none() {
            return Ok(HealOutcome::Stale);
        }
        let Some(row) = self.row_of(key).await? else { return Ok(HealOutcome::Stale) };
        let outcome = self.heal_row(&row, despite_brake).await?;
        self.figures.count(outcome);
        Ok(outcome)
    }

    async fn heal_row(&self, row: &BlobRow, despite_brake: bool) -> Result<HealOutcome, HealError> {
        let (key, content) = (row.key, Content::named(row.key.hash, row.stored_hash));
        let (first, second) = self.store.legs();
        let here = look(&*first.blobs, &key, &content).await?;
        if !here.is_good() {
            // Durably known, whatever becomes of it.
            self.mark(row, true).await?;
        }
        let there = match &second {
            Some(second) => Some(look(&*second.blobs, &key, &content).await?),
            None => None,
        };
        let (from, content) = match (here, there) {
            (Found::Good(_), None | Some(Found::Good(_))) => {
                self.mark(row, false).await?;
                return Ok(HealOutcome::Sound);
            }
            (Found::Good(_), Some(Found::Missing)) => {
                let Some(second) = second else { return Ok(HealOutcome::Sound) };
                return self.copy(row, &*first.blobs, &*second.blobs).await;
            }
            (Found::Good(_), Some(Found::Bad)) => (repair::Good { store: first.blobs.clone(), key }, content),
            (Found::Bad | Found::Missing, Some(Found::Good(_))) => {
                let Some(second) = second else { return Ok(HealOutcome::Sound) };
                (repair::Good { store: second.blobs.clone(), key }, content)
            }
            (Found::Bad | Found::Missing, _) => match self.find_another(row, &first, second.as_ref()).await? {
                Some(good) => (good, Content::raw(key.hash)),
                None => {
                    self.say(row, "lost").await?;
                    return Ok(HealOutcome::Lost);
                }
            },
        };
        if !despite_brake && self.brake.take(self.clock.monotonic()).is_err() {
            self.note_braked();
            return Ok(HealOutcome::Braked);
        }
        let outcome = self.repair(row, from, content).await?;
        if outcome == HealOutcome::Repaired {
            self.say(row, if here.is_good() { "second" } else { "first" }).await?;
        }
        Ok(outcome)
    }

    /// Has the second store take what it lacks.
    async fn copy(&self, row: &BlobRow, first: &dyn BlobStore, second: &dyn BlobStore) -> Result<HealOutcome, HealError> {
        let (key, content) = (row.key, Content::named(row.key.hash, row.stored_hash));
        let transferred = transfer(first, second, &key, &content).await?;
        self.settle(key).await?;
        Ok(if matches!(transferred, Transfer::Copied(_)) { HealOutcome::Copied } else { HealOutcome::Sound })
    }

    /// A copy that was put somewhere may have been deleted before it arrived: where no row names it any more, from everywhere once more.
    pub(in crate::maintenance) async fn settle(&self, key: BlobKey) -> Result<(), HealError> {
        if self.row_of(key).await?.is_none() {
            self.metadata.write("copied", move |tx| -> Result<bool, MetadataError> { tx.doom(key) }).await?;
        }
        Ok(())
    }

    /// The row that names this copy.
    pub(in crate::maintenance) async fn row_of(&self, key: BlobKey) -> Result<Option<BlobRow>, HealError> {
        let metadata = self.metadata.clone();
        let row = self.reading.run(move || metadata.read().blob(&key.hash)).await??;
        Ok(row.filter(|row| row.key == key))
    }

    /// Sets or clears the mark, where that is not as it is.
    async fn mark(&self, row: &BlobRow, is_bad: bool) -> Result<(), HealError> {
        let key = row.key;
        if row.damaged != is_bad {
            let change = move |tx: &mut crate::metadata::Transaction<'_>| -> Result<bool, MetadataError> {
                if is_bad { tx.mark_damaged(key) } else { tx.clear_damaged(key) }
            };
            self.metadata.write("heal", change).await?;
        }
        Ok(())
    }

    /// Says what was wrong, and whom it touches.
    async fn say(&self, row: &BlobRow, place: &'static str) -> Result<(), HealError> {
        let (metadata, key) = (self.metadata.clone(), row.key);
        let touched = self.reading.run(move || touched::touched(&metadata.read(), &key.hash)).await??;
        let touched::Touched { tenants, users, albums, photos, more } = touched;
        let hash = key.hash;
        if place == "lost" {
            tracing::error!(%hash, %key, tenants, users, albums, photos, more, "a photo is damaged or gone, and no good copy of it is known: send it again");
        } else {
            tracing::warn!(%hash, %key, store = place, tenants, users, albums, photos, more, "a copy was damaged or gone; it was repaired");
        }
        Ok(())
    }
}
