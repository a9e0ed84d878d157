//! Random calls, crashes and reopenings against a map.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::blobs::contract::{bytes, get, inventory, key};
use crate::blobs::disk::faults::Fault;
use crate::blobs::{Deletion, InventoryItem, MemoryStore};

#[derive(Debug, Clone)]
enum Step {
    Publish {
        content: u64,
        nonce: u8,
    },
    Discard {
        content: u64,
    },
    Delete {
        content: u64,
        nonce: u8,
    },
    Open {
        content: u64,
        nonce: u8,
    },
    Copies {
        content: u64,
    },
    Inventory,
    /// The process dies after so many system calls of an upload; then the store is opened again.
    Crash {
        content: u64,
        nonce: u8,
        calls: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (content, nonce) = (0..4u64, 0..3u8);
    let step = prop_oneof![
        4 => (content.clone(), nonce.clone()).prop_map(|(content, nonce)| Step::Publish { content, nonce }),
        1 => content.clone().prop_map(|content| Step::Discard { content }),
        2 => (content.clone(), nonce.clone()).prop_map(|(content, nonce)| Step::Delete { content, nonce }),
        2 => (content.clone(), nonce.clone()).prop_map(|(content, nonce)| Step::Open { content, nonce }),
        1 => content.clone().prop_map(|content| Step::Copies { content }),
        1 => Just(Step::Inventory),
        1 => (content, nonce, 0..14usize).prop_map(|(content, nonce, calls)| Step::Crash { content, nonce, calls }),
    ];
    proptest::collection::vec(step, 1..40)
}

/// Small, gathered, just past gathering, large.
fn content(which: u64) -> Bytes {
    bytes(which, [0, 1000, 70_000, 300_000][which as usize])
}

#[derive(Default)]
struct Model(BTreeMap<BlobKey, Bytes>);

impl Model {
    fn items(&self) -> Vec<InventoryItem> {
        self.0.iter().map(|(key, bytes)| InventoryItem::Copy { key: *key, size_bytes: bytes.len() as u64 }).collect()
    }
}

async fn publish(store: &dyn BlobStore, bytes: &Bytes, key: &BlobKey) -> Result<(), BlobError> {
    let mut staged = store.stage(None).await?;
    for chunk in bytes.chunks(30_000) {
        staged.write(bytes.slice_ref(chunk)).await?;
    }
    staged.publish(key).await
}

async fn compare(store: &dyn BlobStore, model: &mut Model, step: &Step) {
    match *step {
        Step::Publish { content: which, nonce } => {
            let (bytes, key) = (content(which), key(&content(which), nonce));
            let published = publish(store, &bytes, &key).await;
            assert_eq!(published.is_ok(), !model.0.contains_key(&key), "{published:?}");
            model.0.entry(key).or_insert(bytes);
        }
        Step::Discard { content: which } => {
            let mut staged = store.stage(None).await.unwrap();
            staged.write(content(which)).await.unwrap();
            staged.discard().await;
        }
        Step::Delete { content: which, nonce } => {
            let key = key(&content(which), nonce);
            let expected = if model.0.remove(&key).is_some() { Deletion::Deleted } else { Deletion::Absent };
            assert_eq!(store.delete(&key).await.unwrap(), expected);
        }
        Step::Open { content: which, nonce } => {
            let key = key(&content(which), nonce);
            match (get(store, &key).await, model.0.get(&key)) {
                (Ok(found), Some(expected)) => assert_eq!(found, expected),
                (Err(BlobError::NotFound), None) => {}
                (found, expected) => panic!("{found:?}, not {expected:?}"),
            }
        }
        Step::Copies { content: which } => {
            let hash = BlobHash::of(&content(which));
            let expected: Vec<_> = model.0.keys().filter(|key| key.hash == hash).copied().collect();
            assert_eq!(store.copies(&hash).await.unwrap(), expected);
        }
        Step::Inventory => assert_eq!(inventory(store).await.unwrap(), model.items()),
        Step::Crash { .. } => {}
    }
}

fn block_on<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_disk_store_is_a_map(steps in steps()) {
        block_on(async {
            let place = Place::new();
            let settings = || DiskSettings { gather_bytes: 64 * 1024, ..DiskSettings::default() };
            let mut store = place.open_with(settings()).await.unwrap();
            let mut model = Model::default();
            for step in &steps {
                let Step::Crash { content: which, nonce, calls } = *step else {
                    compare(&store, &mut model, step).await;
                    assert_eq!(staged(&store).await, 0);
                    continue;
                };
                let (bytes, key) = (content(which), key(&content(which), nonce));
                store.shared.files.faults().plan(calls, Fault::Halt);
                let acknowledged = publish(&store, &bytes, &key).await.is_ok();
                drop(store);
                store = place.open_with(settings()).await.unwrap();
                assert_eq!(staged(&store).await, 0);
                let there = get(&store, &key).await;
                match there {
                    Ok(found) => assert_eq!(model.0.entry(key).or_insert(bytes), &found),
                    Err(BlobError::NotFound) => assert!(!acknowledged && !model.0.contains_key(&key)),
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(inventory(&store).await.unwrap(), model.items());
        });
    }

    #[test]
    fn the_memory_store_is_a_map(steps in steps()) {
        block_on(async {
            let (store, mut model) = (MemoryStore::new(), Model::default());
            for step in &steps {
                compare(&store, &mut model, step).await;
                assert_eq!(store.staged(), 0);
            }
            assert_eq!(inventory(&store).await.unwrap(), model.items());
        });
    }
}
