//! A damaged store of every state, in memory and on a disk.

use std::{fs, io};

use bytes::Bytes;

use super::super::walk::PAGE;
use super::*;
use crate::blobs::{Digests, DiskSettings, DiskStore, MemoryStore, Operation, contract, path};
use crate::metadata::memory::MemoryEngine;
use crate::metadata::{InFlight, MetadataSettings, NewBlob};
use crate::model::BlobHash;
use crate::runtime::Runtime;

struct World<S> {
    metadata: Metadata,
    store: S,
    pool: BlockingPool,
}

impl<S: BlobStore + Clone> World<S> {
    fn over(store: S) -> Self {
        let runtime = Runtime::simulated(1, 1_800_000_000_000);
        let metadata = Metadata::open(Arc::new(MemoryEngine::new()), runtime, MetadataSettings::default()).unwrap();
        Self { metadata, store, pool: BlockingPool::new("inventory", 1) }
    }

    async fn put(&self, bytes: &Bytes) -> BlobKey {
        let digests = Digests::of(bytes);
        let in_flight = self.metadata.begin_copy(digests.hash);
        let mut staged = self.store.stage(None).await.unwrap();
        staged.write(bytes.clone()).await.unwrap();
        staged.publish(&in_flight.key()).await.unwrap();
        let blob = NewBlob::raw(in_flight.key(), digests.size_bytes, digests.sha256, digests.crc32);
        self.metadata.write("place", move |tx| tx.replace_blob(&in_flight, blob)).await.unwrap();
        blob.key
    }

    fn listing(&self, read_data: bool) -> Listing {
        Listing::of_site(self.metadata.clone(), Arc::new(self.store.clone()), self.pool.clone(), read_data)
    }

    async fn list(&self, read_data: bool) -> Result<(Vec<(InventoryState, String)>, InventorySummary), WalkError> {
        told(self.listing(read_data)).await
    }

    /// One of every state but foreign; what is `torn` only its bytes tell. Gives what the inventory has to say of each.
    async fn of_every_state(
        &self,
        lose: impl Fn(&BlobKey),
        tear: impl Fn(&BlobKey),
        cut: impl Fn(&BlobKey),
    ) -> [Vec<(InventoryState, String)>; 2] {
        let sound = self.put(&contract::bytes(1, 1_000)).await;
        let (doomed, renewed) = (self.put(&contract::bytes(2, 900)).await, self.put(&contract::bytes(2, 900)).await);
        let extra = contract::put(&self.store, &contract::bytes(3, 800), 1).await.unwrap();
        let (lost, torn, short) =
            (self.put(&contract::bytes(4, 700)).await, self.put(&contract::bytes(5, 600)).await, self.put(&contract::bytes(6, 500)).await);
        lose(&lost);
        tear(&torn);
        cut(&short);
        [InventoryState::Named, InventoryState::Damaged].map(|of_torn| {
            let mut lines = vec![
                (InventoryState::Named, sound),
                (InventoryState::Doomed, doomed),
                (InventoryState::Named, renewed),
                (InventoryState::Extra, extra),
                (InventoryState::Missing, lost),
                (of_torn, torn),
                (InventoryState::Damaged, short),
            ];
            lines.sort_by_key(|(_, key)| *key);
            lines.into_iter().map(|(state, key)| (state, key.to_string())).collect()
        })
    }
}

async fn told(mut listing: Listing) -> Result<(Vec<(InventoryState, String)>, InventorySummary), WalkError> {
    let mut told = vec![];
    while let Some(lines) = listing.next().await? {
        assert!(!lines.is_empty() && lines.len() <= LINES);
        told.extend(lines.into_iter().map(|line| (line.state, line.key.or(line.path).unwrap())));
    }
    Ok((told, listing.summary()))
}

