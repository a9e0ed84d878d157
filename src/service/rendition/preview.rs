//! Previews: of a large photo small renditions are made from a smaller picture of it, which is kept on the backend and made again where it
//! is missing. Which renditions are, follows from the photo's size and the recipe: what lies on the backend decides how long it takes to make
//! one, not how it looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::keeping::Keeping;
use super::make::{Original, imaging_recipe};
use super::sign::{THUMBNAIL, thumbnail_recipe};
use super::{Rendition, RenditionFormat, RenditionService, Renditions};
use crate::blobs::{BlobError, DerivedKind, DerivedStore};
use crate::config::RenditionsConfig;
use crate::imaging::{Decoders, Rendered, has_preview};
use crate::model::{BlobHash, HashPrefix};
use crate::runtime::Shutdown;
use crate::service::ServiceError;
use crate::service::memory::Memory;

/// Photos that wait for their previews at most: more are made when somebody first asks.
const QUEUE: usize = 4_096;
/// Memory for previews that were asked for lately: a page asks for several sizes of one photo.
const REMEMBERED_BYTES: u64 = 32 << 20;
const REMEMBER: Duration = Duration::from_secs(60);
/// What a stored preview begins with: this version's bytes. Another version's is as good as none.
pub(super) const MAGIC: &[u8; 16] = b"halidom preview5";

/// Who makes previews, and what is remembered of them.
#[derive(Debug)]
pub(super) struct Previews {
    enabled: bool,
    max_embedded_bytes: u64,
    pub(super) store: Arc<dyn DerivedStore>,
    lately: moka::future::Cache<BlobHash, Arc<Preview>>,
    waiting: mpsc::Sender<BlobHash>,
    /// Whoever makes them takes their turns here.
    queue: tokio::sync::Mutex<mpsc::Receiver<BlobHash>>,
    prepared: AtomicU64,
    made: AtomicU64,
    pub(super) failed: AtomicU64,
    passed_over: AtomicU64,
    /// Those that are on their way to the backend.
    pub(super) keeping: Keeping,
}

/// A preview of a photo. It is stored as [`MAGIC`], the BLAKE3 hash of the photo's hash, `limits.max_embedded_bytes` in eight bytes, big-endian, and what follows, width and height in four bytes each, big-endian, and the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Preview {
    /// The photo's width and height, as shown.
    pub(super) shown: (u32, u32),
    /// A JPEG; empty where the photo can have none.
    pub(super) picture: Bytes,
}

/// How making previews goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PreviewFigures {
    /// Photos that wait.
    pub waiting: u64,
    /// That may.
    pub limit: u64,
    /// New photos whose thumbnail was ready before anybody had to wait for it.
    pub prepared: u64,
    /// Previews that were made.
    pub made: u64,
    /// That could not be made or kept.
    pub failed: u64,
    /// Photos for which there was no place in the queue.
    pub passed_over: u64,
}

impl Preview {
    pub(super) fn to_record(&self, of: Source) -> Bytes {
        let (width, height) = (self.shown.0.to_be_bytes(), self.shown.1.to_be_bytes());
        let hash = of.check(&[&width, &height, &self.picture]);
        [MAGIC.as_slice(), hash.as_bytes(), &width, &height, &self.picture].concat().into()
    }

    /// `None` for what is torn, damaged, another photo's or another version's.
    pub(super) fn from_record(of: Source, record: &Bytes) -> Option<Self> {
        let (said, body) = record.strip_prefix(MAGIC)?.split_at_checked(blake3::OUT_LEN)?;
        if of.check(&[body]) != blake3::Hash::from_slice(said).ok()? {
            return None;
        }
        let (width, rest) = body.split_first_chunk()?;
        let (height, picture) = rest.split_first_chunk()?;
        let shown = (u32::from_be_bytes(*width), u32::from_be_bytes(*height));
        (shown.0 > 0 && shown.1 > 0).then(|| Self { shown, picture: record.slice_ref(picture) })
    }
}

/// What a preview follows from, beside its own version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    /// The photo.
    pub(super) hash: BlobHash,
    /// The longest colour profile that was heeded, in bytes.
    pub(super) max_embedded_bytes: u64,
}

impl Source {
    /// Covers what it follows from, too: one that came under another photo's name, or was made with another setting, is none.
    fn check(&self, body: &[&[u8]]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.hash.as_bytes()).update(&self.max_embedded_bytes.to_be_bytes());
        for part in body {
            hasher.update(part);
        }
        hasher.finalize()
    }
}

