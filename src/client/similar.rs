use super::call::Call;
use super::{Client, ClientError};
use crate::api::SimilarPhotos;
use crate::model::PhotoId;

/// All fail with [`ClientError`] as its kinds say.
impl Client {
    /// The first photos that look like this one, nearest first; as far apart and as many as the server thinks right where not said.
    pub async fn similar_photos(&self, photo: PhotoId, distance: Option<u32>, limit: Option<u32>) -> Result<SimilarPhotos, ClientError> {
        self.json(Call::get(format!("photos/{photo}/similar")).query("distance", distance).query("limit", limit)).await
    }
}
