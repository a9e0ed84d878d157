//! Renditions by signed URL: derived, keyed by blob and recipe, rendered once for any number of waiting requests, kept in a bounded cache.

mod cache;
mod keys;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::RenditionsConfig;
use crate::imaging;
use crate::metadata::Read;
use crate::model::{BlobHash, TenantId, WallMs};

use super::rendition_url::{RecipeKey, RecipeRequest, RenditionFormat, RenditionUrl, SigningKey};
use super::shares::{Share, Shares};
use super::{Caller, Scope, ServiceError, Services};
use cache::{Cache, CacheKey};
use keys::{Keys, TenantKeys};

/// One photo has at most this part of the queue: more sizes of it than pages ask for at once, and an album's page asks for many photos.
const SHARE_OF_THE_QUEUE: u32 = 16;
/// But so many in every case.
const SHARE_AT_LEAST: u32 = 4;
/// What clients may hold of renditions that were put out of the cache is as much as the cache holds, but at least this.
const TAKEN_AT_LEAST: u64 = 64 << 20;

/// The sides of the squares that a photo's sizes for pages fit into, in pixels.
const LADDER: [u32; 5] = [160, THUMBNAIL, 640, PREVIEW, 2_048];
const THUMBNAIL: u32 = 320;
const PREVIEW: u32 = 1_280;

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

/// What a signed URL shall ask for.
#[derive(Debug, Clone, Default)]
pub struct UrlOptions {
    /// Width to fit into, in pixels; 0: any.
    pub width: u32,
    /// Height to fit into, in pixels; 0: any.
    pub height: u32,
    /// 1 to 100.
    pub quality: Option<u8>,
    /// `jpg`, `webp`, `avif` or `png`; absent: `jpg`.
    pub format: Option<String>,
    /// Seconds since the Unix epoch after which the URL is refused.
    pub expires: Option<u64>,
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
pub struct RenditionRequest(CacheKey);

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

