use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::AlbumId;

/// An album.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Album {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: AlbumId,
    /// Its name; two albums may have the same.
    pub name: String,
    /// A longer text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Photos in it, those in the trash not counted.
    pub photo_count: u64,
    /// Bytes of their originals.
    pub bytes: u64,
    /// When it was made (RFC 3339).
    pub created_at: String,
}

/// Makes an album.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAlbum {
    /// Not empty, of at most 255 bytes of UTF-8 (`limits.max_name_bytes`), no control characters.
    pub name: String,
    /// The client's own id; the same id and name again answer the same album.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub id: Option<AlbumId>,
    /// A longer text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Edits an album; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchAlbum {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new description; an empty one takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}
