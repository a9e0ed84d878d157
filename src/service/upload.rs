//! Upload: bytes are received, into staging or held in memory, and hashed (`receive`); then one copy is made durable, or the existing one
//! verified; then one commit (`keep`).
//! The order is that of `protocols/blobs.md`, "Upload"; an acknowledged photo is durable in both stores.
//!
//! Invariant 9: what stands at the site is looked at, and its copy kept, only for a user who has the blob already. For all others a copy is
//! made durable and named in every case, so that neither the answer nor the clock tells whether someone else has the photo.

mod file;
mod keep;
mod receive;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;

use crate::blobs::{BlobStore, Digests};
use crate::imaging::Inspection;
use crate::metadata::Read;
use crate::model::photo::PhotoView;
use crate::model::{AlbumId, BlobHash, Owner, PhotoId, Sha256};
use crate::runtime;

use super::caller::{Caller, Scope};
use super::{ServiceError, Services};
pub(super) use file::{FileArrival, FileError, FileKept};
pub(super) use keep::create_photo;
pub(super) use receive::INSPECTION_WAIT;

/// Which id the photo gets.
#[derive(Debug, Clone)]
pub enum PhotoName {
    /// A fresh one.
    Fresh,
    /// The client's own: the same again answers the same photo.
    Own(PhotoId),
    /// The one that follows from this `Idempotency-Key`.
    Key(String),
}

/// What a client says that its bytes hash to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExpectedDigests {
    /// `Content-Digest: sha-256=…`.
    pub sha256: Option<Sha256>,
    /// `X-Blake3`.
    pub blake3: Option<BlobHash>,
}

/// A photo on its way in.
#[derive(Debug, Clone)]
pub struct UploadRequest {
    /// Who sends it.
    pub caller: Caller,
    /// Into which album.
    pub album: AlbumId,
    /// Under which file name.
    pub name: String,
    /// Under which id.
    pub id: PhotoName,
    /// What it must hash to.
    pub expected: ExpectedDigests,
    /// `Content-Length`, where known.
    pub size_bytes: Option<u64>,
}

/// An acknowledged upload.
#[derive(Debug, Clone)]
pub struct Uploaded {
    /// The photo: a new one, or the one that was there.
    pub photo: PhotoView,
    /// These bytes stood in this album already; `photo` is that photo.
    pub duplicate: bool,
    /// A photo was made.
    pub created: bool,
    /// The bytes were kept at this site already.
    pub deduplicated: bool,
    /// How many bytes were received.
    pub size_bytes: u64,
    /// The bytes wait on a local disk until the backend takes them, and are as safe as that disk.
    pub spooled: bool,
}

/// What the commit has to know.
#[derive(Debug, Clone)]
struct Arrival {
    owner: Owner,
    album: AlbumId,
    name: String,
    id: PhotoId,
    own_id: bool,
    digests: Digests,
    inspection: Inspection,
    caption: Option<String>,
    /// An administrator brings it: what stands at the site is looked at, whoever has it.
    by_admin: bool,
}

impl Services {
    /// Receives a photo.
    ///
    /// A small body is held whole in memory, a large one streamed to staging and whole in memory only while it is inspected; budgets bound
    /// both.
    /// Where it fails, or the caller goes away before the last byte, nothing is left.
    ///
    /// # Errors
    /// See [`ServiceError`]; those of `body` as they are.
    pub async fn upload(
        self: &Arc<Self>,
        request: UploadRequest,
        body: impl Stream<Item = Result<Bytes, ServiceError>> + Send + Unpin,
    ) -> Result<Uploaded, ServiceError> {
        let UploadRequest { caller, album, name, id, expected, size_bytes } = request;
        caller.require(Scope::User)?;
        let name = self.names.file_name(&name)?;
        let owner = caller.owner;
        if size_bytes.is_some_and(|size| size > self.limits.config.max_upload_bytes.as_u64()) {
            return Err(self.too_many_bytes());
        }
        if self.metadata.is_closed() {
            // It could be received and made durable, but never named.
            return Err(ServiceError::Unavailable("metadata"));
        }
        if !self.look_up(move |at| Ok(at.album(owner, album)?.is_some())).await? {
            return Err(ServiceError::NotFound("album"));
        }
        let Ok(permit) = self.limits.uploads.clone().try_acquire_owned() else {
            return Err(ServiceError::Busy("too many uploads at once"));
        };
        let Some(share) = self.limits.upload_shares.take(owner) else {
            return Err(ServiceError::TooManyUploads { limit: self.limits.upload_shares.limit() });
        };
        let (id, own_id) = match id {
            PhotoName::Fresh => (PhotoId::new(self.runtime.clock.unix_ms(), self.runtime.random.bytes()), false),
            PhotoName::Own(id) => (id, true),
            PhotoName::Key(key) => (PhotoId::from_idempotency_key(owner.tenant, owner.user, &key), true),
        };
        let mut staged = self.blobs.stage(size_bytes).await?;
        match self.receive(&mut *staged, body, expected, owner.tenant).await {
            Ok((digests, inspection)) => {
                let arrival = Arrival { owner, album, name, id, own_id, digests, inspection, caption: None, by_admin: false };
                // There are as many as uploads at once: so it is there unless the site stops.
                let Ok(keeping) = self.limits.keeping.clone().try_acquire_owned() else {
                    staged.discard().await;
                    return Err(ServiceError::SHUTTING_DOWN);
                };
                // From here on the bytes are whole: the work goes on to its end also where the client has gone.
                let services = self.clone();
                let kept = runtime::spawn_joined(async move {
                    let hash = arrival.digests.hash;
                    let kept = services.keep(staged, arrival).await;
                    if kept.as_ref().is_ok_and(|uploaded| uploaded.created) {
                        services.renditions.prepare_later(hash);
                    }
                    drop((keeping, permit, share));
                    kept
                });
                kept.await?
            }
            Err(error) => {
                staged.discard().await;
                Err(error)
            }
        }
    }

