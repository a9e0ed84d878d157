//! Renditions by signed URL: derived, keyed by blob and recipe, rendered once for any number of waiting requests, kept in a bounded cache.
//!
//! Who renders takes these, one after the other, and waits with each only for what stands below it; so nobody waits in a circle:
//!
//! | what | bounds | until | else |
//! | --- | --- | --- | --- |
//! | a place ([`lane`]) | renditions that wait or render, and those of one photo | it is answered | refused |
//! | memory ([`RenditionLimits`]) | bytes of originals | the decoder is done | waits |
//! | leave to fetch ([`lane`]) | photos that are fetched, or are and wait for their turn; not what is in memory | its turn, or it waits for memory | waits |
//! | a turn ([`lane`]) | photos that render | the decoder is done | waits |
//! | a thread and room ([`Decoders`]) | photos that are decoded, and their pixels | the decoder is done | waits |
//!
//! What is slow has all of these for itself. It may wait with its leave to fetch for a preview that is made among what is not slow ([`ladder`]), never the other way
//! round. Beside them a preview that is written to the backend has a place of its own ([`keeping`]), and is not kept where there is none.
//!
//! There is one way to a preview for whoever is waited for: remembered, else stored, else made, by the one task that takes turns for its photo. Only previews of new
//! photos are made beside it, by processes that nobody waits for.

mod accepted;
mod apart;
mod cache;
mod catalogue;
mod disk;
mod freshness;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod gather;
mod given_up;
#[cfg(test)]
mod golden;
mod iiif;
mod keeping;
mod kept;
mod keys;
mod ladder;
mod lane;
mod make;
mod preview;
mod resolve;
mod shown;
mod sign;
mod stored;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::blobs::DerivedStore;
use crate::config::{Config, LimitsConfig, RenditionsConfig};
use crate::imaging::Decoders;
use crate::model::{BlobHash, WallMs};
use crate::runtime::Runtime;

use super::ServiceError;
use super::memory::Memory;
use super::rendition_url::{RecipeKey, RecipeRequest, RenditionFormat, SideTooLarge};
pub use accepted::{Accepted, Ready};
use cache::{Cache, CacheKey};
pub use catalogue::{Catalogue, TenantUrls};
pub use disk::{DiskFigures, DiskThreads, RenditionDisk, Unread};
pub use freshness::Freshness;
use gather::Gather;
use given_up::GivenUp;
pub use iiif::IiifImage;
use keys::TenantKeys;
use lane::Lane;
pub use preview::PreviewFigures;
use preview::Previews;
pub use sign::{PhotoUrlSigner, UrlOptions};
pub use stored::CachedBlobs;

/// What clients may hold of renditions that were put out of the cache is as much as the cache holds, but at least this.
const TAKEN_AT_LEAST: u64 = 64 << 20;

/// A rendered image.
#[derive(Debug, Clone)]
pub struct Rendition {
    /// The encoded image.
    pub bytes: Bytes,
    /// Of which format.
    pub format: RenditionFormat,
}

/// A rendition, and how it came about.
#[derive(Debug, Clone)]
pub struct Served {
    /// The image.
    pub rendition: Rendition,
    /// Where it came from.
    pub from: ServedFrom,
    /// For how long a render that this request began waited for its turn.
    pub queued: Duration,
}

/// Where a rendition came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServedFrom {
    /// The cache.
    Cache,
    /// The cache on disk.
    Disk,
    /// What another request had begun: a render, or a read of the disk.
    Joined,
    /// A render that this request began; it took so long, waiting for its turn included.
    Rendered(Duration),
}

/// Everything that renditions need: whom to ask, who makes them, the cache. One a server, shared.
#[derive(Debug)]
pub struct RenditionService {
    catalogue: Arc<dyn Catalogue>,
    runtime: Runtime,
    pools: RenditionPools,
    pub(super) limits: RenditionLimits,
    pub(super) renditions: Renditions,
}

