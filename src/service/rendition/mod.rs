//! Renditions by signed URL: derived, keyed by blob and recipe, rendered once for any number of waiting requests, kept in a bounded cache.

mod cache;
mod freshness;
mod keys;
mod sign;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::RenditionsConfig;
use crate::imaging;
use crate::metadata::Read;
use crate::model::{BlobHash, WallMs};

use super::rendition_url::{RecipeKey, RenditionFormat, RenditionUrl};
use super::shares::{Share, Shares};
use super::{ServiceError, Services};
use cache::{Cache, CacheKey};
pub use freshness::Freshness;
use keys::{Keys, TenantKeys};
pub use sign::{PhotoUrlSigner, UrlOptions};

/// One photo has at most this part of the queue: more sizes of it than pages ask for at once, and an album's page asks for many photos.
const SHARE_OF_THE_QUEUE: u32 = 16;
/// But so many in every case.
const SHARE_AT_LEAST: u32 = 4;
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
    /// A render that another request had begun.
    Joined,
    /// A render that this request began; it took so long, waiting for its turn included.
    Rendered(Duration),
}

/// The cache and the queue before it.
#[derive(Debug)]
pub struct Renditions {
    cache: Cache,
    keys: TenantKeys,
    /// One permit a rendition that renders or waits to.
    queue: Arc<Semaphore>,
    queue_limit: u64,
    /// And one of its photo's share: for one photo there are as many renditions to be had as sizes.
    shares: Shares<BlobHash>,
    /// One permit a rendition that renders, and one more: its original is read meanwhile.
    pub(super) turns: Arc<Semaphore>,
    /// The same for those that nothing else should wait behind.
    slow_turns: Arc<Semaphore>,
    max_side: u32,
    quality: u8,
    deadline: Duration,
}

/// The right to render, until it is dropped.
#[derive(Debug)]
struct Turn {
    _place: OwnedSemaphorePermit,
    _share: Share<BlobHash>,
    _turn: OwnedSemaphorePermit,
}

/// A rendition that a client may see: its signature was checked, and its tenant has the blob.
#[derive(Debug, Clone, Copy)]
pub struct RenditionRequest(CacheKey, Freshness);

impl Renditions {
    /// An empty cache, before a pool that renders so many at once, and one that renders so many slow ones.
    pub fn new(config: &RenditionsConfig, at_once: usize, slow_at_once: usize) -> Self {
        Self {
            cache: Cache::new(config.cache_bytes.as_u64(), config.cache_bytes.as_u64().max(TAKEN_AT_LEAST)),
            keys: TenantKeys::default(),
            queue: Arc::new(Semaphore::new(config.queue_limit as usize)),
            queue_limit: config.queue_limit.into(),
            shares: Shares::new((config.queue_limit / SHARE_OF_THE_QUEUE).max(SHARE_AT_LEAST) as usize),
            turns: Arc::new(Semaphore::new(at_once + 1)),
            slow_turns: Arc::new(Semaphore::new(slow_at_once + 1)),
            max_side: config.max_side,
            quality: config.default_quality,
            deadline: config.deadline,
        }
    }

    /// Renditions that render or wait to, and how many may.
    pub fn queue(&self) -> (u64, u64) {
        (self.queue_limit.saturating_sub(self.queue.available_permits() as u64), self.queue_limit)
    }

    /// To be called once a tenant has a new key or other settings: they hold from then on.
    pub(super) async fn keys_changed(&self) {
        self.keys.forget().await;
    }

    /// Waits for the turn of a render. Who gives up here leaves nothing behind.
    async fn turn(&self, key: &CacheKey) -> Result<Turn, ServiceError> {
        let Some(share) = self.shares.take(key.hash) else {
            return Err(ServiceError::Busy("too many renditions of this photo are waiting"));
        };
        let Ok(place) = self.queue.clone().try_acquire_owned() else {
            return Err(ServiceError::Busy("too many renditions are waiting"));
        };
        let turns = if key.recipe.format.is_slow() { &self.slow_turns } else { &self.turns };
        let turn = turns.clone().acquire_owned().await.map_err(|_| ServiceError::SHUTTING_DOWN)?;
        if !self.cache.has_room().await {
            return Err(ServiceError::Busy("too many renditions are still being taken"));
        }
        Ok(Turn { _place: place, _share: share, _turn: turn })
    }

    /// How many renditions lie in memory, and their bytes.
    pub fn cached(&self) -> (u64, u64) {
        self.cache.size()
    }
}

impl RenditionRequest {
    /// What a strong entity tag may hold: it follows from blob, recipe and encoder version, so nothing has to be rendered for it.
    pub fn tag(&self) -> String {
        self.0.tag()
    }

    /// Of what format it is.
    pub fn format(&self) -> RenditionFormat {
        self.0.recipe.format
    }

    /// For how long caches may show it.
    pub fn freshness(&self) -> Freshness {
        self.1
    }
}

