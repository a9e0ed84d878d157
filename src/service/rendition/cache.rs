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

    /// The kept rendition, or the one that `render` makes; others that ask meanwhile wait for it and share its error. A render that has
    /// begun ends and is kept also where every asker has gone.
    pub(super) async fn get_or_render(
        &self,
        key: CacheKey,
        render: impl Future<Output = Result<Rendition, ServiceError>> + Send + 'static,
    ) -> Result<Rendition, ServiceError> {
        let cache = self.0.clone();
        // All of it in a task of its own: a wait that is given up inside the cache would give up the render for everybody.
        let asking = crate::runtime::spawn_joined(async move { cache.try_get_with(key, render).await });
        asking.await?.map_err(|error: Arc<ServiceError>| ServiceError::clone(&error))
    }

    /// Entries and bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        (self.0.entry_count(), self.0.weighted_size())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::service::rendition_url::{RecipeRequest, RenditionFormat};

    #[tokio::test]
    async fn a_render_whose_askers_have_gone_ends_and_is_kept() {
        let cache = Cache::new(1_000_000);
        let recipe = RecipeRequest { width: 10, height: 10, enlarge: false, quality: None, format: Some(RenditionFormat::Png) };
        let key = CacheKey { hash: BlobHash::of(b"x"), recipe: recipe.settle(RenditionFormat::Png, 80, 100).unwrap() };
        let (gate, renders) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let render = || {
            let (gate, renders) = (gate.clone(), renders.clone());
            async move {
                renders.fetch_add(1, Ordering::Relaxed);
                gate.acquire().await.unwrap().forget();
                Ok(Rendition { bytes: Bytes::from_static(b"picture"), format: RenditionFormat::Png })
            }
        };
        // Asked for, and given up before it is there: twice.
        for _ in 0..2 {
            assert!(cache.get_or_render(key, render()).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        let last = cache.get_or_render(key, render());
        gate.add_permits(10);
        assert_eq!(last.await.unwrap().bytes, "picture");
        assert_eq!(renders.load(Ordering::Relaxed), 1);
        assert!(cache.get(&key).await.is_some());
    }
}