/// Who makes renditions, one pool a kind of work.
#[derive(Debug, Clone)]
pub struct RenditionPools {
    /// Those that somebody waits for.
    pub imaging: Decoders,
    /// Those in formats that take many times as long.
    pub slow: Decoders,
    /// Previews of new photos: nobody waits for them, and everything else comes first.
    pub previews: Decoders,
}

/// What renditions are bounded by.
#[derive(Debug, Clone)]
pub(super) struct RenditionLimits {
    config: LimitsConfig,
    /// For the originals that are held whole to be rendered.
    pub(super) render_memory: Memory,
    /// And for those of which formats are made that take long.
    slow_memory: Memory,
    /// And for those that previews of new photos are made from, while nobody waits for them.
    preview_memory: Memory,
}

/// The cache and the queue before it.
#[derive(Debug)]
pub(super) struct Renditions {
    cache: Cache,
    /// Where there is none, nothing outlives the process.
    disk: Option<RenditionDisk>,
    keys: TenantKeys,
    epoch: AtomicU64,
    /// Those that somebody waits for.
    pub(super) fast: Lane,
    /// And wait together, photo by photo.
    gather: Gather,
    /// What nothing else should wait behind.
    pub(super) slow: Lane,
    /// What could not be made lately.
    given_up: GivenUp,
    previews: Previews,
    avif_by_accept: bool,
    max_side: u32,
    max_embedded_bytes: u64,
    quality: u8,
    deadline: Duration,
}

/// The settings that a rendition is a function of: where two servers differ, one URL has two pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenditionBasis {
    /// The quality where a URL names none.
    pub quality: u8,
    /// The longest side, in pixels.
    pub max_side: u32,
    /// Whether small renditions of large photos are made from previews.
    pub previews: bool,
    /// The longest colour profile that is heeded, in bytes.
    pub max_embedded_bytes: u64,
}

/// How busy renditions are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RenditionLoad {
    /// Renditions that render or wait to.
    pub renders_waiting: u64,
    /// More are refused.
    pub renders_limit: u64,
    /// The same of those in formats that take long.
    pub slow_renders_waiting: u64,
    /// More are refused, or not begun.
    pub slow_renders_limit: u64,
    /// Previews of new photos.
    pub previews: PreviewFigures,
    /// Memory of cached renditions.
    pub cached_bytes: u64,
    /// The cache of renditions on disk, where there is one.
    pub on_disk: Option<DiskFigures>,
}

/// A rendition that a client may see: its signature was checked, and its tenant has the blob.
#[derive(Debug, Clone, Copy)]
pub struct RenditionRequest {
    key: CacheKey,
    /// The same in the next best format, where this one takes so long that nobody waits for it.
    meanwhile: Option<CacheKey>,
    freshness: Freshness,
    /// When its URL ceases to hold; `None`: never.
    expires: Option<WallMs>,
    /// Its URL names no format.
    is_negotiated: bool,
}

impl Renditions {
    /// What lies on this disk and nothing else, before a pool that renders so many at once, and one that renders so many slow ones.
    fn new(
        config: &RenditionsConfig,
        max_embedded_bytes: u64,
        previews: Arc<dyn DerivedStore>,
        disk: Option<RenditionDisk>,
        at_once: usize,
        slow_at_once: usize,
    ) -> Self {
        Self {
            cache: Cache::new(config.cache_bytes.as_u64(), config.cache_bytes.as_u64().max(TAKEN_AT_LEAST)),
            disk,
            keys: TenantKeys::default(),
            epoch: AtomicU64::default(),
            fast: Lane::new(config.queue_limit, at_once),
            gather: Gather::default(),
            slow: Lane::new(config.queue_limit, slow_at_once),
            given_up: GivenUp::default(),
            previews: Previews::new(previews, config, max_embedded_bytes),
            avif_by_accept: config.avif_by_accept,
            max_side: config.max_side,
            max_embedded_bytes,
            quality: config.default_quality,
            deadline: config.deadline,
        }
    }

    /// Renditions that render or wait to, and how many may.
    fn queue(&self) -> (u64, u64) {
        self.fast.load()
    }

