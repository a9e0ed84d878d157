//! Keeping: a received copy becomes a photo. Step 3 and after of "Upload" in `protocols/blobs.md`.

use super::{Arrival, Uploaded};
use crate::blobs::{BlobError, BlobStore as _, Staged};
use crate::imaging::Inspection;
use crate::metadata::{NewBlob, PlaceError, Placed, Read, Transaction};
use crate::model::photo::NewPhoto;
use crate::model::{AlbumId, BlobHash, BlobKey, Owner, PhotoId, RowKey};
use crate::service::{ServiceError, Services};

/// How often a row may change under an upload before it gives up.
const MAX_RECHECKS: usize = 8;

/// How a commit ended.
enum Outcome {
    Done(Box<Uploaded>),
    /// The row names another copy now than the one that was verified (or none was): look at it first.
    Recheck(BlobKey),
}

impl Services {
    /// Makes the received bytes a photo: verifies the copy that is there, or publishes this one; then commits.
    pub(super) async fn keep(&self, staged: Box<dyn Staged>, arrival: Arrival) -> Result<Uploaded, ServiceError> {
        let hash = arrival.digests.hash;
        let (owner, by_admin) = (arrival.owner, arrival.by_admin);
        let looking = self.look_up(move |at| {
            let owned = by_admin || at.owns(owner, &hash)?;
            // Of what others have not even the row is looked at.
            Ok((owned, if owned { at.blob(&hash)? } else { None }))
        });
        let (owned, standing) = looking.await?;
        if let Some(row) = standing.filter(|row| !row.damaged)
            && self.verify_or_mark(row.key).await?
        {
            let verified = row.key;
            match self.commit_reference(arrival.clone(), verified).await {
                Ok(Some(uploaded)) => {
                    staged.discard().await;
                    return Ok(Uploaded { spooled: self.is_spooled(&verified), ..uploaded });
                }
                Ok(None) => {} // The row has changed since: our bytes are needed after all.
                Err(error) => {
                    staged.discard().await;
                    return Err(error);
                }
            }
        }
        // From here until the commit that takes it, dropping `in_flight` queues the copy for deletion.
        let in_flight = self.metadata.begin_copy(hash);
        let key = in_flight.key();
        staged.publish(&key).await?;
        let mut verified = None;
        for _ in 0..MAX_RECHECKS {
            let (arrival, in_flight) = (arrival.clone(), in_flight.clone());
            let digests = arrival.digests;
            let new = NewBlob::raw(key, digests.size_bytes, digests.sha256, digests.crc32);
            let committed = self.metadata.write("upload", move |tx| -> Result<_, ServiceError> {
                let placed = if owned { tx.place_blob(&in_flight, new, verified) } else { Ok(tx.replace_blob(&in_flight, new)?) };
                match placed {
                    Ok(placed) => Ok(Outcome::Done(Box::new(commit_photo(tx, &arrival, placed != Placed::Named)?))),
                    Err(PlaceError::Recheck { row_key }) => Ok(Outcome::Recheck(row_key)),
                    Err(PlaceError::Failed(error)) => Err(error.into()),
                }
            });
            match committed.await? {
                // The copy that counts is ours, or the one that was verified.
                Outcome::Done(uploaded) => {
                    let spooled = self.is_spooled(&key) || verified.is_some_and(|verified| self.is_spooled(&verified));
                    return Ok(Uploaded { spooled, ..*uploaded });
                }
                Outcome::Recheck(row_key) => verified = self.verify_or_mark(row_key).await?.then_some(row_key),
            }
        }
        Err(ServiceError::Busy("the blob's row kept changing"))
    }

    /// Whether this copy waits on a local disk.
    fn is_spooled(&self, key: &BlobKey) -> bool {
        self.blobs.backlog().is_some_and(|backlog| backlog.contains(key))
    }

    /// Whether copies of a blob wait on a local disk. Only for who has the blob.
    pub fn waits(&self, hash: &BlobHash) -> bool {
        self.blobs.backlog().is_some_and(|backlog| !backlog.copies(hash).is_empty())
    }

