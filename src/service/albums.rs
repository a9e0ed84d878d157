//! Albums.

use crate::metadata::Read;
use crate::metadata::AlbumRow;
use crate::model::album::{AlbumEdit, NewAlbum};
use crate::model::{AlbumId, RowKey};

use super::caller::{Caller, Scope};
use super::{ServiceError, Services, names};

/// Photos that one commit moves to the trash with their album; a larger album goes in pieces, itself last.
const TRASH_PIECE: usize = 1_000;

impl Services {
    /// Makes an album. With the client's own id, the same again answers the album that is there; `true` where one was made.
    ///
    /// # Errors
    /// `Conflict` where the id names another album; `Invalid` for the name.
    pub async fn create_album(
        &self,
        caller: &Caller,
        id: Option<AlbumId>,
        name: &str,
        description: Option<&str>,
    ) -> Result<(AlbumRow, bool), ServiceError> {
        caller.require(Scope::User)?;
        let name = names::name("name", name)?;
        let description = description.map(|text| names::text("description", text)).transpose()?.flatten();
        let owner = caller.owner;
        let own_id = id.is_some();
        let id = id.unwrap_or_else(|| AlbumId::new(self.runtime.clock.unix_ms(), self.runtime.random.bytes()));
        if id == AlbumId::ROOT {
            return Err(ServiceError::Invalid { field: "id", detail: "the nil UUID names no album".into() });
        }
        let made = self.metadata.write("album.create", move |tx| -> Result<_, ServiceError> {
            let key = RowKey::album(owner, id);
            if tx.is_erased(&key)? {
                return Err(ServiceError::Erased("album"));
            }
            if let Some(existing) = tx.album(owner, id)? {
                return if own_id && existing.view.name == name {
                    Ok((existing, false))
                } else {
                    Err(ServiceError::Conflict { code: "album_id_taken", detail: "this album id is in use".into() })
                };
            }
            let stamp = tx.stamp();
            tx.apply(NewAlbum { name, description: description.unwrap_or_default() }.create(owner, id, stamp))?;
            let album = tx.album(owner, id)?.ok_or_else(|| ServiceError::Internal("an album just made is not there".into()))?;
            Ok((album, true))
        });
        Ok(made.await?)
    }

    /// One album.
    ///
    /// # Errors
    /// `NotFound`, also for another user's.
    pub fn album(&self, caller: &Caller, id: AlbumId) -> Result<AlbumRow, ServiceError> {
        caller.require(Scope::Read)?;
        self.metadata.read().album(caller.owner, id)?.ok_or(ServiceError::NotFound("album"))
    }

    /// The caller's albums after `after`, in the order of their ids, at most `limit`.
    ///
    /// # Errors
    /// Where metadata cannot be read.
    pub async fn list_albums(&self, caller: &Caller, after: Option<AlbumId>, limit: usize) -> Result<Vec<AlbumRow>, ServiceError> {
        caller.require(Scope::Read)?;
        let owner = caller.owner;
        self.read(move |at| Ok(at.list_albums(owner, after, limit)?)).await
    }

    /// Edits an album; `None` leaves a value as it is.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for the texts.
    pub async fn edit_album(
        &self,
        caller: &Caller,
        id: AlbumId,
        name: Option<&str>,
        description: Option<&str>,
    ) -> Result<AlbumRow, ServiceError> {
        caller.require(Scope::User)?;
        let name = name.map(|text| names::name("name", text)).transpose()?;
        let description = description.map(|text| names::text("description", text)).transpose()?.map(Option::unwrap_or_default);
        let edit = AlbumEdit { name, description };
        let owner = caller.owner;
        let edited = self.metadata.write("album.edit", move |tx| -> Result<_, ServiceError> {
            let album = tx.album(owner, id)?.ok_or(ServiceError::NotFound("album"))?;
            let stamp = tx.stamp();
            tx.apply_all(album.view.edit(stamp, &edit))?;
            tx.album(owner, id)?.ok_or(ServiceError::NotFound("album"))
        });
        Ok(edited.await?)
    }

    /// Moves an album and the photos seen in it to the trash: the photos in pieces, the album last.
    ///
    /// # Errors
    /// `NotFound`, also for another user's.
    pub async fn trash_album(&self, caller: &Caller, id: AlbumId) -> Result<(), ServiceError> {
        caller.require(Scope::User)?;
        let owner = caller.owner;
        loop {
            let done = self.metadata.write("album.trash", move |tx| -> Result<bool, ServiceError> {
                let album = tx.album(owner, id)?.ok_or(ServiceError::NotFound("album"))?;
                let photos = tx.list_photos(owner, id, None, TRASH_PIECE)?;
                for photo in &photos {
                    tx.apply_all(photo.trash())?;
                }
                let last = photos.len() < TRASH_PIECE;
                if last {
                    tx.apply_all(album.view.trash())?;
                }
                Ok(last)
            });
            if done.await? {
                return Ok(());
            }
        }
    }
}
