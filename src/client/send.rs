//! Uploads: the bytes of one photo, streamed from a file or from memory.

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use http::{Method, StatusCode, header};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

use super::call::Failure;
use super::{Client, ClientError};
use crate::api::{self, Photo};
use crate::model::{AlbumId, BlobHash, PhotoId, Sha256};
use crate::runtime::timeout;

/// Pieces in which a file is read and sent: large enough that the copying costs little, small enough for many at once.
const PIECE: usize = 256 << 10;

/// Told how many bytes of the present attempt are on their way; a new attempt begins at 0 again.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// How a photo gets its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadId {
    /// The client's own: may be repeated.
    Own(PhotoId),
    /// Derived by the server from this key: may be repeated.
    Key(String),
    /// Drawn by the server: repeated only where the server has certainly not begun it.
    Drawn,
}

/// Where the bytes come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, read as it is sent; never whole in memory.
    File(PathBuf),
    /// Pieces that lie in memory, sent one after the other.
    Memory(Vec<Bytes>),
}

/// One photo to send.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Into which album.
    pub album: AlbumId,
    /// How it gets its id.
    pub id: UploadId,
    /// Its file name.
    pub name: String,
    /// Exactly how many bytes it has.
    pub size_bytes: u64,
    /// What they hash to; the server refuses others.
    pub hash: Option<BlobHash>,
    /// The same by SHA-256.
    pub sha256: Option<Sha256>,
    /// The bytes.
    pub source: Source,
}

/// What came of an [`Upload`].
#[derive(Debug, Clone, PartialEq)]
pub struct Uploaded {
    /// The photo.
    pub photo: Photo,
    /// It is new; otherwise this id or these bytes stood in the album already.
    pub created: bool,
}

/// What a body saw while it was sent.
struct Trace {
    progress: Progress,
    moved: watch::Sender<u64>,
    fault: Mutex<Option<ClientError>>,
}

impl Trace {
    fn sent(&self, bytes: usize) {
        self.moved.send_modify(|sent| *sent += bytes as u64);
        (self.progress)(*self.moved.borrow());
    }

    /// Notes what is wrong with the file, and breaks the request off.
    fn fail(&self, error: ClientError) -> io::Error {
        let breaking = io::Error::other(error.to_string());
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        breaking
    }
}

impl Client {
    /// Sends a photo. `Content-Length`, and the digests where given, go ahead of the bytes, which are streamed.
    ///
    /// # Errors
    /// [`ClientError::Changed`] where the file is not as long as `size_bytes`, or does not hash to what was given; the other kinds as they
    /// say.
    pub async fn upload(&self, upload: &Upload, progress: Progress) -> Result<Uploaded, ClientError> {
        let mut attempts = self.attempts();
        loop {
            progress(0);
            let trace = Arc::new(Trace { progress: progress.clone(), moved: watch::Sender::new(0), fault: Mutex::new(None) });
            match self.upload_once(upload, &trace).await {
                Ok(uploaded) => return Ok(uploaded),
                Err(failure) => {
                    // A large photo over a slow line takes longer than all attempts at something small may.
                    if *trace.moved.borrow() > 0 {
                        attempts.moved();
                    }
                    attempts.pause(failure).await?;
                }
            }
        }
    }

    async fn upload_once(&self, upload: &Upload, trace: &Arc<Trace>) -> Result<Uploaded, Failure> {
        let repeatable = upload.id != UploadId::Drawn;
        let body = match &upload.source {
            Source::File(path) => {
                let file = tokio::fs::File::open(path).await.map_err(|error| Failure::last(ClientError::Source(error)))?;
                let length = file.metadata().await.map_err(|error| Failure::last(ClientError::Source(error)))?.len();
                if length != upload.size_bytes {
                    return Err(Failure::last(ClientError::Changed));
                }
                reqwest::Body::wrap_stream(file_pieces(file, length, trace.clone()))
            }
            Source::Memory(pieces) => {
                let trace = trace.clone();
                reqwest::Body::wrap_stream(stream::iter(pieces.clone().into_iter().map(move |piece| {
                    trace.sent(piece.len());
                    Ok::<_, io::Error>(piece)
                })))
            }
        };

        let path = match &upload.id {
            UploadId::Own(photo) => format!("/v1/albums/{}/photos/{photo}", upload.album),
            UploadId::Key(_) | UploadId::Drawn => format!("/v1/albums/{}/photos", upload.album),
        };
        let method = if matches!(upload.id, UploadId::Own(_)) { Method::PUT } else { Method::POST };
        let mut request = self
            .request(method, &path)
            .query(&[("name", &upload.name)])
            .header(header::CONTENT_LENGTH, upload.size_bytes)
            .header(header::CONTENT_TYPE, "application/octet-stream");
        if let UploadId::Key(key) = &upload.id {
            request = request.header("idempotency-key", key);
        }
        if let Some(hash) = &upload.hash {
            request = request.header(api::X_BLAKE3, hash.to_string());
        }
        if let Some(sha256) = &upload.sha256 {
            request = request.header("content-digest", format!("sha-256=:{}:", STANDARD.encode(sha256.as_bytes())));
        }

        let sent = self.unless_silent(request.body(body).send(), trace.moved.subscribe()).await;
        // What is wrong with the file comes first: to the transport it is only a request that broke off.
        if let Some(fault) = trace.fault.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(Failure::last(fault));
        }
        let response = sent.ok_or_else(|| self.silent(repeatable))?.map_err(|error| self.broken(&error, repeatable))?;
        let response = self.judged(response, repeatable).await.map_err(changed_where_digests_differ)?;
        let created = response.status() == StatusCode::CREATED;
        let body = timeout(self.settings.answer_timeout, self.read(response, 1 << 20, repeatable))
            .await
            .ok_or_else(|| self.silent(repeatable))??;
        match serde_json::from_slice(&body) {
            Ok(photo) => Ok(Uploaded { photo, created }),
            Err(error) => Err(Failure::last(self.protocol(format!("an upload was answered with something else: {error}")))),
        }
    }

    /// Waits for `work` while bytes move; `None` where none did for the idle timeout, nor an answer came.
    async fn unless_silent<T>(&self, work: impl Future<Output = T>, mut moved: watch::Receiver<u64>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                waited = timeout(self.settings.idle_timeout, moved.changed()) => {
                    if !matches!(waited, Some(Ok(()))) {
                        return None;
                    }
                }
            }
        }
    }
}

/// A digest that the server refuses means a file that changed: it was hashed here, with the bytes that were there then.
fn changed_where_digests_differ(failure: Failure) -> Failure {
    if failure.error.code() == "digest_mismatch" { Failure::last(ClientError::Changed) } else { failure }
}

/// Exactly `length` bytes of the file, or a fault in the trace.
fn file_pieces(mut file: tokio::fs::File, length: u64, trace: Arc<Trace>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    file.set_max_buf_size(PIECE);
    stream::try_unfold((file, length, trace), |(mut file, left, trace)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut piece = BytesMut::with_capacity(usize::try_from(left).unwrap_or(PIECE).min(PIECE));
        let read = (&mut file).take(left).read_buf(&mut piece).await;
        match read {
            Ok(0) => Err(trace.fail(ClientError::Changed)),
            Ok(read) => {
                trace.sent(read);
                Ok(Some((piece.freeze(), (file, left - read as u64, trace))))
            }
            Err(error) => Err(trace.fail(ClientError::Source(error))),
        }
    })
}
