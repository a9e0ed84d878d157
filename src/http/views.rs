//! From the model's views to wire types.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::ApiError;
use crate::api;
use crate::model::WallMs;
use crate::model::photo::PhotoView;
use crate::service::{AlbumRow, Caller, PhotoUrlSigner, Scope, Scopes, Services};

/// RFC 3339 in UTC, to the millisecond.
pub(super) fn time(at: WallMs) -> String {
    // Times come from our own clocks; one that jiff cannot hold (past the year 9999) shows as its latest.
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// An album.
pub(super) fn album(row: AlbumRow) -> api::Album {
    api::Album {
        id: row.view.id,
        name: row.view.name,
        description: Some(row.view.description).filter(|text| !text.is_empty()),
        photo_count: row.totals.photos,
        bytes: row.totals.bytes,
        created_at: time(row.view.first_created),
    }
}

/// Photos of one caller, whose rendition URLs are signed with one key.
pub(super) struct PhotoWriter(PhotoUrlSigner);

impl PhotoWriter {
    pub(super) async fn new(services: &Services, caller: &Caller) -> Result<Self, ApiError> {
        Ok(Self(services.photo_urls(caller).await?))
    }

    /// A photo.
    pub(super) fn photo(&self, view: PhotoView) -> api::Photo {
        let camera = api::Camera { make: view.camera_make, model: view.camera_model, lens: view.lens };
        let urls = api::PhotoUrls {
            original: super::routes::original_path(view.id),
            thumbnail: self.0.thumbnail(view.hash),
            preview: self.0.preview(view.hash),
            srcset: self.0.srcset(view.hash, (view.width, view.height)),
            iiif: self.0.iiif(view.hash).unwrap_or_default(),
        };
        api::Photo {
            id: view.id,
            album: view.album,
            name: view.name,
            caption: view.caption.filter(|text| !text.is_empty()),
            hash: view.hash,
            size_bytes: view.size_bytes,
            format: view.format,
            width: view.width,
            height: view.height,
            taken_at: view.taken_at,
            camera: (camera.make.is_some() || camera.model.is_some() || camera.lens.is_some()).then_some(camera),
            gps: view.gps.map(|gps| api::Gps { latitude: gps.latitude(), longitude: gps.longitude(), altitude_m: gps.altitude_m() }),
            placeholder: view.placeholder.map(|bytes| STANDARD.encode(bytes)),
            uploaded_at: time(view.first_created),
            duplicate: None,
            trashed: view.trashed,
            durability: None,
            urls,
        }
    }

    /// A photo that was just uploaded or linked.
    pub(super) fn arrived(&self, view: PhotoView, duplicate: bool, spooled: bool) -> api::Photo {
        let durability = if spooled { api::Durability::Spooled } else { api::Durability::Durable };
        api::Photo { duplicate: Some(duplicate), durability: Some(durability), ..self.photo(view) }
    }
}

/// A scope.
pub(super) fn scope(scope: Scope) -> api::Scope {
    match scope {
        Scope::Admin => api::Scope::Admin,
        Scope::Tenant => api::Scope::Tenant,
        Scope::User => api::Scope::User,
        Scope::Read => api::Scope::Read,
        Scope::Edge => api::Scope::Edge,
    }
}

/// All scopes of a token.
pub(super) fn scopes(scopes: Scopes) -> Vec<api::Scope> {
    scopes.iter().map(scope).collect()
}

/// Scopes that a client names.
pub(super) fn read_scopes(scopes: &[api::Scope]) -> Scopes {
    let read = |scope: &api::Scope| match scope {
        api::Scope::Admin => Scope::Admin,
        api::Scope::Tenant => Scope::Tenant,
        api::Scope::User => Scope::User,
        api::Scope::Read => Scope::Read,
        api::Scope::Edge => Scope::Edge,
    };
    scopes.iter().map(read).collect()
}
