use super::*;
use crate::blobs::BlobError;
use crate::metadata::memory::Fault;
use crate::metadata::{Commit, JournalRow, Received};

async fn read(site: &Site, bytes: &[u8]) -> Result<Bytes, ServiceError> {
    let blob = site.services.open_blob(BlobHash::of(bytes)).await?;
    blob.read_at(0, usize::try_from(blob.size_bytes()).unwrap()).await
}

async fn is_missing(site: &Site, caller: &Caller, bytes: &[u8]) -> bool {
    !site.services.missing(caller, vec![BlobHash::of(bytes)]).await.unwrap().is_empty()
}

#[tokio::test]
async fn damage_is_marked_also_where_another_copy_serves_in_its_place() {
    let site = Site::new(3);
    let ann = site.user("ann").await;
    for (number, damage) in (0..).zip([MemoryStore::corrupt, MemoryStore::truncate, MemoryStore::lose]) {
        let bytes = photo(number);
        site.send(&ann, PhotoName::Fresh, &bytes).await.unwrap();
        let key = site.named(&bytes);
        assert!(damage(&site.store, &key));
        let stray = site.metadata.begin_copy(key.hash).key();
        site.store.put_raw(stray, bytes.clone());
        for _ in 0..2 {
            assert!(read(&site, &bytes).await.unwrap() == bytes);
            assert!(site.is_damaged(&bytes) && site.named(&bytes) == key);
        }
        assert!(is_missing(&site, &ann.0, &bytes).await, "what has but a stray copy is to be sent again");
        site.send(&ann, PhotoName::Fresh, &bytes).await.unwrap();
        assert!(!site.is_damaged(&bytes) && site.named(&bytes) != key);
    }
}

#[tokio::test]
async fn a_good_copy_serves_also_where_the_damage_of_another_cannot_be_marked() {
    let site = Site::new(11);
    let (ann, bytes) = (site.user("ann").await, photo(1));
    site.send(&ann, PhotoName::Fresh, &bytes).await.unwrap();
    let key = site.named(&bytes);
    assert!(site.store.corrupt(&key));
    let stray = site.metadata.begin_copy(key.hash);
    site.store.put_raw(stray.key(), bytes.clone());
    site.engine.fail_write(0, Fault::NoSpace);
    assert!(read(&site, &bytes).await.unwrap() == bytes);
    assert!(!site.is_damaged(&bytes), "the metadata's disk was full");
    assert!(read(&site, &bytes).await.unwrap() == bytes);
    assert!(site.is_damaged(&bytes), "the next read marks it");
}

#[tokio::test]
async fn a_copy_that_cannot_be_had_now_is_not_told_as_damage() {
    let site = Site::new(10);
    let (ann, bytes) = (site.user("ann").await, photo(1));
    site.send(&ann, PhotoName::Fresh, &bytes).await.unwrap();
    let key = site.named(&bytes);
    assert!(site.store.corrupt(&key));
    let strays = [(), ()].map(|()| site.metadata.begin_copy(key.hash).key());
    for stray in strays {
        site.store.put_raw(stray, bytes.clone());
    }
    let away = || BlobError::Unavailable { doing: "opening", source: Arc::new(std::io::ErrorKind::TimedOut.into()) };
    // The named copy is opened first, then the others.
    site.store.faults().fail(Operation::Open, 1, away());
    assert!(read(&site, &bytes).await.unwrap() == bytes, "the next one serves");
    site.store.faults().fail(Operation::Open, 1, away());
    site.store.faults().fail(Operation::Open, 1, BlobError::NoSpace);
    assert_eq!(read(&site, &bytes).await.err(), Some(ServiceError::Unavailable("blob store")), "the first that hinders");
    for stray in strays {
        assert!(site.store.lose(&stray));
    }
    assert_eq!(read(&site, &bytes).await.err(), Some(ServiceError::Damaged));
}

#[tokio::test]
async fn a_copy_without_a_row_serves_only_photos_that_are_there() {
    let site = Site::new(4);
    let (arriving, gone) = (photo(1), photo(2));
    for bytes in [&arriving, &gone] {
        let key = site.metadata.begin_copy(BlobHash::of(bytes)).key();
        site.store.put_raw(key, bytes.clone());
        let refused = read(&site, bytes).await.err();
        assert_eq!(refused, Some(ServiceError::NotFound("blob")), "of a photo that was erased, say");
    }
    // One of them is a photo of another site's, which this site learns of.
    let other = Site::new(40);
    other.send(&other.user("ann").await, PhotoName::Fresh, &arriving).await.unwrap();
    let there = other.metadata.read();
    for (_, row) in there.list_journal(Commit(0), 100).unwrap().items {
        if let JournalRow::Entry { origin, seq } = row {
            let entry = there.entry(origin, seq).unwrap().unwrap().bytes;
            assert_eq!(site.metadata.receive(entry).await, Ok(Received::Applied));
        }
    }
    assert!(read(&site, &arriving).await.unwrap() == arriving);
    assert_eq!(read(&site, &gone).await.err(), Some(ServiceError::NotFound("blob")));
}

#[tokio::test]
async fn what_is_read_whole_again_is_no_longer_damaged() {
    let site = Site::new(5);
    let (ann, bytes) = (site.user("ann").await, photo(1));
    site.send(&ann, PhotoName::Fresh, &bytes).await.unwrap();
    let key = site.named(&bytes);
    assert!(read(&site, &bytes).await.unwrap() == bytes);
    // Marked while the good check is remembered: what is remembered clears nothing.
    site.store.corrupt(&key);
    site.metadata.write("scrub", move |tx| tx.mark_damaged(key)).await.unwrap();
    assert_eq!(read(&site, &bytes).await.err(), Some(ServiceError::Damaged));
    assert!(site.is_damaged(&bytes));

    site.store.put_raw(key, bytes.clone());
    site.runtime.clock.advance(VerifySettings::default().remember);
    assert!(read(&site, &bytes).await.unwrap() == bytes);
    assert!(!site.is_damaged(&bytes) && site.named(&bytes) == key);
    assert!(!is_missing(&site, &ann.0, &bytes).await);
}
