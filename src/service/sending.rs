//! Sending only what is missing: `missing` promises, `link` redeems (`protocols/blobs.md`).
//!
//! Invariant 9: both speak only of blobs that the asking user owns, so that nobody learns what others have.

use std::collections::HashSet;

use crate::blobs::{BlobError, BlobStore};
use crate::metadata::{MetadataError, Read, RequireError};
use crate::model::photo::{NewPhoto, PhotoView};
use crate::model::{AlbumId, BlobHash, BlobKey, Owner, PhotoId, RowKey, WallMs};

use super::caller::{Caller, Scope};
use super::upload::create_photo;
use super::{ServiceError, Services};

/// One photo to make of a blob that its user owns.
#[derive(Debug, Clone)]
pub struct LinkItem {
    /// The client's own id.
    pub id: Option<PhotoId>,
    /// Of which blob.
    pub hash: BlobHash,
    /// The file name.
    pub name: String,
}

/// What came of one [`LinkItem`].
#[derive(Debug, Clone)]
pub enum LinkOutcome {
    /// The photo, and whether it stood in the album already.
    Photo {
        /// The photo.
        photo: Box<PhotoView>,
        /// These bytes stood in this album already.
        duplicate: bool,
        /// It was made by this call.
        created: bool,
    },
    /// The bytes must be sent.
    Missing(BlobHash),
}

impl Services {
    /// Which of these blobs the caller must send. The rest are pinned until the answer's promise expires.
    ///
    /// # Errors
    /// `TooLarge` for more hashes than the limit.
    pub async fn missing(&self, caller: &Caller, hashes: Vec<BlobHash>) -> Result<Vec<BlobHash>, ServiceError> {
        caller.require(Scope::User)?;
        check_length("hashes", hashes.len(), self.limits.config.max_missing_hashes)?;
        let owner = caller.owner;
        let until = WallMs(self.runtime.clock.unix_ms() + self.limits.pin_term.as_millis() as u64);
        let asked = hashes.clone();
        // Most are nobody's yet, or another's: the writer, for whom everybody waits, is asked only about the rest.
        let owned = self.read_of(owner, move |at| {
            let mut owned = vec![];
            for hash in asked {
                if at.owns(owner, &hash)? {
                    owned.push(hash);
                }
            }
            Ok(owned)
        });
        let owned = owned.await?;
        let promising = self.metadata.write("missing", move |tx| -> Result<Vec<_>, ServiceError> {
            let mut promised = vec![];
            for hash in owned {
                if tx.promise(owner, &hash, until)? {
                    promised.extend(tx.blob(&hash)?.map(|row| (row.key, row.stored_bytes)));
                }
            }
            Ok(promised)
        });
        let promised = promising.await?;
        // "Have" is said only after a look that the object exists with its length.
        let mut have = HashSet::with_capacity(promised.len());
        for (key, size_bytes) in promised {
            if self.has_copy(key, size_bytes).await? {
                have.insert(key.hash);
            }
        }
        let mut said = HashSet::new();
        Ok(hashes.into_iter().filter(|hash| !have.contains(hash) && said.insert(*hash)).collect())
    }

    /// Of these blobs those that the owner has and whose copy stands on the backend with its length. Said outside the commit, so the
    /// commit asks again for the row; the look at the backend only keeps a link from building on a copy that was lost unseen.
    async fn sound_copies(&self, owner: Owner, hashes: impl Iterator<Item = BlobHash>) -> Result<HashSet<BlobHash>, ServiceError> {
        let hashes: HashSet<BlobHash> = hashes.collect();
        let looking = self.read_of(owner, move |at| {
            let mut rows = Vec::with_capacity(hashes.len());
            for hash in hashes {
                if at.owns(owner, &hash)? {
                    rows.extend(at.blob(&hash)?.filter(|row| !row.damaged));
                }
            }
            Ok(rows)
        });
        let rows = looking.await?;
        let mut sound = HashSet::with_capacity(rows.len());
        for row in rows {
            if self.has_copy(row.key, row.stored_bytes).await? {
                sound.insert(row.key.hash);
            }
        }
        Ok(sound)
    }

