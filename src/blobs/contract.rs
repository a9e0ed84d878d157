//! The contract suite: what every blob store has to do. `contract_suite!` runs it over one store, a test a case.

use std::sync::Arc;

use bytes::Bytes;

use super::{BlobError, BlobStore, Deletion, Digests, Inventory, InventoryItem, Marker, SourceFile, TakeFile, Taken};
use crate::model::{BlobHash, BlobKey, BlobNonce, SiteId};
use crate::runtime::BlockingPool;

/// A new, empty store under test.
pub(crate) struct Subject {
    /// The store.
    pub(crate) store: Arc<dyn BlobStore>,
    /// How many things lie in staging, once all pending work of the store is done.
    pub(crate) staged: Box<dyn Fn() -> futures_util::future::BoxFuture<'static, usize> + Send + Sync>,
    /// Kept while the store is used.
    pub(crate) _keep: Option<tempfile::TempDir>,
    /// Its copies come over a network: what is deleted need not be readable to its end, nor need it be known what was there.
    pub(crate) is_remote: bool,
}

/// One test for each case of the suite, over the store that the async function `$make` gives.
macro_rules! contract_suite {
    ($make:path) => {
        $crate::blobs::contract::cases! { $crate::blobs::contract::contract_suite, $make: }
    };
    ($make:path: $($case:ident),*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            $crate::blobs::contract::$case(&$make().await).await;
        })*
    };
}
pub(crate) use contract_suite;

/// Hands every case of the suite to a macro.
macro_rules! cases {
    ($to:path, $($with:tt)*) => {
        $to! {
            $($with)* comes_back, is_invisible_until_published, is_absent, keeps_its_name, needs_its_hash, holds_copies_apart, deletes_exactly,
            reads_ranges, lists_in_order, leaves_nothing, claims_once, loses_claims, probes, takes_many_at_once, takes_files
        }
    };
}
pub(crate) use cases;

/// All cases one after the other, each over a new subject that the future of `$make` gives: for services that take their time to start.
macro_rules! every_case {
    ($make:expr) => {
        $crate::blobs::contract::cases! { $crate::blobs::contract::every_case, { $make } }
    };
    ({ $make:expr } $($case:ident),*) => {
        $($crate::blobs::contract::$case(&$make.await).await;)*
    };
}
pub(crate) use every_case;

impl Subject {
    /// What a deletion that did this is told as.
    fn told(&self, deletion: Deletion) -> Deletion {
        if self.is_remote { Deletion::Gone } else { deletion }
    }
}

/// Bytes that look like nothing else.
pub(crate) fn bytes(seed: u64, length: usize) -> Bytes {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof().fill(&mut out);
    out.into()
}

/// A key for these bytes; `nonce` tells copies apart.
pub(crate) fn key(bytes: &[u8], nonce: u8) -> BlobKey {
    BlobKey { hash: BlobHash::of(bytes), nonce: BlobNonce::from_random([nonce; 12]) }
}

/// Stores a copy.
pub(crate) async fn put(store: &dyn BlobStore, bytes: &Bytes, nonce: u8) -> Result<BlobKey, BlobError> {
    let mut staged = store.stage(Some(bytes.len() as u64)).await?;
    staged.write(bytes.clone()).await?;
    let key = key(bytes, nonce);
    staged.publish(&key).await?;
    Ok(key)
}

/// Reads a whole copy.
pub(crate) async fn get(store: &dyn BlobStore, key: &BlobKey) -> Result<Bytes, BlobError> {
    let read = store.open(key).await?;
    read.read_at(0, read.size_bytes().try_into().unwrap()).await
}

/// Everything that the inventory gives.
pub(crate) async fn inventory(store: &dyn BlobStore) -> Result<Vec<InventoryItem>, BlobError> {
    rest(&mut *store.inventory()).await
}

