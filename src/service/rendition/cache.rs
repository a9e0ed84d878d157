//! A cache of renditions in memory, bounded in bytes, scan-resistant (moka's TinyLFU), with one render at a time for a key.

use std::sync::Arc;

use crate::model::BlobHash;
use crate::service::rendition_url::RecipeKey;

use super::{Rendition, ServiceError};

/// Bytes that an entry costs beside its image.
const OVERHEAD: usize = 512;

/// Counts the versions of the pipeline: a rendition of another version has another tag.
const ENCODER_VERSION: u32 = 1;

/// What a rendition is a function of, beside the encoder's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CacheKey {
    pub(super) hash: BlobHash,
    pub(super) recipe: RecipeKey,
}

impl CacheKey {
    /// BLAKE3 over everything that the bytes are a function of, as 32 hex digits.
    pub(super) fn tag(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("halidom 2026-11 rendition entity tag");
        hasher.update(self.hash.as_bytes());
        hasher.update(&ENCODER_VERSION.to_be_bytes());
        hasher.update(self.recipe.to_string().as_bytes());
        hasher.finalize().to_hex()[..32].to_owned()
    }
}

/// The cache. Failed renders are not kept.
#[derive(Debug)]
pub(super) struct Cache(moka::future::Cache<CacheKey, Rendition>);

impl Cache {
    /// Holds at most `max_bytes` of images.
    pub(super) fn new(max_bytes: u64) -> Self {
        let weigh = |_: &CacheKey, rendition: &Rendition| (rendition.bytes.len() + OVERHEAD).try_into().unwrap_or(u32::MAX);
        Self(moka::future::Cache::builder().max_capacity(max_bytes).weigher(weigh).build())
    }

    pub(super) async fn get(&self, key: &CacheKey) -> Option<Rendition> {
        self.0.get(key).await
    }

    /// The kept rendition, or the one that `render` makes; others that ask meanwhile wait for it and share its error.
    pub(super) async fn get_or_render(
        &self,
        key: CacheKey,
        render: impl Future<Output = Result<Rendition, ServiceError>> + Send + 'static,
    ) -> Result<Rendition, ServiceError> {
        let render = async move {
            // In a task of its own, so that it ends and is kept also where every asker has gone.
            crate::runtime::spawn_joined(render).await.unwrap_or_else(|gone| Err(gone.into()))
        };
        self.0.try_get_with(key, render).await.map_err(|error: Arc<ServiceError>| ServiceError::clone(&error))
    }

    /// Entries and bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        (self.0.entry_count(), self.0.weighted_size())
    }
}
