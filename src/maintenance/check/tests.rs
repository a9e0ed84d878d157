//! Checks that are given up, that cannot look, and that sites work on meanwhile.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{Mutex, mpsc};

use bytes::Bytes;
use futures_util::poll;
use tokio::sync::oneshot;

use super::*;
use crate::blobs::{Damage, Digests, Marker, MemoryStore, Operation, contract};
use crate::metadata::column::ColumnId;
use crate::metadata::engine::{Batch, Bounds, Each, Engine, EngineSnapshot, Source};
use crate::metadata::memory::MemoryEngine;
use crate::metadata::{InFlight, MetadataSettings, NewBlob};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::{Gone, Runtime};

mod busy;

/// What is called with every read of a snapshot, before it.
type Hook = Arc<dyn Fn(ColumnId, Option<&Bounds>) + Send + Sync>;

/// An engine that tells of what is read from its snapshots.
struct Hooked<E> {
    inner: E,
    hook: Hook,
}

impl<E> std::fmt::Debug for Hooked<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooked").finish_non_exhaustive()
    }
}

impl Source for Hooked<MemoryEngine> {
    fn get(&self, column: ColumnId, key: &[u8]) -> Result<Option<Vec<u8>>, MetadataError> {
        self.inner.get(column, key)
    }

    fn scan(&self, column: ColumnId, bounds: &Bounds, each: &mut Each<'_>) -> Result<(), MetadataError> {
        self.inner.scan(column, bounds, each)
    }
}

impl Engine for Hooked<MemoryEngine> {
    fn write(&self, batch: Batch, sync: bool) -> Result<(), MetadataError> {
        self.inner.write(batch, sync)
    }

    fn snapshot(&self) -> Box<dyn EngineSnapshot> {
        Box::new(Hooked { inner: self.inner.snapshot(), hook: self.hook.clone() })
    }

    fn snapshot_in_memory(&self) -> Box<dyn EngineSnapshot> {
        Box::new(Hooked { inner: self.inner.snapshot_in_memory(), hook: self.hook.clone() })
    }

    fn checkpoint(&self, path: &std::path::Path) -> Result<(), MetadataError> {
        self.inner.checkpoint(path)
    }
}

impl Source for Hooked<Box<dyn EngineSnapshot>> {
    fn get(&self, column: ColumnId, key: &[u8]) -> Result<Option<Vec<u8>>, MetadataError> {
        (self.hook)(column, None);
        self.inner.get(column, key)
    }

    fn scan(&self, column: ColumnId, bounds: &Bounds, each: &mut Each<'_>) -> Result<(), MetadataError> {
        (self.hook)(column, Some(bounds));
        self.inner.scan(column, bounds, each)
    }
}

impl EngineSnapshot for Hooked<Box<dyn EngineSnapshot>> {
    fn has_missed(&self) -> bool {
        self.inner.has_missed()
    }
}

/// A site whose store is its own.
#[derive(Debug)]
struct Site {
    metadata: Metadata,
    store: MemoryStore,
    pool: BlockingPool,
}

impl Site {
    async fn new() -> Self {
        Self::over(Arc::new(MemoryEngine::new())).await
    }

    async fn hooked(hook: impl Fn(ColumnId, Option<&Bounds>) + Send + Sync + 'static) -> Self {
        Self::over(Arc::new(Hooked { inner: MemoryEngine::new(), hook: Arc::new(hook) })).await
    }

    async fn over(engine: Arc<dyn Engine>) -> Self {
        let runtime = Runtime::simulated(1, 1_800_000_000_000);
        let metadata = Metadata::open(engine, runtime, MetadataSettings::default()).unwrap();
        let store = MemoryStore::new();
        store.claim(None, Marker { site: metadata.site(), epoch: 1 }).await.unwrap();
        Self { metadata, store, pool: BlockingPool::new("check", 1) }
    }

    async fn check(&self, read_data: bool) -> Result<CheckReport, WalkError> {
        check(&self.metadata, &self.store, &self.pool, read_data).await
    }

    /// A copy that lies in the store and is not named yet.
    async fn publish(&self, bytes: &Bytes) -> (InFlight, NewBlob) {
        let digests = Digests::of(bytes);
        let in_flight = self.metadata.begin_copy(digests.hash);
        let mut staged = self.store.stage(None).await.unwrap();
        staged.write(bytes.clone()).await.unwrap();
        staged.publish(&in_flight.key()).await.unwrap();
        let blob = NewBlob::raw(in_flight.key(), digests.size_bytes, digests.sha256, digests.crc32);
        (in_flight, blob)
    }