/// Everything that this walk still gives.
pub(crate) async fn rest(walk: &mut dyn Inventory) -> Result<Vec<InventoryItem>, BlobError> {
    let mut items = Vec::new();
    while let Some(batch) = walk.next().await? {
        assert!(!batch.is_empty());
        items.extend(batch);
    }
    assert!(walk.next().await?.is_none(), "the end stays the end");
    Ok(items)
}

pub(crate) async fn comes_back(subject: &Subject) {
    /// What the disk store gathers, and the most that it holds whole.
    const GATHER: usize = 256 << 10;
    const HELD: usize = 8 << 20;
    let sizes = [0, 1, 4095, 4096, 100_000, GATHER - 1, GATHER, GATHER + 1, 12 * GATHER + 17, HELD - 1, HELD, HELD + 1];
    for (nonce, size) in sizes.into_iter().enumerate() {
        for chunk in [777, 65_536, GATHER - 2, usize::MAX] {
            if size / chunk > 2000 || size > 12 * GATHER && chunk != 65_536 {
                continue;
            }
            let content = bytes(size as u64, size);
            let expected = [None, Some(size), Some(size / 2), Some(2 * size)][(nonce + chunk % 7) % 4];
            let mut staged = subject.store.stage(expected.map(|size| size as u64)).await.unwrap();
            for piece in content.chunks(chunk.min(size.max(1))) {
                staged.write(content.slice_ref(piece)).await.unwrap();
            }
            assert_eq!(staged.digests().await.unwrap(), Digests::of(&content), "{size} in {chunk}");
            assert_eq!(staged.contents().await.unwrap(), content);
            assert_eq!(staged.digests().await.unwrap(), Digests::of(&content), "asking changes nothing");
            let key = BlobKey { hash: BlobHash::of(&content), nonce: BlobNonce::from_random([nonce as u8; 12]) };
            let _ = subject.store.delete(&key).await.unwrap();
            staged.publish(&key).await.unwrap();
            assert_eq!(get(&*subject.store, &key).await.unwrap(), content);
            assert_eq!(subject.store.open(&key).await.unwrap().content_hash().await.unwrap(), key.hash);
        }
    }
    assert_eq!((subject.staged)().await, 0);
}

pub(crate) async fn is_invisible_until_published(subject: &Subject) {
    let content = bytes(1, 3_000_000);
    let key = key(&content, 1);
    let mut staged = subject.store.stage(None).await.unwrap();
    staged.write(content.clone()).await.unwrap();
    staged.digests().await.unwrap();
    assert!(matches!(subject.store.open(&key).await, Err(BlobError::NotFound)));
    assert_eq!(subject.store.copies(&key.hash).await.unwrap(), []);
    assert_eq!(inventory(&*subject.store).await.unwrap(), []);
    staged.publish(&key).await.unwrap();
    assert_eq!(get(&*subject.store, &key).await.unwrap(), content);
    assert_eq!((subject.staged)().await, 0);
}

pub(crate) async fn is_absent(subject: &Subject) {
    let present = put(&*subject.store, &bytes(1, 10), 1).await.unwrap();
    for absent in [key(b"absent", 1), BlobKey { nonce: BlobNonce::from_random([2; 12]), ..present }] {
        assert!(matches!(subject.store.open(&absent).await, Err(BlobError::NotFound)));
        assert_eq!(subject.store.delete(&absent).await.unwrap(), subject.told(Deletion::Absent));
    }
    assert_eq!(subject.store.copies(&BlobHash::of(b"absent")).await.unwrap(), []);
    assert_eq!(subject.store.marker().await.unwrap(), None);
    assert_eq!(get(&*subject.store, &present).await.unwrap(), bytes(1, 10), "deleting others left it alone");
}

