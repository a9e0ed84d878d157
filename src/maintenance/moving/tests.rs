//! Moves under load, with failures, crashes and damage.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;

use super::*;
use crate::blobs::contract::{self, bytes, get};
use crate::blobs::{BlobStore, DerivedKind, DerivedStore as _, MemoryStore, Operation};
use crate::metadata::memory::MemoryEngine;
use crate::metadata::{MetadataSettings, NewBlob};
use crate::model::BlobKey;
use crate::runtime::{Runtime, shutdown_channel};

/// A site that is about to move.
struct Site {
    metadata: Metadata,
    store: MovableStore,
    from: MemoryStore,
    to: MemoryStore,
}

fn home(store: &MemoryStore) -> Home {
    Home { blobs: Arc::new(store.clone()), derived: Arc::new(store.clone()) }
}

/// What was written down.
#[derive(Debug, Default)]
struct Notes(Mutex<(Option<BlobHash>, bool)>);

/// A disk that is full at first: nobody knows what stands on it.
struct FullAtFirst<'a> {
    site: &'a Site,
    notes: Notes,
    refused: Mutex<u32>,
}

#[async_trait::async_trait]
impl MoveJournal for FullAtFirst<'_> {
    async fn copied(&self, up_to: BlobHash) -> Result<(), MoveError> {
        self.notes.copied(up_to).await
    }

    async fn switched(&self) -> Result<(), MoveError> {
        let refused = {
            let mut refused = self.refused.lock().unwrap();
            *refused += 1;
            *refused
        };
        if refused == 3 {
            return self.notes.switched().await;
        }
        // Both are needed as long as it is not written: an upload counts on both, or not at all.
        let content = bytes(u64::from(1000 + refused), 300);
        let key = self.site.put(&content).await.unwrap();
        for leg in [&self.site.from, &self.site.to] {
            assert_eq!(get(leg, &key).await.unwrap(), content);
        }
        self.site.to.faults().fail(Operation::Publish, 0, BlobError::NoSpace);
        assert!(matches!(self.site.put(&bytes(u64::from(2000 + refused), 300)).await, Err(BlobError::NoSpace)));
        Err(MoveError::Journal(Arc::new(std::io::ErrorKind::StorageFull.into())))
    }
}

#[async_trait::async_trait]
impl MoveJournal for Notes {
    async fn copied(&self, up_to: BlobHash) -> Result<(), MoveError> {
        self.0.lock().unwrap().0 = Some(up_to);
        Ok(())
    }

    async fn switched(&self) -> Result<(), MoveError> {
        self.0.lock().unwrap().1 = true;
        Ok(())
    }
}

impl Site {
    fn new() -> Self {
        let runtime = Runtime::simulated(1, 1_800_000_000_000);
        let metadata = Metadata::open(Arc::new(MemoryEngine::new()), runtime, MetadataSettings::default()).unwrap();
        let (from, to) = (MemoryStore::new(), MemoryStore::new());
        Self { store: MovableStore::new(home(&from)), metadata, from, to }
    }

    /// An upload, as far as blobs go. What it answers is acknowledged.
    async fn put(&self, content: &Bytes) -> Result<BlobKey, BlobError> {
        let mut staged = self.store.stage(None).await?;
        staged.write(content.clone()).await?;
        let digests = staged.digests().await?;
        let in_flight = self.metadata.begin_copy(digests.hash);
        let key = in_flight.key();
        staged.publish(&key).await?;
        let new = NewBlob::raw(key, digests.size_bytes, digests.sha256, digests.crc32);
        self.metadata.write("put", move |tx| tx.replace_blob(&in_flight, new)).await.unwrap();
        Ok(key)
    }

    /// The delete queue, all of it.
    async fn delete_doomed(&self) {
        for (key, doom) in self.metadata.read().doomed(None, 1000).unwrap().items {
            if self.store.delete(&key).await.is_ok() {
                self.metadata.write("gone", move |tx| -> Result<(), MetadataError> { tx.forget_doomed([(key, doom)]) }).await.unwrap();
            }
        }
    }

