//! Renditions that are made already: in memory, on disk, and out of both.

use crate::model::{BlobHash, HashPrefix};

use super::cache::CacheKey;
use super::disk::{Seen, Unread};
use super::{Rendition, RenditionDisk, RenditionRequest, RenditionService, Renditions, ServiceError};

/// Of which blobs there are renditions in the caches.
#[derive(Debug, Clone)]
pub struct CachedBlobs {
    /// Some of them may stand here more than once.
    pub blobs: Vec<HashPrefix>,
    /// What of the disk could not be read, and is to be asked of again; `None`: all was.
    pub unread: Option<Unread>,
}

impl Renditions {
    /// The rendition where it lies in memory.
    pub(super) async fn in_memory(&self, key: &CacheKey) -> Option<Rendition> {
        let rendition = self.cache.get(key).await?;
        if let Some(disk) = &self.disk {
            disk.touch(key.entry()).await;
        }
        Some(rendition)
    }

    /// The rendition where it lies on disk. Not while clients hold all that may be held: then what follows says so.
    pub(super) async fn on_disk(&self, key: &CacheKey) -> Option<Rendition> {
        let disk = self.disk.as_ref()?;
        if !self.cache.has_room(&key.recipe).await {
            return None;
        }
        let (image, format) = disk.get(key.entry()).await?;
        Some(Rendition { bytes: self.cache.count(image), format })
    }

    /// Whether it is made already and can be had from memory or disk, as far as is known without reading.
    pub(super) fn is_made(&self, key: &CacheKey) -> bool {
        self.cache.contains(key) || self.disk.as_ref().is_some_and(|disk| disk.knows(&key.entry()))
    }

    /// To be asked before a render begins.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.disk.as_ref().map(RenditionDisk::seen)
    }

    /// Keeps on disk what was rendered; nobody waits for it.
    pub(super) fn keep(&self, key: &CacheKey, rendition: &Rendition, seen: Option<Seen>) {
        if let (Some(disk), Some(seen)) = (&self.disk, seen) {
            disk.keep(key.entry(), rendition.clone(), seen);
        }
    }

    /// Removes all renditions of a blob, from memory and disk; one that renders meanwhile is not kept. For what is erased, once nobody owns
    /// the blob any more: a render that begins later is kept again.
    ///
    /// # Errors
    /// `Unavailable` where the disk would not remove them: ask again.
    async fn forget(&self, prefix: HashPrefix) -> Result<(), ServiceError> {
        // The disk first: what is read from it meanwhile is forgotten in memory.
        let from_disk = match &self.disk {
            Some(disk) => disk.forget(prefix).await,
            None => Ok(()),
        };
        self.cache.forget(&prefix).await;
        from_disk
    }
}

impl RenditionService {
    /// The rendition where it lies in a cache: nothing is rendered for it.
    pub async fn cached(&self, request: &RenditionRequest) -> Option<Rendition> {
        match self.renditions.in_memory(&request.key).await {
            Some(rendition) => Some(rendition),
            None => self.renditions.on_disk(&request.key).await,
        }
    }

    /// Removes all renditions of a blob from memory and disk; for what is erased, once nobody owns the blob any more.
    ///
    /// # Errors
    /// `Unavailable` where the disk would not remove them: ask again.
    pub async fn forget(&self, hash: BlobHash) -> Result<(), ServiceError> {
        self.forget_prefix(hash.prefix()).await
    }

    /// The same of the blob whose hash begins so.
    ///
    /// # Errors
    /// As there.
    pub async fn forget_prefix(&self, prefix: HashPrefix) -> Result<(), ServiceError> {
        let forgotten = self.renditions.forget(prefix).await;
        // Last: either this sees a preview that comes meanwhile, or who brings it sees that its blob was forgotten.
        self.renditions.forget_previews(&prefix).await;
        forgotten
    }

    /// Has nothing be kept that was begun before, whosever it is: for who does not know whose photos are still there. What is kept already stays.
    ///
    /// # Errors
    /// Where the disk's threads do no more; then it may be kept there.
    pub async fn forget_begun(&self) -> Result<(), ServiceError> {
        self.renditions.cache.forget_begun();
        match &self.renditions.disk {
            Some(disk) => disk.forget_begun().await,
            None => Ok(()),
        }
    }

    /// Of which blobs there are renditions in memory and on disk; or, of the disk alone, in what could not be read `before`.
    pub async fn cached_blobs(&self, before: Option<Unread>) -> CachedBlobs {
        let in_memory = if before.is_none() { self.renditions.cache.blobs() } else { vec![] };
        let Some(disk) = &self.renditions.disk else { return CachedBlobs { blobs: in_memory, unread: None } };
        let (mut blobs, unread) = disk.blobs(before).await;
        blobs.extend(in_memory);
        CachedBlobs { blobs, unread }
    }
}
