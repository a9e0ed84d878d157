//! Rows against everything derived from them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::{Checker, Fault};
use crate::metadata::MetadataError;
use crate::metadata::column::{
    AlbumHashes, AlbumPhotos, Blobs, Column, ColumnId, CountsOf, Doomed, Journal, Names, OtherIds, Pins, Refs, Rows, Scope, Similar, Stubs,
    SumOf, Sums, TokenSecrets,
};
use crate::metadata::derived;
use crate::metadata::engine::Bounds;
use crate::metadata::key::Key;
use crate::metadata::read::Read;
use crate::metadata::record::{Counts, JournalRow, StoredBlob, blob_counts};
use crate::metadata::table;
use crate::model::derive::derive;
use crate::model::photo::{self, PhotoView};
use crate::model::row::Births;
use crate::model::set_hash::{Bucket, SetHash, SetKey};
use crate::model::{BlobHash, Kind, Owner, PhotoId, RowKey, TenantId, UserId};

/// Index columns whose rows say everything by being there.
const INDEXES: [ColumnId; 7] = [AlbumPhotos::ID, AlbumHashes::ID, Similar::ID, OtherIds::ID, Names::ID, TokenSecrets::ID, Stubs::ID];

/// Rows that may show photos under one id: one, but for chance.
const MAX_OTHERS: usize = 16;

/// What the rows so far add up to.
#[derive(Default)]
struct Totals {
    /// Rows that must be in each index, and in `refs`.
    index: BTreeMap<ColumnId, u64>,
    /// Site and tenants.
    counts: BTreeMap<Scope, Counts>,
    /// Root and buckets.
    sums: BTreeMap<SumOf, SetHash>,
    /// The owner whose rows are being read, which lie together, with the counts and the sum of that owner alone.
    owner: Option<(Owner, BTreeMap<Scope, Counts>, SetHash)>,
}

