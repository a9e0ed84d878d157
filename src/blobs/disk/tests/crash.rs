//! The process dies before any one system call: after reopening, staging is empty and every copy is whole or absent.

use super::*;
use crate::blobs::contract::{bytes, get, inventory, key, put};
use crate::blobs::disk::faults::Fault;
use crate::blobs::disk::files::Files;
use crate::blobs::{Deletion, InventoryItem};
use crate::model::SiteId;
use crate::runtime::Runtime;

fn halt(store: &DiskStore, steps: usize) {
    store.shared.files.faults().plan(steps, Fault::Halt);
}

/// Streamed, or held in memory.
async fn upload(store: &DiskStore, content: &bytes::Bytes, held: bool) -> Result<(), BlobError> {
    let mut staged = store.stage(held.then_some(content.len() as u64)).await?;
    for chunk in content.chunks(50_000) {
        staged.write(content.slice_ref(chunk)).await?;
    }
    staged.publish(&key(content, 1)).await
}

#[tokio::test]
async fn an_upload_may_be_cut_short_at_every_step() {
    for held in [false, true] {
        cut_short_at_every_step(held).await;
    }
}

async fn cut_short_at_every_step(held: bool) {
    let content = bytes(1, 300_000);
    let (mut absent, mut present) = (0, 0);
    for steps in 0.. {
        let place = Place::new();
        let store = place.open_with(DiskSettings { gather_bytes: 64 * 1024, ..DiskSettings::default() }).await.unwrap();
        let bystander = put(&store, &bytes(2, 1000), 1).await.unwrap();
        halt(&store, steps);
        let acknowledged = upload(&store, &content, held).await.is_ok();
        let finished = store.shared.files.faults().clear();
        drop(store);

        let store = place.open().await.unwrap();
        assert_eq!(staged(&store).await, 0, "step {steps}, held: {held}");
        let mut expected = vec![InventoryItem::Copy { key: bystander, size_bytes: 1000 }];
        match get(&store, &key(&content, 1)).await {
            Ok(found) => {
                assert_eq!(found, content, "step {steps}, held: {held}");
                expected.push(InventoryItem::Copy { key: key(&content, 1), size_bytes: content.len() as u64 });
                present += 1;
            }
            Err(BlobError::NotFound) => {
                assert!(!acknowledged, "step {steps}, held: {held}");
                absent += 1;
            }
            Err(error) => panic!("step {steps}, held: {held}: {error}"),
        }
        expected.sort_by_key(|item| format!("{item:?}"));
        assert_eq!(inventory(&store).await.unwrap(), expected, "step {steps}, held: {held}");
        if finished {
            assert!(acknowledged);
            break;
        }
    }
    assert!(absent >= 8 && present >= 2, "{absent} absent, {present} present");
}

#[tokio::test]
async fn a_deletion_may_be_cut_short_at_every_step() {
    for steps in 0.. {
        let place = Place::new();
        let store = place.open().await.unwrap();
        let key = put(&store, &bytes(1, 1000), 1).await.unwrap();
        halt(&store, steps);
        let acknowledged = store.delete(&key).await.is_ok();
        let finished = store.shared.files.faults().clear();
        drop(store);
        let store = place.open().await.unwrap();
        let left = inventory(&store).await.unwrap().len();
        assert!(left == 0 || !acknowledged);
        assert_eq!(store.delete(&key).await.unwrap(), if left == 1 { Deletion::Deleted } else { Deletion::Absent });
        if finished {
            break;
        }
    }
}

#[tokio::test]
async fn a_claim_may_be_cut_short_at_every_step() {
    let marker = |epoch| Marker { site: SiteId::from_bytes([1; 16]), epoch };
    for steps in 0.. {
        let place = Place::new();
        let store = place.open().await.unwrap();
        store.claim(None, marker(1)).await.unwrap();
        halt(&store, steps);
        let acknowledged = store.claim(Some(marker(1)), marker(2)).await.is_ok();
        let finished = store.shared.files.faults().clear();
        drop(store);
        let store = place.open().await.unwrap();
        let found = store.marker().await.unwrap();
        assert!(found == Some(marker(2)) || (!acknowledged && found == Some(marker(1))), "step {steps}: {found:?}");
        assert_eq!(staged(&store).await, 0);
        if finished {
            break;
        }
    }
}

#[tokio::test]
async fn setting_up_may_be_cut_short_at_every_step() {
    let mut steps = 0;
    loop {
        let place = Place::new();
        std::fs::create_dir(place.root()).unwrap();
        let files = Files::new(&place.root()).unwrap();
        files.faults().plan(steps, Fault::Halt);
        let opened = Shared::open_files(place.root(), files, Runtime::system(), DiskSettings::default());
        let finished = opened.as_ref().is_ok_and(|shared| shared.files.faults().clear());
        drop(opened);
        let store = place.open().await.unwrap();
        let key = put(&store, &bytes(1, 1000), 1).await.unwrap();
        get(&store, &key).await.unwrap();
        assert_eq!(staged(&store).await, 0);
        if finished {
            break;
        }
        steps += 1;
    }
    assert!(steps >= 10, "{steps}");
}
