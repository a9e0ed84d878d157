//! The life of a blob: every rule of the protocol that the writer keeps.

use super::*;
use crate::model::RowKey;
use crate::model::erasure::Erasure;
use crate::model::photo as photos;

#[tokio::test]
async fn the_first_copy_is_named_and_a_verified_duplicate_is_doomed() {
    let metadata = open_over(MemoryEngine::new(), 1);
    let (placed, _) = upload(&metadata, owner(1), album(1), photo(1), 1).await.unwrap();
    assert_eq!(placed, Placed::Named);
    let row = metadata.read().blob(&hash(1)).unwrap().unwrap();
    assert!(!row.damaged && row.size_bytes == 1001 && row.stored_bytes == 1001);
    let (placed, _) = upload(&metadata, owner(2), album(1), photo(1), 1).await.unwrap();
    assert_eq!(placed, Placed::Duplicate);
    let read = metadata.read();
    assert_eq!(read.blob(&hash(1)).unwrap().unwrap().key, row.key);
    let doomed = read.doomed(None, 10).unwrap().items;
    assert_eq!(doomed.len(), 1);
    assert!(doomed[0].0 != row.key && doomed[0].0.hash == hash(1));
    assert!(read.owns(owner(1), &hash(1)).unwrap() && read.owns(owner(2), &hash(1)).unwrap() && !read.owns(owner(3), &hash(1)).unwrap());
    assert!(read.tenant_owns(TenantId::DEFAULT, &hash(1)).unwrap());
    assert!(!read.tenant_owns(TenantId::from_bytes([9; 16]), &hash(1)).unwrap());
    let stats = read.stats().unwrap();
    assert_eq!((stats.photos, stats.logical_bytes, stats.blobs, stats.stored_bytes, stats.doomed), (2, 2002, 1, 1001, 1));
    assert!(metadata.figures().contains(&("in_flight", 0)));
    assert_sound(&metadata);
    metadata.write("deleted", move |tx| tx.forget_doomed([doomed[0], doomed[0]])).await.unwrap();
    assert_eq!(metadata.read().stats().unwrap().doomed, 0);
    assert_sound(&metadata);
}

#[tokio::test]
async fn an_unverified_duplicate_is_rechecked_against_the_row_as_it_is_now() {
    let metadata = open_over(MemoryEngine::new(), 2);
    upload(&metadata, owner(1), album(1), photo(1), 1).await.unwrap();
    let row_key = metadata.read().blob(&hash(1)).unwrap().unwrap().key;
    let in_flight = metadata.begin_copy(hash(1));
    let place = |verified| {
        let in_flight = in_flight.clone();
        metadata.write("place", move |tx| tx.place_blob(&in_flight, new_blob(&in_flight, 1), verified))
    };
    let recheck = Err(WriteError::Refused(PlaceError::Recheck { row_key }));
    assert_eq!(place(None).await, recheck);
    assert_eq!(place(Some(in_flight.key())).await, recheck, "another copy was verified");
    assert!(metadata.is_in_flight(&in_flight.key()), "it may be placed again");
    assert_eq!(place(Some(row_key)).await, Ok(Placed::Duplicate));
    assert!(!metadata.is_in_flight(&in_flight.key()));
    let again = place(Some(row_key)).await;
    assert_eq!(again, Err(WriteError::Refused(PlaceError::Failed(MetadataError::NotInFlight { key: in_flight.key() }))));
    assert_sound(&metadata);
}

#[tokio::test]
async fn a_copy_that_wins_is_named_and_the_one_that_stood_is_doomed() {
    let metadata = open_over(MemoryEngine::new(), 12);
    let replace = |in_flight: &InFlight| {
        let in_flight = in_flight.clone();
        metadata.write("place", move |tx| tx.replace_blob(&in_flight, new_blob(&in_flight, 1)))
    };
    let (first, second) = (metadata.begin_copy(hash(1)), metadata.begin_copy(hash(1)));
    assert_eq!(replace(&first).await, Ok(Placed::Named));
    assert_eq!(replace(&second).await, Ok(Placed::Replaced), "without a look at what stands");
    let read = metadata.read();
    assert_eq!(read.blob(&hash(1)).unwrap().unwrap().key, second.key());
    assert!(read.is_doomed(&first.key()).unwrap() && !read.is_doomed(&second.key()).unwrap());
    let stats = read.stats().unwrap();
    assert_eq!((stats.blobs, stats.stored_bytes, stats.doomed), (1, 1001, 1));
    for placed in [&first, &second] {
        let again = Err(WriteError::Refused(MetadataError::NotInFlight { key: placed.key() }));
        assert_eq!(replace(placed).await, again, "a key is named once");
    }
    assert_sound(&metadata);
}

