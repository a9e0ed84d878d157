//! The HTTP client of `/v1`: one typed call for each call of the contract in `api`.
//!
//! Guarantees: a call that may be repeated without harm is repeated, with jitter and `Retry-After` honoured, bounded in count and time
//! ([`RetrySettings`]); one that may not is repeated only where the server has certainly not begun it. Bytes that were received are hashed
//! before they count as received. No answer is read without a bound on its size and on the silence before it. The token goes to the one
//! server it was given for: redirects are not followed.

mod account;
mod admin;
mod albums;
mod call;
mod download;
mod edges;
mod error;
mod inventory;
mod page;
mod photos;
mod retry;
mod send;
mod similar;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use download::{Fetched, Wanted};
pub use error::ClientError;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use reqwest::Url;
pub use retry::RetrySettings;
pub use send::{Progress, Source, Upload, UploadId, Uploaded};

use crate::api;
use crate::model::Owner;
use crate::runtime::Runtime;

/// How patient a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSettings {
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// From asking to the whole answer, of calls that carry JSON.
    pub answer_timeout: Duration,
    /// The longest silence while photo bytes flow, either way.
    pub idle_timeout: Duration,
    /// From asking to the whole answer, of calls that read the whole site.
    pub long_timeout: Duration,
    /// How calls are repeated.
    pub retry: RetrySettings,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(120),
            long_timeout: Duration::from_secs(24 * 3_600),
            retry: RetrySettings::default(),
        }
    }
}

/// A client of one server, with one token. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Without a slash at its end.
    base: Arc<str>,
    headers: HeaderMap,
    settings: ClientSettings,
    runtime: Runtime,
}

impl Client {
    /// A client of the server at `server` (`http://…` or `https://…`), which speaks for whom `token` speaks.
    ///
    /// # Errors
    /// [`ClientError::Settings`] where the address is not such a URL, the token cannot stand in a header, or TLS has no certificates to
    /// trust.
    pub fn new(server: &str, token: Option<&str>, settings: ClientSettings, runtime: Runtime) -> Result<Self, ClientError> {
        let url =
            Url::parse(server).map_err(|error| ClientError::Settings(format!("the server's address `{server}` is not a URL: {error}")))?;
        let plain = match url.scheme() {
            "http" => true,
            "https" => false,
            _ => return Err(ClientError::Settings(format!("the server's address `{server}` does not begin with http:// or https://"))),
        };
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| ClientError::Settings("the token holds characters that no token has".into()))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("halidom/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            // Repetitions are this client's own, with the body and the id at hand.
            .retry(reqwest::retry::never())
            .referer(false);
        if plain {
            // Without TLS nothing is verified: a machine without any certificates can still speak to a local server.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| ClientError::Settings(format!("no HTTP client: {}", error::explain(&error))))?;
        Ok(Self { http, base: server.trim_end_matches('/').into(), headers, settings, runtime })
    }

    /// The same, acting for this owner: for tokens of administrators.
    #[must_use]
    pub fn acting_for(mut self, owner: Owner) -> Self {
        let value = HeaderValue::try_from(format!("{}/{}", owner.tenant, owner.user)).expect("two UUIDs and a slash are visible ASCII");
        self.headers.insert(HeaderName::from_static(api::ACT_FOR), value);
        self
    }

    /// The same with other patience. The time to connect stays as it was.
    #[must_use]
    pub fn with_settings(mut self, settings: ClientSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Where it goes, without a slash at the end.
    pub fn server(&self) -> &str {
        &self.base
    }

    /// What the server means by a relative URL that it answered.
    pub fn absolute(&self, relative: &str) -> String {
        format!("{}/{}", self.base, relative.trim_start_matches('/'))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}
