//! What follows from one row, as rows of derived columns: the writer takes out the former and puts in the present ones, `check`
//! computes them all again.

use std::collections::{BTreeMap, BTreeSet};

use super::column::{AlbumHashes, AlbumPhotos, Column, ColumnId, Names, OtherIds, Scope, Similar, Stubs, SumOf, TokenSecrets};
use super::key::Key;
use super::record::Counts;
use super::similar;
use crate::model::derive::{Derived, NameScope};
use crate::model::row::Births;
use crate::model::set_hash::Bucket;
use crate::model::{AlbumId, BlobHash, Kind, Owner, PhotoId, RowKey, TenantId};

/// The keys of index rows, whose presence says everything.
pub(super) fn index(key: &RowKey, births: &Births, derived: &Derived) -> BTreeSet<(ColumnId, Vec<u8>)> {
    let mut rows = BTreeSet::new();
    for placement in &derived.placements {
        rows.insert((AlbumPhotos::ID, (key.owner, placement.album, placement.created.hlc, placement.photo).to_key()));
        rows.insert((AlbumHashes::ID, (key.owner, placement.album, placement.hash, placement.photo).to_key()));
        let looks = placement.perceptual_hash.iter().flat_map(|hash| similar::rows(key.owner, *hash, placement.photo));
        rows.extend(looks.map(|row| (Similar::ID, row.to_key())));
    }
    for shown in &derived.other_ids {
        rows.insert((OtherIds::ID, (key.owner, *shown, PhotoId::from_uuid(key.id)).to_key()));
    }
    if let Some(name) = &derived.name {
        rows.insert((Names::ID, [name_prefix(name.scope, &name.name), (name.since, key.id).to_key()].concat()));
    }
    if let Some(secret) = derived.token_secret {
        rows.insert((TokenSecrets::ID, (secret, *key).to_key()));
    }
    let stubs = births.iter().filter(|(_, row)| row.is_stub());
    rows.extend(stubs.map(|(birth, _)| (Stubs::ID, (birth.origin, birth.seq, *key).to_key())));
    rows
}

/// The prefix of all rows that bear a name.
pub(super) fn name_prefix(scope: NameScope, name: &str) -> Vec<u8> {
    let hash = *blake3::hash(name.as_bytes()).as_bytes();
    match scope {
        NameScope::Tenants => (Kind::TENANT, TenantId::from_bytes([0; 16]), hash).to_key(),
        NameScope::Users(tenant) => (Kind::USER, tenant, hash).to_key(),
    }
}

/// What a row adds to the counts of each scope that it is in.
pub(super) fn counts(key: &RowKey, derived: &Derived) -> BTreeMap<Scope, Counts> {
    let mut counts = BTreeMap::new();
    let mut add = |album: Option<AlbumId>, figures: Counts| {
        let scopes = [Scope::Site, Scope::Tenant(key.owner.tenant), Scope::Owner(key.owner)];
        let album = album.map(|album| Scope::Album(key.owner, album));
        scopes.into_iter().chain(album).for_each(|scope| counts.entry(scope).or_insert_with(Counts::default).add(&figures, 1));
    };
    match (key.kind, &derived.name) {
        (Kind::TENANT, Some(_)) => add(None, Counts { tenants: 1, ..Counts::default() }),
        (Kind::USER, Some(_)) => add(None, Counts { users: 1, ..Counts::default() }),
        _ => {}
    }
    if let Some(album) = derived.album {
        add(Some(album), Counts { albums: 1, ..Counts::default() });
    }
    for placement in &derived.placements {
        let photo_bytes = i64::try_from(placement.size_bytes).unwrap_or(i64::MAX);
        add(Some(placement.album), Counts { photos: 1, photo_bytes, ..Counts::default() });
    }
    counts
}

/// The sums that a row's hash is in.
pub(super) fn sums_of(owner: &Owner) -> [SumOf; 3] {
    let bucket = Bucket::of(owner);
    [SumOf::Root, SumOf::Bucket(bucket), SumOf::Owner(bucket, *owner)]
}

/// The references of a row.
pub(super) fn refs(key: &RowKey, derived: &Derived) -> BTreeSet<(BlobHash, Owner, PhotoId)> {
    derived.refs.iter().map(|hash| (*hash, key.owner, PhotoId::from_uuid(key.id))).collect()
}
