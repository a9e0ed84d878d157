//! Upload: bytes stream into staging while they are hashed; then one copy is made durable, or the existing one verified; then one commit.
//! The order is that of `protocols/blobs.md`, "Upload"; an acknowledged photo is durable in both stores.
//!
//! Invariant 9: what stands at the site is looked at, and its copy kept, only for a user who has the blob already. For all others a copy is
//! made durable and named in every case, so that neither the answer nor the clock tells whether someone else has the photo.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::blobs::{BlobError, BlobStore, Digests, Staged};
use crate::imaging::{self, Inspection};
use crate::metadata::{NewBlob, PlaceError, Placed, Read, Transaction};
use crate::model::photo::{NewPhoto, PhotoView};
use crate::model::{AlbumId, BlobHash, BlobKey, Owner, PhotoId, RowKey, Sha256};
use crate::runtime;

use super::caller::{Caller, Scope};
use super::{ServiceError, Services};

/// Bytes that suffice to tell an image from what is none.
const SNIFF_LENGTH: usize = 64;
/// How long an upload may take to be inspected, its turn included: many times what the largest takes, and what a full house has to wait.
pub(super) const INSPECTION_WAIT: Duration = Duration::from_secs(60);
/// How long an upload waits for its placeholder, for a thread included: past it the photo goes without.
const PLACEHOLDER_WAIT: Duration = Duration::from_secs(2);
/// How often a row may change under an upload before it gives up.
const MAX_RECHECKS: usize = 8;

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
#[derive(Debug, Clone, Copy, Default)]
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
}

/// How a commit ended.
enum Outcome {
    Done(Box<Uploaded>),
    /// The row names another copy now than the one that was verified (or none was): look at it first.
    Recheck(BlobKey),
}

