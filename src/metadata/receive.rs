//! Entries of other origins: the same path as own writes, but nothing is evaluated.

use super::open::Metadata;
use super::read::Read;
use super::transaction::Transaction;
use super::{MetadataError, WriteError};
use crate::model::entry::Entry;
use crate::model::vector::{Arrival, VersionVector};

/// What became of a received entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is a part of this store now.
    Applied,
    /// It was a part of it before.
    Known,
    /// Entries before it are missing: ask for them; where they were cut, reconcile.
    Gap,
    /// It does not follow from the entry before it: reconcile.
    Broken,
    /// Its clock is more than five minutes ahead of this site's: offer it again later.
    Ahead,
}

impl Transaction<'_> {
    /// Applies an entry of another site where it is the next of its origin. Nothing else may be changed in the same request.
    ///
    /// # Errors
    /// [`MetadataError::Newer`]: the origin pauses until an upgrade. [`MetadataError::Damaged`]: it is no entry.
    pub fn receive(&mut self, bytes: Vec<u8>) -> Result<Received, MetadataError> {
        let entry = Entry::decode(&bytes)?;
        if entry.origin == self.moment.origin {
            return Ok(Received::Known);
        }
        let mut vector = VersionVector::default();
        if let Some(head) = self.head(entry.origin)? {
            vector.set(entry.origin, head);
        }
        match vector.arrival(&entry, None) {
            Arrival::Next => {}
            Arrival::Known | Arrival::Waits => return Ok(Received::Known),
            Arrival::Gap => return Ok(Received::Gap),
            Arrival::Broken => return Ok(Received::Broken),
        }
        if entry.hlc.is_too_far_ahead(self.now()) {
            return Ok(Received::Ahead);
        }
        self.apply_received(entry, bytes)?;
        Ok(Received::Applied)
    }
}

impl Metadata {
    /// [`Transaction::receive`] as a request of its own.
    ///
    /// # Errors
    /// As [`Metadata::write`] and [`Transaction::receive`].
    pub async fn receive(&self, entry: Vec<u8>) -> Result<Received, MetadataError> {
        match self.write("receive an entry", move |tx| tx.receive(entry)).await {
            Ok(received) => Ok(received),
            Err(WriteError::Refused(error) | WriteError::Failed(error)) => Err(error),
            Err(WriteError::Busy) => Err(MetadataError::Unavailable { detail: "too many writes are waiting".to_owned() }),
        }
    }
}