    /// A copy that metadata names.
    async fn put(&self, bytes: &Bytes) -> BlobKey {
        let (in_flight, blob) = self.publish(bytes).await;
        self.metadata.write("place", move |tx| tx.replace_blob(&in_flight, blob)).await.unwrap();
        blob.key
    }

    /// Rows without copies, in the order of their keys.
    async fn put_rows(&self, count: usize) -> Vec<BlobKey> {
        let digests = Digests::of(b"");
        let in_flight: Vec<_> = (0..count).map(|row| self.metadata.begin_copy(BlobHash::of(&row.to_be_bytes()))).collect();
        let mut keys: Vec<_> = in_flight.iter().map(InFlight::key).collect();
        let place = move |tx: &mut metadata::Transaction<'_>| {
            in_flight.iter().try_for_each(|in_flight| {
                tx.replace_blob(in_flight, NewBlob::raw(in_flight.key(), 0, digests.sha256, digests.crc32)).map(drop)
            })
        };
        self.metadata.write("place", place).await.unwrap();
        keys.sort_unstable();
        keys
    }
}

fn codes(report: &CheckReport) -> Vec<&str> {
    report.findings.iter().map(|finding| finding.code.as_str()).collect()
}

#[tokio::test]
async fn a_check_that_nobody_waits_for_ends() {
    let site = Site::new().await;
    let given_up = GivenUp::default();
    let stop = given_up.stop();
    let goes_on = || stop.goes_on();
    check_metadata(&site.metadata, &goes_on).unwrap();
    drop(given_up);
    assert!(matches!(check_metadata(&site.metadata, &goes_on), Err(MetadataError::Unavailable { .. })));

    // Begun on the pool's thread only after its client has gone.
    let (release, held) = mpsc::channel::<()>();
    let mut holding = Box::pin(site.pool.run(move || held.recv().is_ok()));
    assert!(poll!(&mut holding).is_pending());
    let mut checking = Box::pin(site.check(true));
    assert!(poll!(&mut checking).is_pending());
    drop(checking);
    release.send(()).unwrap();
    assert!(holding.await.unwrap());
    assert_eq!(site.check(true).await.unwrap().problems, 0);
}

#[tokio::test]
async fn a_walk_that_nobody_waits_for_ends_within_a_page() {
    // The rows stand before the one copy that is listed, and then after all that are.
    for listed in [1, 0] {
        let ((begun, has_begun), (release, held)) = (oneshot::channel(), mpsc::channel::<()>());
        let (gate, pages) = (Mutex::new(Some((begun, held))), Arc::<Mutex<usize>>::default());
        let counted = pages.clone();
        let site = Site::hooked(move |column, bounds| {
            let is_later_page = bounds.is_some_and(|bounds| matches!(bounds.from, Bound::Excluded(_)));
            if column == ColumnId::Blobs && is_later_page {
                *counted.lock().unwrap() += 1;
                if let Some((begun, held)) = gate.lock().unwrap().take() {
                    begun.send(()).unwrap();
                    held.recv().unwrap();
                }
            }
        })
        .await;
        let keys = site.put_rows(4 * PAGE).await;
        keys.iter().rev().take(listed).for_each(|key| site.store.put_raw(*key, Bytes::new()));
        let mut checking = Box::pin(site.check(false));
        tokio::select! {
            ended = &mut checking => panic!("{ended:?}"),
            has_begun = has_begun => has_begun.unwrap(),
        }
        drop(checking);
        release.send(()).unwrap();
        site.pool.run(|| ()).await.unwrap();
        assert_eq!(*pages.lock().unwrap(), 1, "{listed} listed");
    }
}

