//! Keeping a mirror whole: a second store that has every copy that metadata names, beside the one that is relied on.
//!
//! What is published goes to both, see [`crate::blobs::PairStore`]. Here is what sees to the rest: a pass reads every copy in the mirror and copies what it
//! lacks (`pass`), when it is new and now and then; a comparison holds its listing against metadata (`compare`), at every start; and what an upload could not put
//! there is made up for (`catch_up`). A copy that is bad on either side is repaired, see `heal`.

mod compare;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::stream::{self, TryStreamExt as _};

use super::heal::{HealOutcome, Healer};
use super::moving::{MoveError, Moving, copy};
use crate::blobs::{Content, Found, Transfer, look, transfer};
use crate::metadata::{BlobRow, Read as _};
use crate::model::{BlobHash, BlobKey};

/// Copies under way at once.
const AT_ONCE: usize = 4;

/// What is to be remembered of a pass, durably.
#[async_trait::async_trait]
pub trait MirrorJournal: Send + Sync {
    /// All blobs up to this one were gone through.
    async fn passed(&self, up_to: BlobHash) -> Result<(), MoveError>;
}

/// A mirror that is kept.
#[derive(Debug)]
pub struct Mirroring {
    /// From the store that is relied on to the mirror: what copies, and at which rate.
    pub moving: Moving,
    /// What repairs.
    pub healer: Healer,
}

impl Mirroring {
    /// Reads every copy in the mirror, and with `reads_both` in the first store, too; copies what the mirror lacks, and repairs what is bad. `after`: up to
    /// where a former one has come.
    ///
    /// # Errors
    /// What hinders: it can be gone on with.
    pub async fn pass(&self, after: Option<BlobHash>, reads_both: bool, journal: &dyn MirrorJournal) -> Result<(), MoveError> {
        let (begun, moved) = (self.moving.clock.monotonic(), AtomicU64::new(0));
        self.moving.progress.begin(&self.moving.metadata.read().stats()?);
        self.moving.progress.set_phase(if reads_both { "verifying" } else { "filling" });
        let mut after = after;
        while let Some((rows, last)) = copy::page(&self.moving, after).await? {
            let rows = rows.into_iter().map(|row| Ok((self, row, &moved)));
            stream::iter(rows)
                .try_for_each_concurrent(AT_ONCE, |(mirroring, row, moved)| mirroring.count(row, reads_both, moved).boxed())
                .await?;
            journal.passed(last).await?;
            after = Some(last);
            copy::keep_to_rate(&self.moving, begun, moved.load(Ordering::Relaxed)).await;
        }
        Ok(())
    }

    async fn count(&self, row: BlobRow, reads_both: bool, moved: &AtomicU64) -> Result<(), MoveError> {
        moved.fetch_add(self.one(&row, reads_both).await?, Ordering::Relaxed);
        Ok(())
    }

    /// Makes up for copies that the mirror could not take.
    ///
    /// # Errors
    /// What hinders: all are to be tried again.
    pub async fn catch_up(&self, keys: &[BlobKey]) -> Result<(), MoveError> {
        for key in keys {
            if let Some(row) = self.healer.row_of(*key).await? {
                self.one(&row, false).await?;
            }
        }
        Ok(())
    }

    /// Sees to it that the mirror has the copy of this row, whole. Answers how many bytes were read or copied for it.
    async fn one(&self, row: &BlobRow, reads_both: bool) -> Result<u64, MoveError> {
        let (key, content) = (row.key, Content::named(row.key.hash, row.stored_hash));
        let (first, second) = (&*self.moving.from.blobs, &*self.moving.to.blobs);
        let mut copied = 0;
        let mut is_bad = row.damaged;
        match look(second, &key, &content).await? {
            Found::Missing => match transfer(first, second, &key, &content).await {
                Ok(Transfer::Copied(bytes)) => copied = bytes,
                Ok(Transfer::Present(_)) => {}
                Err(error) if error.is_damage() => is_bad = true,
                Err(error) => return Err(error.into()),
            },
            Found::Bad => is_bad = true,
            Found::Good(_) => {}
        }
        self.healer.settle(key).await?;
        if is_bad || reads_both && !look(first, &key, &content).await?.is_good() {
            self.heal(key).await?;
        }
        self.moving.progress.passed(row.stored_bytes, copied);
        Ok(row.stored_bytes)
    }

    async fn heal(&self, key: BlobKey) -> Result<(), MoveError> {
        if self.healer.heal(key).await? == HealOutcome::Braked {
            self.healer.queue().add(key);
        }
        Ok(())
    }
}
