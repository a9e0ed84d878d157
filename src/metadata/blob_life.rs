//! The life of a blob at this site, as `blobs.md` of the protocols has it: which copy counts, which are queued for deletion, what is
//! promised. Every rule is evaluated by the writer, inside the commit.

use super::MetadataError;
use super::column::{Blobs, Doomed, Pins, Scope};
use super::flight::InFlight;
use super::read::Read;
use super::record::{Counts, Doom, Encoding, StoredBlob, blob_counts};
use super::shown::BlobRow;
use super::table;
use super::transaction::Transaction;
use crate::model::{BlobHash, BlobKey, Owner, Sha256, WallMs};

/// A copy that is durable on the backend and is to be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewBlob {
    /// The copy.
    pub key: BlobKey,
    /// How its bytes lie.
    pub encoding: Encoding,
    /// Length of the original.
    pub size_bytes: u64,
    /// Length of the copy.
    pub stored_bytes: u64,
    /// BLAKE3 of the copy's bytes where they are not the original's.
    pub stored_hash: Option<BlobHash>,
    /// SHA-256 of the original.
    pub sha256: Sha256,
    /// CRC-32 (IEEE) of the original.
    pub crc32: u32,
}

impl NewBlob {
    /// A copy that holds the original's bytes as they are.
    pub fn raw(key: BlobKey, size_bytes: u64, sha256: Sha256, crc32: u32) -> Self {
        Self { key, encoding: Encoding::Raw, size_bytes, stored_bytes: size_bytes, stored_hash: None, sha256, crc32 }
    }
}

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It is the one that counts now.
    Named,
    /// Another copy counts, which was verified; this one is queued for deletion.
    Duplicate,
    /// It is the one that counts now, in place of a sound one, which is queued for deletion.
    Replaced,
}

/// Why a copy was not placed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// A copy counts that was not verified: verify the bytes of `row_key` (where that fails: [`Transaction::mark_damaged`]) and place again.
    #[error("{row_key} is to be verified first")]
    Recheck {
        /// The copy that counts.
        row_key: BlobKey,
    },
    /// The metadata failed.
    #[error(transparent)]
    Failed(#[from] MetadataError),
}

/// Why a blob cannot be referred to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequireError {
    /// It is not here, or damaged: send the bytes.
    #[error("the bytes are to be sent")]
    SendBytes,
    /// The metadata failed.
    #[error(transparent)]
    Failed(#[from] MetadataError),
}