pub(crate) async fn keeps_its_name(subject: &Subject) {
    let content = bytes(1, 50_000);
    let key = put(&*subject.store, &content, 1).await.unwrap();
    match put(&*subject.store, &content, 1).await {
        Err(BlobError::Internal { .. }) => {}
        // It is the same bytes: putting them again is how an answer that got lost is mended.
        Ok(again) if subject.is_remote => assert_eq!(again, key),
        other => panic!("a key names one copy: {other:?}"),
    }
    assert_eq!(get(&*subject.store, &key).await.unwrap(), content, "the first stays");
    assert_eq!((subject.staged)().await, 0);
}

pub(crate) async fn needs_its_hash(subject: &Subject) {
    let mut staged = subject.store.stage(None).await.unwrap();
    staged.write(bytes(1, 50_000)).await.unwrap();
    let other = key(&bytes(2, 50_000), 1);
    assert!(matches!(staged.publish(&other).await, Err(BlobError::Internal { .. })));
    assert!(matches!(subject.store.open(&other).await, Err(BlobError::NotFound)));
    assert_eq!(inventory(&*subject.store).await.unwrap(), []);
    assert_eq!((subject.staged)().await, 0);
}

pub(crate) async fn holds_copies_apart(subject: &Subject) {
    let (content, other) = (bytes(1, 1000), bytes(2, 1000));
    let mut keys = Vec::new();
    for nonce in [9, 3, 7] {
        keys.push(put(&*subject.store, &content, nonce).await.unwrap());
    }
    let lonely = put(&*subject.store, &other, 3).await.unwrap();
    keys.sort_unstable();
    assert_eq!(subject.store.copies(&keys[0].hash).await.unwrap(), keys);
    assert_eq!(subject.store.delete(&keys[1]).await.unwrap(), subject.told(Deletion::Deleted));
    assert_eq!(subject.store.copies(&keys[0].hash).await.unwrap(), [keys[0], keys[2]]);
    assert_eq!(get(&*subject.store, &keys[2]).await.unwrap(), content);
    assert_eq!(get(&*subject.store, &lonely).await.unwrap(), other);
}

pub(crate) async fn deletes_exactly(subject: &Subject) {
    let content = bytes(1, 2_000_000);
    let key = put(&*subject.store, &content, 1).await.unwrap();
    let held = subject.store.open(&key).await.unwrap();
    assert_eq!(subject.store.delete(&key).await.unwrap(), subject.told(Deletion::Deleted));
    assert_eq!(subject.store.delete(&key).await.unwrap(), subject.told(Deletion::Absent), "a late or repeated delete hits nothing");
    assert!(matches!(subject.store.open(&key).await, Err(BlobError::NotFound)));
    assert_eq!(inventory(&*subject.store).await.unwrap(), []);
    match held.read_at(0, content.len()).await {
        Ok(read) => assert_eq!(read, content, "whoever reads it reads on"),
        Err(BlobError::NotFound | BlobError::Unavailable { .. }) if subject.is_remote => {}
        Err(error) => panic!("{error}"),
    }
}

