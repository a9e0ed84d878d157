//! Near duplicates of a photo, in its own user's library alone.

use crate::metadata::{MAX_DISTANCE, Page, SimilarPhoto, SimilarPosition};
use crate::model::{PerceptualHash, PhotoId};

use super::caller::{Caller, Scope};
use super::photos::require_shown;
use super::{ServiceError, Services};

/// In how many bits photos differ, where the caller names no number, that are taken for alike. Re-encodings, other sizes and other lights of
/// a photo lie within 6, hardly any of a burst beyond 10, and other photos from 20 on (measured, `docs/decisions/0015`).
const DEFAULT_DISTANCE: u32 = 10;

/// A page of a photo's near duplicates.
#[derive(Debug, Clone)]
pub struct SimilarPhotos {
    /// The hash of the photo that was asked about; `None` where it has none, and therefore nothing is like it.
    pub hash: Option<PerceptualHash>,
    /// In how many bits hashes may differ.
    pub distance: u32,
    /// Nearest first.
    pub page: Page<SimilarPhoto, SimilarPosition>,
    /// No photo of this distance or nearer is missing before the page's end.
    pub complete_within: u32,
}

impl Services {
    /// The caller's other photos that look like this one after `after`, nearest first, at most `limit`; none that lie in the trash.
    /// `distance`: in how many of 64 bits they may differ. Bounded work: see [`SimilarPhotos::complete_within`].
    ///
    /// # Errors
    /// `NotFound`, also for another user's photo; `Erased`; `Invalid` for a distance that is too large.
    pub async fn similar_photos(
        &self,
        caller: &Caller,
        id: PhotoId,
        distance: Option<u32>,
        after: Option<SimilarPosition>,
        limit: usize,
    ) -> Result<SimilarPhotos, ServiceError> {
        caller.require(Scope::Read)?;
        let owner = caller.owner;
        let distance = distance.unwrap_or(DEFAULT_DISTANCE);
        if distance > MAX_DISTANCE {
            return Err(ServiceError::Invalid { field: "distance", detail: format!("at most {MAX_DISTANCE} of 64 bits") });
        }
        self.read_of(owner, move |at| {
            let photo = require_shown(at, owner, id)?;
            let (page, complete_within) = match at.list_similar(&photo, distance, after, limit)? {
                Some(similar) => (similar.page, similar.complete_within),
                None => (Page { items: vec![], next: None }, distance),
            };
            Ok(SimilarPhotos { hash: photo.perceptual_hash, distance, page, complete_within })
        })
        .await
    }
}