impl Previews {
    /// Previews in this store, where the settings ask for them.
    pub(super) fn new(store: Arc<dyn DerivedStore>, config: &RenditionsConfig, max_embedded_bytes: u64) -> Self {
        let (waiting, queue) = mpsc::channel(QUEUE);
        let weigh = |_: &BlobHash, preview: &Arc<Preview>| u32::try_from(preview.picture.len() + 256).unwrap_or(u32::MAX);
        Self {
            enabled: config.previews,
            max_embedded_bytes,
            store,
            lately: moka::future::Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh).time_to_live(REMEMBER).build(),
            waiting,
            queue: tokio::sync::Mutex::new(queue),
            prepared: AtomicU64::default(),
            made: AtomicU64::default(),
            failed: AtomicU64::default(),
            passed_over: AtomicU64::default(),
            keeping: Keeping::default(),
        }
    }

    pub(super) fn source(&self, hash: BlobHash) -> Source {
        Source { hash, max_embedded_bytes: self.max_embedded_bytes }
    }

    /// Whether small renditions of large photos are made from previews.
    pub(super) fn are_used(&self) -> bool {
        self.enabled
    }

    pub(super) fn figures(&self) -> PreviewFigures {
        let waiting = (self.waiting.max_capacity() - self.waiting.capacity()) as u64;
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        PreviewFigures {
            waiting,
            limit: QUEUE as u64,
            prepared: read(&self.prepared),
            made: read(&self.made),
            failed: read(&self.failed),
            passed_over: read(&self.passed_over),
        }
    }

    /// The stored preview of a photo of this size; `None` where there is none that is good. A store that cannot be read is as good as one
    /// that is empty: a preview can be made.
    async fn stored(&self, hash: &BlobHash, shown: (u32, u32)) -> Option<Preview> {
        let record = match self.store.get_derived(DerivedKind::Preview, hash).await {
            Ok(record) => record?,
            Err(error) => {
                tracing::warn!(%hash, %error, "a preview cannot be read");
                return None;
            }
        };
        let preview = Preview::from_record(self.source(*hash), &record).filter(|preview| preview.shown == shown);
        if preview.is_none() {
            tracing::info!(%hash, "a stored preview is damaged or another version's: it is made anew");
        }
        preview
    }
}

impl Renditions {
    /// A photo's preview, where it was asked for lately.
    pub(super) async fn remembered_preview(&self, hash: &BlobHash) -> Option<Arc<Preview>> {
        self.previews.lately.get(hash).await
    }

    /// Remembers a preview, unless its blob was forgotten since so many forgettings.
    async fn remember_preview(&self, hash: BlobHash, preview: &Arc<Preview>, forgettings: u64) {
        let lately = &self.previews.lately;
        lately.insert(hash, preview.clone()).await;
        if self.cache.is_forgotten_since(forgettings, &hash) {
            lately.invalidate(&hash).await;
        }
    }

    /// Drops from memory the previews of blobs whose hash begins so.
    pub(super) async fn forget_previews(&self, prefix: &HashPrefix) {
        let lately = &self.previews.lately;
        // There are a few hundred at most.
        let all: Vec<_> = lately.iter().map(|(hash, _)| *hash).filter(|hash| hash.prefix() == *prefix).collect();
        for hash in all {
            lately.invalidate(&hash).await;
        }
    }
}