    /// Whether the backend has this copy with this length; where not, the row is marked damaged, so that the bytes are asked for again.
    async fn has_copy(&self, key: BlobKey, stored_bytes: u64) -> Result<bool, ServiceError> {
        match self.blobs.stored_bytes(&key).await {
            Ok(bytes) if bytes == stored_bytes => return Ok(true),
            Ok(_) | Err(BlobError::NotFound | BlobError::Damaged { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.verify_or_mark(key).await?;
        Ok(false)
    }

    /// Makes photos of blobs that the caller owns, all in one commit; what is not owned and present comes back as missing.
    ///
    /// # Errors
    /// `NotFound` for the album, `Invalid` for a name, `Conflict` where an id names other bytes; then nothing was made.
    pub async fn link(&self, caller: &Caller, album: AlbumId, items: Vec<LinkItem>) -> Result<Vec<LinkOutcome>, ServiceError> {
        caller.require(Scope::User)?;
        check_length("photos", items.len(), self.limits.config.max_link_photos)?;
        let owner = caller.owner;
        let mut named = Vec::with_capacity(items.len());
        for item in items {
            let fresh = PhotoId::new(self.runtime.clock.unix_ms(), self.runtime.random.bytes());
            named.push((item.id, item.id.unwrap_or(fresh), item.hash, self.names.file_name(&item.name)?));
        }
        let sound = self.sound_copies(owner, named.iter().map(|(_, _, hash, _)| *hash)).await?;
        let linked = self.metadata.write("link", move |tx| -> Result<Vec<_>, ServiceError> {
            if tx.album(owner, album)?.is_none() {
                return Err(ServiceError::NotFound("album"));
            }
            let mut outcomes = Vec::with_capacity(named.len());
            for (own_id, id, hash, name) in named {
                if tx.is_erased(&RowKey::photo(owner, id))? {
                    return Err(ServiceError::Erased("photo"));
                }
                if own_id.is_some()
                    && let Some(existing) = tx.photo_or_trashed(owner, id)?
                {
                    if existing.hash != hash {
                        return Err(ServiceError::Conflict { code: "photo_id_taken", detail: "this photo id names other bytes".into() });
                    }
                    outcomes.push(LinkOutcome::Photo { photo: Box::new(existing), duplicate: false, created: false });
                    continue;
                }
                // What the bytes are is known from a photo of the same user's; without one there is nothing to link.
                let known = photo_of(tx, owner, &hash)?.filter(|_| sound.contains(&hash));
                let present = match tx.require_blob(&hash) {
                    Ok(_) => true,
                    Err(RequireError::SendBytes) => false,
                    Err(RequireError::Failed(error)) => return Err(error.into()),
                };
                let Some(known) = known.filter(|_| present) else {
                    outcomes.push(LinkOutcome::Missing(hash));
                    continue;
                };
                if let Some(existing) = tx.photo_in_album_by_hash(owner, album, &hash)?
                    && let Some(photo) = tx.photo(owner, existing)?
                {
                    outcomes.push(LinkOutcome::Photo { photo: Box::new(photo), duplicate: true, created: false });
                    continue;
                }
                create_photo(tx, owner, id, album, &name, &like(known))?;
                tx.unpin(owner, &hash)?;
                let photo = tx.photo(owner, id)?.ok_or_else(|| ServiceError::Internal("a photo just made is not there".into()))?;
                outcomes.push(LinkOutcome::Photo { photo: Box::new(photo), duplicate: false, created: true });
            }
            Ok(outcomes)
        });
        Ok(linked.await?)
    }
}

/// A photo by which an owner has a blob already, in the trash or not: what it says of the bytes holds for every other photo of them.
fn photo_of(at: &impl Read, owner: Owner, hash: &BlobHash) -> Result<Option<PhotoView>, MetadataError> {
    let Some(photo) = at.ref_of_owner(owner, hash)? else { return Ok(None) };
    Ok(at.photo_or_trashed(owner, photo)?.filter(|photo| photo.hash == *hash))
}

fn like(known: PhotoView) -> NewPhoto {
    NewPhoto {
        hash: known.hash,
        size_bytes: known.size_bytes,
        sha256: known.sha256,
        crc32: known.crc32,
        format: known.format,
        width: known.width,
        height: known.height,
        orientation: known.orientation,
        taken_at: known.taken_at,
        camera_make: known.camera_make,
        camera_model: known.camera_model,
        lens: known.lens,
        gps: known.gps,
        placeholder: known.placeholder,
        perceptual_hash: known.perceptual_hash,
    }
}

fn check_length(what: &'static str, length: usize, max: u32) -> Result<(), ServiceError> {
    if length > max as usize { Err(ServiceError::TooLarge(format!("at most {max} {what} in one request"))) } else { Ok(()) }
}