    fn moving(&self, shutdown: Shutdown) -> Moving {
        Moving {
            metadata: self.metadata.clone(),
            store: self.store.clone(),
            from: home(&self.from),
            to: home(&self.to),
            pool: BlockingPool::new("metadata", 1),
            clock: Clock::system(),
            progress: Arc::default(),
            max_bytes_per_second: 0,
            despite_damage: false,
            shutdown,
        }
    }

    /// The bytes of every blob that metadata names, as the store alone has them.
    async fn named(&self, store: &MemoryStore) -> BTreeMap<BlobHash, Result<Bytes, BlobError>> {
        let rows = crate::metadata::check::list_readable_blobs(&self.metadata.read(), None, 1000).unwrap().items;
        let mut found = BTreeMap::new();
        for row in rows {
            found.insert(row.key.hash, get(store, &row.key).await);
        }
        found
    }
}

#[tokio::test]
async fn everything_arrives_under_load_with_failures_on_both_sides() {
    for seed in 0..60u64 {
        let site = Site::new();
        for content in 0..40 {
            site.put(&bytes(content, 500)).await.unwrap();
        }
        let operations = [
            Operation::Open,
            Operation::Stage,
            Operation::Write,
            Operation::Publish,
            Operation::Read,
            Operation::Delete,
            Operation::Inventory,
        ];
        // Each side fails once a kind, here and there.
        for (n, operation) in operations.into_iter().enumerate() {
            let n = n as u64;
            let away = || BlobError::Unavailable { doing: "fail", source: Arc::new(std::io::ErrorKind::TimedOut.into()) };
            site.to.faults().fail(operation, ((seed * 7 + n * 3) % 37) as usize, away());
            if seed % 2 == 0 && !matches!(operation, Operation::Stage | Operation::Write | Operation::Publish) {
                site.from.faults().fail(operation, (5 + (seed * 5 + n) % 41) as usize, away());
            }
        }
        let (_trigger, shutdown) = shutdown_channel();
        let (moving, notes) = (site.moving(shutdown), Notes::default());
        let load = async {
            let mut acknowledged = 0;
            for content in 20..90 {
                // The same bytes again replace the copy, and doom the former.
                acknowledged += u64::from(site.put(&bytes(content, 500)).await.is_ok());
                tokio::task::yield_now().await;
                if content % 7 == 0 {
                    site.delete_doomed().await;
                }
            }
            acknowledged
        };
        let (moved, acknowledged) = tokio::join!(moving.run(None, &notes), load);
        moved.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(acknowledged >= 60, "seed {seed}");
        assert!(notes.0.lock().unwrap().1);
        // What was published after the change of places went to the new home first.
        let found = site.named(&site.to).await;
        for (hash, bytes) in &found {
            assert_eq!(BlobHash::of(bytes.as_ref().unwrap_or_else(|error| panic!("seed {seed}: {hash}: {error}"))), *hash);
        }
        site.to.faults().clear();
        site.from.faults().clear();
        for _ in 0..3 {
            site.delete_doomed().await;
        }
        let left: Vec<_> = site.to.keys();
        let named = site.metadata.read();
        for key in left {
            assert_eq!(named.blob(&key.hash).unwrap().map(|row| row.key), Some(key), "seed {seed}: nothing else is left");
        }
    }
}

#[tokio::test]
async fn it_goes_on_from_where_it_was_stopped() {
    let site = Site::new();
    for content in 0..600 {
        site.put(&bytes(content, 100)).await.unwrap();
    }
    let notes = Notes::default();
    // Fails for good in the second page.
    site.to.faults().fail(Operation::Publish, 400, BlobError::Internal { reason: "planned" });
    let (_trigger, shutdown) = shutdown_channel();
    assert!(matches!(site.moving(shutdown.clone()).run(None, &notes).await, Err(MoveError::Blobs(BlobError::Internal { .. }))));
    let (copied, switched) = *notes.0.lock().unwrap();
    assert!(copied.is_some() && !switched);
    // As after a crash: another process, which knows what was written down alone.
    let again =
        Site { store: MovableStore::new(home(&site.from)), metadata: site.metadata.clone(), from: site.from.clone(), to: site.to.clone() };
    again.moving(shutdown).run(copied, &notes).await.unwrap();
    assert!(again.named(&again.to).await.values().all(Result::is_ok));
    assert_eq!(again.to.keys().len(), 600);
}