#[tokio::test]
async fn every_state_is_told_of_a_store_in_memory() {
    let world = World::over(MemoryStore::new());
    let store = world.store.clone();
    let (lose, tear, cut) =
        (|key: &_| assert!(store.lose(key)), |key: &_| assert!(store.corrupt(key)), |key: &_| assert!(store.truncate(key)));
    let [looked, read] = world.of_every_state(lose, tear, cut).await;
    let (lines, summary) = world.list(false).await.unwrap();
    assert_eq!(lines, looked);
    assert_eq!((summary.named, summary.doomed, summary.extra, summary.missing, summary.damaged, summary.foreign), (3, 1, 1, 1, 1, 0));
    assert_eq!((summary.stored_bytes, summary.bytes_read), (1_000 + 2 * 900 + 800 + 600 + 499, 0));
    let (lines, summary) = world.list(true).await.unwrap();
    assert_eq!(lines, read);
    assert_eq!((summary.named, summary.damaged, summary.bytes_read), (2, 2, 1_000 + 900 + 600));
}

#[tokio::test]
async fn every_state_is_told_of_a_store_on_a_disk() {
    let root = tempfile::tempdir().unwrap();
    let pool = BlockingPool::new("blobs", 1);
    let store = DiskStore::open(root.path(), Runtime::system(), pool, DiskSettings::default()).await.unwrap();
    let world = World::over(store);
    let at = |key: &BlobKey| root.path().join(path::copy(key));
    let write = |key: &BlobKey, change: fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(at(key)).unwrap();
        change(&mut bytes);
        // Copies are read-only.
        fs::remove_file(at(key)).unwrap();
        fs::write(at(key), bytes).unwrap();
    };
    let lose = |key: &BlobKey| fs::remove_file(at(key)).unwrap();
    let [looked, read] =
        world.of_every_state(lose, |key| write(key, |bytes| bytes[7] ^= 1), |key| write(key, |bytes| bytes.truncate(499))).await;
    fs::write(root.path().join("blobs/zz-notes.txt"), "a note").unwrap();
    let foreign = (InventoryState::Foreign, "blobs/zz-notes.txt".to_owned());
    for (read_data, expected) in [(false, looked), (true, read)] {
        let (of_foreign, lines): (Vec<_>, Vec<_>) =
            world.list(read_data).await.unwrap().0.into_iter().partition(|(state, _)| *state == InventoryState::Foreign);
        assert_eq!((lines, of_foreign), (expected, vec![foreign.clone()]), "read: {read_data}");
    }
}

#[tokio::test]
async fn many_rows_and_few_copies_meet_a_page_at_a_time() {
    let world = World::over(MemoryStore::new());
    let digests = Digests::of(b"");
    let in_flight: Vec<_> = (0..3 * PAGE).map(|row| world.metadata.begin_copy(BlobHash::of(&row.to_be_bytes()))).collect();
    let mut keys: Vec<_> = in_flight.iter().map(InFlight::key).collect();
    keys.sort_unstable();
    let place = move |tx: &mut crate::metadata::Transaction<'_>| {
        in_flight
            .iter()
            .try_for_each(|in_flight| tx.replace_blob(in_flight, NewBlob::raw(in_flight.key(), 0, digests.sha256, digests.crc32)).map(drop))
    };
    world.metadata.write("place", place).await.unwrap();
    let there = keys[2 * PAGE + 7];
    world.store.put_raw(there, Bytes::new());
    let (lines, summary) = world.list(false).await.unwrap();
    let state = |key: &BlobKey| if *key == there { InventoryState::Named } else { InventoryState::Missing };
    assert_eq!(lines, keys.iter().map(|key| (state(key), key.to_string())).collect::<Vec<_>>());
    assert_eq!((summary.named, summary.missing), (1, 3 * PAGE as u64 - 1));
}

