//! Repairs of single copies.

use bytes::Bytes;

use super::*;
use crate::blobs::contract::{self, bytes, get};
use crate::blobs::{Home, MemoryStore, Needs, Operation};
use crate::metadata::memory::MemoryEngine;
use crate::metadata::{Encoding, MetadataSettings, NewBlob};
use crate::model::BlobHash;
use crate::runtime::Runtime;

/// A site of two stores.
struct Site {
    metadata: Metadata,
    runtime: Runtime,
    store: MovableStore,
    first: MemoryStore,
    second: MemoryStore,
    healer: Healer,
}

fn home(store: &MemoryStore) -> Home {
    Home { blobs: Arc::new(store.clone()), derived: Arc::new(store.clone()) }
}

impl Site {
    fn new(max_per_hour: u32) -> Self {
        let runtime = Runtime::simulated(1, 1_800_000_000_000);
        let metadata = Metadata::open(Arc::new(MemoryEngine::new()), runtime.clone(), MetadataSettings::default()).unwrap();
        let (first, second) = (MemoryStore::new(), MemoryStore::new());
        let store = MovableStore::new(home(&first));
        store.pair(home(&first), home(&second), Needs::Both);
        let healer = Healer::new(HealerParts {
            metadata: metadata.clone(),
            store: store.clone(),
            reading: BlockingPool::new("metadata", 1),
            clock: runtime.clock.clone(),
            queue: Arc::default(),
            max_per_hour,
        });
        Self { metadata, runtime, store, first, second, healer }
    }

    async fn put(&self, content: &Bytes) -> BlobKey {
        let mut staged = self.store.stage(None).await.unwrap();
        staged.write(content.clone()).await.unwrap();
        let digests = staged.digests().await.unwrap();
        let in_flight = self.metadata.begin_copy(digests.hash);
        let key = in_flight.key();
        staged.publish(&key).await.unwrap();
        let new = NewBlob::raw(key, digests.size_bytes, digests.sha256, digests.crc32);
        self.metadata.write("put", move |tx| tx.replace_blob(&in_flight, new)).await.unwrap();
        key
    }

    fn row(&self, hash: &BlobHash) -> BlobRow {
        self.metadata.read().blob(hash).unwrap().unwrap()
    }
}

#[tokio::test]
async fn what_is_bad_on_either_side_is_good_on_both_afterwards() {
    let content = bytes(1, 2_500_000);
    for harm in [MemoryStore::corrupt, MemoryStore::truncate, MemoryStore::lose] {
        for harms_first in [true, false] {
            let site = Site::new(10);
            let key = site.put(&content).await;
            assert!(harm(if harms_first { &site.first } else { &site.second }, &key));
            let is_only_missing = !harms_first && site.second.keys().is_empty();
            let outcome = site.healer.heal(key).await.unwrap();
            assert_eq!(outcome, if is_only_missing { HealOutcome::Copied } else { HealOutcome::Repaired });
            let row = site.row(&key.hash);
            assert_eq!(
                (row.key == key, row.damaged),
                (is_only_missing, false),
                "a bad copy is never written over: another takes its place"
            );
            for leg in [&site.first, &site.second] {
                assert_eq!(get(leg, &row.key).await.unwrap(), content);
            }
            let doomed = site.metadata.read().doomed(None, 10).unwrap().items.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
            assert_eq!(doomed, if is_only_missing { vec![] } else { vec![key] });
            assert_eq!(site.healer.heal(key).await.unwrap(), if is_only_missing { HealOutcome::Sound } else { HealOutcome::Stale });
            assert_eq!(site.healer.heal(row.key).await.unwrap(), HealOutcome::Sound);
        }
    }
}

#[tokio::test]
async fn what_is_bad_on_both_is_marked_and_mended_from_any_other_copy_of_the_same_bytes() {
    let site = Site::new(10);
    let content = bytes(1, 1000);
    let former = site.put(&content).await;
    let key = site.put(&content).await;
    site.first.corrupt(&key);
    site.second.lose(&key);
    assert_eq!(
        site.healer.heal(key).await.unwrap(),
        HealOutcome::Repaired,
        "from the one that it took the place of, which is not deleted yet"
    );
    let row = site.row(&key.hash);
    assert!(row.key != key && row.key != former);
    for leg in [&site.first, &site.second] {
        for key in leg.keys() {
            leg.truncate(&key);
        }
    }
    assert_eq!(site.healer.heal(row.key).await.unwrap(), HealOutcome::Lost);
    assert!(site.row(&key.hash).damaged);
    assert_eq!(site.healer.figures().outcomes(), [("repaired", 1), ("copied", 0), ("lost", 1), ("failed", 0)]);
}

