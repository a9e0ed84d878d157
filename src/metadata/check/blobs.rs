//! Blobs, dead references, the delete queue.

use std::collections::BTreeSet;

use super::{Checker, Fault};
use crate::metadata::MetadataError;
use crate::metadata::column::{Blobs, Candidates, Column, Died, Doomed, Held, HeldByOwner, Pins, Refs};
use crate::metadata::engine::Bounds;
use crate::metadata::key::{Commit, Key};
use crate::metadata::record::Value;
use crate::model::{BlobHash, BlobKey, RowKey};

impl Checker<'_> {
    pub(super) fn blobs(&mut self) -> Result<(), MetadataError> {
        let mut forgotten = BTreeSet::new();
        self.scan::<Blobs>(&Bounds::all(), |checker, hash, blob| {
            checker.checked.blobs += 1;
            checker.checked.damaged += u64::from(blob.damaged);
            let key = BlobKey { hash, nonce: blob.nonce };
            if checker.source().get(Doomed::ID, &key.to_key())?.is_some() {
                checker.report(Fault::Differs, Doomed::ID, key.to_key(), "the copy that counts is queued for deletion");
            }
            if !checker.is_kept(&hash)? {
                forgotten.insert(hash);
            }
            Ok(())
        })?;
        if !forgotten.is_empty() {
            self.scan::<Candidates>(&Bounds::all(), |_, (_, hash), ()| {
                forgotten.remove(&hash);
                Ok(())
            })?;
        }
        for hash in forgotten {
            self.report(Fault::Missing, Candidates::ID, hash.to_key(), "nothing needs the blob, and the reaper would never look");
        }
        self.held()
    }

    fn is_kept(&self, hash: &BlobHash) -> Result<bool, MetadataError> {
        let prefix = hash.to_key();
        Ok(self.any(Refs::ID, &prefix)? || self.any(Held::ID, &prefix)? || self.any(Pins::ID, &prefix)?)
    }

    fn held(&mut self) -> Result<(), MetadataError> {
        let last = self.last;
        let mut held = 0;
        self.scan::<Held>(&Bounds::all(), |checker, key, died| {
            held += 1;
            let (hash, owner, photo, born) = key;
            if born >= died || died > last {
                checker.report(Fault::Differs, Held::ID, key.to_key(), format!("from commit {} to {}", born.0, died.0));
            }
            if checker.is_erased(&RowKey::photo(owner, photo))? {
                checker.report(Fault::Erased, Held::ID, key.to_key(), "the photo was erased");
            }
            checker.expect::<Died>(&(died, hash, owner, photo, born), &(), "index of a dead reference")?;
            checker.expect::<HeldByOwner>(&(owner, photo, hash, born), &died, "index of a dead reference")
        })?;
        if self.count(Died::ID)? != held {
            self.scan::<Died>(&Bounds::all(), |checker, key, ()| {
                let (died, hash, owner, photo, born) = key;
                if !checker.is_held(&(hash, owner, photo, born), died)? {
                    checker.report(Fault::Extra, Died::ID, key.to_key(), "follows from no dead reference");
                }
                Ok(())
            })?;
        }
        if self.count(HeldByOwner::ID)? != held {
            self.scan::<HeldByOwner>(&Bounds::all(), |checker, key, died| {
                let (owner, photo, hash, born) = key;
                if !checker.is_held(&(hash, owner, photo, born), died)? {
                    checker.report(Fault::Extra, HeldByOwner::ID, key.to_key(), "follows from no dead reference");
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn is_held(&self, key: &<Held as Column>::Key, died: Commit) -> Result<bool, MetadataError> {
        Ok(self.source().get(Held::ID, &key.to_key())?.is_some_and(|found| found == died.to_value()))
    }
}
