use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::photo::Photo;

/// A photo that looks like another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SimilarPhoto {
    /// In how many of the 64 bits of their perceptual hashes the two differ; 0 says that they look the same, not that their bytes are.
    pub distance: u32,
    /// The photo.
    pub photo: Photo,
}

/// One page of the photos that look like another one, nearest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SimilarPhotos {
    /// The perceptual hash of the photo that was asked about: 16 lowercase hex digits. Absent where it has none; then nothing is like it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perceptual_hash: Option<String>,
    /// What was looked for: hashes that differ in at most so many bits.
    pub distance: u32,
    /// No photo of this distance or nearer is missing up to the page's end. Less than `distance` where there were
    /// too many photos to look at.
    pub complete_within: u32,
    /// Nearest first.
    pub items: Vec<SimilarPhoto>,
    /// The opaque `cursor` of the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
