use futures_util::Stream;
use http::Method;

use super::call::Call;
use super::page::{self, PAGE_LIMIT};
use super::{Client, ClientError};
use crate::api::{Album, CreateAlbum, LinkRequest, Linked, Missing, MissingRequest, PatchAlbum, Photo};
use crate::model::AlbumId;

/// All fail with [`ClientError`] as its kinds say.
impl Client {
    /// Makes an album. With the client's own id this may be repeated: the same id and name answer the same album.
    pub async fn create_album(&self, request: &CreateAlbum) -> Result<Album, ClientError> {
        let call = Call::post("albums").body(request);
        self.json(if request.id.is_some() { call.repeatable() } else { call }).await
    }

    /// The caller's albums; with a name, those of exactly this name.
    pub fn albums(&self, name: Option<String>) -> impl Stream<Item = Result<Album, ClientError>> + Send + '_ {
        page::items(move |cursor| {
            let call = Call::get("albums").query("limit", Some(PAGE_LIMIT)).query("cursor", cursor).query("name", name.as_deref());
            self.json(call)
        })
    }

    /// One album.
    pub async fn album(&self, album: AlbumId) -> Result<Album, ClientError> {
        self.json(Call::get(format!("albums/{album}"))).await
    }

    /// Edits an album.
    pub async fn patch_album(&self, album: AlbumId, patch: &PatchAlbum) -> Result<Album, ClientError> {
        self.json(Call::new(Method::PATCH, format!("albums/{album}")).body(patch)).await
    }

    /// Moves an album and the photos in it to the trash.
    pub async fn delete_album(&self, album: AlbumId) -> Result<(), ClientError> {
        self.done(Call::new(Method::DELETE, format!("albums/{album}"))).await
    }

    /// The photos of an album.
    pub fn photos(&self, album: AlbumId) -> impl Stream<Item = Result<Photo, ClientError>> + Send + '_ {
        page::items(move |cursor| {
            self.json(Call::get(format!("albums/{album}/photos")).query("limit", Some(PAGE_LIMIT)).query("cursor", cursor))
        })
    }

    /// Which of these blobs the caller must send; the rest are kept for a day, so that they can be linked. At most 1,000 hashes.
    pub async fn missing(&self, request: &MissingRequest) -> Result<Missing, ClientError> {
        self.json(Call::post("blobs/missing").body(request).repeatable()).await
    }

    /// Makes photos of blobs that the caller owns. At most 1,000; may be repeated where every photo has the client's own id.
    pub async fn link(&self, album: AlbumId, request: &LinkRequest) -> Result<Linked, ClientError> {
        let call = Call::post(format!("albums/{album}/photos/link")).body(request);
        self.json(if request.photos.iter().all(|photo| photo.id.is_some()) { call.repeatable() } else { call }).await
    }
}