    /// Reads and verifies an object that a row names (now, or within the remembered time); where it is bad or gone, the row is marked damaged.
    pub(in crate::service) async fn verify_or_mark(&self, key: BlobKey) -> Result<bool, ServiceError> {
        match self.blobs.verify_lately(&key).await {
            Ok(()) => Ok(true),
            Err(BlobError::NotFound | BlobError::Damaged { .. }) => {
                tracing::error!(%key, "a stored copy is damaged or gone");
                self.set_damaged(key, true).await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Commits a photo of the verified copy; `None` where the row no longer names it.
    async fn commit_reference(&self, arrival: Arrival, verified: BlobKey) -> Result<Option<Uploaded>, ServiceError> {
        let committed = self.metadata.write("upload", move |tx| -> Result<_, ServiceError> {
            let stands = tx.blob(&verified.hash)?.is_some_and(|row| !row.damaged && row.key == verified);
            if stands { commit_photo(tx, &arrival, true).map(Some) } else { Ok(None) }
        });
        Ok(committed.await?)
    }
}

/// The part of the commit that is about the photo. The blob is present: placed or checked in this very transaction.
fn commit_photo(tx: &mut Transaction, arrival: &Arrival, deduplicated: bool) -> Result<Uploaded, ServiceError> {
    let Arrival { owner, album, .. } = *arrival;
    let (hash, size_bytes) = (arrival.digests.hash, arrival.digests.size_bytes);
    let key = RowKey::photo(owner, arrival.id);
    if tx.is_erased(&key)? {
        return Err(ServiceError::Erased("photo"));
    }
    if arrival.own_id
        && let Some(existing) = tx.photo_or_trashed(owner, arrival.id)?
    {
        return if existing.hash == hash {
            Ok(Uploaded { photo: existing, duplicate: false, created: false, deduplicated, size_bytes, spooled: false })
        } else {
            Err(ServiceError::Conflict { code: "photo_id_taken", detail: "this photo id names other bytes".into() })
        };
    }
    if tx.album(owner, album)?.is_none() {
        return Err(ServiceError::NotFound("album"));
    }
    if let Some(existing) = tx.photo_in_album_by_hash(owner, album, &hash)?
        && let Some(photo) = tx.photo(owner, existing)?
    {
        return Ok(Uploaded { photo, duplicate: true, created: false, deduplicated, size_bytes, spooled: false });
    }
    create_photo(tx, owner, arrival.id, album, &arrival.name, arrival.caption.as_deref(), &new_photo(arrival))?;
    let photo = tx.photo(owner, arrival.id)?.ok_or_else(|| ServiceError::Internal("a photo just made is not there".into()))?;
    Ok(Uploaded { photo, duplicate: false, created: true, deduplicated, size_bytes, spooled: false })
}

/// Makes a photo in this commit.
pub(in crate::service) fn create_photo(
    tx: &mut Transaction,
    owner: Owner,
    id: PhotoId,
    album: AlbumId,
    name: &str,
    caption: Option<&str>,
    new: &NewPhoto,
) -> Result<(), ServiceError> {
    let stamp = tx.stamp();
    tx.apply(new.create(owner, id, stamp, album, name, caption))?;
    Ok(())
}

fn new_photo(arrival: &Arrival) -> NewPhoto {
    let Inspection { format, width, height, orientation, taken_at, camera_make, camera_model, lens, gps, .. } = arrival.inspection.clone();
    let Inspection { placeholder, perceptual_hash, .. } = arrival.inspection.clone();
    NewPhoto {
        hash: arrival.digests.hash,
        size_bytes: arrival.digests.size_bytes,
        sha256: arrival.digests.sha256,
        crc32: arrival.digests.crc32,
        format: format.as_str().to_owned(),
        width,
        height,
        orientation,
        taken_at: taken_at.map(|taken| taken.to_string()),
        camera_make,
        camera_model,
        lens,
        gps,
        placeholder,
        perceptual_hash,
    }
}
