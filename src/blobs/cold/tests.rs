//! Copies in containers, over stores in memory and on disk.

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::blobs::contract::{self, Subject, bytes, contract_suite, get, key, put};
use crate::blobs::{Content, DiskSettings, DiskStore, MemoryStore, VerifySettings, VerifyStore};
use crate::model::BlobNonce;
use crate::runtime::{Clock, Runtime};

/// A photo of the fixtures.
fn photo(name: &str) -> Bytes {
    std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos").join(name)).unwrap().into()
}

fn cold<S: BlobStore>(inner: S) -> ColdStore<S> {
    ColdStore::new(inner, BlockingPool::new("decoding", 2), 64 << 20)
}

fn checked<S: BlobStore>(inner: S) -> VerifyStore<ColdStore<S>> {
    VerifyStore::new(cold(inner), Clock::manual(0), VerifySettings::default())
}

async fn put_cold(store: &dyn BlobStore, original: &[u8], nonce: u8) -> BlobKey {
    let encoded = encode(original).unwrap();
    let key = key(original, nonce);
    let mut staged = store.stage(Some(encoded.bytes().len() as u64)).await.unwrap();
    staged.write(encoded.bytes().clone()).await.unwrap();
    staged.publish_as(&key, encoded.content()).await.unwrap();
    key
}

fn subject(store: MemoryStore, tested: Arc<dyn BlobStore>) -> Subject {
    let staged = move || {
        let staged = store.staged();
        async move { staged }.boxed()
    };
    Subject { store: tested, staged: Box::new(staged), _keep: None, is_remote: false }
}

mod under_checking {
    use super::*;

    async fn memory() -> Subject {
        let store = MemoryStore::new();
        let tested: VerifyStore<ColdStore<MemoryStore>> = checked(store.clone());
        subject(store, Arc::new(tested))
    }