#[tokio::test]
async fn a_damaged_copy_is_replaced_and_doomed() {
    let metadata = open_over(MemoryEngine::new(), 3);
    upload(&metadata, owner(1), album(1), photo(1), 1).await.unwrap();
    let old = metadata.read().blob(&hash(1)).unwrap().unwrap().key;
    let other = metadata.begin_copy(hash(1)).key();
    assert!(!metadata.write("scrub", move |tx| tx.mark_damaged(other)).await.unwrap(), "the row names another copy");
    assert!(metadata.write("scrub", move |tx| tx.mark_damaged(old)).await.unwrap());
    assert!(metadata.read().blob(&hash(1)).unwrap().unwrap().damaged);
    assert!(!metadata.write("read", move |tx| tx.clear_damaged(other)).await.unwrap());
    assert!(metadata.read().blob(&hash(1)).unwrap().unwrap().damaged, "another copy says nothing of it");
    assert!(metadata.write("read", move |tx| tx.clear_damaged(old)).await.unwrap());
    assert!(!metadata.read().blob(&hash(1)).unwrap().unwrap().damaged);
    metadata.write("scrub", move |tx| tx.mark_damaged(old)).await.unwrap();
    let promise = metadata.write("missing", |tx| tx.promise(owner(1), &hash(1), WallMs(START_MS + 1))).await.unwrap();
    assert!(!promise, "a damaged blob is never promised");
    let required = metadata.write("link", |tx| tx.require_blob(&hash(1))).await;
    assert_eq!(required, Err(WriteError::Refused(RequireError::SendBytes)));
    let (placed, _) = upload(&metadata, owner(2), album(1), photo(1), 1).await.unwrap();
    assert_eq!(placed, Placed::Named, "no verification of what is known to be bad");
    let row = metadata.read().blob(&hash(1)).unwrap().unwrap();
    assert!(!row.damaged && row.key != old && metadata.read().is_doomed(&old).unwrap());
    assert_eq!(metadata.read().stats().unwrap().blobs, 1);
    assert_sound(&metadata);
}

#[tokio::test]
async fn a_named_or_flying_copy_is_never_doomed_and_a_doomed_one_never_named() {
    let metadata = open_over(MemoryEngine::new(), 4);
    upload(&metadata, owner(1), album(1), photo(1), 1).await.unwrap();
    let named = metadata.read().blob(&hash(1)).unwrap().unwrap().key;
    let in_flight = metadata.begin_copy(hash(2));
    let flying = in_flight.key();
    let orphan = crate::model::BlobKey { hash: hash(3), nonce: named.nonce };
    let doom = |key| metadata.write("sweep", move |tx| tx.doom(key));
    assert_eq!((doom(named).await, doom(flying).await, doom(orphan).await), (Ok(false), Ok(false), Ok(true)));
    assert_eq!(metadata.read().stats().unwrap().doomed, 1);
    let queued = || metadata.read().doomed(None, 10).unwrap().items;
    let before = queued();
    assert_eq!(doom(orphan).await, Ok(true), "it has come again while it was being deleted");
    let again = queued();
    metadata.write("deleted", move |tx| tx.forget_doomed(before)).await.unwrap();
    assert_eq!((queued(), metadata.read().stats().unwrap().doomed), (again, 1), "so it stays queued");
    let stranger = in_flight.clone();
    let wrong = metadata.write("place", move |tx| {
        let blob = NewBlob { key: orphan, ..new_blob(&stranger, 3) };
        tx.place_blob(&stranger, blob, None)
    });
    assert_eq!(wrong.await, Err(WriteError::Refused(PlaceError::Failed(MetadataError::NotInFlight { key: orphan }))));
    drop(in_flight);
    for _ in 0..2 {
        metadata.write("settle", |_| Ok::<_, MetadataError>(())).await.unwrap();
    }
    assert!(metadata.read().is_doomed(&flying).unwrap(), "a copy that was given up is queued by itself");
    assert_sound(&metadata);
}

#[tokio::test]
async fn a_photo_is_never_made_of_bytes_that_are_not_here() {
    let metadata = open_over(MemoryEngine::new(), 5);
    let link = |n: u8| metadata.write("link", move |tx| tx.apply(new_photo(n).create(owner(1), photo(n), tx.stamp(), album(1), "a", None)));
    let missing = Err(WriteError::Failed(MetadataError::MissingBlob { hash: hash(1) }));
    assert_eq!(link(1).await, missing);
    upload(&metadata, owner(2), album(1), photo(1), 1).await.unwrap();
    assert_eq!(link(1).await, Ok(()));
    let key = metadata.read().blob(&hash(1)).unwrap().unwrap().key;
    metadata.write("scrub", move |tx| tx.mark_damaged(key)).await.unwrap();
    let again = metadata.write("link", |tx| tx.apply(new_photo(1).create(owner(1), photo(9), tx.stamp(), album(1), "a", None)));
    assert_eq!(again.await, missing, "nor of damaged ones");
    assert_sound(&metadata);
}

