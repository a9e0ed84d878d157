use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{AlbumId, BlobHash, PhotoId};

/// A photo: an entry in an album.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Photo {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: PhotoId,
    /// The album it stands in.
    #[schema(value_type = uuid::Uuid)]
    pub album: AlbumId,
    /// Its file name.
    pub name: String,
    /// A text of the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// The BLAKE3 hash of the original's bytes: 64 lowercase hex digits.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub hash: BlobHash,
    /// Bytes of the original.
    pub size_bytes: u64,
    /// `jpeg`, `png`, `gif`, `webp`, `tiff`, `bmp`, `avif`, `heic`, or a raw format: `dng`, `cr2`, `cr3`, `nef`, `arw`, `raf`, `rw2`, `orf`, `pef`.
    pub format: String,
    /// Pixels, as shown: after the orientation was applied.
    pub width: u32,
    /// Pixels, as shown.
    pub height: u32,
    /// When it was taken, as the camera says: RFC 3339 with the offset where the camera knew it, else local time without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<String>,
    /// What took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<Camera>,
    /// Where it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gps: Option<Gps>,
    /// A ThumbHash in base64, to paint before the thumbnail is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// When it was uploaded (RFC 3339).
    pub uploaded_at: String,
    /// After an upload: these bytes were in this album already, and this is that photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<bool>,
    /// It is in the trash: an upload or link whose id (or `Idempotency-Key`) names a photo that was deleted leaves it there, and says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trashed: bool,
    /// After an upload: how safe the bytes were when it was acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
    /// Where to fetch it, relative to the server.
    pub urls: PhotoUrls,
}

/// What took a photo, as its EXIF says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Camera {
    /// The maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub make: Option<String>,
    /// The model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The lens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lens: Option<String>,
}

/// A position (WGS 84).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Gps {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Metres above the sea.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub altitude_m: Option<f64>,
}

/// How safe an acknowledged upload's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Synced on the blob backend, and the metadata synced.
    Durable,
    /// Synced in a local spool, on its way to the backend.
    Spooled,
}

/// Where a photo is fetched. Renditions are signed: the URL is all that a browser needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PhotoUrls {
    /// The original's bytes (needs the token).
    pub original: String,
    /// Fits 320 × 320, JPEG.
    pub thumbnail: String,
    /// Fits 1280 × 1280, JPEG.
    pub preview: String,
    /// For `srcset` of an HTML image: the same photo in several sizes, the thumbnail and the preview among them, with the width of each. URLs are
    /// relative to the server; JPEG.
    #[serde(default)]
    pub srcset: String,
    /// The photo as an image of IIIF Image API 3.0, in every size and part: its base URI, relative to the server; `info.json` lies under it.
    /// Absent where the tenant's photos are shown by presets only.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub iiif: String,
}

/// Edits a photo; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchPhoto {
    /// The new file name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new caption; an empty one takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// Moves it to another album of the same user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub album: Option<AlbumId>,
}
