//! Copies that a second store has, and that nothing names.

use super::{MoveError, Moving};
use crate::blobs::BlobError;
use crate::metadata::{MetadataError, Read as _};
use crate::model::BlobKey;

/// So many are looked at at once.
const AT_ONCE: usize = 256;

/// Those that were met and not looked at yet.
#[derive(Debug, Default)]
pub(in crate::maintenance) struct Extras(Vec<BlobKey>);

impl Extras {
    /// A copy that is listed, and that no row named when they were read.
    ///
    /// # Errors
    /// What hinders.
    pub(in crate::maintenance) async fn meet(&mut self, moving: &Moving, key: BlobKey) -> Result<(), MoveError> {
        self.0.push(key);
        if self.0.len() >= AT_ONCE { self.clear(moving).await } else { Ok(()) }
    }

    /// Queues for deletion what the second store alone has: it was deleted from the first. What the first has as well is left: whether nobody needs that is for
    /// others to say. The commit looks once more that no row names the copy, and that nobody is writing it.
    ///
    /// # Errors
    /// What hinders.
    pub(in crate::maintenance) async fn clear(&mut self, moving: &Moving) -> Result<(), MoveError> {
        let mut gone = vec![];
        for key in std::mem::take(&mut self.0) {
            // Asked before anything is read: a copy leaves the flight only after it was named or doomed.
            if moving.metadata.is_in_flight(&key) {
                continue;
            }
            match moving.from.blobs.stored_bytes(&key).await {
                Err(BlobError::NotFound) => gone.push(key),
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        let metadata = moving.metadata.clone();
        let doomed = moving.pool.run(move || {
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
            tracing::info!(
                copies = doomed.len(),
                "the second blob store has copies that were deleted while it was away: they are deleted there, too"
            );
            let queue = moving.metadata.write("extras", move |tx| -> Result<(), MetadataError> {
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
