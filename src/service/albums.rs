//! Albums.

use crate::metadata::{AlbumTotals, MetadataError, Page, Read};
use crate::model::album::{AlbumEdit, AlbumView, NewAlbum};
use crate::model::{AlbumId, Owner, RowKey};

use super::caller::{Caller, Scope};
use super::{ServiceError, Services};

/// An album with what is in it.
#[derive(Debug, Clone)]
pub struct AlbumRow {
    /// The album.
    pub view: AlbumView,
    /// Its photos, and their bytes.
    pub totals: AlbumTotals,
}

/// One of an owner's albums, as it stands in `at`.
fn find(at: &impl Read, owner: Owner, id: AlbumId) -> Result<Option<AlbumRow>, MetadataError> {
    let Some(view) = at.album(owner, id)? else { return Ok(None) };
    Ok(Some(AlbumRow { view, totals: at.album_totals(owner, id)? }))
}

/// Photos that one commit moves to the trash with their album; a larger album goes in pieces, itself last.
const TRASH_PIECE: usize = 1_000;
/// Albums that are read at once where a name is looked for.
const SCAN_PIECE: usize = 1_000;

fn rows(page: Page<(AlbumView, AlbumTotals), AlbumId>) -> Page<AlbumRow, AlbumId> {
    Page { items: page.items.into_iter().map(|(view, totals)| AlbumRow { view, totals }).collect(), next: page.next }
}

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
        let name = self.names.name("name", name)?;
        let description = description.map(|text| self.names.text("description", text)).transpose()?.flatten();
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
            if let Some(existing) = find(tx, owner, id)? {
                return if own_id && existing.view.name == name {
                    Ok((existing, false))
                } else {
                    Err(ServiceError::Conflict { code: "album_id_taken", detail: "this album id is in use".into() })
                };
            }
            let stamp = tx.stamp();
            tx.apply(NewAlbum { name, description: description.unwrap_or_default() }.create(owner, id, stamp))?;
            let album = find(tx, owner, id)?.ok_or_else(|| ServiceError::Internal("an album just made is not there".into()))?;
            Ok((album, true))
        });
        Ok(made.await?)
    }

    /// One album.
    ///
    /// # Errors
    /// `NotFound`, also for another user's.
    pub async fn album(&self, caller: &Caller, id: AlbumId) -> Result<AlbumRow, ServiceError> {
        caller.require(Scope::Read)?;
        let owner = caller.owner;
        self.look_up(move |at| find(at, owner, id)?.ok_or(ServiceError::NotFound("album"))).await
    }

    /// The caller's albums after `after`, in the order of their ids, at most `limit`.
    ///
    /// # Errors
    /// Where metadata cannot be read.
    pub async fn list_albums(
        &self,
        caller: &Caller,
        after: Option<AlbumId>,
        limit: usize,
    ) -> Result<Page<AlbumRow, AlbumId>, ServiceError> {
        caller.require(Scope::Read)?;
        let owner = caller.owner;
        self.read_of(owner, move |at| Ok(rows(at.list_albums(owner, after, limit)?))).await
    }

    /// The caller's albums of exactly this name after `after`, in the order of their ids, at most `limit`.
    ///
    /// # Errors
    /// Where metadata cannot be read.
    pub async fn albums_named(
        &self,
        caller: &Caller,
        name: &str,
        after: Option<AlbumId>,
        limit: usize,
    ) -> Result<Page<AlbumRow, AlbumId>, ServiceError> {
        caller.require(Scope::Read)?;
        let (owner, name) = (caller.owner, name.trim().to_owned());
        self.read_of(owner, move |at| {
            let mut found = vec![];
            let mut after = after;
            loop {
                let page = at.list_albums(owner, after, SCAN_PIECE)?;
                after = page.next;
                found.extend(rows(page).items.into_iter().filter(|row| row.view.name == name));
                if after.is_none() || found.len() > limit {
                    break;
                }
            }
            let more = found.len() > limit;
            found.truncate(limit);
            let next = found.last().filter(|_| more).map(|row| row.view.id);
            Ok(Page { items: found, next })
        })
        .await
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
        let name = name.map(|text| self.names.name("name", text)).transpose()?;
        let description = description.map(|text| self.names.text("description", text)).transpose()?.map(Option::unwrap_or_default);
        let edit = AlbumEdit { name, description };
        let owner = caller.owner;
        let edited = self.metadata.write("album.edit", move |tx| -> Result<_, ServiceError> {
            let album = tx.album(owner, id)?.ok_or(ServiceError::NotFound("album"))?;
            let stamp = tx.stamp();
            tx.apply_all(album.edit(stamp, &edit))?;
            find(tx, owner, id)?.ok_or(ServiceError::NotFound("album"))
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
                for photo in &photos.items {
                    tx.apply_all(photo.trash())?;
                }
                let last = photos.next.is_none();
                if last {
                    tx.apply_all(album.trash())?;
                }
                Ok(last)
            });
            if done.await? {
                return Ok(());
            }
        }
    }
}
