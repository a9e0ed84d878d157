//! Renditions by signed URL: derived, keyed by blob and recipe, rendered once for any number of waiting requests, kept in a bounded cache.

mod accepted;
mod cache;
mod iiif;
mod keys;
mod lane;
mod preview;
mod shown;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::blobs::DerivedStore;
use crate::config::RenditionsConfig;
use crate::imaging::{self, Decoders};
use crate::metadata::Read;
use crate::model::{BlobHash, TenantId, WallMs};

use super::rendition_url::{RecipeKey, RecipeRequest, RenditionFormat, RenditionUrl, SigningKey};
use super::{Caller, Scope, ServiceError, Services};
pub use accepted::Accepted;
use accepted::GivenUp;
use cache::{Cache, CacheKey};
pub use iiif::IiifImage;
use keys::{Keys, TenantKeys};
use lane::{Lane, Turn};
pub use preview::PreviewFigures;
use preview::Previews;

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
    epoch: AtomicU64,
    /// Those that somebody waits for.
    pub(super) fast: Lane,
    /// Formats that nothing else should wait behind.
    slow: Lane,
    /// What could not be made lately, of what nobody waits for.
    given_up: GivenUp,
    previews: Previews,
    avif_by_accept: bool,
    max_side: u32,
    quality: u8,
    deadline: Duration,
}

/// A rendition that a client may see: its signature was checked, and its tenant has the blob.
#[derive(Debug, Clone, Copy)]
pub struct RenditionRequest {
    key: CacheKey,
    /// The same in the next best format, where this one takes so long that nobody waits for it.
    meanwhile: Option<CacheKey>,
    /// When its URL ceases to hold; `None`: never.
    expires: Option<WallMs>,
}

impl Renditions {
    /// An empty cache, before a pool that renders so many at once, and one that renders so many slow ones.
    pub fn new(config: &RenditionsConfig, previews: Arc<dyn DerivedStore>, at_once: usize, slow_at_once: usize) -> Self {
        Self {
            cache: Cache::new(config.cache_bytes.as_u64(), config.cache_bytes.as_u64().max(TAKEN_AT_LEAST)),
            keys: TenantKeys::default(),
            epoch: AtomicU64::default(),
            fast: Lane::new(config.queue_limit, at_once),
            slow: Lane::new(config.queue_limit, slow_at_once),
            given_up: GivenUp::default(),
            previews: Previews::new(previews, config),
            avif_by_accept: config.avif_by_accept,
            max_side: config.max_side,
            quality: config.default_quality,
            deadline: config.deadline,
        }
    }

    /// Renditions that render or wait to, and how many may.
    pub fn queue(&self) -> (u64, u64) {
        self.fast.load()
    }

    /// The same for those in formats that take long.
    pub fn slow_queue(&self) -> (u64, u64) {
        self.slow.load()
    }

    fn key(&self, hash: BlobHash, recipe: RecipeKey) -> CacheKey {
        CacheKey { hash, recipe, previews: self.previews.are_used() }
    }

    /// How making previews goes.
    pub fn previews(&self) -> PreviewFigures {
        self.previews.figures()
    }