impl Transaction<'_> {
    /// Step 5 of an upload: names a durable copy in flight, or queues it for deletion where another counts. `verified`: the copy whose
    /// bytes were verified before this request, if any. The copy leaves the flight when the commit is durable, not before.
    ///
    /// # Errors
    /// [`PlaceError::Recheck`]; [`MetadataError::NotInFlight`] where `blob.key` is not the copy of `in_flight`, or was placed before.
    pub fn place_blob(&mut self, in_flight: &InFlight, blob: NewBlob, verified: Option<BlobKey>) -> Result<Placed, PlaceError> {
        let key = blob.key;
        let row = self.standing(in_flight, key)?;
        if let Some(row) = row.filter(|row| !row.damaged) {
            if verified != Some(row.key) {
                return Err(PlaceError::Recheck { row_key: row.key });
            }
            self.queue_deletion(key, false)?;
            self.landed.push(key);
            return Ok(Placed::Duplicate);
        }
        self.name_copy(row, blob)?;
        Ok(Placed::Named)
    }

    /// Step 5 of an upload, the simpler way: names a durable copy in flight, whatever stands, and queues the copy that counted. Nothing of
    /// what stands has to be read for it, so that the sender cannot tell from the clock whether there was something.
    ///
    /// # Errors
    /// [`MetadataError::NotInFlight`] where `blob.key` is not the copy of `in_flight`, or was placed before.
    pub fn replace_blob(&mut self, in_flight: &InFlight, blob: NewBlob) -> Result<Placed, MetadataError> {
        let row = self.standing(in_flight, blob.key)?;
        self.name_copy(row, blob)?;
        Ok(if row.is_some_and(|row| !row.damaged) { Placed::Replaced } else { Placed::Named })
    }

    /// The row as it stands before `key`, which is in flight, lands.
    pub(super) fn standing(&mut self, in_flight: &InFlight, key: BlobKey) -> Result<Option<BlobRow>, MetadataError> {
        self.guard(|tx| {
            let flying = in_flight.key() == key && tx.moment.flight.contains(&key) && !tx.landed.contains(&key);
            if !flying || tx.is_doomed(&key)? {
                return Err(MetadataError::NotInFlight { key });
            }
            tx.blob(&key.hash)
        })
    }

    /// Lets the row name `blob`, and queues the copy that it named until now.
    pub(super) fn name_copy(&mut self, row: Option<BlobRow>, blob: NewBlob) -> Result<(), MetadataError> {
        let (key, hash) = (blob.key, blob.key.hash);
        let stored = StoredBlob {
            nonce: key.nonce,
            encoding: blob.encoding,
            size_bytes: blob.size_bytes,
            stored_bytes: blob.stored_bytes,
            stored_hash: blob.stored_hash,
            sha256: blob.sha256,
            crc32: blob.crc32,
            damaged: false,
            // The same bytes: what was found of them is so still.
            stays_raw: row.filter(|_| blob.encoding == Encoding::Raw).and_then(|row| row.stays_raw),
        };
        self.set_blob(&hash, row, Some(stored))?;
        if let Some(former) = row {
            self.queue_deletion(former.key, true)?;
        }
        self.landed.push(key);
        self.named.push(hash);
        Ok(())
    }

    /// Whether a blob may be referred to: it is here, and undamaged.
    ///
    /// # Errors
    /// [`RequireError::SendBytes`].
    pub fn require_blob(&self, hash: &BlobHash) -> Result<BlobRow, RequireError> {
        self.blob(hash)?.filter(|blob| !blob.damaged).ok_or(RequireError::SendBytes)
    }

    /// Pins a blob for an owner, at least until `until`, where it is here undamaged and the owner has a live reference to it; else answers
    /// `false` and changes nothing. The promise holds once this request is answered.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn promise(&mut self, owner: Owner, hash: &BlobHash, until: WallMs) -> Result<bool, MetadataError> {
        self.guard(|tx| {
            // Asked in this order, a stranger's question takes the same time whether the blob is here or not.
            if !tx.owns(owner, hash)? || tx.blob(hash)?.is_none_or(|blob| blob.damaged) {
                return Ok(false);
            }
            let former = tx.pin(owner, hash)?;
            if former.is_none_or(|former| former < until) {
                tx.overlay.put::<Pins>(&(*hash, owner), &until);
            }
            tx.add_counts(Scope::Site, &Counts { pins: i64::from(former.is_none()), ..Counts::default() })?;
            Ok(true)
        })
    }

    /// Takes an owner's pin away, where there is one.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn unpin(&mut self, owner: Owner, hash: &BlobHash) -> Result<(), MetadataError> {
        self.guard(|tx| {
            if tx.pin(owner, hash)?.is_some() {
                tx.overlay.delete::<Pins>(&(*hash, owner));
                tx.add_counts(Scope::Site, &Counts { pins: -1, ..Counts::default() })?;
            }
            Ok(())
        })
    }

    /// Queues a copy for deletion, for ever, as one that may have been named. One that is queued already is queued anew, so that a deletion
    /// that is under way does not count for it. Answers `false`, and changes nothing, where a row names it or this run is writing it.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn doom(&mut self, key: BlobKey) -> Result<bool, MetadataError> {
        self.doom_as(key, true)
    }

    fn doom_as(&mut self, key: BlobKey, was_named: bool) -> Result<bool, MetadataError> {
        self.guard(|tx| {
            let in_flight = tx.moment.flight.contains(&key) && !tx.landed.contains(&key);
            if in_flight || tx.blob(&key.hash)?.is_some_and(|blob| blob.key == key) {
                return Ok(false);
            }
            tx.queue_deletion(key, was_named)?;
            Ok(true)
        })
    }

    /// The end of an upload that was given up: dooms its copy, unless a row names it after all. It leaves the flight with this commit.
    pub(super) fn doom_abandoned(&mut self, key: BlobKey) -> Result<(), MetadataError> {
        self.landed.push(key);
        self.doom_as(key, false).map(drop)
    }

    /// Marks the blob of this copy as damaged, where the row still names the copy. Answers whether it does.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn mark_damaged(&mut self, key: BlobKey) -> Result<bool, MetadataError> {
        self.set_damaged(key, true)
    }

    /// Takes the mark away from the blob of this copy, where the row still names the copy: it was read whole now, and is good. Answers
    /// whether it does.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn clear_damaged(&mut self, key: BlobKey) -> Result<bool, MetadataError> {
        self.set_damaged(key, false)
    }

    fn set_damaged(&mut self, key: BlobKey, damaged: bool) -> Result<bool, MetadataError> {
        self.guard(|tx| {
            let Some(stored) = table::get::<Blobs>(tx.source(), &key.hash)?.filter(|stored| stored.nonce == key.nonce) else {
                return Ok(false);
            };
            if stored.damaged != damaged {
                tx.overlay.put::<Blobs>(&key.hash, &StoredBlob { damaged, ..stored });
            }
            Ok(true)
        })
    }

    /// Takes copies off the delete queue that the backend has deleted, or does not have, since they were queued so. One that was queued anew
    /// meanwhile stays.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn forget_doomed(&mut self, deleted: impl IntoIterator<Item = (BlobKey, Doom)>) -> Result<(), MetadataError> {
        self.guard(|tx| {
            for (key, doom) in deleted {
                if table::get::<Doomed>(tx.source(), &key)? == Some(doom) {
                    tx.overlay.delete::<Doomed>(&key);
                    tx.add_counts(Scope::Site, &Counts { doomed: -1, ..Counts::default() })?;
                }
            }
            Ok(())
        })
    }

    pub(super) fn queue_deletion(&mut self, key: BlobKey, was_named: bool) -> Result<(), MetadataError> {
        self.guard(|tx| {
            let mut since = tx.moment.now;
            if let Some(former) = table::get::<Doomed>(tx.source(), &key)? {
                // Later than the former whatever the clock says: no two of one key are alike.
                since = since.max(WallMs(former.since.0.saturating_add(1)));
                tx.overlay.put::<Doomed>(&key, &Doom { since, was_named: was_named || former.was_named });
                return Ok(());
            }
            tx.overlay.put::<Doomed>(&key, &Doom { since, was_named });
            tx.add_counts(Scope::Site, &Counts { doomed: 1, ..Counts::default() })
        })
    }

    fn set_blob(&mut self, hash: &BlobHash, former: Option<BlobRow>, present: Option<StoredBlob>) -> Result<(), MetadataError> {
        self.guard(|tx| {
            let mut change = Counts::default();
            if let Some(former) = former {
                change.add(&blob_counts(former.encoding, former.size_bytes, former.stored_bytes), -1);
            }
            if let Some(present) = &present {
                change.add(&blob_counts(present.encoding, present.size_bytes, present.stored_bytes), 1);
                tx.overlay.put::<Blobs>(hash, present);
            } else {
                tx.overlay.delete::<Blobs>(hash);
            }
            tx.add_counts(Scope::Site, &change)
        })
    }
}