    contract_suite!(memory);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_a_store_like_any_other() {
    let memory = async || {
        let store = MemoryStore::new();
        subject(store.clone(), Arc::new(cold(store)))
    };
    contract::every_case!(memory());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recompressed_photo_reads_as_it_was() {
    for name in ["hubble.jpg", "raccoon.jpg", "camera.jpg", "orientation-6.jpg", "Ferien am Meer – été.jpg"] {
        let original = photo(name);
        let inner = MemoryStore::new();
        let store = checked(inner.clone());
        let key = put_cold(&store, &original, 1).await;
        let stored = get(&inner, &key).await.unwrap();
        assert!(stored.starts_with(&MAGIC) && stored.len() < original.len(), "{name}");
        assert_eq!(store.stored_bytes(&key).await.unwrap(), stored.len() as u64);
        let read = store.open(&key).await.unwrap();
        assert!(read.is_sequential() && read.as_fd().is_none() && read.version().is_none());
        assert_eq!((read.size_bytes(), get(&store, &key).await.unwrap()), (original.len() as u64, original.clone()), "{name}");
        assert_eq!(read.content_hash().await.unwrap(), key.hash);
        store.verify(&key).await.unwrap();
        assert!(matches!(read.read_at(1, original.len()).await, Err(BlobError::Internal { .. })));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_disk_no_file_of_a_container_is_given_out() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    let disk = DiskStore::open(&root, Runtime::system(), BlockingPool::new("blobs", 2), DiskSettings::default()).await.unwrap();
    let store = checked(disk.clone());
    let original = photo("hubble.jpg");
    let (raw, recompressed) = (put(&store, &original, 1).await.unwrap(), put_cold(&store, &original, 2).await);
    for _ in 0..2 {
        assert!(store.open(&raw).await.unwrap().as_fd().is_some());
        assert!(store.open(&recompressed).await.unwrap().as_fd().is_none());
    }
    assert!(disk.open(&recompressed).await.unwrap().as_fd().is_some(), "below it is a file like any other");
    for key in [raw, recompressed] {
        assert_eq!(get(&store, &key).await.unwrap(), original);
    }
    assert_eq!(store.copies(&raw.hash).await.unwrap(), [raw, recompressed]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_damage_gives_wrong_bytes() {
    let original = photo("hubble.jpg");
    let inner = MemoryStore::new();
    let store = checked(inner.clone());
    let good = get(&inner, &put_cold(&store, &original, 1).await).await.unwrap();
    let damaged = BlobKey { nonce: BlobNonce::from_random([2; 12]), ..key(&original, 1) };
    let flips = (0..HEAD_BYTES).chain((HEAD_BYTES..good.len()).step_by(997)).chain([good.len() - 1]);
    let flipped = flips.map(|at| {
        let mut bytes = good.to_vec();
        bytes[at] ^= 0x10;
        bytes
    });
    let cut = [0, 7, 8, HEAD_BYTES, good.len() - 1].map(|length| good[..length].to_vec());
    for bytes in flipped.chain(cut).chain([[&good[..], &[0]].concat()]) {
        inner.put_raw(damaged, bytes.into());
        let read = async {
            let read = store.open(&damaged).await?;
            read.read_at(0, read.size_bytes() as usize).await
        };
        assert!(matches!(read.await, Err(BlobError::Damaged { .. })));
    }
    // Somebody else's photo, in a sound container under this name.
    let other = get(&inner, &put_cold(&store, &photo("raccoon.jpg"), 1).await).await.unwrap();
    inner.put_raw(damaged, other);
    assert!(matches!(store.open(&damaged).await, Err(BlobError::Damaged { damage: Damage::Content { .. }, .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_whose_stream_is_not_the_photo_is_damage() {
    // All in it agrees with itself, but what it decodes to is another photo: as if the codec had changed.
    let (original, other) = (photo("hubble.jpg"), photo("raccoon.jpg"));
    let container = encode(&other).unwrap();
    let Beginning::Container(head) = container::read(container.bytes(), container.bytes().len() as u64) else { panic!("no head") };
    for original_bytes in [other.len() as u64, original.len() as u64, other.len() as u64 + 1] {
        let head = container::Head { original_hash: BlobHash::of(&original), original_bytes, ..head };
        let forged = [&head.to_bytes()[..], &container.bytes()[HEAD_BYTES..]].concat();
        let inner = MemoryStore::new();
        let key = key(&original, 1);
        inner.put_raw(key, forged.into());
        assert!(matches!(get(&checked(inner), &key).await, Err(BlobError::Damaged { .. })), "{original_bytes}");
    }
}

#[tokio::test]
async fn no_copy_gets_a_name_that_is_not_its_own() {
    let (original, other) = (photo("hubble.jpg"), photo("raccoon.jpg"));
    let (encoded, another) = (encode(&original).unwrap(), encode(&other).unwrap());
    let inner = MemoryStore::new();
    let store = checked(inner.clone());
    let publish = async |bytes: &Bytes, key: &BlobKey, content: &Content| {
        let mut staged = store.stage(None).await.unwrap();
        staged.write(bytes.clone()).await.unwrap();
        staged.publish_as(key, content).await
    };
    let refused = |done| matches!(done, Err(BlobError::Internal { .. }));
    let (own, others) = (key(&original, 1), key(&other, 1));
    assert!(refused(publish(encoded.bytes(), &others, encoded.content()).await), "another photo's name");
    assert!(refused(publish(another.bytes(), &own, encoded.content()).await), "other bytes than were proven");
    assert!(refused(publish(encoded.bytes(), &own, &Content::raw(own.hash)).await), "a container as the photo's own bytes");
    assert!(refused(publish(&original, &own, encoded.content()).await));
    assert_eq!((inner.keys(), inner.staged()), (vec![], 0));
    publish(encoded.bytes(), &own, encoded.content()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stops_reading_holds_nothing_up() {
    let original = photo("raccoon.jpg");
    let store = ColdStore::new(MemoryStore::new(), BlockingPool::new("decoding", 1), 1 << 10);
    let key = put_cold(&store, &original, 1).await;
    // Of a single thread, and memory for not even one.
    drop(store.open(&key).await.unwrap());
    for _ in 0..20 {
        let read = store.open(&key).await.unwrap();
        assert_eq!(read.read_at(0, 10).await.unwrap(), original[..10]);
    }
    let read = store.open(&key).await.unwrap();
    assert_eq!(read.read_at(0, original.len()).await.unwrap(), original);
}

#[tokio::test]
async fn without_its_threads_it_is_no_damage() {
    let pool = BlockingPool::new("decoding", 1);
    let store = ColdStore::new(MemoryStore::new(), pool.clone(), 1 << 20);
    let key = put_cold(&store, &photo("hubble.jpg"), 1).await;
    pool.close().await;
    assert!(matches!(store.open(&key).await.unwrap().read_at(0, 1).await, Err(BlobError::Closed)));
}

/// Bytes that come in passes, and where reads of them began.
#[derive(Debug)]
struct Remote(MemoryStore, Arc<std::sync::Mutex<Vec<u64>>>);

#[derive(Debug)]
struct RemoteRead(Arc<dyn BlobRead>, Arc<std::sync::Mutex<Vec<u64>>>);

#[async_trait]
impl BlobRead for RemoteRead {
    fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }

    fn is_sequential(&self) -> bool {
        true
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        self.1.lock().unwrap().push(offset);
        self.0.read_at(offset, length).await
    }
}

#[async_trait]
impl BlobStore for Remote {
    async fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
        self.0.stage(expected_bytes).await
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        Ok(Arc::new(RemoteRead(self.0.open(key).await?, self.1.clone())))
    }

    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        self.0.copies(hash).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        self.0.delete(key).await
    }

    fn inventory(&self) -> Box<dyn Inventory> {
        self.0.inventory()
    }

    async fn marker(&self) -> Result<Option<Marker>, BlobError> {
        self.0.marker().await
    }

    async fn claim(&self, expected: Option<Marker>, new: Marker) -> Result<(), BlobError> {
        self.0.claim(expected, new).await
    }

    async fn probe(&self) -> Result<(), BlobError> {
        self.0.probe().await
    }

    async fn usage(&self) -> Result<Option<Usage>, BlobError> {
        self.0.usage().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_network_a_copy_is_one_pass() {
    let begun = Arc::<std::sync::Mutex<Vec<u64>>>::default();
    let store = checked(Remote(MemoryStore::new(), begun.clone()));
    let original = photo("hubble.jpg");
    for content in [original.clone(), bytes(1, 50), bytes(2, HEAD_BYTES), bytes(3, 300_000), bytes(4, 0)] {
        let key = put(&store, &content, 1).await.unwrap();
        assert_eq!(get(&store, &key).await.unwrap(), content);
        let offsets = std::mem::take(&mut *begun.lock().unwrap());
        assert!(offsets.is_sorted() && offsets.iter().filter(|offset| **offset == 0).count() == 1, "{offsets:?}");
    }
    let key = put_cold(&store, &original, 2).await;
    assert_eq!(get(&store, &key).await.unwrap(), original);
    assert!(begun.lock().unwrap().is_sorted());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn any_order_gives_the_right_bytes(reads in proptest::collection::vec((0.0..1.0f64, 0usize..200_000), 1..5)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async {
            let original = photo("raccoon.jpg");
            let store = cold(MemoryStore::new());
            let key = put_cold(&store, &original, 1).await;
            let read = store.open(&key).await.unwrap();
            for (at, length) in reads {
                let offset = (at * original.len() as f64) as usize;
                let length = length.min(original.len() - offset);
                assert_eq!(read.read_at(offset as u64, length).await.unwrap(), original[offset..offset + length]);
            }
        });
    }
}