#[tokio::test]
async fn a_switch_that_cannot_be_written_down_is_tried_again() {
    let site = Site::new();
    for content in 0..10 {
        site.put(&bytes(content, 100)).await.unwrap();
    }
    let (_trigger, shutdown) = shutdown_channel();
    let journal = FullAtFirst { site: &site, notes: Notes::default(), refused: Mutex::new(0) };
    site.moving(shutdown).run(None, &journal).await.unwrap();
    assert!(journal.notes.0.lock().unwrap().1);
    assert!(site.named(&site.to).await.values().all(Result::is_ok));
    let last = site.put(&bytes(99, 100)).await.unwrap();
    assert!(get(&site.to, &last).await.is_ok(), "and they have changed places");
}

#[tokio::test]
async fn damage_is_not_left_behind_unasked() {
    let site = Site::new();
    site.put(&bytes(1, 100)).await.unwrap();
    let bad = site.put(&bytes(2, 100)).await.unwrap();
    site.from.corrupt(&bad);
    let (_trigger, shutdown) = shutdown_channel();
    let notes = Notes::default();
    let moved = site.moving(shutdown.clone()).run(None, &notes).await;
    assert!(matches!(moved, Err(MoveError::Damaged { count: 1, first }) if first == bad.hash), "{moved:?}");
    assert!(!notes.0.lock().unwrap().1);
    // Sent again: mended in both.
    let mended = site.put(&bytes(2, 100)).await.unwrap();
    site.moving(shutdown.clone()).run(None, &notes).await.unwrap();
    assert_eq!(get(&site.to, &mended).await.unwrap(), bytes(2, 100));

    let site = Site::new();
    let bad = site.put(&bytes(2, 100)).await.unwrap();
    site.from.corrupt(&bad);
    let moving = Moving { despite_damage: true, ..site.moving(shutdown) };
    moving.run(None, &notes).await.unwrap();
    assert!(site.to.open(&bad).await.is_err(), "wrong bytes are not passed on");
    let [former] = &site.store.elsewhere()[..] else { panic!("one other place") };
    assert!(former.fetch(&bad).await.is_ok(), "they are still where they were");
}

#[tokio::test]
async fn whatever_is_in_flight_when_it_begins_arrives() {
    let site = Site::new();
    // Published before the move begins, named only while it waits.
    let content = bytes(1, 1000);
    let in_flight = site.metadata.begin_copy(BlobHash::of(&content));
    let key = in_flight.key();
    let mut staged = site.store.stage(None).await.unwrap();
    staged.write(content.clone()).await.unwrap();
    let digests = staged.digests().await.unwrap();
    staged.publish(&key).await.unwrap();
    let (_trigger, shutdown) = shutdown_channel();
    let (moving, notes) = (site.moving(shutdown), Notes::default());
    let mut run = Box::pin(moving.run(None, &notes));
    for _ in 0..50 {
        assert!(futures_util::poll!(&mut run).is_pending(), "it waits for it");
        tokio::task::yield_now().await;
    }
    let new = NewBlob::raw(key, digests.size_bytes, digests.sha256, digests.crc32);
    site.metadata.write("put", move |tx| tx.replace_blob(&in_flight, new)).await.unwrap();
    run.await.unwrap();
    assert_eq!(get(&site.to, &key).await.unwrap(), content);
    assert_eq!(contract::inventory(&site.store).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_derived_moves_with_its_blob() {
    let site = Site::new();
    let contents = [bytes(1, 500), bytes(2, (8 << 20) + 1)];
    for content in &contents {
        let hash = site.put(content).await.unwrap().hash;
        for kind in DerivedKind::ALL {
            site.from.put_derived(kind, &hash, "derived".into()).await.unwrap();
        }
    }
    let (_trigger, shutdown) = shutdown_channel();
    site.moving(shutdown).run(None, &Notes::default()).await.unwrap();
    for content in &contents {
        for kind in DerivedKind::ALL {
            let expected = kind.may_be_of(content.len() as u64).then(|| Bytes::from("derived"));
            assert_eq!(site.to.get_derived(kind, &BlobHash::of(content)).await.unwrap(), expected, "{kind:?} of {}", content.len());
        }
    }
}