impl Checker<'_> {
    pub(super) fn rows(&mut self) -> Result<(), MetadataError> {
        let set_key = self.set_key()?;
        let mut totals = Totals::default();
        self.scan::<Rows>(&Bounds::all(), |checker, key, births| checker.row(&set_key, &mut totals, key, &births))?;
        self.end_owner(&mut totals)?;
        self.add_local(&mut totals)?;
        for (scope, counts) in &totals.counts {
            if !counts.is_zero() {
                self.expect::<CountsOf>(scope, counts, "counts of the rows that are there")?;
            }
        }
        for (of, sum) in &totals.sums {
            self.expect::<Sums>(of, sum, "the sum of the rows that are there")?;
        }
        self.extra_totals(&totals)?;
        for column in INDEXES.into_iter().chain([Refs::ID]) {
            if self.count(column)? != totals.index.get(&column).copied().unwrap_or(0) {
                self.extra_index(&set_key, column)?;
            }
        }
        Ok(())
    }

    fn row(&mut self, set_key: &SetKey, totals: &mut Totals, key: RowKey, births: &Births) -> Result<(), MetadataError> {
        self.checked.rows += 1;
        if totals.owner.as_ref().is_none_or(|(owner, _, _)| *owner != key.owner) {
            self.end_owner(totals)?;
            totals.owner = Some((key.owner, BTreeMap::new(), SetHash::default()));
        }
        if births.is_empty() {
            self.report(Fault::Extra, Rows::ID, key.to_key(), "a row without births");
        }
        if self.is_erased(&key)? {
            self.report(Fault::Erased, Rows::ID, key.to_key(), "the row was erased");
        }
        if births.iter().any(|(birth, row)| row.is_stub() && self.vector.covers(birth)) {
            self.report(Fault::Extra, Rows::ID, key.to_key(), "a stub of a birth that has arrived");
        }
        let derived = derive(set_key, &key, births);
        for (column, index) in derived::index(&key, births, &derived) {
            *totals.index.entry(column).or_default() += 1;
            match self.source().get(column, &index)? {
                Some(value) if value.is_empty() => {}
                Some(_) => self.report(Fault::Differs, column, index, "an index row with a value"),
                None => self.report(Fault::Missing, column, index, format!("follows from {key:?}")),
            }
        }
        for reference in derived::refs(&key, &derived) {
            *totals.index.entry(Refs::ID).or_default() += 1;
            self.reference(&key, &reference)?;
        }
        for photo in photo::all(&key, births) {
            self.photo_and_blob(&photo)?;
        }
        for (scope, figures) in derived::counts(&key, &derived) {
            let own = matches!(scope, Scope::Owner(_) | Scope::Album(..));
            let counts = match &mut totals.owner {
                Some((_, counts, _)) if own => counts,
                _ => &mut totals.counts,
            };
            counts.entry(scope).or_default().add(&figures, 1);
        }
        if let Some(hash) = &derived.row_hash {
            let bucket = Bucket::of(&key.owner);
            totals.sums.entry(SumOf::Root).or_default().add(hash);
            totals.sums.entry(SumOf::Bucket(bucket)).or_default().add(hash);
            if let Some((_, _, sum)) = &mut totals.owner {
                sum.add(hash);
            }
        }
        Ok(())
    }

    /// A reference that follows from a row: it is there, and so are its bytes where they were acknowledged here.
    fn reference(&mut self, key: &RowKey, reference: &(BlobHash, Owner, PhotoId)) -> Result<(), MetadataError> {
        self.checked.refs += 1;
        let born = match table::get::<Refs>(self.source(), reference) {
            Ok(born) => born,
            Err(error) => {
                self.report_unreadable(Refs::ID, reference.to_key(), &error);
                None
            }
        };
        match born {
            Some(born) if born > self.last => self.report(Fault::Differs, Refs::ID, reference.to_key(), "born after the last commit"),
            None if self.source().get(Refs::ID, &reference.to_key())?.is_none() => {
                self.report(Fault::Missing, Refs::ID, reference.to_key(), format!("follows from {key:?}"));
            }
            _ => {}
        }
        if self.source().get(Blobs::ID, &reference.0.to_key())?.is_none() {
            // What came from another site may still be on its way. What began here began with its bytes, and they stay while it lives.
            let by = born.map(|born| table::get::<Journal>(self.source(), &born));
            match by {
                Some(Ok(Some(JournalRow::Entry { origin, .. }))) if self.own_origins.contains(&origin) => {
                    self.report(
                        Fault::Missing,
                        Blobs::ID,
                        reference.0.to_key(),
                        format!("a photo that was acknowledged here needs it: {key:?}"),
                    );
                }
                _ => self.checked.arriving += 1,
            }
        }
        Ok(())
    }

    /// What a photo says of its bytes is what their row says: downloads send the digests of either.
    fn photo_and_blob(&mut self, photo: &PhotoView) -> Result<(), MetadataError> {
        // A row that cannot be read is reported with its column.
        let Ok(Some(blob)) = table::get::<Blobs>(self.source(), &photo.hash) else { return Ok(()) };
        if (blob.size_bytes, blob.sha256, blob.crc32) != (photo.size_bytes, photo.sha256, photo.crc32) {
            let detail = format!("its size, SHA-256 or CRC-32 is not what the photo {:?} says", photo.key);
            self.report(Fault::Differs, Blobs::ID, photo.hash.to_key(), detail);
        }
        Ok(())
    }

    /// All rows of an owner were read: compares the owner's totals.
    fn end_owner(&mut self, totals: &mut Totals) -> Result<(), MetadataError> {
        let Some((owner, counts, sum)) = totals.owner.take() else { return Ok(()) };
        for (scope, figures) in &counts {
            self.expect::<CountsOf>(scope, figures, "counts of the owner's rows that are there")?;
        }
        self.scan::<CountsOf>(&Bounds::prefix(&Scope::albums_of(owner)), |checker, scope, _| {
            if !counts.contains_key(&scope) {
                checker.report(Fault::Extra, CountsOf::ID, scope.to_key(), "counts of an album that holds nothing");
            }
            Ok(())
        })?;
        if !counts.contains_key(&Scope::Owner(owner)) && self.source().get(CountsOf::ID, &Scope::Owner(owner).to_key())?.is_some() {
            self.report(Fault::Extra, CountsOf::ID, Scope::Owner(owner).to_key(), "counts of an owner who shows nothing");
        }
        let of = SumOf::Owner(Bucket::of(&owner), owner);
        if !sum.is_empty() {
            self.expect::<Sums>(&of, &sum, "the sum of the owner's rows that are there")?;
        } else if self.source().get(Sums::ID, &of.to_key())?.is_some() {
            self.report(Fault::Extra, Sums::ID, of.to_key(), "a sum of nothing");
        }
        Ok(())
    }

    /// The site's counts of its own columns.
    fn add_local(&mut self, totals: &mut Totals) -> Result<(), MetadataError> {
        let mut local = Counts::default();
        self.scan::<Blobs>(&Bounds::all(), |_, _, blob: StoredBlob| {
            local.add(&blob_counts(blob.encoding, blob.size_bytes, blob.stored_bytes), 1);
            Ok(())
        })?;
        local.doomed = self.count(Doomed::ID)?.try_into().unwrap_or(i64::MAX);
        local.pins = self.count(Pins::ID)?.try_into().unwrap_or(i64::MAX);
        totals.counts.entry(Scope::Site).or_default().add(&local, 1);
        Ok(())
    }

    /// Totals of what has no rows at all.
    fn extra_totals(&mut self, totals: &Totals) -> Result<(), MetadataError> {
        self.scan::<CountsOf>(&Bounds::all(), |checker, scope, _| {
            let known = match scope {
                Scope::Site | Scope::Tenant(_) => totals.counts.get(&scope).is_some_and(|counts| !counts.is_zero()),
                Scope::Owner(owner) | Scope::Album(owner, _) => checker.any(Rows::ID, &owner.to_key())?,
            };
            if !known {
                checker.report(Fault::Extra, CountsOf::ID, scope.to_key(), "counts of nothing");
            }
            Ok(())
        })?;
        self.scan::<Sums>(&Bounds::all(), |checker, of, _| {
            let known = match of {
                SumOf::Root | SumOf::Bucket(_) => totals.sums.contains_key(&of),
                SumOf::Owner(bucket, owner) => bucket == Bucket::of(&owner) && checker.any(Rows::ID, &owner.to_key())?,
            };
            if !known {
                checker.report(Fault::Extra, Sums::ID, of.to_key(), "a sum of nothing");
            }
            Ok(())
        })
    }

    /// Finds the rows of an index that follow from no row.
    fn extra_index(&mut self, set_key: &SetKey, column: ColumnId) -> Result<(), MetadataError> {
        let snapshot = self.snapshot;
        let mut keys = vec![];
        snapshot.source().scan(column, &Bounds::all(), &mut |key, _| {
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        })?;
        for key in keys {
            let mut follows = false;
            if let Some(row) = row_behind(column, &key)
                && let Ok(births) = snapshot.births(&row)
            {
                let derived = derive(set_key, &row, &births);
                follows |= if column == Refs::ID {
                    derived::refs(&row, &derived).iter().any(|reference| reference.to_key() == key)
                } else {
                    derived::index(&row, &births, &derived).contains(&(column, key.clone()))
                };
            }
            if !follows && !self.other_row_behind(set_key, column, &key)? {
                self.report(Fault::Extra, column, key, "follows from no row");
            }
        }
        Ok(())
    }

    /// Whether a listed photo is shown by a row of another id.
    fn other_row_behind(&self, set_key: &SetKey, column: ColumnId, key: &[u8]) -> Result<bool, MetadataError> {
        let listed = [AlbumPhotos::ID, AlbumHashes::ID, Similar::ID].contains(&column);
        if let Some(row) = row_behind(column, key).filter(|_| listed) {
            let prefix = (row.owner, PhotoId::from_uuid(row.id)).to_key();
            // By their keys alone: a row of the index that cannot be read is reported, and is no reason to stop.
            let mut others = vec![];
            self.source().scan(OtherIds::ID, &Bounds::prefix(&prefix), &mut |key, _| {
                others.extend(OtherIds::key(key).ok());
                if others.len() < MAX_OTHERS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            for (owner, _, other) in others {
                let other = RowKey::photo(owner, other);
                // A row that cannot be read was reported before.
                let Ok(births) = self.snapshot.births(&other) else { continue };
                if derived::index(&other, &births, &derive(set_key, &other, &births)).contains(&(column, key.to_vec())) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// The row that an index row speaks of; `None` where it cannot be read.
fn row_behind(column: ColumnId, key: &[u8]) -> Option<RowKey> {
    match column {
        ColumnId::AlbumPhotos => AlbumPhotos::key(key).ok().map(|(owner, _, _, photo)| RowKey::photo(owner, photo)),
        ColumnId::AlbumHashes => AlbumHashes::key(key).ok().map(|(owner, _, _, photo)| RowKey::photo(owner, photo)),
        ColumnId::Similar => Similar::key(key).ok().map(|(owner, _, _, photo)| RowKey::photo(owner, photo)),
        ColumnId::OtherIds => OtherIds::key(key).ok().map(|(owner, _, row)| RowKey::photo(owner, row)),
        ColumnId::Refs => Refs::key(key).ok().map(|(_, owner, photo)| RowKey::photo(owner, photo)),
        ColumnId::TokenSecrets => TokenSecrets::key(key).ok().map(|(_, row)| row),
        ColumnId::Stubs => Stubs::key(key).ok().map(|(_, _, row)| row),
        ColumnId::Names => Names::key(key).ok().map(|(kind, tenant, _, _, id)| {
            if kind == Kind::TENANT {
                RowKey::tenant(TenantId::from_uuid(id))
            } else {
                RowKey::user(Owner { tenant, user: UserId::from_uuid(id) })
            }
        }),
        _ => None,
    }
}
