use bytes::Bytes;
use http::{Method, header};
use tokio::time::timeout;

use super::call::{Call, Failure};
use super::{Client, ClientError};
use crate::api::{PatchPhoto, Photo};
use crate::model::PhotoId;

/// What is known of an original before its bytes are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The strong validator, with its quotes.
    pub etag: Option<String>,
    /// Bytes of the original.
    pub size_bytes: Option<u64>,
}

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

    /// Asks for an original without its bytes.
    pub async fn head_original(&self, photo: PhotoId) -> Result<Head, ClientError> {
        let mut attempts = self.attempts();
        loop {
            let once = async {
                let request = self.request(Method::HEAD, &format!("/v1/photos/{photo}/original")).timeout(self.settings.answer_timeout);
                let response = request.send().await.map_err(|error| self.broken(&error, true))?;
                let response = self.judged(response, true).await?;
                let text = |name| response.headers().get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
                Ok(Head {
                    etag: text(header::ETAG).map(str::to_owned),
                    size_bytes: text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok()),
                })
            };
            match once.await {
                Ok(head) => return Ok(head),
                Err(failure) => attempts.pause(failure).await?,
            }
        }
    }

    /// Fetches a relative URL once, without a repetition, and gives each piece of its body away as it comes; answers how many bytes came.
    /// Nothing is verified: for measuring, and for renditions.
    ///
    /// # Errors
    /// As [`ClientError`]'s kinds say.
    pub async fn get_once(&self, relative: &str, mut each: impl FnMut(Bytes) + Send) -> Result<u64, ClientError> {
        let idle = self.settings.idle_timeout;
        let once = async {
            let sent = timeout(idle, self.request(Method::GET, relative).send()).await.map_err(|_| self.silent(false))?;
            let mut response = self.judged(sent.map_err(|error| self.broken(&error, false))?, false).await?;
            let mut received = 0;
            loop {
                let chunk = timeout(idle, response.chunk()).await.map_err(|_| self.silent(false))?;
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
