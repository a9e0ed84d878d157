//! What lies in the directory: how it is found, refused, swept and listed.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::blobs::contract::{bytes, get, inventory, key, put};
use crate::blobs::disk::files::{Call, Files};
use crate::blobs::{Damage, InventoryItem};
use crate::model::{BlobNonce, SiteId};
use crate::runtime::Runtime;

fn refusal(opened: Result<DiskStore, BlobError>) -> String {
    match opened {
        Err(BlobError::Refused { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_process_at_a_time() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let Err(BlobError::InUse { path, by }) = place.open().await else { panic!("opened twice") };
    assert_eq!((path, by), (place.root(), Some(std::process::id())));

    let key = put(&store, &bytes(1, 10), 1).await.unwrap();
    let read = store.open(&key).await.unwrap();
    let receiving = store.stage(None).await.unwrap();
    drop(store);
    assert!(matches!(place.open().await, Err(BlobError::InUse { .. })), "an open copy still uses it");
    drop(read);
    assert!(matches!(place.open().await, Err(BlobError::InUse { .. })), "so does an upload, which a sweep would hit");
    drop(receiving);
    assert_eq!(get(&place.open().await.unwrap(), &key).await.unwrap(), bytes(1, 10));
}

#[tokio::test]
async fn staging_is_swept_only_by_whoever_holds_the_lock() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let mut staged = store.stage(None).await.unwrap();
    staged.write(bytes(1, 2_000_000)).await.unwrap();
    let leftover = place.at(path::staging([7; 16]));
    std::fs::write(&leftover, "of an earlier run").unwrap();
    std::fs::write(place.at("staging/somebody's"), "not ours").unwrap();
    place.open().await.unwrap_err();
    assert!(leftover.exists());
    staged.publish(&key(&bytes(1, 2_000_000), 1)).await.unwrap();
    drop(store);
    let (root, pool) = (place.root(), BlockingPool::new("blobs", 4));
    let store = DiskStore::open(&root, Runtime::system(), pool, DiskSettings::default()).await.unwrap();
    assert!(leftover.exists(), "the store may be another site's");
    store.sweep().await.unwrap();
    assert!(!leftover.exists());
    assert!(place.at("staging/somebody's").exists());
}

#[tokio::test]
async fn setting_up_makes_the_directorys_own_name_durable() {
    let place = Place::new();
    // Made by another, who may not have synced it.
    std::fs::create_dir(place.root()).unwrap();
    let files = Files::new(&place.root()).unwrap();
    let shared = Shared::open_files(place.root(), files, Runtime::system(), DiskSettings::default()).unwrap();
    let trace = shared.files.faults().take_trace();
    let synced = trace.iter().position(|(call, at)| *call == Call::SyncDirectory && at == Path::new(".."));
    let set_up = trace.iter().position(|(call, at)| *call == Call::Move && at == Path::new(path::FORMAT));
    assert!(synced.is_some() && synced < set_up, "{trace:?}");
}

#[tokio::test]
async fn a_directory_that_is_no_whole_store_is_refused() {
    let never = || DiskSettings { create: false, ..DiskSettings::default() };

    let place = Place::new();
    assert!(matches!(place.open_with(never()).await, Err(BlobError::Unavailable { .. })), "nothing there");
    std::fs::create_dir(place.root()).unwrap();
    assert!(refusal(place.open_with(never()).await).contains("there is no blob store"), "an empty mount point");
    assert_eq!(std::fs::read_dir(place.root()).unwrap().count(), 0, "and nothing is put there");

    let store = place.open().await.unwrap();
    put(&store, &bytes(1, 10), 1).await.unwrap();
    drop(store);
    place.open_with(never()).await.unwrap();

    std::fs::rename(place.at(path::FORMAT), place.at("format")).unwrap();
    assert!(refusal(place.open().await).contains("copied in part"));
    std::fs::write(place.at(path::FORMAT), "halidom blobs 2\n").unwrap();
    assert!(refusal(place.open().await).contains("halidom blobs 2"), "a newer layout");
    std::fs::rename(place.at("format"), place.at(path::FORMAT)).unwrap();
    std::fs::remove_dir(place.at(path::STAGING)).unwrap();
    place.open().await.expect("a copying tool may leave out an empty directory");
    std::fs::rename(place.at(path::BLOBS), place.at("away")).unwrap();
    assert!(refusal(place.open().await).contains("is its disk mounted"), "missing blobs are not an empty store");
}

#[tokio::test]
async fn an_empty_store_may_have_lost_its_empty_directories() {
    let place = Place::new();
    let empty = || DiskSettings { create: false, may_be_empty: true, ..DiskSettings::default() };
    drop(place.open().await.unwrap());
    for directory in [path::BLOBS, path::STAGING] {
        std::fs::remove_dir(place.at(directory)).unwrap();
    }
    assert!(refusal(place.open().await).contains("is its disk mounted"), "a site that has blobs misses them");
    let store = place.open_with(empty()).await.unwrap();
    assert_eq!(inventory(&store).await.unwrap(), []);
    let key = put(&store, &bytes(1, 10), 1).await.unwrap();
    assert_eq!(get(&store, &key).await.unwrap(), bytes(1, 10));
    drop(store);
    std::fs::remove_file(place.at(path::FORMAT)).unwrap();
    assert!(refusal(place.open_with(empty()).await).contains("there is no blob store"), "no store is no empty one");
}

#[tokio::test]
async fn a_store_that_vanishes_is_not_an_empty_one() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let key = put(&store, &bytes(1, 10), 1).await.unwrap();
    let check = async |gone: &str| {
        assert!(matches!(store.open(&key).await, Err(BlobError::Unavailable { .. })), "{gone}");
        assert!(matches!(store.copies(&key.hash).await, Err(BlobError::Unavailable { .. })), "{gone}");
        assert!(matches!(store.delete(&key).await, Err(BlobError::Unavailable { .. })), "{gone}");
        assert!(matches!(store.marker().await, Err(BlobError::Unavailable { .. })), "{gone}");
        assert!(matches!(inventory(&store).await, Err(BlobError::Unavailable { .. })), "{gone}");
        assert!(matches!(store.probe().await, Err(BlobError::Unavailable { .. })), "{gone}");
        assert!(put(&store, &bytes(2, 10), 1).await.is_err(), "{gone}");
    };
    std::fs::rename(place.at(path::BLOBS), place.at("away")).unwrap();
    check("its copies").await;
    std::fs::rename(place.at("away"), place.at(path::BLOBS)).unwrap();
    assert_eq!(get(&store, &key).await.unwrap(), bytes(1, 10));
    store.probe().await.unwrap();

    std::fs::rename(place.root(), place.directory.path().join("moved")).unwrap();
    std::fs::create_dir(place.root()).unwrap();
    assert!(matches!(store.probe().await, Err(BlobError::Unavailable { .. })), "something else lies at its path");
    assert_eq!(get(&store, &key).await.unwrap(), bytes(1, 10), "but what is open is still the store");
    std::fs::remove_dir_all(place.directory.path().join("moved")).unwrap();
    check("all of it").await;
}

#[tokio::test]
async fn a_removed_fan_out_directory_is_made_again_at_once() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let content = bytes(1, 10);
    let key = put(&store, &content, 1).await.unwrap();
    std::fs::remove_dir_all(place.at(path::fan_out(key.hash.as_bytes()[0]))).unwrap();
    let key = put(&store, &content, 2).await.unwrap();
    assert_eq!(get(&store, &key).await.unwrap(), content);
    assert_eq!(staged(&store).await, 0);
}