    /// To be called once a tenant has a new key: it is good from then on.
    pub(super) async fn keys_changed(&self) {
        self.keys.forget().await;
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Waits for the turn of a render. Who gives up here leaves nothing behind.
    async fn turn(&self, key: &CacheKey) -> Result<Turn, ServiceError> {
        let lane = if key.recipe.format.is_slow() { &self.slow } else { &self.fast };
        let turn = lane.turn(key.hash).await?;
        if !self.cache.has_room().await {
            return Err(ServiceError::Busy("too many renditions are still being taken"));
        }
        Ok(turn)
    }

    /// How many renditions lie in memory, and their bytes.
    pub fn cached(&self) -> (u64, u64) {
        self.cache.size()
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
}

impl Services {
    /// Reads a rendition's path, checks its signature against every live key, and that its tenant has the blob. `accepted` are the
    /// formats where the URL names none.
    ///
    /// # Errors
    /// `BadSignature`, also for an expired URL; `Invalid` for options that are not understood; `NotFound` for a blob that no user of
    /// the tenant has, whether another tenant has it or not.
    pub async fn resolve_rendition(self: &Arc<Self>, path: &str, accepted: Accepted) -> Result<RenditionRequest, ServiceError> {
        let keys = self.live_keys().await?;
        let (tenant, url) = RenditionUrl::open(path, keys.iter().map(|(tenant, key)| (*tenant, key)))?;
        if url.is_expired(WallMs(self.runtime.clock.unix_ms())) {
            return Err(ServiceError::BadSignature("the URL has expired"));
        }
        let settle = |format| url.recipe.settle(format, self.renditions.quality, self.renditions.max_side);
        let (recipe, meanwhile) = match accepted.meanwhile {
            Some(meanwhile) if url.recipe.format.is_none() && self.renditions.avif_by_accept => {
                (settle(accepted.best)?, Some(settle(meanwhile)?))
            }
            Some(meanwhile) => (settle(meanwhile)?, None),
            None => (settle(accepted.best)?, None),
        };
        let hash = url.hash;
        if !self.look_up(move |at| Ok(at.tenant_owns(tenant, &hash)?)).await? {
            return Err(ServiceError::NotFound("image"));
        }
        let key = |recipe| self.renditions.key(hash, recipe);
        let expires = url.expires.map(|seconds| WallMs(seconds.saturating_mul(1_000)));
        Ok(RenditionRequest { key: key(recipe), meanwhile: meanwhile.map(key), expires })
    }

    /// Changes with everything on this site that an answer depends on, but for the photos themselves.
    pub fn rendition_epoch(&self) -> u64 {
        self.renditions.epoch.load(Ordering::Acquire)
    }

    /// How long the request's URL holds from now on; `None`: for ever.
    pub fn rendition_left(&self, request: &RenditionRequest) -> Option<Duration> {
        request.expires.map(|expires| Duration::from_millis(expires.0.saturating_sub(self.runtime.clock.unix_ms())))
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
        self.renditions.cache.get(&request.key).await
    }

    /// Renders, or takes from the cache. Any number of requests for the same rendition wait for one render; it is given up where all of
    /// them have gone before its turn.
    ///
    /// # Errors
    /// `Busy` where too many renditions wait, or are still being taken, or the deadline passes; `Damaged` where the original's bytes are;
    /// `BrokenImage` where it cannot be decoded.
    pub async fn rendition(self: &Arc<Self>, request: &RenditionRequest) -> Result<Served, ServiceError> {
        let key = request.key;
        if let Some(rendition) = self.renditions.cache.get(&key).await {
            return Ok(Served { rendition, from: ServedFrom::Cache });
        }
        let began = self.runtime.clock.monotonic();
        let took = Arc::new(OnceLock::new());
        let made = self.made(key, {
            let (services, took) = (self.clone(), took.clone());
            move || {
                let _ = took.set(services.runtime.clock.monotonic().saturating_sub(began));
            }
        });
        let in_time = crate::runtime::timeout(self.renditions.deadline, made).await;
        let rendition = in_time.unwrap_or(Err(ServiceError::Busy("the rendition took too long")))?;
        Ok(Served { rendition, from: took.get().map_or(ServedFrom::Joined, |took| ServedFrom::Rendered(*took)) })
    }

    /// The rendition once it is there: kept, under way or rendered now; then `rendered` is called.
    async fn made(self: &Arc<Self>, key: CacheKey, rendered: impl FnOnce() + Send + 'static) -> Result<Rendition, ServiceError> {
        let (waiting, services) = (self.clone(), self.clone());
        let turn = async move { waiting.renditions.turn(&key).await };
        let render = move |turn: Turn| async move {
            let rendition = services.render(&key).await?;
            drop(turn);
            rendered();
            Ok(rendition)
        };
        self.renditions.cache.get_or_render(key, turn, render).await
    }

    async fn render(&self, key: &CacheKey) -> Result<Rendition, ServiceError> {
        self.render_on(key, if key.recipe.format.is_slow() { &self.pools.slow } else { &self.pools.imaging }).await
    }

    async fn render_on(&self, key: &CacheKey, decoders: &Decoders) -> Result<Rendition, ServiceError> {
        if let Some(rendition) = self.render_from_preview(key, decoders).await? {
            return Ok(rendition);
        }
        let (original, _memory) = self.original_to_render(key.hash).await?;
        let rendered = decoders.render(original, imaging_recipe(&key.recipe)).await??;
        Ok(Rendition { bytes: self.renditions.cache.count(rendered.bytes), format: key.recipe.format })
    }

    /// A photo's bytes, and what holds room for them: to be kept until they are dropped.
    async fn original_to_render(&self, hash: BlobHash) -> Result<(Bytes, OwnedSemaphorePermit), ServiceError> {
        let blob = self.open_blob(hash).await?;
        let size = blob.size_bytes();
        let memory = self.limits.render_memory.take(size).await?;
        let length = usize::try_from(size).map_err(|_| ServiceError::TooLarge("the original is too large to decode".into()))?;
        Ok((blob.read_at(0, length).await?, memory))
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
        RenditionUrl { hash, recipe: thumbnail_recipe(side), expires: None }.to_path(&self.key)
    }
}

/// What pages show: within a square of this side.
fn thumbnail_recipe(side: u32) -> RecipeRequest {
    RecipeRequest { width: side, height: side, format: Some(RenditionFormat::Jpeg), ..RecipeRequest::default() }
}

fn imaging_recipe(recipe: &RecipeKey) -> imaging::Recipe {
    let format = match recipe.format {
        RenditionFormat::Jpeg => imaging::OutputFormat::Jpeg,
        RenditionFormat::Png => imaging::OutputFormat::Png,
        RenditionFormat::WebP => imaging::OutputFormat::WebP,
        RenditionFormat::Avif => imaging::OutputFormat::Avif,
    };
    imaging::Recipe {
        region: recipe.region,
        turn: recipe.turn,
        tone: recipe.tone,
        resize: recipe.resize,
        gravity: recipe.gravity,
        enlarge: recipe.enlarge,
        blur: recipe.blur,
        background: recipe.background,
        quality: recipe.quality,
        ..imaging::Recipe::fit(recipe.width, recipe.height, format)
    }
}