pub(crate) async fn reads_ranges(subject: &Subject) {
    let content = bytes(1, 1_500_000);
    let key = put(&*subject.store, &content, 1).await.unwrap();
    let read = subject.store.open(&key).await.unwrap();
    assert_eq!(read.size_bytes(), content.len() as u64);
    let size = content.len();
    for (offset, length) in
        [(0, 0), (0, 1), (0, size), (1, size - 1), (size, 0), (size - 1, 1), (131_071, 2), (700_000, 400_000), (4096, 131_072)]
    {
        assert_eq!(read.read_at(offset as u64, length).await.unwrap(), content[offset..offset + length], "{length} from {offset}");
        read.warm(offset as u64, length).await.unwrap();
        if let Some(file) = read.as_fd() {
            let mut found = vec![0; length];
            assert_eq!(rustix::io::pread(file, &mut found, offset as u64).unwrap(), length);
            assert_eq!(found, content[offset..offset + length], "the file, {length} from {offset}");
        }
    }
    let end = size as u64;
    for part in [0..1, 0..5000, 0..end, 3..end, 4000..4100, 700_000..900_000, end - 1..u64::MAX, end..u64::MAX] {
        let read = subject.store.open_part(&key, part.clone()).await.unwrap();
        assert_eq!(read.size_bytes(), end, "{part:?}");
        let (start, stop) = (part.start.min(end) as usize, part.end.min(end) as usize);
        for (offset, length) in
            [(start, stop - start), (start, size - start), (0, 100), (stop.saturating_sub(50), 50), (0, size), (4090, 50)]
        {
            assert_eq!(
                read.read_at(offset as u64, length).await.unwrap(),
                content[offset..offset + length],
                "{length} from {offset}, for {part:?}"
            );
        }
    }
    let absent = subject.store.open_part(&self::key(b"absent", 1), 5..10).await;
    assert!(matches!(absent, Err(BlobError::NotFound)), "{absent:?}");
    let empty = put(&*subject.store, &Bytes::new(), 1).await.unwrap();
    assert_eq!(subject.store.open_part(&empty, 5..10).await.unwrap().size_bytes(), 0);
    for (offset, length) in [(size as u64, 1), (0, size + 1), (u64::MAX, 1), (u64::MAX, usize::MAX), (size as u64 + 1, 0)] {
        assert!(matches!(read.read_at(offset, length).await, Err(BlobError::Internal { .. })), "{length} from {offset}");
        let warmed = read.warm(offset, length).await;
        assert!(read.as_fd().is_none() || matches!(warmed, Err(BlobError::Internal { .. })), "{length} from {offset}");
    }
}

pub(crate) async fn lists_in_order(subject: &Subject) {
    let mut expected = Vec::new();
    for seed in 0..60 {
        let content = bytes(seed, seed as usize * 10);
        for nonce in 0..=(seed % 3) as u8 {
            let key = put(&*subject.store, &content, nonce).await.unwrap();
            expected.push(InventoryItem::Copy { key, size_bytes: content.len() as u64 });
        }
    }
    expected.sort_by_key(|item| match item {
        InventoryItem::Copy { key, .. } => *key,
        InventoryItem::Foreign { path } => panic!("{}", path.display()),
    });
    let _in_staging = subject.store.stage(None).await.unwrap();
    assert_eq!(inventory(&*subject.store).await.unwrap(), expected);
}

pub(crate) async fn leaves_nothing(subject: &Subject) {
    for size in [0, 10, 3_000_000] {
        let content = bytes(1, size);
        for ending in 0..3 {
            let mut staged = subject.store.stage(None).await.unwrap();
            staged.write(content.clone()).await.unwrap();
            match ending {
                0 => staged.discard().await,
                1 => {
                    staged.digests().await.unwrap();
                    drop(staged);
                }
                _ => drop(staged),
            }
            assert_eq!((subject.staged)().await, 0, "{size} bytes, ending {ending}");
        }
    }
    assert_eq!(inventory(&*subject.store).await.unwrap(), []);
}

fn marker(site: u8, epoch: u64) -> Marker {
    Marker { site: SiteId::from_bytes([site; 16]), epoch }
}

pub(crate) async fn claims_once(subject: &Subject) {
    let (store, first) = (&subject.store, marker(1, 1));
    store.claim(None, first).await.unwrap();
    assert_eq!(store.marker().await.unwrap(), Some(first));
    let claims = (1..=8).map(|site| store.claim(Some(first), marker(site, 2)));
    let won: Vec<_> = futures_util::future::join_all(claims).await.into_iter().zip(1..).filter(|(claim, _)| claim.is_ok()).collect();
    let [(_, winner)] = won[..] else { panic!("{won:?}") };
    assert_eq!(store.marker().await.unwrap(), Some(marker(winner, 2)));
    assert_eq!((subject.staged)().await, 0);
}

