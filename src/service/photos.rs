//! Photos that are there: show, list, edit, move to the trash.

use crate::metadata::{Page, PhotoPosition, Read};
use crate::model::photo::{PhotoEdit as Edit, PhotoView};
use crate::model::{AlbumId, Owner, PhotoId, RowKey};

use super::caller::{Caller, Scope};
use super::{ServiceError, Services};

/// What an edit sets; `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct PhotoEdit {
    /// The file name.
    pub name: Option<String>,
    /// The caption; an empty one takes it away.
    pub caption: Option<String>,
    /// The album to move it to.
    pub album: Option<AlbumId>,
}

/// One of an owner's photos, as it stands in `at` and not in the trash.
pub(super) fn require_shown(at: &impl Read, owner: Owner, id: PhotoId) -> Result<PhotoView, ServiceError> {
    match at.photo(owner, id)? {
        Some(photo) => Ok(photo),
        None if at.is_erased(&RowKey::photo(owner, id))? => Err(ServiceError::Erased("photo")),
        None => Err(ServiceError::NotFound("photo")),
    }
}

impl Services {
    /// One photo.
    ///
    /// # Errors
    /// `NotFound`, also for another user's.
    pub async fn photo(&self, caller: &Caller, id: PhotoId) -> Result<PhotoView, ServiceError> {
        caller.require(Scope::Read)?;
        let owner = caller.owner;
        self.look_up(move |at| require_shown(at, owner, id)).await
    }

    /// The photos of an album after `after`, oldest upload first, at most `limit`.
    ///
    /// # Errors
    /// `NotFound` for the album, also for another user's.
    pub async fn list_photos(
        &self,
        caller: &Caller,
        album: AlbumId,
        after: Option<PhotoPosition>,
        limit: usize,
    ) -> Result<Page<PhotoView, PhotoPosition>, ServiceError> {
        caller.require(Scope::Read)?;
        let owner = caller.owner;
        self.read_of(owner, move |at| {
            if at.album(owner, album)?.is_none() {
                return Err(ServiceError::NotFound("album"));
            }
            Ok(at.list_photos(owner, album, after, limit)?)
        })
        .await
    }

    /// Edits a photo, or moves it to another album.
    ///
    /// # Errors
    /// `NotFound` for the photo or the album; `Invalid` for the texts.
    pub async fn edit_photo(&self, caller: &Caller, id: PhotoId, edit: PhotoEdit) -> Result<PhotoView, ServiceError> {
        caller.require(Scope::User)?;
        let owner = caller.owner;
        let name = edit.name.as_deref().map(|text| self.names.file_name(text)).transpose()?;
        let caption = edit.caption.as_deref().map(|text| self.names.text("caption", text)).transpose()?.map(Option::unwrap_or_default);
        let texts = Edit { name, caption };
        let edited = self.metadata.write("photo.edit", move |tx| -> Result<_, ServiceError> {
            let photo = tx.photo(owner, id)?.ok_or(ServiceError::NotFound("photo"))?;
            let stamp = tx.stamp();
            tx.apply_all(photo.edit(stamp, &texts))?;
            if let Some(album) = edit.album {
                if tx.album(owner, album)?.is_none() {
                    return Err(ServiceError::NotFound("album"));
                }
                tx.apply_all(photo.move_to(stamp, album))?;
            }
            tx.photo(owner, id)?.ok_or(ServiceError::NotFound("photo"))
        });
        Ok(edited.await?)
    }

    /// Moves a photo to the trash. Its reference stays, so its bytes do.
    ///
    /// # Errors
    /// `NotFound`, also for another user's.
    pub async fn trash_photo(&self, caller: &Caller, id: PhotoId) -> Result<(), ServiceError> {
        caller.require(Scope::User)?;
        let owner = caller.owner;
        let trashed = self.metadata.write("photo.trash", move |tx| -> Result<(), ServiceError> {
            let photo = tx.photo(owner, id)?.ok_or(ServiceError::NotFound("photo"))?;
            Ok(tx.apply_all(photo.trash())?)
        });
        Ok(trashed.await?)
    }
}
