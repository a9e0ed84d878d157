//! A store that another process has open, looked at beside it.

use super::*;
use crate::blobs::contract::{bytes, get, inventory, put};
use crate::model::SiteId;

fn files(place: &Place) -> Vec<PathBuf> {
    let mut files: Vec<_> = walkdir::WalkDir::new(place.root()).into_iter().map(|entry| entry.unwrap().into_path()).collect();
    files.sort_unstable();
    files
}

#[tokio::test]
async fn it_is_listed_and_read_and_nothing_in_it_is_changed() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let key = put(&store, &bytes(1, 1_000), 1).await.unwrap();
    let other = put(&store, &bytes(2, 10), 1).await.unwrap();
    let marker = Marker { site: SiteId::from_bytes([1; 16]), epoch: 1 };
    store.claim(None, marker).await.unwrap();
    let before = files(&place);
    let reader = DiskReader::open(&place.root(), Runtime::system(), BlockingPool::new("reading", 2), None).await.unwrap();
    assert_eq!(inventory(&reader).await.unwrap(), inventory(&store).await.unwrap());
    assert_eq!(get(&reader, &key).await.unwrap(), bytes(1, 1_000));
    assert_eq!(reader.copies(&key.hash).await.unwrap(), [key]);
    assert_eq!(reader.marker().await.unwrap(), Some(marker));
    let refused = |error: BlobError| assert!(matches!(error, BlobError::Refused { .. }), "{error:?}");
    refused(put(&reader, &bytes(3, 10), 1).await.unwrap_err());
    refused(reader.delete(&key).await.unwrap_err());
    refused(reader.claim(Some(marker), marker).await.unwrap_err());
    refused(reader.probe().await.unwrap_err());
    assert_eq!(files(&place), before);

    // What comes and goes is seen.
    store.delete(&other).await.unwrap();
    assert!(matches!(reader.open(&other).await, Err(BlobError::NotFound)));
    let later = put(&store, &bytes(4, 10), 1).await.unwrap();
    assert_eq!(get(&reader, &later).await.unwrap(), bytes(4, 10));
    assert_eq!(inventory(&reader).await.unwrap(), inventory(&store).await.unwrap());
}