#[tokio::test]
async fn nobody_else_may_read() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let key = put(&store, &bytes(1, 10), 1).await.unwrap();
    store.claim(None, Marker { site: SiteId::from_bytes([1; 16]), epoch: 1 }).await.unwrap();
    let mode = |at: PathBuf| std::fs::metadata(at).unwrap().permissions().mode() & 0o777;
    for directory in ["".into(), path::BLOBS.into(), path::STAGING.into(), path::leaf(&key.hash)] {
        assert_eq!(mode(place.at(&directory)), 0o700, "{}", directory.display());
    }
    for file in [path::copy(&key), path::FORMAT.into(), path::MARKER.into(), path::LOCK.into()] {
        assert_eq!(mode(place.at(&file)), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn links_are_not_followed() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let key = put(&store, &bytes(1, 10), 1).await.unwrap();
    let elsewhere = place.directory.path().join("elsewhere");
    std::fs::rename(place.at(path::copy(&key)), &elsewhere).unwrap();
    symlink(&elsewhere, place.at(path::copy(&key))).unwrap();
    assert!(matches!(store.open(&key).await, Err(BlobError::Damaged { damage: Damage::NotAFile, .. })));
    assert_eq!(inventory(&store).await.unwrap(), [InventoryItem::Foreign { path: path::copy(&key) }]);
    std::fs::remove_file(place.at(path::copy(&key))).unwrap();
    std::fs::create_dir(place.at(path::copy(&key))).unwrap();
    assert!(matches!(store.open(&key).await, Err(BlobError::Damaged { damage: Damage::NotAFile, .. })));
}

#[tokio::test]
async fn whatever_is_not_a_copy_is_reported() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let key = put(&store, &bytes(1, 10), 1).await.unwrap();
    let leaf = path::leaf(&key.hash);
    let [first, second, ..] = *key.hash.as_bytes();
    let name = key.to_string();
    let files = [
        path::leaf_of(first, second ^ 1).join(&name),
        leaf.join(&name[..name.len() - 1]),
        leaf.join(format!("{name}0")),
        leaf.join(name.to_uppercase()),
        leaf.join("thumbs.db"),
        path::fan_out(first).join("zz"),
        path::fan_out(first ^ 1),
        path::fan_out(first).join(format!("{:02x}", second ^ 2)),
        Path::new(path::BLOBS).join("README"),
    ];
    let mut expected: Vec<_> = files.iter().map(|path| InventoryItem::Foreign { path: path.clone() }).collect();
    for file in &files {
        std::fs::create_dir_all(place.at(file).parent().unwrap()).unwrap();
        std::fs::write(place.at(file), "x").unwrap();
    }
    let directory = leaf.join(BlobKey { nonce: BlobNonce::from_random([9; 12]), ..key }.to_string());
    std::fs::create_dir(place.at(&directory)).unwrap();
    expected.push(InventoryItem::Foreign { path: directory });
    std::fs::write(place.at(leaf.join(".nfs0000000000000001")), "held open by a client").unwrap();
    expected.push(InventoryItem::Copy { key, size_bytes: 10 });
    let mut found = inventory(&store).await.unwrap();
    let order = |item: &InventoryItem| format!("{item:?}");
    found.sort_by_key(order);
    expected.sort_by_key(order);
    assert_eq!(found, expected);
    assert_eq!(store.copies(&key.hash).await.unwrap().first(), Some(&key));
}

#[tokio::test]
async fn a_marker_that_is_none_is_never_overwritten() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let marker = Marker { site: SiteId::from_bytes([1; 16]), epoch: 1 };
    store.claim(None, marker).await.unwrap();
    let written = std::fs::read_to_string(place.at(path::MARKER)).unwrap();
    assert_eq!(written, format!("{{\"version\":1,\"site\":\"{}\",\"epoch\":1}}", marker.site));
    for wrong in ["", "{", "{\"version\":2,\"site\":\"01010101-0101-0101-0101-010101010101\",\"epoch\":1}", &"x".repeat(5000)] {
        std::fs::write(place.at(path::MARKER), wrong).unwrap();
        assert!(matches!(store.marker().await, Err(BlobError::Refused { .. })), "{wrong:.40}");
        assert!(matches!(store.claim(None, marker).await, Err(BlobError::Refused { .. })), "{wrong:.40}");
        assert_eq!(std::fs::read_to_string(place.at(path::MARKER)).unwrap(), wrong);
    }
}
