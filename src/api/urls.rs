use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::BlobHash;

/// Asks for a signed rendition URL of a blob that this user owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignUrl {
    /// Of which blob.
    #[schema(value_type = String)]
    pub hash: BlobHash,
    /// Pixels; 0 or absent: as follows from the height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels; 0 or absent: as follows from the width.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<u8>,
    /// A preset of the tenant's, or several with colons between their names; what else is said goes over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// `jpg`, `webp`, `avif` or `png`; absent: `jpg`, or with a preset what that or the browser says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Seconds since the Unix epoch after which the URL is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// Not a rendition, but the base URI of an IIIF image, whose clients name size, quality and format themselves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub iiif: bool,
}

impl SignUrl {
    /// Of this blob; nothing else is said.
    pub fn of(hash: BlobHash) -> Self {
        Self { hash, width: None, height: None, quality: None, preset: None, format: None, expires: None, iiif: false }
    }
}

/// A signed rendition URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedUrl {
    /// Relative to the server.
    pub url: String,
}
