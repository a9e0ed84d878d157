//! What is derived from blobs, on a disk.

use super::*;
use crate::blobs::derived_contract::keeps_what_is_derived;
use crate::blobs::{DerivedKind, DerivedStore, MAX_DERIVED_BYTES};

const KIND: DerivedKind = DerivedKind::Preview;

#[tokio::test]
async fn it_does_what_such_a_store_does() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    keeps_what_is_derived(&store).await;
    assert_eq!(staged(&store).await, 0);
    assert!(store.inventory().next().await.unwrap().is_none(), "it is no copy of anything");
    drop(store);
    keeps_what_is_derived(&place.open().await.unwrap()).await;
}

#[tokio::test]
async fn what_could_not_have_been_kept_is_nothing() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let hash = BlobHash::of(b"one");
    store.put_derived(KIND, &hash, "preview".into()).await.unwrap();
    let at = place.at(path::derived(KIND, &hash));
    std::fs::File::options().write(true).open(&at).unwrap().set_len(MAX_DERIVED_BYTES as u64 + 1).unwrap();
    assert!(store.get_derived(KIND, &hash).await.unwrap().is_none());
    std::fs::remove_file(&at).unwrap();
    std::fs::create_dir(&at).unwrap();
    assert!(store.get_derived(KIND, &hash).await.unwrap().is_none());
    assert!(store.put_derived(KIND, &hash, "preview".into()).await.is_err(), "never over a directory");
    assert_eq!(staged(&store).await, 0);
    std::fs::remove_dir(&at).unwrap();
    // Whoever cleans up takes the directories, too.
    std::fs::remove_dir_all(place.at(path::PREVIEWS)).unwrap();
    assert!(store.get_derived(KIND, &hash).await.unwrap().is_none());
    store.delete_derived(KIND, &hash).await.unwrap();
    store.put_derived(KIND, &hash, "again".into()).await.unwrap();
    assert_eq!(store.get_derived(KIND, &hash).await.unwrap().unwrap(), "again");
}
