//! What follows from one row: everything that indexes, counts and sums are kept of.
//!
//! A function of one key and one value, nothing else. On every change of a row the former result is taken out and the present one put
//! in, in the same batch; a recomputation over all rows must give the same (`metadata.md`, section 2, "Derived rows").

use super::row::Births;
use super::set_hash::{self, RowHash, SetKey};
use super::{AlbumId, BlobHash, Kind, PerceptualHash, PhotoId, RowKey, Stamp, TenantId};
use super::{album, photo, tenant, token, user};

/// A photo in an album, not in the trash: for lists, counts, the question whether an album holds these bytes, and near duplicates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placement {
    /// Where.
    pub album: AlbumId,
    /// The id under which it is shown.
    pub photo: PhotoId,
    /// Its bytes.
    pub hash: BlobHash,
    /// Their length.
    pub size_bytes: u64,
    /// The oldest birth shown.
    pub created: Stamp,
    /// How it looks.
    pub perceptual_hash: Option<PerceptualHash>,
}

/// Within what a name should be unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameScope {
    /// Tenants of the platform.
    Tenants,
    /// Users of a tenant.
    Users(TenantId),
}

/// A name that a row bears. Merges may give one name to two rows: the one of the older birth holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BornName {
    /// Within what it should be unique.
    pub scope: NameScope,
    /// The name.
    pub name: String,
    /// The oldest birth of the row.
    pub since: Stamp,
}

/// What follows from one row. Equal values, equal results, at every site.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Derived {
    /// Blobs that the row needs, each once, sorted: those of births in the trash, too.
    pub refs: Vec<BlobHash>,
    /// Where it is to be seen, one a photo shown: mostly one.
    pub placements: Vec<Placement>,
    /// Photos of the row that are shown, or lie in the trash, under another id than the row's: to find the row by.
    pub other_ids: Vec<PhotoId>,
    /// The row of an album that is not in the trash. (An album is visible, too, while a photo is placed in it.)
    pub album: Option<AlbumId>,
    /// The name that it bears.
    pub name: Option<BornName>,
    /// The hash of a token's secret.
    pub token_secret: Option<[u8; 32]>,
    /// The row as an element of its owner's, its bucket's and the whole set.
    pub row_hash: Option<RowHash>,
}

/// Derives. Nothing follows from a row without births that are not deleted.
pub fn derive(set_key: &SetKey, key: &RowKey, births: &Births) -> Derived {
    let mut derived = Derived { row_hash: set_hash::row_hash(set_key, key, births), ..Derived::default() };
    match key.kind {
        Kind::PHOTO => {
            derived.refs = photo::hashes(births);
            let photos = photo::all(key, births);
            let own_id = PhotoId::from_uuid(key.id);
            derived.other_ids = photos.iter().map(|photo| photo.id).filter(|id| *id != own_id).collect();
            let shown = photos.into_iter().filter(|photo| !photo.trashed);
            derived.placements = shown
                .map(|photo| Placement {
                    album: photo.album,
                    photo: photo.id,
                    hash: photo.hash,
                    size_bytes: photo.size_bytes,
                    created: photo.created,
                    perceptual_hash: photo.perceptual_hash,
                })
                .collect();
        }
        Kind::ALBUM => derived.album = album::view(key, births).map(|album| album.id),
        Kind::TENANT => {
            derived.name =
                tenant::view(key, births).map(|tenant| BornName { scope: NameScope::Tenants, name: tenant.name, since: tenant.created });
        }
        Kind::USER => {
            let scope = NameScope::Users(key.owner.tenant);
            derived.name = user::view(key, births).map(|user| BornName { scope, name: user.name, since: user.created });
        }
        Kind::TOKEN => derived.token_secret = token::view(key, births).map(|token| token.secret_hash),
        // A kind of a newer version: its rows are kept, merged and summed.
        _ => {}
    }
    derived
}