#[tokio::test]
async fn any_number_of_photos_may_come_during_a_check() {
    // Whoever reads a second page of rows is past the listing: only now the rows' copies come.
    let coming = Arc::<Mutex<Vec<(MemoryStore, BlobKey)>>>::default();
    let come = coming.clone();
    let site = Site::hooked(move |column, bounds| {
        if column == ColumnId::Blobs && bounds.is_some_and(|bounds| matches!(bounds.from, Bound::Excluded(_))) {
            come.lock().unwrap().drain(..).for_each(|(store, key)| store.put_raw(key, Bytes::new()));
        }
    })
    .await;
    let keys = site.put_rows(3 * PAGE).await;
    let (there, coming_keys) = keys.split_at(PAGE);
    there.iter().for_each(|key| site.store.put_raw(*key, Bytes::new()));
    coming.lock().unwrap().extend(coming_keys.iter().map(|key| (site.store.clone(), *key)));
    let report = site.check(false).await.unwrap();
    assert_eq!((report.problems, report.blobs), (0, 3 * PAGE as u64));
    assert!(coming.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_check_that_panics_says_so() {
    let armed = Arc::<AtomicBool>::default();
    let panics = armed.clone();
    let site = Site::hooked(move |_, _| assert!(!panics.load(Ordering::Relaxed), "on purpose")).await;
    site.put(&contract::bytes(1, 10)).await;
    armed.store(true, Ordering::Relaxed);
    assert!(matches!(site.check(false).await, Err(WalkError::Gone(Gone::Panicked))));
    site.pool.close().await;
    assert!(matches!(site.check(false).await, Err(WalkError::Gone(Gone::Closed))));
}

#[tokio::test]
async fn metadata_is_read_on_the_thread_of_the_check() {
    let threads = Arc::<Mutex<BTreeSet<Option<String>>>>::default();
    let told = threads.clone();
    let site = Site::hooked(move |_, _| {
        told.lock().unwrap().insert(std::thread::current().name().map(str::to_owned));
    })
    .await;
    site.put(&contract::bytes(1, 10)).await;
    let (lost, former) = (site.put(&contract::bytes(2, 20)).await, site.put(&contract::bytes(3, 30)).await);
    site.put(&contract::bytes(3, 30)).await;
    site.store.lose(&lost);
    contract::put(&site.store, &contract::bytes(4, 40), 1).await.unwrap();
    let in_flight = site.publish(&contract::bytes(5, 50)).await;
    threads.lock().unwrap().clear();
    let report = site.check(true).await.unwrap();
    assert_eq!((codes(&report), report.findings[0].subject.clone()), (vec!["blob_missing"], lost.to_string()));
    assert_eq!((report.orphans, report.doomed, report.blobs, report.bytes_read), (1, 1, 3, 40), "{former} is doomed");
    assert_eq!(*threads.lock().unwrap(), BTreeSet::from([Some("check".to_owned())]));
    drop(in_flight);
}

#[tokio::test]
async fn more_rows_than_a_page_and_more_copies_than_a_batch_meet() {
    let site = Site::new().await;
    let keys = site.put_rows(3 * PAGE).await;
    let (gone, orphans) = (&keys[PAGE..PAGE + 5], 50);
    keys.iter().filter(|key| !gone.contains(key)).for_each(|key| site.store.put_raw(*key, Bytes::new()));
    for orphan in 0..orphans {
        site.store.put_raw(contract::key(&contract::bytes(orphan, 10), 1), Bytes::new());
    }
    let report = site.check(false).await.unwrap();
    let missing: Vec<_> = report.findings.iter().map(|finding| finding.subject.clone()).collect();
    assert_eq!(missing, gone.iter().map(BlobKey::to_string).collect::<Vec<_>>());
    assert_eq!((codes(&report), report.blobs, report.orphans), (vec!["blob_missing"; 5], 3 * PAGE as u64, orphans));
}

#[tokio::test]
async fn a_copy_that_cannot_be_looked_at_does_not_pass_for_sound() {
    let site = Site::new().await;
    let key = site.put(&contract::bytes(1, 1_000)).await;
    let sound = site.check(true).await.unwrap();
    assert_eq!((sound.problems, sound.bytes_read), (0, 1_000), "{sound:?}");

    let gone = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    site.store.faults().fail_always(Operation::Open, BlobError::Unavailable { doing: "open a copy", source: Arc::new(gone) });
    assert!(matches!(site.check(true).await, Err(WalkError::Blobs(BlobError::Unavailable { .. }))));
    site.store.faults().clear();
    site.store.faults().fail_always(Operation::Open, BlobError::Damaged { key, damage: Damage::NotAFile });
    let found = site.check(true).await.unwrap();
    assert_eq!((found.problems, codes(&found)), (1, vec!["blob_damaged"]), "{found:?}");
}