impl RenditionService {
    /// Has the preview of a new photo made, and its thumbnail, when there is time for it.
    pub(in crate::service) fn prepare_later(&self, hash: BlobHash) {
        let previews = &self.renditions.previews;
        if previews.enabled && previews.waiting.try_send(hash).is_err() {
            previews.passed_over.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many calls of [`RenditionService::make_previews`] there is work for at once.
    pub fn previews_at_once(&self) -> usize {
        self.pools.previews.load().limit
    }

    /// Makes previews of photos that wait for them, and their thumbnails, one at a time, until the stop. Several may.
    pub async fn make_previews(self: Arc<Self>, mut shutdown: Shutdown) {
        loop {
            let next = async { self.renditions.previews.queue.lock().await.recv().await };
            let hash = tokio::select! {
                biased;
                () = shutdown.stopping() => return,
                hash = next => hash,
            };
            let Some(hash) = hash else { return };
            let prepared = tokio::select! {
                biased;
                // What a process is at goes on to its end, and for nothing.
                () = shutdown.stopping() => return,
                prepared = self.prepare(hash) => prepared,
            };
            if let Err(error) = prepared {
                self.renditions.previews.failed.fetch_add(1, Ordering::Relaxed);
                // Whoever asks for one is told why there is none.
                tracing::debug!(%hash, %error, "a photo could not be prepared for thumbnails");
            }
        }
    }

    /// What a page of an album asks for first, made before anybody asks: by processes of low priority, in memory of its own, and not by way of what
    /// others wait for, since it may take long on a busy machine.
    async fn prepare(&self, hash: BlobHash) -> Result<(), ServiceError> {
        let Some(shown) = self.catalogue.shown(hash).await? else { return Ok(()) };
        let (previews, decoders) = (&self.renditions.previews, &self.apart(&self.pools.previews, hash).await?);
        let memory = &self.limits.preview_memory;
        let preview = if has_preview(shown) { Some(self.prepared_preview(hash, shown).await?) } else { None };
        let recipe = self.settle(&thumbnail_recipe(THUMBNAIL), RenditionFormat::Jpeg)?;
        let key = self.renditions.key(hash, recipe);
        if self.renditions.is_made(&key) || !self.renditions.cache.has_room(&key.recipe).await {
            return Ok(());
        }
        let (seen, forgettings) = (self.renditions.seen(), self.renditions.cache.forgettings());
        let recipe = imaging_recipe(&key.recipe);
        let rendered = match preview.filter(|preview| !preview.picture.is_empty() && key.is_from_preview(shown)) {
            Some(preview) => decoders.render_preview(preview.picture.clone(), shown, recipe).await??,
            None => {
                let Original { bytes, memory: _memory, .. } = self.original_to_render(hash, memory, None).await?;
                decoders.render(bytes, recipe).await??
            }
        };
        let rendition = Rendition { bytes: self.renditions.cache.count(rendered.bytes), format: key.recipe.format };
        self.renditions.keep(&key, &rendition, seen);
        self.renditions.cache.insert(key, rendition, forgettings).await;
        previews.prepared.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn prepared_preview(&self, hash: BlobHash, shown: (u32, u32)) -> Result<Arc<Preview>, ServiceError> {
        let forgettings = self.renditions.cache.forgettings();
        if let Some(preview) = self.renditions.remembered_preview(&hash).await {
            return Ok(preview);
        }
        if let Some(preview) = self.stored_preview_of(hash, shown).await {
            return Ok(preview);
        }
        let preview = Arc::new(self.make_preview(hash, shown, &self.pools.previews, &self.limits.preview_memory).await?);
        self.renditions.remember_preview(hash, &preview, forgettings).await;
        self.keep_preview(hash, &preview).await;
        Ok(preview)
    }

    /// The record of a blob's preview, as it is kept: whoever takes it looks whether it is good.
    ///
    /// # Errors
    /// Where the backend cannot be read.
    pub async fn stored_preview(&self, hash: BlobHash) -> Result<Option<Bytes>, ServiceError> {
        Ok(self.renditions.previews.store.get_derived(DerivedKind::Preview, &hash).await?)
    }

    /// The preview of a photo of this size, where it lies on the backend.
    pub(super) async fn stored_preview_of(&self, hash: BlobHash, shown: (u32, u32)) -> Option<Arc<Preview>> {
        let renditions = &self.renditions;
        let forgettings = renditions.cache.forgettings();
        let preview = Arc::new(renditions.previews.stored(&hash, shown).await?);
        renditions.remember_preview(hash, &preview, forgettings).await;
        Some(preview)
    }

    /// Remembers a preview that was made with renditions, of what was fetched after so many forgettings, and has it kept behind the back of who asked
    /// for these.
    pub(super) async fn keep_made_preview(
        self: &Arc<Self>,
        (hash, shown): (BlobHash, (u32, u32)),
        made: Option<Rendered>,
        forgettings: u64,
    ) -> Arc<Preview> {
        let renditions = &self.renditions;
        renditions.previews.made.fetch_add(1, Ordering::Relaxed);
        let preview = Arc::new(Preview { shown, picture: made.map(|preview| preview.bytes.into()).unwrap_or_default() });
        // First: where the blob has gone, keeping it forgets it.
        renditions.remember_preview(hash, &preview, forgettings).await;
        self.keep_later(hash, preview.clone());
        preview
    }

    async fn make_preview(&self, hash: BlobHash, shown: (u32, u32), decoders: &Decoders, memory: &Memory) -> Result<Preview, ServiceError> {
        let Original { bytes, memory: _memory, .. } = self.original_to_render(hash, memory, None).await?;
        let made = self.apart(decoders, hash).await?.preview(bytes).await??;
        self.renditions.previews.made.fetch_add(1, Ordering::Relaxed);
        Ok(Preview { shown, picture: made.map(|preview| preview.bytes.into()).unwrap_or_default() })
    }

    /// Removes a blob's preview: with the blob goes what was made from it.
    ///
    /// # Errors
    /// Where the backend cannot remove it.
    pub(in crate::service) async fn forget_preview(&self, hash: BlobHash) -> Result<(), BlobError> {
        self.renditions.previews.lately.invalidate(&hash).await;
        self.renditions.previews.store.delete_derived(DerivedKind::Preview, &hash).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_what_was_written_or_nothing() {
        let preview = Preview { shown: (6_000, 4_000), picture: Bytes::from_static(b"a picture") };
        let of = Source { hash: BlobHash::of(b"photo"), max_embedded_bytes: 7 };
        let record = preview.to_record(of);
        assert_eq!(Preview::from_record(of, &record), Some(preview));
        assert_eq!(Preview::from_record(Source { hash: BlobHash::of(b"another"), ..of }, &record), None);
        assert_eq!(Preview::from_record(Source { max_embedded_bytes: 8, ..of }, &record), None);
        for at in 0..record.len() {
            let mut damaged = record.to_vec();
            damaged[at] ^= 1;
            assert_eq!(Preview::from_record(of, &damaged.into()), None, "{at}");
            assert_eq!(Preview::from_record(of, &record.slice(..at)), None, "{at}");
        }
    }
}