impl Services {
    /// Receives a photo.
    ///
    /// The body is streamed to staging and never whole in memory, but for the moment in which it is inspected, which a budget bounds.
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
        if !self.look_up(move |at| Ok(at.album(owner, album)?.is_some())).await? {
            return Err(ServiceError::NotFound("album"));
        }
        let Ok(permit) = self.limits.uploads.clone().try_acquire_owned() else {
            return Err(ServiceError::Busy("too many uploads at once"));
        };
        let Some(share) = self.limits.shares.take(owner) else {
            return Err(ServiceError::TooManyUploads { limit: self.limits.shares.limit() });
        };
        let (id, own_id) = match id {
            PhotoName::Fresh => (PhotoId::new(self.runtime.clock.unix_ms(), self.runtime.random.bytes()), false),
            PhotoName::Own(id) => (id, true),
            PhotoName::Key(key) => (PhotoId::from_idempotency_key(owner.tenant, owner.user, &key), true),
        };
        let mut staged = self.blobs.stage(size_bytes).await?;
        match self.receive(&mut *staged, body, expected).await {
            Ok((digests, inspection)) => {
                let arrival = Arrival { owner, album, name, id, own_id, digests, inspection };
                // There are as many as uploads at once: so it is there unless the site stops.
                let Ok(keeping) = self.limits.keeping.clone().try_acquire_owned() else {
                    staged.discard().await;
                    return Err(ServiceError::Busy("shutting down"));
                };
                // From here on the bytes are whole: the work goes on to its end also where the client has gone.
                let services = self.clone();
                let kept = runtime::spawn_joined(async move {
                    let kept = services.keep(staged, arrival).await;
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

    /// Streams the body into staging, checks it against what was promised, and looks what it is.
    async fn receive(
        &self,
        staged: &mut dyn Staged,
        mut body: impl Stream<Item = Result<Bytes, ServiceError>> + Send + Unpin,
        expected: ExpectedDigests,
    ) -> Result<(Digests, Inspection), ServiceError> {
        let max = self.limits.config.max_upload_bytes.as_u64();
        let mut head = Vec::with_capacity(SNIFF_LENGTH);
        let mut size = 0_u64;
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            size += chunk.len() as u64;
            if size > max {
                return Err(self.too_many_bytes());
            }
            if head.len() < SNIFF_LENGTH {
                head.extend_from_slice(&chunk[..chunk.len().min(SNIFF_LENGTH - head.len())]);
                if head.len() == SNIFF_LENGTH && imaging::sniff(&head).is_none() {
                    return Err(ServiceError::NotAnImage("not an image of a kind that is taken".into()));
                }
            }
            staged.write(chunk).await?;
        }
        let digests = staged.digests().await?;
        if expected.sha256.is_some_and(|sha256| sha256 != digests.sha256) || expected.blake3.is_some_and(|hash| hash != digests.hash) {
            return Err(ServiceError::DigestMismatch);
        }
        let inspection = self.inspect(staged, size).await?;
        if let Some(warning) = &inspection.warning {
            tracing::info!(hash = %digests.hash, warning, "a photo came damaged inside");
        }
        Ok((digests, inspection))
    }

    /// Looks what the staged bytes are, holding them in memory under the budget.
    async fn inspect(&self, staged: &mut dyn Staged, size: u64) -> Result<Inspection, ServiceError> {
        let inspecting = async {
            let turn = self.limits.inspecting.acquire().await.map_err(|_| ServiceError::Busy("shutting down"))?;
            let memory = self.limits.inspect_memory.take(size).await?;
            let bytes = staged.contents().await?;
            let (whole, limits) = (bytes.clone(), self.limits.imaging.clone());
            // Given back by the thread: the bytes lie there to the end, also where nobody waits for it any more.
            let looking = self.pools.inspecting.run(move || (imaging::inspect(&whole, &limits), memory));
            let (inspection, memory) = looking.await?;
            Ok::<_, ServiceError>((turn, memory, bytes, inspection?))
        };
        let Some(inspected) = runtime::timeout(self.limits.inspection_wait, inspecting).await else {
            return Err(ServiceError::Busy("too many photos wait to be inspected"));
        };
        let (_turn, memory, bytes, mut inspection) = inspected?;
        if inspection.placeholder.is_none() {
            inspection.placeholder = self.placeholder(bytes, memory).await;
        }
        Ok(inspection)
    }

    /// Decodes a photo that brings no picture of its own for its placeholder, as small as its format lets it. Where that fails or takes
    /// too long there is none: a blur is no reason to refuse a photo that was found sound.
    async fn placeholder(&self, bytes: Bytes, memory: tokio::sync::OwnedSemaphorePermit) -> Option<Vec<u8>> {
        let limits = self.limits.imaging.clone();
        let making = self.pools.inspecting.run(move || {
            // Held to the decoder's end, also where nobody waits for it any more.
            let _memory = memory;
            imaging::placeholder(&bytes, &limits)
        });
        match runtime::timeout(PLACEHOLDER_WAIT, making).await {
            Some(Ok(Ok(placeholder))) => return Some(placeholder),
            Some(Ok(Err(error))) => tracing::debug!(%error, "no placeholder"),
            Some(Err(error)) => tracing::debug!(%error, "no placeholder"),
            None => tracing::debug!("no placeholder in time"),
        }
        None
    }

    /// Makes the received bytes a photo: verifies the copy that is there, or publishes this one; then commits.
    async fn keep(&self, staged: Box<dyn Staged>, arrival: Arrival) -> Result<Uploaded, ServiceError> {
        let hash = arrival.digests.hash;
        let owner = arrival.owner;
        let looking = self.look_up(move |at| {
            let owned = at.owns(owner, &hash)?;
            // Of what others have not even the row is looked at.
            Ok((owned, if owned { at.blob(&hash)? } else { None }))
        });
        let (owned, standing) = looking.await?;
        if let Some(row) = standing.filter(|row| !row.damaged)
            && self.verify_or_mark(row.key).await?
        {
            let verified = row.key;
            match self.commit_reference(arrival.clone(), verified).await {
                Ok(Some(uploaded)) => {
                    staged.discard().await;
                    return Ok(uploaded);
                }
                Ok(None) => {} // The row has changed since: our bytes are needed after all.
                Err(error) => {
                    staged.discard().await;
                    return Err(error);
                }
            }
        }
        // From here until the commit that takes it, dropping `in_flight` queues the copy for deletion.
        let in_flight = self.metadata.begin_copy(hash);
        let key = in_flight.key();
        staged.publish(&key).await?;
        let mut verified = None;
        for _ in 0..MAX_RECHECKS {
            let (arrival, in_flight) = (arrival.clone(), in_flight.clone());
            let digests = arrival.digests;
            let new = NewBlob::raw(key, digests.size_bytes, digests.sha256, digests.crc32);
            let committed = self.metadata.write("upload", move |tx| -> Result<_, ServiceError> {
                let placed = if owned { tx.place_blob(&in_flight, new, verified) } else { Ok(tx.replace_blob(&in_flight, new)?) };
                match placed {
                    Ok(placed) => Ok(Outcome::Done(Box::new(commit_photo(tx, &arrival, placed != Placed::Named)?))),
                    Err(PlaceError::Recheck { row_key }) => Ok(Outcome::Recheck(row_key)),
                    Err(PlaceError::Failed(error)) => Err(error.into()),
                }
            });
            match committed.await? {
                Outcome::Done(uploaded) => return Ok(*uploaded),
                Outcome::Recheck(row_key) => verified = self.verify_or_mark(row_key).await?.then_some(row_key),
            }
        }
        Err(ServiceError::Busy("the blob's row kept changing"))
    }

    /// Reads and verifies an object that a row names (now, or within the remembered time); where it is bad or gone, the row is marked damaged.
    pub(super) async fn verify_or_mark(&self, key: BlobKey) -> Result<bool, ServiceError> {
        match self.blobs.open(&key).await {
            Ok(_) => Ok(true),
            Err(BlobError::NotFound | BlobError::Damaged { .. }) => {
                tracing::error!(%key, "a stored copy is damaged or gone");
                self.set_damaged(key, true).await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Commits a photo of the verified copy; `None` where the row no longer names it.
    async fn commit_reference(&self, arrival: Arrival, verified: BlobKey) -> Result<Option<Uploaded>, ServiceError> {
        let committed = self.metadata.write("upload", move |tx| -> Result<_, ServiceError> {
            let stands = tx.blob(&verified.hash)?.is_some_and(|row| !row.damaged && row.key == verified);
            if stands { commit_photo(tx, &arrival, true).map(Some) } else { Ok(None) }
        });
        Ok(committed.await?)
    }
}

/// The part of the commit that is about the photo. The blob is present: placed or checked in this very transaction.
fn commit_photo(tx: &mut Transaction, arrival: &Arrival, deduplicated: bool) -> Result<Uploaded, ServiceError> {
    let Arrival { owner, album, .. } = *arrival;
    let (hash, size_bytes) = (arrival.digests.hash, arrival.digests.size_bytes);
    let key = RowKey::photo(owner, arrival.id);
    if tx.is_erased(&key)? {
        return Err(ServiceError::Erased("photo"));
    }
    if arrival.own_id
        && let Some(existing) = tx.photo_or_trashed(owner, arrival.id)?
    {
        return if existing.hash == hash {
            Ok(Uploaded { photo: existing, duplicate: false, created: false, deduplicated, size_bytes })
        } else {
            Err(ServiceError::Conflict { code: "photo_id_taken", detail: "this photo id names other bytes".into() })
        };
    }
    if tx.album(owner, album)?.is_none() {
        return Err(ServiceError::NotFound("album"));
    }
    if let Some(existing) = tx.photo_in_album_by_hash(owner, album, &hash)?
        && let Some(photo) = tx.photo(owner, existing)?
    {
        return Ok(Uploaded { photo, duplicate: true, created: false, deduplicated, size_bytes });
    }
    create_photo(tx, owner, arrival.id, album, &arrival.name, &new_photo(arrival))?;
    let photo = tx.photo(owner, arrival.id)?.ok_or_else(|| ServiceError::Internal("a photo just made is not there".into()))?;
    Ok(Uploaded { photo, duplicate: false, created: true, deduplicated, size_bytes })
}

/// Makes a photo in this commit.
pub(super) fn create_photo(
    tx: &mut Transaction,
    owner: Owner,
    id: PhotoId,
    album: AlbumId,
    name: &str,
    new: &NewPhoto,
) -> Result<(), ServiceError> {
    let stamp = tx.stamp();
    tx.apply(new.create(owner, id, stamp, album, name, None))?;
    Ok(())
}

fn new_photo(arrival: &Arrival) -> NewPhoto {
    let Inspection { format, width, height, orientation, taken_at, camera_make, camera_model, lens, gps, placeholder, .. } =
        arrival.inspection.clone();
    NewPhoto {
        hash: arrival.digests.hash,
        size_bytes: arrival.digests.size_bytes,
        sha256: arrival.digests.sha256,
        crc32: arrival.digests.crc32,
        format: format.as_str().to_owned(),
        width,
        height,
        orientation,
        taken_at: taken_at.map(|taken| taken.to_string()),
        camera_make,
        camera_model,
        lens,
        gps,
        placeholder,
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