#[tokio::test]
async fn promises_are_for_owners_and_the_later_term_holds() {
    let metadata = open_over(MemoryEngine::new(), 6);
    upload(&metadata, owner(1), album(1), photo(1), 1).await.unwrap();
    let promise = |who: u8, n: u8, until: u64| metadata.write("missing", move |tx| tx.promise(owner(who), &hash(n), WallMs(until)));
    assert_eq!(promise(2, 1, 50).await, Ok(false), "not an owner: as if it were not here");
    assert_eq!(promise(1, 2, 50).await, Ok(false));
    for (until, holds) in [(50, 50), (70, 70), (60, 70)] {
        assert_eq!(promise(1, 1, until).await, Ok(true));
        assert_eq!(metadata.read().pin(owner(1), &hash(1)), Ok(Some(WallMs(holds))));
    }
    assert_eq!(metadata.read().stats().unwrap().pins, 1);
    assert_sound(&metadata);
    for _ in 0..2 {
        metadata.write("link", |tx| tx.unpin(owner(1), &hash(1))).await.unwrap();
    }
    assert_eq!(metadata.read().stats().unwrap().pins, 0);
    assert_sound(&metadata);
}

async fn change(metadata: &Metadata, id: PhotoId, how: fn(&photos::PhotoView) -> Vec<crate::model::row::Delta>) -> Commit {
    let request = metadata.write("change", move |tx| {
        let found = tx.photo_or_trashed(owner(1), id)?.ok_or(MetadataError::closed())?;
        tx.apply_all(how(&found))?;
        Ok::<_, MetadataError>(tx.commit())
    });
    request.await.unwrap()
}

#[tokio::test]
async fn the_trash_keeps_a_reference_and_a_purge_holds_it_for_the_past() {
    let metadata = open_over(MemoryEngine::new(), 7);
    upload(&metadata, owner(1), album(1), photo(1), 1).await.unwrap();
    let born = metadata.read().last_commit().unwrap();
    change(&metadata, photo(1), photos::PhotoView::trash).await;
    let read = metadata.read();
    assert!(read.photo(owner(1), photo(1)).unwrap().is_none() && read.owns(owner(1), &hash(1)).unwrap());
    assert_eq!(read.list_refs(&hash(1), 9).unwrap(), [(owner(1), photo(1), born)]);
    assert_eq!(read.stats().unwrap().photos, 0);
    let died = change(&metadata, photo(1), photos::PhotoView::purge).await;
    let read = metadata.read();
    assert!(!read.owns(owner(1), &hash(1)).unwrap());
    assert_eq!(read.list_held(&hash(1), 9).unwrap(), [(owner(1), photo(1), born, died)]);
    let due = START_MS + 30 * 24 * 3600 * 1000;
    assert_eq!(read.list_candidates(9).unwrap(), [(WallMs(due), hash(1))]);
    assert!(read.blob(&hash(1)).unwrap().is_some(), "only the reaper takes it");
    assert_sound(&metadata);
}

#[tokio::test]
async fn an_erasure_leaves_nothing_of_a_photo_and_for_good() {
    let metadata = open_over(MemoryEngine::new(), 8);
    for n in 1..=2 {
        upload(&metadata, owner(1), album(1), photo(n), n).await.unwrap();
    }
    change(&metadata, photo(1), photos::PhotoView::purge).await;
    let key = RowKey::photo(owner(1), photo(1));
    metadata.write("erase", move |tx| tx.erase(Erasure::Row(key))).await.unwrap();
    let read = metadata.read();
    assert!(read.is_erased(&key).unwrap() && read.list_held(&hash(1), 9).unwrap().is_empty(), "dead references go, too");
    assert_eq!(read.list_candidates(1).unwrap(), [(WallMs(START_MS), hash(1))], "looked at now");
    let again = upload(&metadata, owner(1), album(1), photo(1), 1).await;
    assert_eq!(again, Err(WriteError::Refused(Refused::Store(MetadataError::Erased { key }))));
    upload(&metadata, owner(2), album(1), photo(1), 2).await.unwrap();
    metadata.write("erase", move |tx| tx.erase(Erasure::Owner(owner(1)))).await.unwrap();
    let read = metadata.read();
    assert!(read.photo(owner(1), photo(2)).unwrap().is_none() && !read.owns(owner(1), &hash(2)).unwrap());
    assert!(read.owns(owner(2), &hash(2)).unwrap(), "another user's photo of the same bytes stays");
    assert_sound(&metadata);
}