    /// Lets uploads whose bytes are whole end, also those whose clients have gone, but waits no longer than `limit`. From then on no upload
    /// is kept. Answers whether all have ended: then everything that was published is named or queued for deletion.
    pub async fn finish_uploads(&self, limit: Duration) -> bool {
        let keeping = &self.limits.keeping;
        let all = runtime::timeout(limit, keeping.acquire_many(self.limits.config.max_concurrent_uploads)).await;
        keeping.close();
        all.is_some()
    }

    fn too_many_bytes(&self) -> ServiceError {
        ServiceError::TooLarge(format!("at most {} a photo", self.limits.config.max_upload_bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::{Mutex, mpsc};

    use futures_util::future::{Either, select};
    use futures_util::poll;
    use tokio::sync::oneshot;

    use super::*;
    use crate::blobs::{ObservedCall, ObservedStore, Operation, StoreObserver};
    use crate::metadata::Metadata;
    use crate::model::TokenId;
    use crate::runtime::Clock;
    use crate::service::Scopes;
    use crate::service::readiness::tests::site_with;

    /// Holds up what has been published until it is let go.
    #[derive(Debug)]
    struct HoldsPublished {
        reached: Mutex<Option<oneshot::Sender<()>>>,
        release: Mutex<mpsc::Receiver<()>>,
    }

    impl StoreObserver for HoldsPublished {
        fn called(&self, call: &ObservedCall<'_>) {
            if call.operation == Operation::Publish {
                self.reached.lock().unwrap().take().unwrap().send(()).unwrap();
                self.release.lock().unwrap().recv().unwrap();
            }
        }
    }

    fn photo() -> Bytes {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos");
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let jpegs = paths.filter(|path| path.extension().is_some_and(|extension| extension == "jpg"));
        std::fs::read(jpegs.min_by_key(|path| (path.metadata().unwrap().len(), path.clone())).unwrap()).unwrap().into()
    }

    /// A site that holds up what it has published, an upload into it whose client has left by then, and what lets it go on.
    async fn left_alone() -> (Metadata, Arc<Services>, mpsc::Sender<()>) {
        let ((reached, is_reached), (release, is_released)) = (oneshot::channel(), mpsc::channel());
        let holding = HoldsPublished { reached: Mutex::new(Some(reached)), release: Mutex::new(is_released) };
        let (_, metadata, _, services) = site_with(|store| Arc::new(ObservedStore::new(store, Clock::manual(0), Arc::new(holding))));
        let caller = Caller {
            owner: Owner::DEFAULT,
            token: TokenId::from_bytes([1; 16]),
            scopes: [Scope::User].into_iter().collect::<Scopes>(),
            request_id: None,
        };
        let (album, _) = services.create_album(&caller, None, "album", None).await.unwrap();
        let request = UploadRequest {
            caller,
            album: album.view.id,
            name: "a.jpg".to_owned(),
            id: PhotoName::Fresh,
            expected: ExpectedDigests::default(),
            size_bytes: None,
        };
        let body = futures_util::stream::iter([Ok(photo())]);
        match select(pin!(services.upload(request, body)), is_reached).await {
            Either::Left((ended, _)) => panic!("{ended:?}"),
            Either::Right((reached, _)) => reached.unwrap(),
        }
        (metadata, services, release)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_upload_whose_bytes_are_whole_is_waited_for_at_the_stop() {
        let (metadata, services, release) = left_alone().await;
        {
            let mut finishing = pin!(services.finish_uploads(Duration::from_secs(60)));
            assert!(poll!(&mut finishing).is_pending(), "it is under way");
            release.send(()).unwrap();
            assert!(finishing.await);
        }
        metadata.close();
        let stats = metadata.read().stats().unwrap();
        assert_eq!((stats.photos, stats.blobs, stats.doomed, metadata.copies_in_flight()), (1, 1, 0, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn but_no_longer_than_is_said() {
        let (_, services, release) = left_alone().await;
        assert!(!services.finish_uploads(Duration::ZERO).await);
        release.send(()).unwrap();
        assert!(services.limits.keeping.is_closed(), "nothing more is kept");
    }
}