#[tokio::test]
async fn of_a_backend_alone_only_what_the_bytes_say_is_told() {
    let world = World::over(MemoryStore::new());
    let [_, read] = world
        .of_every_state(
            |key| assert!(world.store.lose(key)),
            |key| assert!(world.store.corrupt(key)),
            |key| assert!(world.store.truncate(key)),
        )
        .await;
    let alone = |read_data| told(Listing::of_backend(Arc::new(world.store.clone()), read_data));
    let there: Vec<_> = read.into_iter().filter(|(state, _)| *state != InventoryState::Missing).collect();
    let (lines, summary) = alone(false).await.unwrap();
    assert_eq!(lines, there.iter().map(|(_, key)| (InventoryState::Stored, key.clone())).collect::<Vec<_>>());
    assert_eq!((summary.stored, summary.damaged, summary.bytes_read), (6, 0, 0));
    let (lines, summary) = alone(true).await.unwrap();
    let by_bytes = |state| if state == InventoryState::Damaged { state } else { InventoryState::Stored };
    assert_eq!(lines, there.into_iter().map(|(state, key)| (by_bytes(state), key)).collect::<Vec<_>>());
    assert_eq!((summary.stored, summary.damaged, summary.stored_bytes), (4, 2, summary.bytes_read));
}

#[tokio::test]
async fn what_goes_from_a_backend_meanwhile_is_no_damage() {
    let store = MemoryStore::new();
    let mut keys = vec![];
    for content in 0..3 {
        keys.push(contract::put(&store, &contract::bytes(content, READ_AT_ONCE as usize), 1).await.unwrap());
    }
    keys.sort_unstable();
    assert!(store.corrupt(&keys[1]) && store.corrupt(&keys[2]));
    let mut listing = Listing::of_backend(Arc::new(store.clone()), true);
    // All are listed, and one is read.
    assert_eq!(listing.next().await.unwrap().unwrap().len(), 1);
    store.delete(&keys[1]).await.unwrap();
    let (lines, summary) = told(listing).await.unwrap();
    assert_eq!(lines, [(InventoryState::Damaged, keys[2].to_string())]);
    assert_eq!((summary.stored, summary.damaged), (1, 1));
}

#[tokio::test]
async fn who_waits_sees_that_it_goes_on() {
    let world = World::over(MemoryStore::new());
    for content in 0..4 {
        world.put(&contract::bytes(content, 7 << 20)).await;
    }
    let mut listing = world.listing(true);
    assert_eq!(listing.next().await.unwrap().unwrap().len(), 3, "some are told before all are read");
    assert_eq!(listing.next().await.unwrap().unwrap().len(), 1);
    assert_eq!(listing.next().await.unwrap(), None);
    assert_eq!(listing.next().await.unwrap(), None);
}

#[tokio::test]
async fn what_cannot_be_listed_or_read_ends_it() {
    let world = World::over(MemoryStore::new());
    world.put(&contract::bytes(1, 1_000)).await;
    let away = || BlobError::Unavailable { doing: "look", source: Arc::new(io::Error::from(io::ErrorKind::TimedOut)) };
    for (operation, read_data) in [(Operation::Inventory, false), (Operation::Open, true)] {
        world.store.faults().fail_always(operation, away());
        let (site, backend) = (world.listing(read_data), Listing::of_backend(Arc::new(world.store.clone()), read_data));
        for mut listing in [site, backend] {
            assert!(matches!(listing.next().await, Err(WalkError::Blobs(BlobError::Unavailable { .. }))));
        }
        world.store.faults().clear();
    }
    // What failed does not go on, and passes for nothing whole.
    world.store.faults().fail_always(Operation::Inventory, away());
    let (mut site, mut backend) = (world.listing(false), Listing::of_backend(Arc::new(world.store.clone()), false));
    site.next().await.unwrap_err();
    backend.next().await.unwrap_err();
    world.store.faults().clear();
    site.next().await.unwrap_err();
    backend.next().await.unwrap_err();
}

#[tokio::test]
async fn one_that_is_given_up_half_way_does_not_go_on() {
    let world = World::over(MemoryStore::new());
    world.put(&contract::bytes(1, 1_000)).await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let mut holding = Box::pin(world.pool.run(move || held.recv().is_ok()));
    assert!(futures_util::poll!(&mut holding).is_pending());
    let mut listing = world.listing(false);
    let mut next = Box::pin(listing.next());
    assert!(futures_util::poll!(&mut next).is_pending());
    drop(next);
    release.send(()).unwrap();
    assert!(holding.await.unwrap());
    assert!(matches!(listing.next().await, Err(WalkError::Blobs(BlobError::Internal { .. }))));
}
