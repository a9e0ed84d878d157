//! Checks that are remembered, shared and forgotten.

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