impl Services {
    /// Reads a rendition's path, checks its signature against every live key, and that its tenant has the blob. `fallback` is the
    /// format where the URL names none.
    ///
    /// # Errors
    /// `BadSignature`, also for an expired URL; `Invalid` for options that are not understood; `NotFound` for a blob that no user of
    /// the tenant has, whether another tenant has it or not.
    pub async fn resolve_rendition(self: &Arc<Self>, path: &str, fallback: RenditionFormat) -> Result<RenditionRequest, ServiceError> {
        let keys = self.live_keys().await?;
        let (tenant, url) = RenditionUrl::open(path, keys::candidates(&keys), |tenant| &tenant.presets)?;
        let now = WallMs(self.runtime.clock.unix_ms());
        if url.is_expired(now) {
            return Err(ServiceError::BadSignature("the URL has expired"));
        }
        let recipe = url.recipe.settle(fallback, self.renditions.quality, self.renditions.max_side)?;
        let freshness = Freshness { immutable: !url.by_preset, ..Freshness::of(tenant.max_age_seconds, url.expires, now) };
        let (hash, tenant) = (url.hash, tenant.id);
        if !self.look_up(move |at| Ok(at.tenant_owns(tenant, &hash)?)).await? {
            return Err(ServiceError::NotFound("image"));
        }
        Ok(RenditionRequest(CacheKey { hash, recipe }, freshness))
    }

    /// All signing keys, as they were at most a second ago; one that this site made is among them at once.
    async fn live_keys(self: &Arc<Self>) -> Result<Keys, ServiceError> {
        let asked = self.runtime.clock.monotonic();
        if let Some(keys) = self.renditions.keys.recent(asked) {
            return Ok(keys);
        }
        let services = self.clone();
        // In a task of its own: a client that leaves must not have the next one read anew what was all but read.
        let reading = crate::runtime::spawn_joined(async move {
            let read = async {
                let began = services.runtime.clock.monotonic();
                Ok((began, services.read(|at| Ok(keys::read(at)?)).await?))
            };
            services.renditions.keys.recent_or_read(asked, read).await
        });
        reading.await?
    }

    /// The rendition where it lies in the cache.
    pub async fn cached_rendition(&self, request: &RenditionRequest) -> Option<Rendition> {
        self.renditions.cache.get(&request.0).await
    }

    /// Renders, or takes from the cache. Any number of requests for the same rendition wait for one render; it is given up where all of
    /// them have gone before its turn.
    ///
    /// # Errors
    /// `Busy` where too many renditions wait, or are still being taken, or the deadline passes; `Damaged` where the original's bytes are;
    /// `BrokenImage` where it cannot be decoded.
    pub async fn rendition(self: &Arc<Self>, request: &RenditionRequest) -> Result<Served, ServiceError> {
        let key = request.0;
        if let Some(rendition) = self.renditions.cache.get(&key).await {
            return Ok(Served { rendition, from: ServedFrom::Cache, queued: Duration::ZERO });
        }
        let (waiting, services) = (self.clone(), self.clone());
        let began = self.runtime.clock.monotonic();
        let took = Arc::new(OnceLock::new());
        let turn = async move { waiting.renditions.turn(&key).await };
        let render = {
            let took = took.clone();
            move |turn: Turn| async move {
                let since = || services.runtime.clock.monotonic().saturating_sub(began);
                let queued = since();
                let rendition = services.render(&key).await?;
                drop(turn);
                let _ = took.set((queued, since()));
                Ok(rendition)
            }
        };
        let in_time = crate::runtime::timeout(self.renditions.deadline, self.renditions.cache.get_or_render(key, turn, render)).await;
        let rendition = in_time.unwrap_or(Err(ServiceError::Busy("the rendition took too long")))?;
        let (queued, from) =
            took.get().map_or((Duration::ZERO, ServedFrom::Joined), |(queued, took)| (*queued, ServedFrom::Rendered(*took)));
        Ok(Served { rendition, from, queued })
    }

    async fn render(&self, key: &CacheKey) -> Result<Rendition, ServiceError> {
        let blob = self.open_blob(key.hash).await?;
        let size = blob.size_bytes();
        let _memory = self.limits.render_memory.take(size).await?;
        let length = usize::try_from(size).map_err(|_| ServiceError::TooLarge("the original is too large to decode".into()))?;
        let bytes = blob.read_at(0, length).await?;
        let decoders = if key.recipe.format.is_slow() { &self.pools.slow } else { &self.pools.imaging };
        let rendered = decoders.render(bytes, imaging_recipe(&key.recipe)).await??;
        Ok(Rendition { bytes: self.renditions.cache.count(rendered.bytes), format: key.recipe.format })
    }
}

fn imaging_recipe(recipe: &RecipeKey) -> imaging::Recipe {
    let format = match recipe.format {
        RenditionFormat::Jpeg => imaging::OutputFormat::Jpeg,
        RenditionFormat::Png => imaging::OutputFormat::Png,
        RenditionFormat::WebP => imaging::OutputFormat::WebP,
        RenditionFormat::Avif => imaging::OutputFormat::Avif,
    };
    imaging::Recipe {
        resize: recipe.resize,
        gravity: recipe.gravity,
        enlarge: recipe.enlarge,
        blur: recipe.blur,
        background: recipe.background,
        quality: recipe.quality,
        ..imaging::Recipe::fit(recipe.width, recipe.height, format)
    }
}