#[tokio::test]
async fn what_is_put_back_is_a_new_creation_of_bytes_that_are_here() {
    let metadata = open_over(MemoryEngine::new(), 9);
    upload(&metadata, owner(1), album(1), photo(1), 1).await.unwrap();
    change(&metadata, photo(1), photos::PhotoView::trash).await;
    let put_back = || {
        metadata.write("put back", |tx| {
            let key = RowKey::photo(owner(1), photo(1));
            let births = tx.births(&key)?;
            tx.apply_all(photos::put_back(key, tx.stamp(), &hash(1), &births, &births, None))?;
            Ok::<_, MetadataError>(tx.commit())
        })
    };
    let at = put_back().await.unwrap();
    let read = metadata.read();
    assert!(read.photo(owner(1), photo(1)).unwrap().is_some());
    assert_eq!(read.list_refs(&hash(1), 9).unwrap(), [(owner(1), photo(1), at)]);
    assert_eq!(read.list_held(&hash(1), 9).unwrap().len(), 1, "without a hole between the two");
    assert_sound(&metadata);
    change(&metadata, photo(1), photos::PhotoView::trash).await;
    let key = metadata.read().blob(&hash(1)).unwrap().unwrap().key;
    metadata.write("scrub", move |tx| tx.mark_damaged(key)).await.unwrap();
    assert_eq!(put_back().await, Err(WriteError::Failed(MetadataError::MissingBlob { hash: hash(1) })));
}

#[tokio::test]
async fn a_blob_that_is_named_without_a_reference_is_found_by_the_reaper() {
    let metadata = open_over(MemoryEngine::new(), 10);
    let in_flight = metadata.begin_copy(hash(1));
    metadata.write("place", move |tx| tx.place_blob(&in_flight, new_blob(&in_flight, 1), None)).await.unwrap();
    assert_eq!(metadata.read().list_candidates(9).unwrap(), [(WallMs(START_MS), hash(1))]);
    assert_sound(&metadata);
}

/// The same blob, recompressed.
fn recompressed(in_flight: &InFlight, n: u8) -> NewBlob {
    let codec = Codec { version: [0, 5, 8], flags: 3 };
    NewBlob { encoding: Encoding::Lepton(codec), stored_bytes: 700, stored_hash: Some(hash(99)), ..new_blob(in_flight, n) }
}

#[tokio::test]
async fn a_copy_takes_the_place_of_the_one_that_it_was_made_of_and_of_no_other() {
    let metadata = open_over(MemoryEngine::new(), 21);
    upload(&metadata, owner(1), album(1), photo(1), 1).await.unwrap();
    let row = || metadata.read().blob(&hash(1)).unwrap().unwrap();
    let swap = |in_flight: &InFlight, from| {
        let in_flight = in_flight.clone();
        metadata.write("swap", move |tx| tx.swap_blob(&in_flight, from, recompressed(&in_flight, 1)))
    };
    let codec = Codec { version: [0, 5, 7], flags: 3 };
    let tried = StaysRaw { codec, why: StaysRawWhy::NoGain };
    let raw = row().key;
    assert_eq!(metadata.write("stays", move |tx| tx.set_stays_raw(raw, tried)).await, Ok(true));
    assert_eq!(row().stays_raw, Some(tried));

    let (first, second, third) = (metadata.begin_copy(hash(1)), metadata.begin_copy(hash(1)), metadata.begin_copy(hash(1)));
    assert_eq!(swap(&first, raw).await, Ok(Swapped::Named));
    assert!(metadata.read().is_doomed(&raw).unwrap());
    assert_eq!((row().key, row().stays_raw, row().stored_bytes), (first.key(), None, 700));
    let cold = metadata.read().stats().unwrap().cold;
    assert_eq!((cold.blobs, cold.original_bytes, cold.stored_bytes), (1, 1001, 700));
    assert_sound(&metadata);
    // Made of the same raw copy, at the same time.
    assert_eq!(swap(&second, raw).await, Ok(Swapped::Stale));
    assert!(metadata.read().is_doomed(&second.key()).unwrap() && row().key == first.key());
    for landed in [&first, &second] {
        assert!(matches!(swap(landed, raw).await, Err(WriteError::Refused(MetadataError::NotInFlight { .. }))), "a key is named once");
    }
    assert_eq!(metadata.write("stays", move |tx| tx.set_stays_raw(raw, tried)).await, Ok(false), "the row has moved on");
    // An upload wins, and what is known of its bytes stays known.
    let placed = third.clone();
    assert_eq!(metadata.write("place", move |tx| tx.replace_blob(&placed, new_blob(&placed, 1))).await, Ok(Placed::Replaced));
    assert_eq!((row().encoding, metadata.read().stats().unwrap().cold), (Encoding::Raw, Default::default()));
    // No row, no place.
    let lost = metadata.begin_copy(hash(2));
    assert_eq!(swap(&lost, raw).await, Ok(Swapped::Stale));
    assert_eq!(metadata.copies_in_flight(), 0);
    assert_sound(&metadata);
}
