//! Parts of large copies that come over a network, checked without reading the rest: by the blob's tree, which is kept beside it.

use std::ops::Range;
use std::sync::Arc;

use moka::future::Cache;
use tokio::sync::Semaphore;

use super::group::{GroupRead, Groups, ROOM};
use super::{PassRead, VerifyStore};
use crate::blobs::tree::{self, Tree, TreeHasher};
use crate::blobs::{BlobError, BlobRead, BlobStore, Damage, DerivedKind, DerivedStore};
use crate::model::{BlobHash, BlobKey};

/// Memory for trees that were asked for lately: a viewer asks for many parts of one photo.
const REMEMBERED_BYTES: u64 = 8 << 20;
/// What is read and hashed at once: some 30 µs on an async thread.
const PIECE_BYTES: usize = 128 << 10;

/// Where trees are kept, and those that were asked for lately.
#[derive(Debug, Clone)]
pub(super) struct Trees {
    kept: Arc<dyn DerivedStore>,
    /// Each was found to be its blob's.
    lately: Cache<BlobKey, Arc<Tree>>,
    /// A permit a group that lies in memory.
    room: Arc<Semaphore>,
}

impl Trees {
    /// The tree of a blob; `None` where there is none that is good. A store that cannot be read is as good as one that is empty.
    async fn find(&self, key: &BlobKey, size_bytes: u64) -> Option<Arc<Tree>> {
        if let Some(tree) = self.lately.get(key).await {
            return (tree.size_bytes() == size_bytes).then_some(tree);
        }
        let record = match self.kept.get_derived(DerivedKind::Tree, &key.hash).await {
            Ok(record) => record?,
            Err(error) => {
                tracing::warn!(%key, %error, "a blob's tree cannot be read: the whole blob is, to check a part of it");
                return None;
            }
        };
        let Some(tree) = Tree::from_record(&key.hash, size_bytes, &record).map(Arc::new) else {
            tracing::info!(%key, "a kept tree is damaged, another version's, or of a blob of another length: it is made anew");
            return None;
        };
        self.lately.insert(*key, tree.clone()).await;
        Some(tree)
    }

    /// Once the copy is deleted.
    pub(super) async fn forget_copy(&self, key: &BlobKey) {
        self.lately.invalidate(key).await;
    }
}

impl<S: BlobStore> VerifyStore<S> {
    /// Has the trees of large blobs kept there, so that a part of one is checked without reading the rest.
    pub fn keeping_trees_in(self, kept: Arc<dyn DerivedStore>) -> Self {
        let weigh = |_: &BlobKey, tree: &Arc<Tree>| u32::try_from(tree.weight()).unwrap_or(u32::MAX);
        let lately = Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh).build();
        Self { trees: Some(Trees { kept, lately, room: Arc::new(Semaphore::new(ROOM)) }), ..self }
    }

    /// Removes the tree of a blob that has no copy any more. Afterwards: a tree that is kept from here on finds its copy gone.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub async fn forget_tree(&self, hash: &BlobHash) -> Result<(), BlobError> {
        match &self.trees {
            Some(trees) => trees.kept.delete_derived(DerivedKind::Tree, hash).await,
            None => Ok(()),
        }
    }

    /// Opens the copy itself for who reads this part of it, and what its groups are checked by.
    pub(super) async fn open_part_here(&self, key: &BlobKey, part: &Range<u64>) -> Result<(Arc<dyn BlobRead>, Option<Groups>), BlobError> {
        let read = self.inner.open_part(key, tree::cover(part)).await?;
        let size_bytes = read.size_bytes();
        // A copy on a disk is read whole once and remembered; one that is decoded cannot be entered anywhere.
        let is_entered = read.is_sequential() && read.is_seekable() && tree::is_kept_of(size_bytes);
        let Some(trees) = self.trees.as_ref().filter(|_| is_entered) else { return Ok((self.checked(key, read).await?, None)) };
        let tree = match trees.find(key, size_bytes).await {
            Some(tree) => tree,
            // Read to its end anyway: checked in that pass, which gives its first bytes sooner.
            None if part.end >= size_bytes => return Ok((Arc::new(PassRead::new(*key, read)), None)),
            // One of those who ask at once reads it all.
            None => trees.lately.try_get_with(*key, self.make_tree(key, &*read, trees)).await.map_err(|error| (*error).clone())?,
        };
        if tree.size_bytes() != size_bytes {
            let damage = Damage::Short { size_bytes: tree.size_bytes(), found_bytes: size_bytes };
            return Err(BlobError::Damaged { key: *key, damage });
        }
        let groups = Groups { tree, room: trees.room.clone() };
        Ok((Arc::new(GroupRead::new(*key, read, groups.clone())), Some(groups)))
    }

    /// Reads the whole copy, finds it good, and keeps its tree.
    async fn make_tree(&self, key: &BlobKey, read: &dyn BlobRead, trees: &Trees) -> Result<Arc<Tree>, BlobError> {
        let (mut hasher, size_bytes) = (TreeHasher::default(), read.size_bytes());
        while hasher.size_bytes() < size_bytes {
            let length = PIECE_BYTES.min(usize::try_from(size_bytes - hasher.size_bytes()).unwrap_or(usize::MAX));
            hasher.update(&read.read_at(hasher.size_bytes(), length).await?);
        }
        let found = hasher.finish();
        if found != key.hash {
            return Err(BlobError::Damaged { key: *key, damage: Damage::Content { found } });
        }
        let tree = hasher.tree().ok_or(BlobError::Internal { reason: "a tree of a blob of one group" })?;
        if let Err(error) = self.keep_tree(key, &tree, trees).await {
            // For who asks next: it is made again then.
            tracing::debug!(%key, %error, "a blob's tree could not be kept");
        }
        Ok(Arc::new(tree))
    }

    async fn keep_tree(&self, key: &BlobKey, tree: &Tree, trees: &Trees) -> Result<(), BlobError> {
        trees.kept.put_derived(DerivedKind::Tree, &key.hash, tree.to_record()).await?;
        // Whoever deletes the copy removes the tree afterwards: either they find this one, or the copy is gone by now.
        match self.inner.stored_bytes(key).await {
            Err(BlobError::NotFound) => trees.kept.delete_derived(DerivedKind::Tree, &key.hash).await,
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
