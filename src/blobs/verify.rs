//! A decorator that never lets wrong bytes out.

mod elsewhere;
mod group;
mod parts;
mod pass;

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use moka::future::Cache;
use moka::policy::EvictionPolicy;

use super::store::{BlobRead, BlobStore, Deletion, FileVersion, Inventory, Marker, Staged, Usage};
use super::{Backlog, BlobError, BlobSource, Damage, DamageObserver, SourceFile, TakeError, TakeFile, Taken};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::Clock;
use elsewhere::Asked;
use parts::Trees;
use pass::PassRead;

/// How long, and for how many copies, a check is remembered.
#[derive(Debug, Clone)]
pub struct VerifySettings {
    /// How long a copy that was read whole and found good is taken to be good. Zero: checked at every opening.
    pub remember: Duration,
    /// Of how many copies that is remembered; the least recently used are forgotten first.
    pub capacity: u64,
}

impl Default for VerifySettings {
    fn default() -> Self {
        Self { remember: Duration::from_secs(600), capacity: 100_000 }
    }
}

/// A store that reads and hashes a copy before it hands it out.
///
/// [`BlobStore::open`] answers with a copy whose bytes hashed to its key when they were last read whole, at most `remember` ago; the same
/// key opened by many at once is read once. A copy whose reads are passes ([`BlobRead::is_sequential`]: it comes over a network, or is decoded)
/// is not read twice: it is hashed while it is given out, and its last bytes are withheld until the hash of all is the key's. Of a part of such a copy
/// ([`BlobStore::open_part`]) only the groups that cover it are read, each checked by the blob's tree, where those are kept ([`VerifyStore::keeping_trees_in`]).
///
/// Where the copy is bad, gone or cannot be had, the blob is read from the next place that has it ([`BlobStore::elsewhere`]) and checked as well; of a bad copy
/// a [`DamageObserver`] is told. Everything else goes through unchanged.
#[derive(Debug)]
pub struct VerifyStore<S> {
    inner: S,
    clock: Clock,
    remember: Duration,
    verified: Cache<BlobKey, Verified>,
    observer: Option<Arc<dyn DamageObserver>>,
    trees: Option<Trees>,
}

/// A check that found a copy good.
#[derive(Debug, Clone, Copy)]
struct Verified {
    /// By the clock's monotonic time, before the first byte was read.
    at: Duration,
    size_bytes: u64,
    version: Option<FileVersion>,
}

/// A check that did not.
#[derive(Debug, Clone)]
struct Failed {
    error: BlobError,
    of: Verified,
}

impl Verified {
    /// Whether this copy, as it was opened, is the one that was read.
    fn is_of(&self, read: &dyn BlobRead) -> bool {
        self.size_bytes == read.size_bytes() && self.version == read.version()
    }
}

impl<S: BlobStore> VerifyStore<S> {
    /// Decorates `inner`.
    pub fn new(inner: S, clock: Clock, settings: VerifySettings) -> Self {
        let verified = Cache::builder().max_capacity(settings.capacity).eviction_policy(EvictionPolicy::lru()).build();
        Self { inner, clock, remember: settings.remember, verified, observer: None, trees: None }
    }

    /// The store below, which checks nothing.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Whether this copy was found good so lately that it is not read again before it is served.
    pub async fn is_verified(&self, key: &BlobKey) -> bool {
        self.verified.get(key).await.is_some_and(|verified| self.is_fresh(&verified))
    }

    /// Reads and hashes the copy now, whatever is remembered; what it finds is remembered.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] where it is not what its key says; [`BlobError::NotFound`] where there is none.
    pub async fn verify(&self, key: &BlobKey) -> Result<(), BlobError> {
        self.verified.invalidate(key).await;
        let checked = async { self.verify_opened(key, &*self.inner.open(key).await?).await };
        checked.await.inspect_err(|error| self.note(key, error))
    }

    /// That the copy was good when it was last read whole, at most `remember` ago; it is read now where that is not known.
    ///
    /// # Errors
    /// As of [`VerifyStore::verify`].
    pub async fn verify_lately(&self, key: &BlobKey) -> Result<(), BlobError> {
        let checked = async {
            let read = self.open_here(key).await?;
            // Of any other the opening has seen to it.
            if read.is_sequential() && !self.is_verified(key).await {
                self.verify_opened(key, &*read).await?;
            }
            Ok(())
        };
        checked.await.inspect_err(|error| self.note(key, error))
    }

    async fn verify_opened(&self, key: &BlobKey, read: &dyn BlobRead) -> Result<(), BlobError> {
        let verified = self.check(key, read).await.map_err(|failed| failed.error)?;
        self.verified.insert(*key, verified).await;
        Ok(())
    }

    /// Opens the copy itself, checked.
    async fn open_here(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        self.checked(key, self.inner.open(key).await?).await
    }

