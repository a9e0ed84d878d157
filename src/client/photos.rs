use bytes::Bytes;
use http::Method;

use super::call::{Call, Failure};
use super::{Client, ClientError};
use crate::api::{PatchPhoto, Photo};
use crate::model::PhotoId;
use crate::runtime::timeout;

/// All fail with [`ClientError`] as its kinds say.
impl Client {
    /// One photo.
    pub async fn photo(&self, photo: PhotoId) -> Result<Photo, ClientError> {
        self.json(Call::get(format!("photos/{photo}"))).await
    }

    /// Edits a photo, or moves it to another album.
    pub async fn patch_photo(&self, photo: PhotoId, patch: &PatchPhoto) -> Result<Photo, ClientError> {
        self.json(Call::new(Method::PATCH, format!("photos/{photo}")).body(patch)).await
    }

    /// Moves a photo to the trash.
    pub async fn delete_photo(&self, photo: PhotoId) -> Result<(), ClientError> {
        self.done(Call::new(Method::DELETE, format!("photos/{photo}"))).await
    }

    /// Fetches a relative URL once, without a repetition, and gives each piece of its body away as it comes; answers how many bytes came.
    /// Nothing is verified: for measuring, and for renditions.
    ///
    /// # Errors
    /// As [`ClientError`]'s kinds say.
    pub async fn get_once(&self, relative: &str, mut each: impl FnMut(Bytes) + Send) -> Result<u64, ClientError> {
        let idle = self.settings.idle_timeout;
        let once = async {
            let sent = timeout(idle, self.request(Method::GET, relative).send()).await.ok_or_else(|| self.silent(false))?;
            let mut response = self.judged(sent.map_err(|error| self.broken(&error, false))?, false).await?;
            let mut received = 0;
            loop {
                let chunk = timeout(idle, response.chunk()).await.ok_or_else(|| self.silent(false))?;
                match chunk.map_err(|error| self.broken(&error, false))? {
                    Some(chunk) => {
                        received += chunk.len() as u64;
                        each(chunk);
                    }
                    None => return Ok(received),
                }
            }
        };
        once.await.map_err(|failure: Failure| failure.error)
    }
}