    /// The same for those in formats that take long.
    fn slow_queue(&self) -> (u64, u64) {
        self.slow.load()
    }

    fn key(&self, hash: BlobHash, recipe: RecipeKey) -> CacheKey {
        CacheKey { hash, recipe, previews: self.previews.are_used(), max_embedded_bytes: self.max_embedded_bytes }
    }
}

impl RenditionRequest {
    /// What a strong entity tag may hold: it follows from blob, recipe and encoder version, so nothing has to be rendered for it.
    pub fn tag(&self) -> String {
        self.key.tag()
    }

    /// Of what format it is.
    pub fn format(&self) -> RenditionFormat {
        self.key.recipe.format
    }

    /// For how long caches may show it.
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// When its URL ceases to hold; `None`: never.
    pub fn expires(&self) -> Option<WallMs> {
        self.expires
    }

    /// Whether another client may get another format under the same URL.
    pub fn is_negotiated(&self) -> bool {
        self.is_negotiated
    }
}

impl RenditionService {
    /// Assembles it; `previews` is where previews are kept, `disk` the cache that outlives the process. Nothing runs yet.
    pub fn new(
        catalogue: Arc<dyn Catalogue>,
        previews: Arc<dyn DerivedStore>,
        disk: Option<RenditionDisk>,
        runtime: Runtime,
        pools: RenditionPools,
        config: &Config,
    ) -> Self {
        let memory_bytes = config.limits.decode_memory_bytes.as_u64();
        let limits = RenditionLimits {
            render_memory: Memory::new(memory_bytes / 4),
            slow_memory: Memory::new(memory_bytes / 8),
            preview_memory: Memory::new(memory_bytes / 8),
            config: config.limits.clone(),
        };
        let (at_once, slow_at_once) = (pools.imaging.load().limit, pools.slow.load().limit);
        let max_embedded_bytes = config.limits.max_embedded_bytes.as_u64();
        let renditions = Renditions::new(&config.renditions, max_embedded_bytes, previews, disk, at_once, slow_at_once);
        Self { catalogue, runtime, pools, limits, renditions }
    }

    /// To be called once a tenant has a new key or other settings: they hold from then on.
    pub async fn keys_changed(&self) {
        self.renditions.keys.forget().await;
        self.epoch_passed();
    }

    /// To be called once something changed that answers of before depend on.
    pub fn epoch_passed(&self) {
        self.renditions.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// What its renditions are a function of, beside blob and recipe.
    pub fn basis(&self) -> RenditionBasis {
        let Renditions { quality, max_side, previews, max_embedded_bytes, .. } = &self.renditions;
        RenditionBasis { quality: *quality, max_side: *max_side, previews: previews.are_used(), max_embedded_bytes: *max_embedded_bytes }
    }

    /// How busy it is.
    pub fn load(&self) -> RenditionLoad {
        let (waiting, limit) = self.renditions.queue();
        let (slow_waiting, slow_limit) = self.renditions.slow_queue();
        RenditionLoad {
            renders_waiting: waiting,
            renders_limit: limit,
            slow_renders_waiting: slow_waiting,
            slow_renders_limit: slow_limit,
            previews: self.renditions.previews.figures(),
            cached_bytes: self.renditions.cache.size().1,
            on_disk: self.renditions.disk.as_ref().and_then(RenditionDisk::figures),
        }
    }

    /// The longest side of a rendition, in pixels.
    pub(super) fn max_side(&self) -> u32 {
        self.renditions.max_side
    }

    /// A recipe with what this server says where it says nothing.
    ///
    /// # Errors
    /// For sides that are not made here.
    pub(super) fn settle(&self, recipe: &RecipeRequest, format: RenditionFormat) -> Result<RecipeKey, SideTooLarge> {
        recipe.settle(format, self.renditions.quality, self.renditions.max_side)
    }

    /// Changes with everything on this site that an answer depends on, but for the photos themselves.
    pub fn epoch(&self) -> u64 {
        self.renditions.epoch.load(Ordering::Acquire)
    }
}
