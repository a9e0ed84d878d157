//! Mirrors under load, with damage, losses and absences on either side.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::blobs::contract::{bytes, get};
use crate::blobs::{BlobError, BlobStore, DamageObserver, Home, MemoryStore, MovableStore, Needs, Operation, VerifySettings, VerifyStore};
use crate::maintenance::{HealQueue, HealerParts};
use crate::metadata::memory::MemoryEngine;
use crate::metadata::{Metadata, MetadataError, MetadataSettings, NewBlob};
use crate::runtime::{BlockingPool, Runtime, ShutdownTrigger, shutdown_channel};

#[derive(Debug, Default)]
struct Notes(Mutex<Option<BlobHash>>);

#[async_trait::async_trait]
impl MirrorJournal for Notes {
    async fn passed(&self, up_to: BlobHash) -> Result<(), MoveError> {
        *self.0.lock().unwrap() = Some(up_to);
        Ok(())
    }
}

/// A site with a mirror.
struct Site {
    metadata: Metadata,
    store: MovableStore,
    served: VerifyStore<MovableStore>,
    legs: [MemoryStore; 2],
    mirroring: Mirroring,
    _stop: ShutdownTrigger,
}

fn home(store: &MemoryStore) -> Home {
    Home { blobs: Arc::new(store.clone()), derived: Arc::new(store.clone()) }
}

impl Site {
    fn new(needs: Needs) -> Self {
        let runtime = Runtime::simulated(1, 1_800_000_000_000);
        let metadata = Metadata::open(Arc::new(MemoryEngine::new()), runtime.clone(), MetadataSettings::default()).unwrap();
        let legs = [MemoryStore::new(), MemoryStore::new()];
        let store = MovableStore::new(home(&legs[0]));
        store.pair(home(&legs[0]), home(&legs[1]), needs);
        let queue = Arc::<HealQueue>::default();
        let pool = BlockingPool::new("metadata", 1);
        let healer = Healer::new(HealerParts {
            metadata: metadata.clone(),
            store: store.clone(),
            reading: pool.clone(),
            clock: runtime.clock.clone(),
            queue: queue.clone(),
            max_per_hour: 1_000_000,
        });
        let (stop, shutdown) = shutdown_channel();
        let moving = Moving {
            metadata: metadata.clone(),
            store: store.clone(),
            from: home(&legs[0]),
            to: home(&legs[1]),
            pool,
            clock: runtime.clock.clone(),
            progress: Arc::default(),
            max_bytes_per_second: 0,
            despite_damage: true,
            shutdown,
        };
        // Nothing is remembered: copies in memory have no version by which a changed one is known.
        let remember = VerifySettings { remember: Duration::ZERO, capacity: 1 };
        let observer: Arc<dyn DamageObserver> = queue;
        let served = VerifyStore::new(store.clone(), runtime.clock, remember).reporting_to(observer);
        Self { metadata, store, served, legs, mirroring: Mirroring { moving, healer }, _stop: stop }
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

    fn key(&self, hash: &BlobHash) -> BlobKey {
        self.metadata.read().blob(hash).unwrap().unwrap().key
    }

    async fn read(&self, hash: &BlobHash) -> Result<Bytes, BlobError> {
        get(&self.served, &self.key(hash)).await
    }

    /// The delete queue, all of it.
    async fn delete_doomed(&self) {
        for (key, doom) in self.metadata.read().doomed(None, 1000).unwrap().items {
            if self.store.delete(&key).await.is_ok() {
                self.metadata.write("gone", move |tx| -> Result<(), MetadataError> { tx.forget_doomed([(key, doom)]) }).await.unwrap();
            }
        }
    }

    /// Everything that keeps the mirror, once.
    async fn keep(&self) -> Result<(), MoveError> {
        if let Some(keys) = self.store.missed().take()
            && let Err(error) = self.mirroring.catch_up(&keys).await
        {
            self.store.missed().put_back(keys);
            return Err(error);
        }
        self.mirroring.pass(None, true, &Notes::default()).await?;
        self.mirroring.compare().await
    }

    fn is_good(&self, leg: usize, key: &BlobKey) -> bool {
        let read = futures_util::future::FutureExt::now_or_never(get(&self.legs[leg], key));
        read.is_some_and(|read| read.is_ok_and(|bytes| BlobHash::of(&bytes) == key.hash))
    }
}

#[tokio::test]
async fn a_new_mirror_is_filled_and_gone_on_with() {
    let site = Site::new(Needs::First);
    let mut hashes = vec![];
    for seed in 0..600 {
        hashes.push(site.put(&bytes(seed, 100)).await.unwrap().hash);
    }
    for key in site.legs[1].keys() {
        site.legs[1].lose(&key);
    }
    let notes = Notes::default();
    site.legs[1].faults().fail(Operation::Publish, 400, BlobError::Away);
    assert!(site.mirroring.pass(None, false, &notes).await.is_err());
    let passed = *notes.0.lock().unwrap();
    assert!(passed.is_some());
    site.mirroring.pass(passed, false, &notes).await.unwrap();
    assert!(hashes.iter().all(|hash| site.is_good(1, &site.key(hash))));
}

#[tokio::test]
async fn a_mirror_that_was_away_is_made_whole_and_loses_what_was_deleted_meanwhile() {
    let site = Site::new(Needs::First);
    let kept = site.put(&bytes(1, 1000)).await.unwrap();
    let deleted = site.put(&bytes(2, 1000)).await.unwrap();
    // Without a mirror for a while.
    site.store.settle(home(&site.legs[0]));
    let replaced = site.put(&bytes(2, 1000)).await.unwrap();
    site.delete_doomed().await;
    let new = site.put(&bytes(3, 1000)).await.unwrap();
    // An upload that came to nothing left this in both; whether it is needed is not for a mirror to say.
    let orphan = crate::blobs::contract::put(&site.legs[0], &bytes(4, 1000), 1).await.unwrap();
    crate::blobs::contract::put(&site.legs[1], &bytes(4, 1000), 1).await.unwrap();
    let in_flight = site.metadata.begin_copy(BlobHash::of(&bytes(5, 10)));
    site.legs[1].put_raw(in_flight.key(), bytes(5, 10));
    assert_eq!(site.legs[0].keys().len(), 4);
    site.store.pair(home(&site.legs[0]), home(&site.legs[1]), Needs::First);
    site.mirroring.compare().await.unwrap();
    site.delete_doomed().await;
    let mut left = vec![kept, replaced, new, orphan, in_flight.key()];
    left.sort_unstable();
    assert_eq!(site.legs[1].keys(), left, "{deleted} is gone");
    assert_eq!(site.legs[0].keys().len(), 4);
}

/// What may happen.
#[derive(Debug, Clone)]
enum Step {
    Put(u64),
    Read(u64),
    /// Where, which, how.
    Harm(usize, u64, usize),
    /// A store stays away until it comes back.
    Away(usize),
    Back,
    /// A call of that store fails once, after so many.
    Fail(usize, usize, usize),
    Delete,
    Keep,
    Heal,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u64..12).prop_map(Step::Put),
        4 => (0u64..12).prop_map(Step::Read),
        4 => (0usize..2, 0u64..12, 0usize..3).prop_map(|(leg, which, how)| Step::Harm(leg, which, how)),
        1 => (0usize..2).prop_map(Step::Away),
        2 => Just(Step::Back),
        2 => (0usize..2, 0usize..8, 0usize..12).prop_map(|(leg, operation, after)| Step::Fail(leg, operation, after)),
        1 => Just(Step::Delete),
        1 => Just(Step::Keep),
        2 => Just(Step::Heal),
    ]
}

