//! A damaged store of every state, in memory and on a disk.

use std::fs;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::blobs::{Digests, DiskSettings, DiskStore, MemoryStore, Operation, contract, path};
use crate::metadata::memory::MemoryEngine;
use crate::metadata::{InFlight, MetadataSettings, NewBlob};
use crate::runtime::Runtime;

struct Site<S> {
    metadata: Metadata,
    store: S,
    pool: BlockingPool,
}

impl<S: BlobStore> Site<S> {
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

    async fn list(&self, read_data: bool) -> Result<(Vec<(InventoryState, String)>, InventorySummary), InventoryError> {
        let mut lines = vec![];
        let summary = inventory(&self.metadata, &self.store, &self.pool, read_data, &mut |line| {
            lines.push((line.state, line.key.clone().or(line.path.clone()).unwrap()));
            Ok(())
        })
        .await?;
        Ok((lines, summary))
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

#[tokio::test]
async fn every_state_is_told_of_a_store_in_memory() {
    let site = Site::over(MemoryStore::new());
    let store = site.store.clone();
    let (lose, tear, cut) =
        (|key: &_| assert!(store.lose(key)), |key: &_| assert!(store.corrupt(key)), |key: &_| assert!(store.truncate(key)));
    let [looked, read] = site.of_every_state(lose, tear, cut).await;
    let (lines, summary) = site.list(false).await.unwrap();
    assert_eq!(lines, looked);
    assert_eq!((summary.named, summary.doomed, summary.extra, summary.missing, summary.damaged, summary.foreign), (3, 1, 1, 1, 1, 0));
    assert_eq!((summary.stored_bytes, summary.bytes_read), (1_000 + 2 * 900 + 800 + 600 + 499, 0));
    let (lines, summary) = site.list(true).await.unwrap();
    assert_eq!(lines, read);
    assert_eq!((summary.named, summary.damaged, summary.bytes_read), (2, 2, 1_000 + 900 + 600));
}

#[tokio::test]
async fn every_state_is_told_of_a_store_on_a_disk() {
    let root = tempfile::tempdir().unwrap();
    let pool = BlockingPool::new("blobs", 1);
    let store = DiskStore::open(root.path(), Runtime::system(), pool, DiskSettings::default()).await.unwrap();
    let site = Site::over(store);
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
        site.of_every_state(lose, |key| write(key, |bytes| bytes[7] ^= 1), |key| write(key, |bytes| bytes.truncate(499))).await;
    fs::write(root.path().join("blobs/zz-notes.txt"), "a note").unwrap();
    let foreign = (InventoryState::Foreign, "blobs/zz-notes.txt".to_owned());
    for (read_data, expected) in [(false, looked), (true, read)] {
        let (of_foreign, lines): (Vec<_>, Vec<_>) =
            site.list(read_data).await.unwrap().0.into_iter().partition(|(state, _)| *state == InventoryState::Foreign);
        assert_eq!((lines, of_foreign), (expected, vec![foreign.clone()]), "read: {read_data}");
    }
}

#[tokio::test]
async fn many_rows_and_few_copies_meet_a_page_at_a_time() {
    let site = Site::over(MemoryStore::new());
    let digests = Digests::of(b"");
    let in_flight: Vec<_> = (0..3 * PAGE).map(|row| site.metadata.begin_copy(BlobHash::of(&row.to_be_bytes()))).collect();
    let mut keys: Vec<_> = in_flight.iter().map(InFlight::key).collect();
    keys.sort_unstable();
    let place = move |tx: &mut crate::metadata::Transaction<'_>| {
        in_flight
            .iter()
            .try_for_each(|in_flight| tx.replace_blob(in_flight, NewBlob::raw(in_flight.key(), 0, digests.sha256, digests.crc32)).map(drop))
    };
    site.metadata.write("place", place).await.unwrap();
    let there = keys[2 * PAGE + 7];
    site.store.put_raw(there, Bytes::new());
    let (lines, summary) = site.list(false).await.unwrap();
    let state = |key: &BlobKey| if *key == there { InventoryState::Named } else { InventoryState::Missing };
    assert_eq!(lines, keys.iter().map(|key| (state(key), key.to_string())).collect::<Vec<_>>());
    assert_eq!((summary.named, summary.missing), (1, 3 * PAGE as u64 - 1));
}

#[tokio::test]
async fn what_cannot_be_listed_or_read_ends_it() {
    let site = Site::over(MemoryStore::new());
    site.put(&contract::bytes(1, 1_000)).await;
    let away = || BlobError::Unavailable { doing: "look", source: Arc::new(io::Error::from(io::ErrorKind::TimedOut)) };
    site.store.faults().fail_always(Operation::Inventory, away());
    assert!(matches!(site.list(false).await, Err(InventoryError::Blobs(BlobError::Unavailable { .. }))));
    site.store.faults().clear();
    site.store.faults().fail_always(Operation::Open, away());
    assert!(matches!(site.list(true).await, Err(InventoryError::Blobs(BlobError::Unavailable { .. }))));
    site.store.faults().clear();
    let told = inventory(&site.metadata, &site.store, &site.pool, false, &mut |_| Err(io::ErrorKind::BrokenPipe.into())).await;
    assert!(matches!(told, Err(InventoryError::Told(_))));
}