pub(crate) async fn loses_claims(subject: &Subject) {
    let (store, stands) = (&subject.store, marker(1, 5));
    assert!(matches!(store.claim(Some(stands), marker(1, 6)).await, Err(BlobError::ClaimLost { found: None })));
    assert_eq!(store.marker().await.unwrap(), None);
    store.claim(None, stands).await.unwrap();
    for expected in [None, Some(marker(2, 5)), Some(marker(1, 4))] {
        let lost = store.claim(expected, marker(2, 9)).await;
        assert!(matches!(lost, Err(BlobError::ClaimLost { found: Some(found) }) if found == stands), "{lost:?}");
    }
    assert!(matches!(store.claim(Some(stands), marker(1, 4)).await, Err(BlobError::Refused { .. })), "epochs go forward");
    assert_eq!(store.marker().await.unwrap(), Some(stands));
    assert_eq!((subject.staged)().await, 0);
}

pub(crate) async fn probes(subject: &Subject) {
    subject.store.probe().await.unwrap();
    assert_eq!(inventory(&*subject.store).await.unwrap(), []);
    assert_eq!((subject.staged)().await, 0);
    if let Some(usage) = subject.store.usage().await.unwrap() {
        assert!(usage.free_bytes <= usage.total_bytes && usage.total_bytes > 0, "{usage:?}");
    }
}

pub(crate) async fn takes_many_at_once(subject: &Subject) {
    let content = bytes(1, 1_200_000);
    let uploads = (0..16).map(|nonce| put(&*subject.store, &content, nonce));
    let mut keys: Vec<_> = futures_util::future::join_all(uploads).await.into_iter().map(Result::unwrap).collect();
    keys.sort_unstable();
    assert_eq!(subject.store.copies(&keys[0].hash).await.unwrap(), keys);
    let reads = futures_util::future::join_all(keys.iter().map(|key| get(&*subject.store, key))).await;
    assert!(reads.into_iter().all(|read| read.unwrap() == content));
    assert_eq!((subject.staged)().await, 0);
}

pub(crate) async fn takes_files(subject: &Subject) {
    let (pool, folder) = (BlockingPool::new("sources", 2), tempfile::tempdir().unwrap());
    for (nonce, size) in [0, 1, 100_000, 3_000_001, (8 << 20) + 1].into_iter().enumerate() {
        for how in [TakeFile::Copy, TakeFile::Link] {
            let (content, path) = (bytes(size as u64, size), folder.path().join("photo"));
            std::fs::write(&path, &content).unwrap();
            let source = SourceFile::new(std::fs::File::open(&path).unwrap(), pool.clone()).unwrap();
            let (mut staged, taken) = subject.store.stage_file(&source, how).await.unwrap();
            assert!(how == TakeFile::Link || taken != Taken::Linked, "nobody asked for a link");
            assert_eq!(staged.digests().await.unwrap(), Digests::of(&content), "{size}, {how:?}");
            assert_eq!(staged.contents().await.unwrap(), content);
            let key = BlobKey {
                hash: BlobHash::of(&content),
                nonce: BlobNonce::from_random([2 * nonce as u8 + u8::from(how == TakeFile::Link); 12]),
            };
            // Whatever becomes of the file's name, the copy is there.
            std::fs::remove_file(&path).unwrap();
            staged.publish(&key).await.unwrap();
            assert_eq!(get(&*subject.store, &key).await.unwrap(), content);
        }
    }
    let path = folder.path().join("discarded");
    std::fs::write(&path, bytes(1, 100_000)).unwrap();
    for how in [TakeFile::Copy, TakeFile::Link] {
        let source = SourceFile::new(std::fs::File::open(&path).unwrap(), pool.clone()).unwrap();
        subject.store.stage_file(&source, how).await.unwrap().0.discard().await;
        drop(subject.store.stage_file(&source, how).await.unwrap());
        assert_eq!((subject.staged)().await, 0);
    }
    assert_eq!(std::fs::read(&path).unwrap(), bytes(1, 100_000), "the file stays");
}