const OPERATIONS: [Operation; 8] = [
    Operation::Open,
    Operation::Stage,
    Operation::Write,
    Operation::Publish,
    Operation::Read,
    Operation::Delete,
    Operation::Inventory,
    Operation::Copies,
];

async fn run(needs: Needs, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let site = Site::new(needs);
    let harms = [MemoryStore::corrupt, MemoryStore::truncate, MemoryStore::lose];
    // Acknowledged: the number by the hash.
    let mut acknowledged: BTreeMap<BlobHash, u64> = BTreeMap::new();
    let hash_of = |number| BlobHash::of(&bytes(number, 3000));
    let mut is_away = [false, false];
    for step in steps {
        match step {
            Step::Put(number) => {
                if let Ok(key) = site.put(&bytes(number, 3000)).await {
                    acknowledged.insert(key.hash, number);
                }
            }
            Step::Read(number) => {
                let hash = hash_of(number);
                if let Some(number) = acknowledged.get(&hash) {
                    match site.read(&hash).await {
                        Ok(found) => prop_assert_eq!(found, bytes(*number, 3000), "wrong bytes are never served"),
                        // It failed once, or is away.
                        Err(_) => {
                            site.legs.iter().for_each(|leg| leg.faults().clear());
                            is_away = [false, false];
                            prop_assert_eq!(site.read(&hash).await.unwrap(), bytes(*number, 3000));
                        }
                    }
                }
            }
            Step::Harm(leg, number, how) => {
                let hash = hash_of(number);
                // Never the last good copy, and that is looked for without what fails.
                if acknowledged.contains_key(&hash) && !is_away.contains(&true) {
                    site.legs.iter().for_each(|leg| leg.faults().clear());
                    let key = site.key(&hash);
                    if site.is_good(1 - leg, &key) {
                        harms[how](&site.legs[leg], &key);
                    }
                }
            }
            Step::Away(leg) => {
                is_away[leg] = true;
                for operation in OPERATIONS {
                    site.legs[leg].faults().fail_always(operation, BlobError::Away);
                }
            }
            Step::Back => {
                is_away = [false, false];
                site.legs.iter().for_each(|leg| leg.faults().clear());
            }
            Step::Fail(leg, operation, after) => {
                let error = BlobError::Unavailable { doing: "fail", source: Arc::new(std::io::ErrorKind::TimedOut.into()) };
                site.legs[leg].faults().fail(OPERATIONS[operation], after, error);
            }
            Step::Delete => site.delete_doomed().await,
            Step::Keep => drop(site.keep().await),
            Step::Heal => {
                let rows = crate::metadata::check::list_readable_blobs(&site.metadata.read(), None, 1000).unwrap().items;
                for row in rows {
                    let _ = site.mirroring.healer.heal(row.key).await;
                }
            }
        }
    }
    site.legs.iter().for_each(|leg| leg.faults().clear());
    for (hash, number) in &acknowledged {
        prop_assert_eq!(site.read(hash).await.unwrap(), bytes(*number, 3000));
    }
    // What the writer was handed when a copy was given up is done with the next request.
    for _ in 0..2 {
        site.keep().await.unwrap();
        site.delete_doomed().await;
    }
    for hash in acknowledged.keys() {
        let row = site.metadata.read().blob(hash).unwrap().unwrap();
        prop_assert!(site.is_good(0, &row.key) && site.is_good(1, &row.key) && !row.damaged, "both have it");
    }
    let named: Vec<_> = acknowledged.keys().map(|hash| site.key(hash)).collect();
    prop_assert_eq!(site.legs[1].keys(), named, "and the mirror nothing else");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_acknowledged_photo_is_served_while_one_leg_has_it_and_healed_on_both(
        needs_both in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let needs = if needs_both { Needs::Both } else { Needs::First };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(needs, steps))?;
    }
}
