use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What IIIF Image API 3.0 says of an image (section 5); its names are the specification's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IiifImageInfo {
    /// What the names mean to readers of JSON-LD.
    #[serde(rename = "@context")]
    pub context: String,
    /// The image's base URI, absolute.
    pub id: String,
    /// `ImageService3`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `http://iiif.io/api/image`.
    pub protocol: String,
    /// `level2`.
    pub profile: String,
    /// Pixels, as shown.
    pub width: u32,
    /// Pixels, as shown.
    pub height: u32,
    /// Pixels that are promised; of a region more than it has are made, too.
    pub max_width: u32,
    /// Pixels that are promised.
    pub max_height: u32,
    /// Sizes of the whole image that lie ready more often than others.
    pub sizes: Vec<IiifSize>,
    /// How viewers should part it.
    pub tiles: Vec<IiifTiles>,
    /// The best first.
    pub preferred_formats: Vec<String>,
    /// Beside `jpg` and `png`.
    pub extra_formats: Vec<String>,
    /// Beside `default`.
    pub extra_qualities: Vec<String>,
    /// Beside those of the level.
    pub extra_features: Vec<String>,
}

/// A size in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IiifSize {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Squares that an image is parted into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IiifTiles {
    /// Side of a tile in pixels.
    pub width: u32,
    /// By what the image is divided.
    pub scale_factors: Vec<u32>,
}
