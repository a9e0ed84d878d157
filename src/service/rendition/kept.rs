//! The renditions in memory, and which of them are of one blob, so that forgetting a blob looks at its own alone.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::HashPrefix;

use super::Rendition;
use super::cache::CacheKey;

/// Bytes that an entry costs beside its image.
const OVERHEAD: usize = 512;

/// The renditions that are kept. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    entries: moka::future::Cache<CacheKey, Rendition>,
    by_blob: ByBlob,
}

/// What is kept of each blob, and maybe a key that goes at this moment.
#[derive(Debug, Clone, Default)]
struct ByBlob(Arc<Mutex<HashMap<HashPrefix, HashSet<CacheKey>>>>);

impl ByBlob {
    fn keys(&self) -> MutexGuard<'_, HashMap<HashPrefix, HashSet<CacheKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strike(&self, key: &CacheKey) {
        let (mut keys, blob) = (self.keys(), key.hash.prefix());
        if let Some(of_blob) = keys.get_mut(&blob) {
            of_blob.remove(key);
            if of_blob.is_empty() {
                keys.remove(&blob);
            }
        }
    }
}

impl Kept {
    /// Holds at most so many bytes of images.
    pub(super) fn new(max_bytes: u64) -> Self {
        let by_blob = ByBlob::default();
        let going = by_blob.clone();
        let weigh = |_: &CacheKey, rendition: &Rendition| (rendition.bytes.len() + OVERHEAD).try_into().unwrap_or(u32::MAX);
        let builder = moka::future::Cache::builder().max_capacity(max_bytes).weigher(weigh);
        // Called before the same key can come again.
        let listening = builder.eviction_listener(move |key: Arc<CacheKey>, _, cause| {
            if cause != moka::notification::RemovalCause::Replaced {
                going.strike(&key);
            }
        });
        Self { entries: listening.build(), by_blob }
    }

    pub(super) async fn get(&self, key: &CacheKey) -> Option<Rendition> {
        self.entries.get(key).await
    }

    /// Whether it lies here; nobody asks for it by that.
    pub(super) fn contains(&self, key: &CacheKey) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) async fn insert(&self, key: CacheKey, rendition: Rendition) {
        self.entries.insert(key, rendition).await;
        let mut keys = self.by_blob.keys();
        // Where it went at once it has been struck off, or will be.
        if self.entries.contains_key(&key) {
            keys.entry(key.hash.prefix()).or_default().insert(key);
        }
    }

    pub(super) async fn remove(&self, key: &CacheKey) {
        self.entries.invalidate(key).await;
    }

    /// What is kept of a blob.
    pub(super) fn of_blob(&self, blob: &HashPrefix) -> Vec<CacheKey> {
        self.by_blob.keys().get(blob).into_iter().flatten().copied().collect()
    }

    /// Of which blobs anything is kept.
    pub(super) fn blobs(&self) -> Vec<HashPrefix> {
        self.by_blob.keys().keys().copied().collect()
    }

    /// Lets go of what is too much.
    pub(super) async fn tidy(&self) {
        self.entries.run_pending_tasks().await;
    }

    /// Entries and bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        (self.entries.entry_count(), self.entries.weighted_size())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::BlobHash;
    use crate::service::rendition_url::{RecipeRequest, RenditionFormat};

    #[tokio::test]
    async fn what_is_known_of_blobs_is_what_is_kept() {
        let kept = Kept::new(20 * 1_000);
        let key = |nth: u32, width: u32| {
            let recipe = RecipeRequest { width, format: Some(RenditionFormat::Png), ..RecipeRequest::default() };
            let recipe = recipe.settle(RenditionFormat::Png, 80, 1_000).unwrap();
            CacheKey { hash: BlobHash::of(&nth.to_be_bytes()), recipe, previews: false, max_embedded_bytes: 0 }
        };
        let picture = || Rendition { bytes: Bytes::from(vec![0; 1_000 - OVERHEAD]), format: RenditionFormat::Png };
        for nth in 0..200 {
            for width in [1, 2, 1] {
                kept.insert(key(nth, width), picture()).await;
            }
            kept.tidy().await;
            let (entries, _) = kept.size();
            let blobs = kept.blobs();
            let known: Vec<_> = blobs.iter().flat_map(|blob| kept.of_blob(blob)).collect();
            assert_eq!(known.len() as u64, entries, "at {nth}");
            assert!(entries <= 20 && known.iter().all(|key| kept.contains(key)));
        }
        for blob in kept.blobs() {
            for key in kept.of_blob(&blob) {
                kept.remove(&key).await;
            }
        }
        assert!(kept.blobs().is_empty());
    }
}
