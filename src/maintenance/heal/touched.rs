//! Whose photos a bad copy touches, for the log.

use std::collections::BTreeSet;

use crate::metadata::{MetadataError, Read};
use crate::model::BlobHash;

/// References that are told apart.
const MAX_REFS: usize = 16;

/// Whose photos a blob is.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Each with commas between them.
    pub(super) tenants: String,
    pub(super) users: String,
    pub(super) albums: String,
    /// Photos; more where there are more than are told.
    pub(super) photos: usize,
    pub(super) more: bool,
}

/// Reads who has live references to a blob.
pub(super) fn touched(at: &impl Read, hash: &BlobHash) -> Result<Touched, MetadataError> {
    let references = at.list_refs(hash, MAX_REFS + 1)?;
    let (mut tenants, mut users, mut albums) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (owner, photo, _) in references.iter().take(MAX_REFS) {
        tenants.insert(owner.tenant.to_string());
        users.insert(owner.user.to_string());
        if let Some(photo) = at.photo_or_trashed(*owner, *photo)? {
            albums.insert(photo.album.to_string());
        }
    }
    let list = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(",");
    let photos = references.len().min(MAX_REFS);
    Ok(Touched { tenants: list(tenants), users: list(users), albums: list(albums), photos, more: references.len() > MAX_REFS })
}
