use super::call::Call;
use super::{Client, ClientError};
use crate::api::{Me, SignUrl, SignedUrl};

/// All fail with [`ClientError`] as its kinds say.
impl Client {
    /// Whom the token speaks for.
    pub async fn me(&self) -> Result<Me, ClientError> {
        self.json(Call::get("me")).await
    }

    /// A signed rendition URL, relative to the server ([`Client::absolute`]).
    pub async fn sign_url(&self, request: &SignUrl) -> Result<SignedUrl, ClientError> {
        self.json(Call::post("urls").body(request).repeatable()).await
    }
}
