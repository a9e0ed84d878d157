//! Previews that were made with renditions are kept on the backend behind the back of who asked for these: so many at once, and no more
//! (decision 0037).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::RenditionService;
use super::preview::Preview;
use crate::blobs::DerivedKind;
use crate::model::BlobHash;
use crate::runtime;
use crate::service::ServiceError;

/// Previews that are on their way to the backend at once,
const AT_ONCE: u32 = 32;
/// and their bytes together, in KiB: a record of one is a copy of it, so they take twice as much.
const KIB: u32 = 16 << 10;

/// What is on its way to the backend.
#[derive(Debug, Clone)]
pub(super) struct Keeping {
    places: Arc<Semaphore>,
    kib: Arc<Semaphore>,
}

/// One that is, until it is dropped.
#[derive(Debug)]
struct OnItsWay {
    _place: OwnedSemaphorePermit,
    _kib: OwnedSemaphorePermit,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE as usize)), kib: Arc::new(Semaphore::new(KIB as usize)) }
    }
}

impl Keeping {
    /// `None` where too many are, or too large ones.
    fn begin(&self, preview: &Preview) -> Option<OnItsWay> {
        let kib = u32::try_from(preview.picture.len().div_ceil(1 << 10)).unwrap_or(KIB).clamp(1, KIB);
        let place = self.places.clone().try_acquire_owned().ok()?;
        Some(OnItsWay { _place: place, _kib: self.kib.clone().try_acquire_many_owned(kib).ok()? })
    }
}

impl RenditionService {
    /// Keeps a preview on the backend, in a task of its own. One for which there is no place is not kept: it is remembered for a while, and made
    /// again when it is needed after that. To wait for a place would have whoever asks next wait for a backend that stalls.
    pub(super) fn keep_later(self: &Arc<Self>, hash: BlobHash, preview: Arc<Preview>) {
        let previews = &self.renditions.previews;
        let Some(on_its_way) = previews.keeping.begin(&preview) else {
            previews.failed.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%hash, "too many previews are on their way to the backend: this one is not kept");
            return;
        };
        let services = self.clone();
        runtime::spawn(async move {
            services.keep_preview(hash, &preview).await;
            drop(on_its_way);
        });
    }

    /// Keeps a preview on the backend: for who asks next, so that it cannot be kept is no failure of who asked now. None outlives its blob.
    pub(super) async fn keep_preview(&self, hash: BlobHash, preview: &Preview) {
        let previews = &self.renditions.previews;
        let kept = async {
            if !self.is_there(hash).await {
                return Ok(());
            }
            let put = previews.store.put_derived(DerivedKind::Preview, &hash, preview.to_record(previews.source(hash))).await;
            // The blob may have gone meanwhile, and whoever deleted it looked for a preview before this one was there. What failed may have come
            // there all the same.
            if !self.is_there(hash).await {
                self.forget_preview(hash).await?;
            }
            put.map_err(ServiceError::from)
        };
        if let Err(error) = kept.await {
            previews.failed.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%hash, %error, "a preview could not be kept");
        }
    }

    /// Whether the blob is; where nobody can say, it may have gone.
    async fn is_there(&self, hash: BlobHash) -> bool {
        self.catalogue.is_present(hash).await.unwrap_or(false)
    }

    /// Whether a preview lies in memory.
    #[cfg(test)]
    pub(in crate::service) async fn remembers_preview(&self, hash: &BlobHash) -> bool {
        self.renditions.remembered_preview(hash).await.is_some()
    }

    /// Waits until what was on its way to the backend is there, or given up.
    #[cfg(test)]
    pub(in crate::service) async fn previews_kept(&self) {
        let _ = self.renditions.previews.keeping.places.acquire_many(AT_ONCE).await;
    }
}
