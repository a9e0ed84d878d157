//! A row's change with everything that follows from it: index rows, counts, sums, references.

use std::ops::ControlFlow;

use super::MetadataError;
use super::column::{Candidates, CountsOf, Died, Held, HeldByOwner, Refs, Rows, Scope, Sums};
use super::derived;
use super::engine::Bounds;
use super::key::Key;
use super::read::Read;
use super::record::Counts;
use super::table;
use super::transaction::Transaction;
use crate::model::derive::derive;
use crate::model::erasure::Erasure;
use crate::model::row::Births;
use crate::model::{BlobHash, Kind, Owner, PhotoId, RowKey, WallMs};

impl Transaction<'_> {
    /// Replaces a row. Takes out what followed from `former`, puts in what follows from `present`. `erase`: references go without a
    /// trace instead of being held for snapshots. Answers the references that began.
    pub(super) fn set_row(&mut self, key: &RowKey, former: &Births, present: &Births, erase: bool) -> Result<Vec<BlobHash>, MetadataError> {
        if present.is_empty() {
            self.overlay.delete::<Rows>(key);
        } else {
            self.overlay.put::<Rows>(key, present);
        }
        self.changes.tenants |= key.kind == Kind::TENANT;
        let set_key = self.moment.set_key;
        let (before, after) = (derive(set_key, key, former), derive(set_key, key, present));

        let (old, new) = (derived::index(key, former, &before), derived::index(key, present, &after));
        for (column, key) in old.difference(&new) {
            self.overlay.set(*column, key.clone(), None);
        }
        for (column, key) in new.difference(&old) {
            self.overlay.set(*column, key.clone(), Some(vec![]));
        }

        let mut counts = derived::counts(key, &after);
        for (scope, figures) in derived::counts(key, &before) {
            counts.entry(scope).or_default().add(&figures, -1);
        }
        for (scope, change) in counts {
            self.add_counts(scope, &change)?;
        }

        if before.row_hash != after.row_hash {
            for of in derived::sums_of(&key.owner) {
                let mut sum = self.sum(of)?;
                sum.replace(before.row_hash.as_ref(), after.row_hash.as_ref());
                if sum.is_empty() { self.overlay.delete::<Sums>(&of) } else { self.overlay.put::<Sums>(&of, &sum) }
            }
        }

        let (old, new) = (derived::refs(key, &before), derived::refs(key, &after));
        for gone in old.difference(&new) {
            self.end_ref(gone, erase)?;
        }
        let born = self.commit();
        for begun in new.difference(&old) {
            self.overlay.put::<Refs>(begun, &born);
        }
        Ok(new.difference(&old).map(|(hash, _, _)| *hash).collect())
    }

    /// Adds to a scope's counts.
    pub(super) fn add_counts(&mut self, scope: Scope, change: &Counts) -> Result<(), MetadataError> {
        if change.is_zero() {
            return Ok(());
        }
        let mut counts = self.counts(scope)?;
        counts.add(change, 1);
        if counts.is_zero() {
            self.overlay.delete::<CountsOf>(&scope)
        } else {
            self.overlay.put::<CountsOf>(&scope, &counts)
        }
        Ok(())
    }

    /// A reference dies: a purge leaves it to snapshots and the window, an erasure leaves nothing. Either way the blob is looked at.
    fn end_ref(&mut self, key: &(BlobHash, Owner, PhotoId), erase: bool) -> Result<(), MetadataError> {
        let (hash, owner, photo) = *key;
        let Some(born) = table::get::<Refs>(self.source(), key)? else {
            return Err(MetadataError::damaged(format!("the reference of photo {photo} to {hash} is missing")));
        };
        self.overlay.delete::<Refs>(key);
        self.changes.ended.push((owner.tenant, hash));
        let died = self.commit();
        // No snapshot can lie within a reference that ends in the commit in which it began.
        if !erase && born < died {
            self.overlay.put::<Held>(&(hash, owner, photo, born), &died);
            self.overlay.put::<Died>(&(died, hash, owner, photo, born), &());
            self.overlay.put::<HeldByOwner>(&(owner, photo, hash, born), &died);
        }
        let due = if erase { self.moment.now } else { WallMs(self.moment.now.0 + self.moment.restore_window_ms) };
        self.overlay.put::<Candidates>(&(due, hash), &());
        Ok(())
    }

    /// Dead references of what is erased go at once, too.
    pub(super) fn forget_held(&mut self, erasure: &Erasure) -> Result<(), MetadataError> {
        let prefix = match erasure {
            Erasure::Owner(owner) => owner.to_key(),
            Erasure::Row(row) if row.kind == Kind::PHOTO => (row.owner, PhotoId::from_uuid(row.id)).to_key(),
            Erasure::Row(_) => return Ok(()),
        };
        let mut held = vec![];
        table::scan::<HeldByOwner>(self.source(), &Bounds::prefix(&prefix), |key, died| {
            held.push((key, died));
            Ok(ControlFlow::Continue(()))
        })?;
        for ((owner, photo, hash, born), died) in held {
            self.overlay.delete::<HeldByOwner>(&(owner, photo, hash, born));
            self.overlay.delete::<Held>(&(hash, owner, photo, born));
            self.overlay.delete::<Died>(&(died, hash, owner, photo, born));
            self.overlay.put::<Candidates>(&(self.moment.now, hash), &());
        }
        Ok(())
    }
}
