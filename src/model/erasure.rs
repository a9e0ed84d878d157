//! The erasure ledger's words: what is gone for good.

use std::collections::BTreeSet;

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

    /// All erasures that would cover a row: what to look up in the ledger before anything is joined to it.
    pub fn naming(key: &RowKey) -> [Self; 2] {
        [Self::Owner(key.owner), Self::Row(*key)]
    }
}

/// Everything that was ever erased. Only grows.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ledger(BTreeSet<Erasure>);

impl Ledger {
    /// Takes an erasure in. Answers whether it is new.
    pub fn insert(&mut self, erasure: Erasure) -> bool {
        self.0.insert(erasure)
    }

    /// Whether an erasure stands in it.
    pub fn contains(&self, erasure: &Erasure) -> bool {
        self.0.contains(erasure)
    }

    /// Whether a row is gone for good: nothing is ever joined to it again.
    pub fn covers(&self, key: &RowKey) -> bool {
        Erasure::naming(key).iter().any(|erasure| self.contains(erasure))
    }

    /// All erasures, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Erasure> {
        self.0.iter()
    }
}

impl FromIterator<Erasure> for Ledger {
    fn from_iter<I: IntoIterator<Item = Erasure>>(erasures: I) -> Self {
        Self(erasures.into_iter().collect())
    }
}
