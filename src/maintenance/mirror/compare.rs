//! Holding the mirror's listing against metadata: what it lacks is copied, and what was deleted while it was away is deleted there, too.

use super::Mirroring;
use crate::blobs::BlobError;
use crate::maintenance::MoveError;
use crate::maintenance::moving::copy::{self, Listing};
use crate::metadata::{MetadataError, Read as _};
use crate::model::BlobKey;

/// Copies that no row names which are looked at at once.
const EXTRAS: usize = 256;

impl Mirroring {
    /// Compares. Nothing is read of a copy that is listed with its length.
    ///
    /// # Errors
    /// What hinders: it begins anew then.
    pub async fn compare(&self) -> Result<(), MoveError> {
        let mut listing = Listing::new(self.moving.to.blobs.inventory());
        let mut extras = vec![];
        let mut after = None;
        while let Some((rows, last)) = copy::page(&self.moving, after).await? {
            for row in rows {
                let mut found = None;
                while let Some((key, size_bytes)) = listing.peek().await? {
                    if key > row.key {
                        break;
                    }
                    listing.pass();
                    if key == row.key {
                        found = Some(size_bytes);
                        break;
                    }
                    self.meet_extra(&mut extras, key).await?;
                }
                match found {
                    Some(size_bytes) if size_bytes == row.stored_bytes && !row.damaged => {}
                    Some(_) => self.heal(row.key).await?,
                    None => {
                        self.one(&row, false).await?;
                    }
                }
            }
            after = Some(last);
        }
        while let Some((key, _)) = listing.peek().await? {
            listing.pass();
            self.meet_extra(&mut extras, key).await?;
        }
        self.clear(extras).await
    }

    async fn meet_extra(&self, extras: &mut Vec<BlobKey>, key: BlobKey) -> Result<(), MoveError> {
        extras.push(key);
        if extras.len() >= EXTRAS { self.clear(std::mem::take(extras)).await } else { Ok(()) }
    }

    /// Queues for deletion what the mirror alone has: it was deleted from the first store. What the first has as well is left: whether nobody needs that is for
    /// others to say. The commit looks once more that no row names the copy, and that nobody is writing it.
    async fn clear(&self, extras: Vec<BlobKey>) -> Result<(), MoveError> {
        let mut gone = vec![];
        for key in extras {
            // Asked before anything is read: a copy leaves the flight only after it was named or doomed.
            if self.moving.metadata.is_in_flight(&key) {
                continue;
            }
            match self.moving.from.blobs.stored_bytes(&key).await {
                Err(BlobError::NotFound) => gone.push(key),
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        let metadata = self.moving.metadata.clone();
        let doomed = self.moving.pool.run(move || {
            let now = metadata.read();
            let mut left = vec![];
            for key in gone {
                if !now.is_doomed(&key)? && now.blob(&key.hash)?.is_none_or(|row| row.key != key) {
                    left.push(key);
                }
            }
            Ok::<_, MetadataError>(left)
        });
        let doomed = doomed.await??;
        if !doomed.is_empty() {
            tracing::info!(copies = doomed.len(), "the mirror has copies that were deleted while it was away: they are deleted there, too");
            let queue = self.moving.metadata.write("mirror", move |tx| -> Result<(), MetadataError> {
                for key in doomed {
                    tx.doom(key)?;
                }
                Ok(())
            });
            queue.await?;
        }
        Ok(())
    }
}
