//! A running site as a client sees it: plain calls, none of them repeated behind the test's back.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use halidom::api::{Album, CheckReport, CheckRequest, CreateAlbum, Page, Photo, Problem, X_BLAKE3};
use halidom::model::{AlbumId, BlobHash, PhotoId};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use super::photos::Naming;

/// Past this a call counts as broken: a server that hangs must not hang the test.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pieces that a body is sent in, at most.
const PIECES: usize = 6;

/// One server, with the administrator's token.
#[derive(Debug, Clone)]
pub struct Site {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// Why a call did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// No whole answer came: the server was away, or went.
    Broken(String),
    /// The server said no.
    Refused {
        /// The status.
        status: StatusCode,
        /// The problem's code.
        code: String,
        /// The rest of what it said.
        detail: String,
    },
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self::Broken(format!("{error:?}"))
    }
}

/// A photo to be sent.
#[derive(Debug)]
pub struct Sending<'a> {
    /// Into which album.
    pub album: AlbumId,
    /// Under which file name.
    pub name: &'a str,
    /// And id.
    pub naming: Naming,
    /// The bytes' own hash, sent along where given.
    pub hash: Option<BlobHash>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Site {
    /// The site at `base` (`http://…`, no slash at the end).
    pub fn new(base: &str, token: &str) -> Self {
        // Without TLS no certificates are needed, and a machine may have none.
        let http = reqwest::Client::builder().timeout(PATIENCE).retry(reqwest::retry::never()).tls_certs_only([]).build();
        Self { http: http.expect("an HTTP client"), base: base.to_owned(), token: token.to_owned() }
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The administrator's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Makes an album of this id; made already, nothing happens.
    pub async fn create_album(&self, id: AlbumId, name: &str) -> Result<Album, Failure> {
        let request = CreateAlbum { name: name.to_owned(), id: Some(id), description: None };
        json(self.http.post(format!("{}/v1/albums", self.base)).json(&request), &self.token).await
    }

    /// Sends a photo, in pieces; `sent` is called as each is handed over. The photo was acknowledged when this is `Ok`.
    pub async fn upload(&self, sending: Sending<'_>, sent: impl Fn() + Send + 'static) -> Result<Photo, Failure> {
        let Sending { album, name, naming, hash, bytes } = sending;
        let photos = format!("{}/v1/albums/{album}/photos", self.base);
        let length = bytes.len();
        let mut request = match naming {
            // The one way with a length told beforehand, the others are chunked.
            Naming::Own(id) => self.http.put(format!("{photos}/{id}")).header("content-length", length),
            Naming::Key(key) => self.http.post(photos).header("idempotency-key", key),
            Naming::Fresh => self.http.post(photos),
        };
        if let Some(hash) = hash {
            request = request.header(X_BLAKE3, hash.to_string());
        }
        let bytes = Bytes::from(bytes);
        let piece = length.div_ceil(PIECES).max(1);
        let pieces: Vec<Bytes> = (0..length).step_by(piece).map(|at| bytes.slice(at..length.min(at + piece))).collect();
        let body = stream::iter(pieces.into_iter().map(move |piece| {
            sent();
            Ok::<_, std::io::Error>(piece)
        }));
        json(request.query(&[("name", name)]).body(reqwest::Body::wrap_stream(body)), &self.token).await
    }

    /// All albums.
    pub async fn albums(&self) -> Result<Vec<Album>, Failure> {
        self.pages("/v1/albums").await
    }

    /// All photos of an album.
    pub async fn photos(&self, album: AlbumId) -> Result<Vec<Photo>, Failure> {
        self.pages(&format!("/v1/albums/{album}/photos")).await
    }

    /// The bytes of a photo.
    pub async fn original(&self, photo: PhotoId) -> Result<Bytes, Failure> {
        let request = self.http.get(format!("{}/v1/photos/{photo}/original", self.base));
        Ok(answer(request, &self.token).await?.bytes().await?)
    }

    /// Checks metadata and every byte of every blob.
    pub async fn check(&self) -> Result<CheckReport, Failure> {
        let request = CheckRequest { read_data: true };
        json(self.http.post(format!("{}/v1/admin/check", self.base)).json(&request), &self.token).await
    }

    async fn pages<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Failure> {
        let mut items = vec![];
        let mut cursor: Option<String> = None;
        loop {
            let mut request = self.http.get(format!("{}{path}", self.base)).query(&[("limit", "500")]);
            if let Some(cursor) = &cursor {
                request = request.query(&[("cursor", cursor)]);
            }
            let page: Page<T> = json(request, &self.token).await?;
            items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(items);
            }
        }
    }
}

async fn json<T: DeserializeOwned>(request: RequestBuilder, token: &str) -> Result<T, Failure> {
    Ok(answer(request, token).await?.json().await?)
}

async fn answer(request: RequestBuilder, token: &str) -> Result<Response, Failure> {
    let response = request.bearer_auth(token).send().await?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.text().await?;
    let (code, detail) = match serde_json::from_str::<Problem>(&text) {
        Ok(problem) => (problem.code, problem.detail.unwrap_or_default()),
        Err(_) => (String::new(), text),
    };
    Err(Failure::Refused { status, code, detail })
}
