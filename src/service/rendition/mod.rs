//! Renditions by signed URL: derived, keyed by blob and recipe, rendered once for any number of waiting requests, kept in a bounded cache.

mod cache;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::config::RenditionsConfig;
use crate::imaging::{self, OutputFormat};
use crate::metadata::Read;
use crate::model::{BlobHash, TenantId};

use super::rendition_url::{ParsedUrl, SigningCandidate};
use super::{ServiceError, Services};
use cache::{Cache, CacheKey};

/// A rendered image.
#[derive(Debug, Clone)]
pub struct Rendition {
    /// The encoded image.
    pub bytes: Bytes,
    /// Of which format.
    pub format: OutputFormat,
    /// A strong entity tag: equal tags, equal bytes.
    pub etag: String,
}

/// The cache and the queue before it.
#[derive(Debug)]
pub struct Renditions {
    cache: Cache,
    /// One permit a rendition that renders or waits to.
    queue: Arc<Semaphore>,
    max_side: u32,
    quality: u8,
    deadline: Duration,
}

/// What a request for a rendition may see, once its signature was checked.
#[derive(Debug, Clone)]
pub struct RenditionRequest {
    tenant: TenantId,
    hash: BlobHash,
    recipe: imaging::Recipe,
}

impl Renditions {
    /// An empty cache.
    pub fn new(config: &RenditionsConfig) -> Self {
        Self {
            cache: Cache::new(config.cache_bytes.as_u64()),
            queue: Arc::new(Semaphore::new(config.queue_limit as usize)),
            max_side: config.max_side,
            quality: config.default_quality,
            deadline: config.deadline,
        }
    }

    /// How many renditions lie in memory, and their bytes.
    pub fn cached(&self) -> (u64, u64) {
        self.cache.size()
    }
}

impl RenditionRequest {
    /// The strong entity tag that the rendition has, without rendering it: it follows from blob, recipe and encoder version.
    pub fn etag(&self) -> String {
        cache::etag(&self.key())
    }

    fn key(&self) -> CacheKey {
        CacheKey { hash: self.hash, recipe: self.recipe.clone() }
    }
}

impl Services {
    /// Reads a rendition URL (the path after `/i`), checks its signature against every live key, and that its tenant has the blob.
    ///
    /// # Errors
    /// `BadSignature`, also for an expired URL; `Invalid` for options that are not understood; `NotFound` for a blob that no user of
    /// the tenant has, whether another tenant has it or not.
    pub fn resolve_rendition(&self, path: &str, accept_default: OutputFormat) -> Result<RenditionRequest, ServiceError> {
        let at = self.metadata.read();
        let tenants = at.list_tenants(None, super::rendition_url::MAX_TENANTS)?;
        let candidates: Vec<SigningCandidate> = tenants
            .iter()
            .flat_map(|tenant| tenant.signing_keys.iter().map(|key| SigningCandidate { tenant: tenant.id, key: &key.key, salt: &key.salt }))
            .collect();
        let url = ParsedUrl::verify(path, &candidates)?;
        if url.expires.is_some_and(|expires| self.runtime.clock.unix_ms() / 1_000 >= expires) {
            return Err(ServiceError::BadSignature("the URL has expired"));
        }
        let Renditions { max_side, quality, .. } = self.renditions;
        let recipe = url.recipe(max_side, quality, accept_default)?;
        if !at.tenant_owns(url.tenant, &url.hash)? {
            return Err(ServiceError::NotFound("image"));
        }
        Ok(RenditionRequest { tenant: url.tenant, hash: url.hash, recipe })
    }

    /// Renders, or takes from the cache. Any number of requests for the same rendition wait for one render.
    ///
    /// # Errors
    /// `Busy` where too many renditions wait or the deadline passes; `Damaged` where the original's bytes are; `BrokenImage` where it
    /// cannot be decoded.
    pub async fn rendition(self: &Arc<Self>, request: &RenditionRequest) -> Result<Rendition, ServiceError> {
        let key = request.key();
        if let Some(hit) = self.renditions.cache.get(&key).await {
            return Ok(hit);
        }
        let services = self.clone();
        let wanted = key.clone();
        let deadline = self.renditions.deadline;
        // The render goes on where the first asker has gone: others may wait for it, and it is cached.
        let rendered = self.renditions.cache.get_or_render(key, async move { services.render(&wanted).await });
        crate::runtime::timeout(deadline, rendered).await.unwrap_or(Err(ServiceError::Busy("the rendition took too long")))
    }

    async fn render(&self, key: &CacheKey) -> Result<Rendition, ServiceError> {
        let Ok(_place) = self.renditions.queue.clone().try_acquire_owned() else {
            return Err(ServiceError::Busy("too many renditions are waiting"));
        };
        let blob = self.open_blob(key.hash).await?;
        let size = blob.size_bytes();
        let _memory = self.decode_permit(size).await?;
        let length = usize::try_from(size).map_err(|_| ServiceError::TooLarge("the original is too large to decode".into()))?;
        let bytes = blob.read_at(0, length).await?;
        let (recipe, limits) = (key.recipe.clone(), self.limits.imaging.clone());
        let rendered = self.pools.imaging.run(move || imaging::render(&bytes, &recipe, &limits)).await??;
        Ok(Rendition { bytes: rendered.bytes.into(), format: rendered.format, etag: cache::etag(key) })
    }

    /// A signed URL of a rendition: what follows `/i`. Signs only for blobs that the caller owns.
    ///
    /// # Errors
    /// `NotFound` for a blob that is not the caller's; `Invalid` for the sizes.
    pub fn sign_rendition(&self, caller: &Caller, hash: BlobHash, options: &UrlOptions) -> Result<String, ServiceError> {
        caller.require(Scope::Read)?;
        if !self.metadata.read().owns(caller.owner, &hash)? {
            return Err(ServiceError::NotFound("image"));
        }
        self.signer(caller.owner.tenant)?.sign(hash, options)
    }

    /// What signs the rendition URLs that come with every photo of a caller's.
    ///
    /// # Errors
    /// Where the tenant has no signing key.
    pub fn photo_urls(&self, caller: &Caller) -> Result<PhotoUrlSigner, ServiceError> {
        Ok(PhotoUrlSigner(self.signer(caller.owner.tenant)?))
    }

    fn signer(&self, tenant: TenantId) -> Result<UrlSigner, ServiceError> {
        let view = self.metadata.read().tenant(tenant)?.ok_or(ServiceError::NotFound("tenant"))?;
        let key = view.signing_keys.into_iter().next().ok_or(ServiceError::NotFound("signing key"))?;
        Ok(UrlSigner::new(key.key, key.salt))
    }
}

/// Signs the rendition URLs of a photo.
#[derive(Debug)]
pub struct PhotoUrlSigner(UrlSigner);

impl PhotoUrlSigner {
    /// A thumbnail: fits 320 × 320.
    pub fn thumbnail(&self, hash: BlobHash) -> String {
        self.0.fit(hash, 320)
    }

    /// A preview: fits 1280 × 1280.
    pub fn preview(&self, hash: BlobHash) -> String {
        self.0.fit(hash, 1280)
    }
}