#[tokio::test]
async fn a_recompressed_copy_is_repaired_as_it_lies() {
    let site = Site::new(10);
    let (photo, lies) = (bytes(1, 3000), bytes(2, 2000));
    let raw = site.put(&photo).await;
    let in_flight = site.metadata.begin_copy(raw.hash);
    let key = in_flight.key();
    for leg in [&site.first, &site.second] {
        leg.put_raw(key, lies.clone());
    }
    let row = site.row(&raw.hash);
    let codec = crate::metadata::Codec { version: [1, 0, 0], flags: 0 };
    let new = NewBlob {
        encoding: Encoding::Lepton(codec),
        stored_bytes: 2000,
        stored_hash: Some(BlobHash::of(&lies)),
        ..NewBlob::raw(key, row.size_bytes, row.sha256, row.crc32)
    };
    site.metadata.write("swap", move |tx| tx.swap_blob(&in_flight, raw, new)).await.unwrap();
    site.first.corrupt(&key);
    assert_eq!(site.healer.heal(key).await.unwrap(), HealOutcome::Repaired);
    let healed = site.row(&raw.hash);
    assert_eq!((healed.encoding, healed.stored_hash, healed.stored_bytes), (new.encoding, new.stored_hash, 2000));
    for leg in [&site.first, &site.second] {
        assert_eq!(get(leg, &healed.key).await.unwrap(), lies);
    }
    for leg in [&site.first, &site.second] {
        leg.corrupt(&healed.key);
    }
    assert_eq!(site.healer.heal(healed.key).await.unwrap(), HealOutcome::Repaired, "from the photo as it came");
    assert_eq!(site.row(&raw.hash).encoding, Encoding::Raw);
}

#[tokio::test]
async fn a_failure_anywhere_leaves_what_stood_and_the_next_try_is_good() {
    let away = || BlobError::Unavailable { doing: "fail", source: Arc::new(std::io::ErrorKind::TimedOut.into()) };
    for operation in [Operation::Open, Operation::Stage, Operation::Write, Operation::Digests, Operation::Publish, Operation::Read] {
        for fails_first in [true, false] {
            for after in 0..3 {
                let site = Site::new(100);
                let content = bytes(1, 100_000);
                let key = site.put(&content).await;
                site.first.corrupt(&key);
                let failing = if fails_first { &site.first } else { &site.second };
                failing.faults().fail(operation, after, away());
                if site.healer.heal(key).await.is_err() {
                    assert_eq!(site.row(&key.hash).key, key, "{operation:?} {after}");
                    failing.faults().clear();
                    assert_eq!(site.healer.heal(key).await.unwrap(), HealOutcome::Repaired, "{operation:?} {after}");
                }
                failing.faults().clear();
                let row = site.row(&key.hash);
                for leg in [&site.first, &site.second] {
                    assert_eq!(get(leg, &row.key).await.unwrap(), content, "{operation:?} {after}");
                }
                assert_eq!(site.first.staged() + site.second.staged(), 0);
                assert_eq!(site.metadata.copies_in_flight(), 0, "{operation:?} {after}");
            }
        }
    }
}

#[tokio::test]
async fn too_much_at_once_is_left_and_said() {
    let site = Site::new(2);
    let mut keys = vec![];
    for seed in 0..3 {
        keys.push(site.put(&bytes(seed, 1000)).await);
    }
    for key in &keys {
        site.first.lose(key);
    }
    let mut outcomes = vec![];
    for key in &keys {
        outcomes.push(site.healer.heal(*key).await.unwrap());
    }
    assert_eq!(outcomes, [HealOutcome::Repaired, HealOutcome::Repaired, HealOutcome::Braked]);
    assert!(site.healer.figures().is_braked());
    assert!(site.row(&keys[2].hash).damaged, "it is durably known");
    site.runtime.clock.advance(Duration::from_secs(3600));
    site.healer.wait_for_brake().await;
    assert!(!site.healer.figures().is_braked());
    assert_eq!(site.healer.heal(keys[2]).await.unwrap(), HealOutcome::Repaired);
}

#[tokio::test]
async fn what_is_marked_is_repaired_before_the_other_store_is_let_go_of() {
    let site = Site::new(0);
    let (one, other) = (site.put(&bytes(1, 1000)).await, site.put(&bytes(2, 1000)).await);
    for key in [one, other] {
        site.first.lose(&key);
        site.metadata.write("mark", move |tx| tx.mark_damaged(key)).await.unwrap();
    }
    site.second.faults().fail(Operation::Open, 0, BlobError::Away);
    assert_eq!(site.healer.heal_marked().await.unwrap(), 1, "it may have that one");
    assert_eq!(site.healer.heal_marked().await.unwrap(), 0);
    for key in [one, other] {
        let row = site.row(&key.hash);
        assert!(!row.damaged && contract::get(&site.first, &row.key).await.is_ok());
    }
}

#[tokio::test]
async fn the_queue_holds_each_once_and_the_worker_empties_it() {
    let site = Site::new(10);
    let key = site.put(&bytes(1, 1000)).await;
    site.first.lose(&key);
    let queue = site.healer.queue().clone();
    for _ in 0..3 {
        queue.add(key);
    }
    assert_eq!(queue.len(), 1);
    let (trigger, shutdown) = crate::runtime::shutdown_channel();
    let stop = async {
        while site.healer.figures().outcomes()[0].1 == 0 {
            tokio::task::yield_now().await;
        }
        trigger.stop();
    };
    tokio::join!(site.healer.clone().run(shutdown), stop);
    assert!(queue.is_empty() && site.row(&key.hash).key != key);
}
