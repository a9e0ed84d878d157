//! The erasure ledger's words: what is gone for good.

use serde::{Deserialize, Serialize};

use super::{Owner, RowKey};

/// What an erasure names. The ledger only grows, and is asked at every apply, reconciliation, restore and replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Erasure {
    /// Everything that a user owns, the user's own row too.
    Owner(Owner),
    /// One row: a photo, an album.
    Row(RowKey),
}

impl Erasure {
    /// Whether a row falls under it.
    pub fn covers(&self, key: &RowKey) -> bool {
        match self {
            Self::Owner(owner) => key.owner == *owner,
            Self::Row(row) => key == row,
        }
    }
}
