//! Holding the mirror's listing against metadata: what it lacks is copied, and what was deleted while it was away is deleted there, too.

use super::Mirroring;
use crate::maintenance::MoveError;
use crate::maintenance::moving::copy::{self, Listing};
use crate::maintenance::moving::extras::Extras;

impl Mirroring {
    /// Compares. Nothing is read of a copy that is listed with its length.
    ///
    /// # Errors
    /// What hinders: it begins anew then.
    pub async fn compare(&self) -> Result<(), MoveError> {
        let mut listing = Listing::new(self.moving.to.blobs.inventory());
        let mut extras = Extras::default();
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
                    extras.meet(&self.moving, key).await?;
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
            extras.meet(&self.moving, key).await?;
        }
        extras.clear(&self.moving).await
    }
}