    /// To be called once a tenant has a new key: it is good from then on.
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
        let turns = if key.recipe.is_slow() { &self.slow_turns } else { &self.turns };
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
        let (tenant, url) = RenditionUrl::open(path, keys.iter().map(|(tenant, key)| (*tenant, key)))?;
        if url.is_expired(WallMs(self.runtime.clock.unix_ms())) {
            return Err(ServiceError::BadSignature("the URL has expired"));
        }
        let recipe = url.recipe.settle(fallback, self.renditions.quality, self.renditions.max_side)?;
        let hash = url.hash;
        if !self.look_up(move |at| Ok(at.tenant_owns(tenant, &hash)?)).await? {
            return Err(ServiceError::NotFound("image"));
        }
        Ok(RenditionRequest(CacheKey { hash, recipe }))
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
            return Ok(Served { rendition, from: ServedFrom::Cache });
        }
        let (waiting, services) = (self.clone(), self.clone());
        let began = self.runtime.clock.monotonic();
        let took = Arc::new(OnceLock::new());
        let turn = async move { waiting.renditions.turn(&key).await };
        let render = {
            let took = took.clone();
            move |turn: Turn| async move {
                let rendition = services.render(&key).await?;
                drop(turn);
                let _ = took.set(services.runtime.clock.monotonic().saturating_sub(began));
                Ok(rendition)
            }
        };
        let in_time = crate::runtime::timeout(self.renditions.deadline, self.renditions.cache.get_or_render(key, turn, render)).await;
        let rendition = in_time.unwrap_or(Err(ServiceError::Busy("the rendition took too long")))?;
        Ok(Served { rendition, from: took.get().map_or(ServedFrom::Joined, |took| ServedFrom::Rendered(*took)) })
    }

    async fn render(&self, key: &CacheKey) -> Result<Rendition, ServiceError> {
        let blob = self.open_blob(key.hash).await?;
        let size = blob.size_bytes();
        let _memory = self.limits.render_memory.take(size).await?;
        let length = usize::try_from(size).map_err(|_| ServiceError::TooLarge("the original is too large to decode".into()))?;
        let bytes = blob.read_at(0, length).await?;
        let decoders = if key.recipe.is_slow() { &self.pools.slow } else { &self.pools.imaging };
        let rendered = decoders.render(bytes, imaging_recipe(&key.recipe)).await??;
        Ok(Rendition { bytes: self.renditions.cache.count(rendered.bytes), format: key.recipe.format })
    }

    /// The path of a rendition, signed. Signs only for blobs that the caller owns.
    ///
    /// # Errors
    /// `NotFound` for a blob that is not the caller's; `Invalid` for the sizes.
    pub async fn sign_rendition(&self, caller: &Caller, hash: BlobHash, options: &UrlOptions) -> Result<String, ServiceError> {
        caller.require(Scope::Read)?;
        let owner = caller.owner;
        if !self.look_up(move |at| Ok(at.owns(owner, &hash)?)).await? {
            return Err(ServiceError::NotFound("image"));
        }
        let format = match options.format.as_deref() {
            None => RenditionFormat::Jpeg,
            Some(name) => RenditionFormat::from_extension(name)
                .ok_or_else(|| ServiceError::Invalid { field: "format", detail: "jpg, webp, avif or png".into() })?,
        };
        if options.quality.is_some_and(|quality| !(1..=100).contains(&quality)) {
            return Err(ServiceError::Invalid { field: "quality", detail: "1 to 100".into() });
        }
        let UrlOptions { width, height, quality, expires, .. } = *options;
        let recipe = RecipeRequest { width, height, quality, format: Some(format), ..RecipeRequest::default() };
        recipe.settle(format, self.renditions.quality, self.renditions.max_side)?;
        Ok(RenditionUrl { hash, recipe, expires }.to_path(&self.signer(caller.owner.tenant).await?))
    }

    /// What signs the rendition URLs that come with every photo of a caller's.
    ///
    /// # Errors
    /// Where the tenant has no signing key.
    pub async fn photo_urls(&self, caller: &Caller) -> Result<PhotoUrlSigner, ServiceError> {
        Ok(PhotoUrlSigner { key: self.signer(caller.owner.tenant).await?, max_side: self.renditions.max_side })
    }

    async fn signer(&self, tenant: TenantId) -> Result<SigningKey, ServiceError> {
        let view = self.look_up(move |at| Ok(at.tenant(tenant)?)).await?.ok_or(ServiceError::NotFound("tenant"))?;
        let key = view.signing_keys.into_iter().next().ok_or(ServiceError::NotFound("signing key"))?;
        Ok(SigningKey::new(key.key, key.salt))
    }
}

/// Signs the rendition URLs of a photo.
#[derive(Debug)]
pub struct PhotoUrlSigner {
    key: SigningKey,
    max_side: u32,
}

impl PhotoUrlSigner {
    /// A thumbnail: fits 320 × 320.
    pub fn thumbnail(&self, hash: BlobHash) -> String {
        self.fit(hash, THUMBNAIL)
    }

    /// A preview: fits 1280 × 1280.
    pub fn preview(&self, hash: BlobHash) -> String {
        self.fit(hash, PREVIEW)
    }

    /// What `srcset` of an HTML image takes: each size of [`LADDER`] and how wide the photo is in it, from small to large. One that is not larger than the size
    /// before is left out: small photos are not enlarged; so is one that the site does not make. `shown` is the photo's width and height.
    pub fn srcset(&self, hash: BlobHash, shown: (u32, u32)) -> String {
        let mut srcset = String::new();
        let mut widest = 0;
        for side in LADDER.into_iter().filter(|side| *side <= self.max_side) {
            let (width, _) = imaging::fit(shown, (side, side), false);
            if width > widest {
                let separator = if srcset.is_empty() { "" } else { ", " };
                srcset.push_str(&format!("{separator}{} {width}w", self.fit(hash, side)));
                widest = width;
            }
        }
        srcset
    }

    fn fit(&self, hash: BlobHash, side: u32) -> String {
        let recipe = RecipeRequest { width: side, height: side, format: Some(RenditionFormat::Jpeg), ..RecipeRequest::default() };
        RenditionUrl { hash, recipe, expires: None }.to_path(&self.key)
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
        animated: recipe.animated,
        ..imaging::Recipe::fit(recipe.width, recipe.height, format)
    }
}