    /// The copy that was opened, checked, or to be while it is read.
    async fn checked(&self, key: &BlobKey, read: Arc<dyn BlobRead>) -> Result<Arc<dyn BlobRead>, BlobError> {
        if read.is_sequential() {
            return Ok(Arc::new(PassRead::new(*key, read)));
        }
        let remembered = self.verified.get(key).await;
        if !remembered.is_some_and(|verified| self.is_fresh(&verified) && verified.is_of(&*read)) {
            if remembered.is_some() {
                self.verified.invalidate(key).await;
            }
            // One of those who ask at once reads; what it finds is told to all of them, an error too, and only a success is remembered.
            let checked = self.verified.try_get_with(*key, self.check(key, &*read)).await;
            let (of, checked) = match checked {
                Ok(verified) => (verified, Ok(())),
                Err(failed) => (failed.of, Err(failed.error.clone())),
            };
            // Where that one had another file open under this name, it says nothing of the one that is handed out here.
            if of.is_of(&*read) { checked? } else { self.verify_opened(key, &*read).await? }
        }
        Ok(Arc::new(VerifiedRead { read, key: *key, verified: self.verified.clone() }))
    }

    fn is_fresh(&self, verified: &Verified) -> bool {
        self.clock.monotonic().saturating_sub(verified.at) < self.remember
    }

    async fn check(&self, key: &BlobKey, read: &dyn BlobRead) -> Result<Verified, Failed> {
        let of = Verified { at: self.clock.monotonic(), size_bytes: read.size_bytes(), version: read.version() };
        match read.content_hash().await {
            Ok(found) if found == key.hash => Ok(of),
            Ok(found) => Err(Failed { error: BlobError::Damaged { key: *key, damage: Damage::Content { found } }, of }),
            Err(error) => Err(Failed { error, of }),
        }
    }
}

#[async_trait]
impl<S: BlobStore> BlobStore for VerifyStore<S> {
    async fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
        self.inner.stage(expected_bytes).await
    }

    async fn stage_file(&self, source: &SourceFile, how: TakeFile) -> Result<(Box<dyn Staged>, Taken), TakeError> {
        self.inner.stage_file(source, how).await
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        match self.open_here(key).await {
            Ok(read) => Ok(self.or_elsewhere(key, read, Asked::Whole)),
            Err(why) => self.open_elsewhere(key, why).await,
        }
    }

    async fn open_part(&self, key: &BlobKey, part: Range<u64>) -> Result<Arc<dyn BlobRead>, BlobError> {
        match self.open_part_here(key, &part).await {
            Ok((read, groups)) => Ok(self.or_elsewhere(key, read, Asked::Part(groups))),
            Err(why) => self.open_elsewhere(key, why).await,
        }
    }

    fn elsewhere(&self) -> Vec<Arc<dyn BlobSource>> {
        self.inner.elsewhere()
    }

    async fn stored_bytes(&self, key: &BlobKey) -> Result<u64, BlobError> {
        self.inner.stored_bytes(key).await
    }

    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        self.inner.copies(hash).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        self.verified.invalidate(key).await;
        if let Some(trees) = &self.trees {
            trees.forget_copy(key).await;
        }
        self.inner.delete(key).await
    }

    fn inventory(&self) -> Box<dyn Inventory> {
        self.inner.inventory()
    }

    async fn marker(&self) -> Result<Option<Marker>, BlobError> {
        self.inner.marker().await
    }

    async fn claim(&self, expected: Option<Marker>, new: Marker) -> Result<(), BlobError> {
        self.inner.claim(expected, new).await
    }

    async fn probe(&self) -> Result<(), BlobError> {
        self.inner.probe().await
    }

    async fn usage(&self) -> Result<Option<Usage>, BlobError> {
        self.inner.usage().await
    }

    fn backlog(&self) -> Option<Backlog> {
        self.inner.backlog()
    }
}

/// An open copy whose good check is forgotten as soon as reading it shows damage.
#[derive(Debug)]
struct VerifiedRead {
    read: Arc<dyn BlobRead>,
    key: BlobKey,
    verified: Cache<BlobKey, Verified>,
}

impl VerifiedRead {
    async fn note<T>(&self, done: Result<T, BlobError>) -> Result<T, BlobError> {
        if let Err(BlobError::Damaged { .. }) = done {
            self.verified.invalidate(&self.key).await;
        }
        done
    }
}

#[async_trait]
impl BlobRead for VerifiedRead {
    fn size_bytes(&self) -> u64 {
        self.read.size_bytes()
    }

    fn version(&self) -> Option<FileVersion> {
        self.read.version()
    }

    fn is_unchanged(&self) -> bool {
        self.read.is_unchanged()
    }

    fn is_sequential(&self) -> bool {
        self.read.is_sequential()
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        self.note(self.read.read_at(offset, length).await).await
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.read.as_fd()
    }

    async fn warm(&self, offset: u64, length: usize) -> Result<(), BlobError> {
        self.note(self.read.warm(offset, length).await).await
    }

    async fn content_hash(&self) -> Result<BlobHash, BlobError> {
        self.note(self.read.content_hash().await).await
    }
}

#[cfg(test)]
mod tests;
