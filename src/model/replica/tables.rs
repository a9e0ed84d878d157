//! The tables that derived rows stand in, in memory.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::derive::{BornName, Derived, Placement};
use crate::model::set_hash::{Bucket, SetHash};
use crate::model::{AlbumId, BlobHash, Owner, PhotoId, RowKey};

/// How much is in an album.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AlbumTotals {
    /// Photos shown.
    pub photos: u64,
    /// Their bytes; the same bytes twice count twice.
    pub bytes: u64,
}

/// Every table. Each is a sum over rows, so that a recomputation must give the same.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tables {
    /// Which rows need a blob.
    pub refs: BTreeSet<(BlobHash, RowKey)>,
    /// Photos by album.
    pub placements: BTreeSet<(Owner, Placement)>,
    /// What is in an album; no row where nothing is.
    pub totals: BTreeMap<(Owner, AlbumId), AlbumTotals>,
    /// Albums whose row is not in the trash.
    pub albums: BTreeSet<(Owner, AlbumId)>,
    /// Rows of photos that are shown under another id.
    pub other_ids: BTreeSet<(Owner, PhotoId, RowKey)>,
    /// Names; the first of a scope and name holds it.
    pub names: BTreeSet<(BornName, RowKey)>,
    /// Tokens by the hash of their secret.
    pub token_secrets: BTreeSet<([u8; 32], RowKey)>,
    /// Sums of owners; no row where nothing is.
    pub owners: BTreeMap<Owner, SetHash>,
    /// Sums of buckets; no row where nothing is.
    pub buckets: BTreeMap<Bucket, SetHash>,
    /// The sum of everything.
    pub root: SetHash,
}

impl Tables {
    /// Takes out what followed from a row, and puts in what follows now.
    pub fn replace(&mut self, key: &RowKey, former: &Derived, present: &Derived) {
        self.take_out(key, former);
        self.put_in(key, present);
        let (former, present) = (former.row_hash.as_ref(), present.row_hash.as_ref());
        replace_sum(&mut self.owners, key.owner, |sum| sum.replace(former, present));
        replace_sum(&mut self.buckets, Bucket::of(&key.owner), |sum| sum.replace(former, present));
        self.root.replace(former, present);
    }

    fn take_out(&mut self, key: &RowKey, derived: &Derived) {
        let owner = key.owner;
        for hash in &derived.refs {
            self.refs.remove(&(*hash, *key));
        }
        for placement in &derived.placements {
            self.placements.remove(&(owner, placement.clone()));
            let at = (owner, placement.album);
            let totals = self.totals.entry(at).or_default();
            totals.photos -= 1;
            totals.bytes -= placement.size_bytes;
            if totals.photos == 0 {
                self.totals.remove(&at);
            }
        }
        for id in &derived.other_ids {
            self.other_ids.remove(&(owner, *id, *key));
        }
        if let Some(album) = derived.album {
            self.albums.remove(&(owner, album));
        }
        if let Some(name) = &derived.name {
            self.names.remove(&(name.clone(), *key));
        }
        if let Some(secret) = derived.token_secret {
            self.token_secrets.remove(&(secret, *key));
        }
    }

    fn put_in(&mut self, key: &RowKey, derived: &Derived) {
        let owner = key.owner;
        self.refs.extend(derived.refs.iter().map(|hash| (*hash, *key)));
        for placement in &derived.placements {
            self.placements.insert((owner, placement.clone()));
            let totals = self.totals.entry((owner, placement.album)).or_default();
            totals.photos += 1;
            totals.bytes += placement.size_bytes;
        }
        self.other_ids.extend(derived.other_ids.iter().map(|id| (owner, *id, *key)));
        self.albums.extend(derived.album.map(|album| (owner, album)));
        self.names.extend(derived.name.clone().map(|name| (name, *key)));
        self.token_secrets.extend(derived.token_secret.map(|secret| (secret, *key)));
    }
}

/// Changes one sum of a table, which holds no empty ones.
fn replace_sum<K: Ord + Copy>(sums: &mut BTreeMap<K, SetHash>, key: K, change: impl FnOnce(&mut SetHash)) {
    let sum = sums.entry(key).or_default();
    change(sum);
    if sum.is_empty() {
        sums.remove(&key);
    }
}
