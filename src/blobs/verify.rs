//! A decorator that never lets wrong bytes out.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use moka::future::Cache;
use moka::policy::EvictionPolicy;

use super::store::{BlobRead, BlobStore, Deletion, FileVersion, Inventory, Marker, Staged, Usage};
use super::{BlobError, Damage};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::Clock;

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
/// key opened by many at once is read once. Everything else goes through unchanged.
#[derive(Debug)]
pub struct VerifyStore<S> {
    inner: S,
    clock: Clock,
    remember: Duration,
    verified: Cache<BlobKey, Verified>,
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
        Self { inner, clock, remember: settings.remember, verified }
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
        let read = self.inner.open(key).await?;
        self.verify_opened(key, &*read).await
    }

    async fn verify_opened(&self, key: &BlobKey, read: &dyn BlobRead) -> Result<(), BlobError> {
        let verified = self.check(key, read).await.map_err(|failed| failed.error)?;
        self.verified.insert(*key, verified).await;
        Ok(())
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

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        let read = self.inner.open(key).await?;
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

    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        self.inner.copies(hash).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        self.verified.invalidate(key).await;
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
mod tests {
    use super::*;
    use crate::blobs::contract::{bytes, get, put};
    use crate::blobs::{MemoryStore, Operation};

    const REMEMBER: Duration = Duration::from_secs(60);

    fn verify(capacity: u64) -> (MemoryStore, Clock, VerifyStore<MemoryStore>) {
        let (store, clock) = (MemoryStore::new(), Clock::manual(0));
        let verify = VerifyStore::new(store.clone(), clock.clone(), VerifySettings { remember: REMEMBER, capacity });
        (store, clock, verify)
    }

    #[tokio::test]
    async fn damage_of_every_kind_is_found() {
        let (store, _, verify) = verify(10);
        let (good, other) = (bytes(1, 10_000), bytes(2, 10_000));
        let key = put(&verify, &good, 1).await.unwrap();
        let assert_damaged = async || {
            for _ in 0..2 {
                let opened = verify.open(&key).await;
                assert!(matches!(opened, Err(BlobError::Damaged { damage: Damage::Content { .. }, .. })), "{opened:?}");
                assert!(!verify.is_verified(&key).await, "a failure is not remembered as a success");
            }
        };
        assert!(store.corrupt(&key));
        assert_damaged().await;
        store.put_raw(key, other);
        assert_damaged().await;
        store.put_raw(key, good.clone());
        assert!(store.truncate(&key));
        assert_damaged().await;
        store.put_raw(key, Bytes::new());
        assert_damaged().await;
        store.put_raw(key, good.clone());
        assert_eq!(get(&verify, &key).await.unwrap(), good, "healed");
        store.lose(&key);
        assert!(matches!(verify.open(&key).await, Err(BlobError::NotFound)));
    }

    #[tokio::test]
    async fn a_check_is_remembered_for_a_while() {
        let (store, clock, verify) = verify(10);
        let key = put(&verify, &bytes(1, 10_000), 1).await.unwrap();
        assert!(!verify.is_verified(&key).await, "that it was written says nothing of what is read");
        verify.open(&key).await.unwrap();
        clock.advance(REMEMBER - Duration::from_millis(1));
        assert!(verify.is_verified(&key).await);
        store.faults().fail_always(Operation::Read, BlobError::NoSpace);
        verify.open(&key).await.expect("not read again");
        clock.advance(Duration::from_millis(1));
        assert!(!verify.is_verified(&key).await);
        assert!(matches!(verify.open(&key).await, Err(BlobError::NoSpace)));
        store.faults().clear();
        verify.open(&key).await.unwrap();
        assert!(verify.is_verified(&key).await);
        verify.delete(&key).await.unwrap();
        assert!(!verify.is_verified(&key).await);
    }

    #[tokio::test]
    async fn a_changed_length_or_a_failed_read_ends_the_trust() {
        let (store, _, verify) = verify(10);
        let good = bytes(1, 10_000);
        let key = put(&verify, &good, 1).await.unwrap();
        let read = verify.open(&key).await.unwrap();
        store.truncate(&key);
        assert!(matches!(verify.open(&key).await, Err(BlobError::Damaged { .. })), "also while the check is remembered");
        store.put_raw(key, good);
        verify.open(&key).await.unwrap();
        let damage = BlobError::Damaged { key, damage: Damage::NotAFile };
        store.faults().fail(Operation::Read, 0, damage);
        read.read_at(0, 1).await.unwrap_err();
        assert!(!verify.is_verified(&key).await);
        store.corrupt(&key);
        assert!(matches!(verify.verify(&key).await, Err(BlobError::Damaged { .. })));
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let (_, _, verify) = verify(10);
        for seed in 0..100 {
            let key = put(&verify, &bytes(seed, 10), 1).await.unwrap();
            verify.open(&key).await.unwrap();
        }
        verify.verified.run_pending_tasks().await;
        assert!(verify.verified.entry_count() <= 10, "{}", verify.verified.entry_count());
    }

    /// A store in which every opening finds another file under the one name, whose reading waits to be let go.
    #[derive(Debug)]
    struct Renamed(std::sync::Mutex<Vec<Arc<OneFile>>>);

    #[derive(Debug)]
    struct OneFile {
        bytes: Bytes,
        inode: u64,
        may_read: tokio::sync::Semaphore,
    }

    #[async_trait]
    impl BlobRead for OneFile {
        fn size_bytes(&self) -> u64 {
            self.bytes.len() as u64
        }

        fn version(&self) -> Option<FileVersion> {
            Some(FileVersion { device: 1, inode: self.inode, changed: (0, 0) })
        }

        async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
            let _turn = self.may_read.acquire().await;
            Ok(self.bytes.slice(offset as usize..offset as usize + length))
        }
    }

    #[async_trait]
    impl BlobStore for Renamed {
        async fn stage(&self, _: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
            unreachable!()
        }

        async fn open(&self, _: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
            Ok(self.0.lock().unwrap().pop().unwrap())
        }

        async fn copies(&self, _: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
            unreachable!()
        }

        async fn delete(&self, _: &BlobKey) -> Result<Deletion, BlobError> {
            unreachable!()
        }

        fn inventory(&self) -> Box<dyn Inventory> {
            unreachable!()
        }

        async fn marker(&self) -> Result<Option<Marker>, BlobError> {
            unreachable!()
        }

        async fn claim(&self, _: Option<Marker>, _: Marker) -> Result<(), BlobError> {
            unreachable!()
        }

        async fn probe(&self) -> Result<(), BlobError> {
            unreachable!()
        }

        async fn usage(&self) -> Result<Option<Usage>, BlobError> {
            unreachable!()
        }
    }

    #[tokio::test]
    async fn a_check_is_told_only_to_those_who_have_the_same_file_open() {
        let good = bytes(1, 10_000);
        let bad = Bytes::from([&[good[0] ^ 1], &good[1..]].concat());
        let key = crate::blobs::contract::key(&good, 1);
        for first_is_good in [false, true] {
            let file = |inode, is_good: bool| {
                let bytes = if is_good { good.clone() } else { bad.clone() };
                Arc::new(OneFile { bytes, inode, may_read: tokio::sync::Semaphore::new(0) })
            };
            // A good file took the name of a bad one between the two openings, or the other way round; later ones find the second's.
            let (one, two, later) = (file(1, first_is_good), file(2, !first_is_good), file(2, !first_is_good));
            let store = Renamed(std::sync::Mutex::new(vec![later.clone(), two.clone(), one.clone()]));
            let verify = VerifyStore::new(store, Clock::manual(0), VerifySettings::default());
            let (mut first, mut second) = (verify.open(&key), verify.open(&key));
            assert!(futures_util::poll!(&mut first).is_pending(), "reads");
            assert!(futures_util::poll!(&mut second).is_pending(), "waits for what the first one finds");
            [one, two, later].iter().for_each(|file| file.may_read.add_permits(1));
            let (first, second) = futures_util::join!(first, second);
            let (of_good, of_bad) = if first_is_good { (first, second) } else { (second, first) };
            assert_eq!(of_good.unwrap().read_at(0, good.len()).await.unwrap(), good);
            assert!(matches!(of_bad, Err(BlobError::Damaged { damage: Damage::Content { .. }, .. })), "{of_bad:?}");
        }
    }
}
