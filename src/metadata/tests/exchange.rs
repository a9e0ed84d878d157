//! Two sites that exchange entries.

use super::*;
use crate::model::RowKey;
use crate::model::entry::Entry;
use crate::model::erasure::Erasure;

/// Entries that `from` has and `to` lacks, in the order of `from`'s journal.
fn lacking(from: &Metadata, to: &Metadata) -> Vec<Vec<u8>> {
    let (read, vector) = (from.read(), to.read().vector().unwrap());
    let journal = read.list_journal(Commit(0), PAGE_LIMIT).unwrap();
    assert!(journal.next.is_none());
    let entries = journal.items.into_iter().filter_map(|(_, row)| match row {
        JournalRow::Entry { origin, seq } if vector.seq(&origin) < seq => Some(read.entry(origin, seq).unwrap().unwrap().bytes),
        _ => None,
    });
    entries.collect()
}

pub(super) async fn pull(from: &Metadata, to: &Metadata) {
    for entry in lacking(from, to) {
        assert_eq!(to.receive(entry).await, Ok(Received::Applied));
    }
}

fn root(metadata: &Metadata) -> crate::model::set_hash::SetHash {
    metadata.read().sum(column::SumOf::Root).unwrap()
}

#[tokio::test]
async fn two_sites_come_to_the_same_state_and_bytes_may_come_later() {
    let (one, two) = (open_over(MemoryEngine::new(), 1), open_over(MemoryEngine::new(), 2));
    create_album(&one, owner(1), album(1), "one").await;
    create_album(&two, owner(1), album(1), "two").await;
    upload(&one, owner(1), album(1), photo(1), 1).await.unwrap();
    upload(&two, owner(1), album(1), photo(2), 2).await.unwrap();
    // One id for different bytes: both are shown.
    upload(&one, owner(1), album(1), photo(3), 3).await.unwrap();
    upload(&two, owner(1), album(1), photo(3), 4).await.unwrap();
    pull(&one, &two).await;
    pull(&two, &one).await;
    assert_eq!(root(&one), root(&two));
    assert_eq!(one.read().vector(), two.read().vector());
    let shown = |site: &Metadata| site.read().list_photos(owner(1), album(1), None, 100).unwrap().items;
    assert_eq!(shown(&one), shown(&two));
    assert_eq!(shown(&one).len(), 4);
    for found in shown(&one) {
        assert_eq!(one.read().photo(owner(1), found.id).unwrap(), Some(found), "by the id that it is shown under");
    }
    // The default tenant was born at both, and is one.
    assert_eq!(one.read().list_tenants(None, 9).unwrap().items.len(), 1);
    assert_eq!(one.read().tenant(TenantId::DEFAULT).unwrap().unwrap().signing_keys.len(), 2);
    assert_eq!(assert_sound(&two).arriving, 2);
    assert!(two.read().blob(&hash(1)).unwrap().is_none() && two.read().owns(owner(1), &hash(1)).unwrap());
    // A local client cannot refer to what is only arriving.
    let link = two.write("link", |tx| tx.apply(new_photo(1).create(owner(1), photo(8), tx.stamp(), album(1), "a", None)));
    assert_eq!(link.await, Err(WriteError::Failed(MetadataError::MissingBlob { hash: hash(1) })));
    let in_flight = two.begin_copy(hash(1));
    two.write("arrive", move |tx| tx.place_blob(&in_flight, new_blob(&in_flight, 1), None)).await.unwrap();
    assert_eq!(assert_sound(&two).arriving, 1);
    assert!(two.read().list_candidates(9).unwrap().is_empty(), "it is referred to");
}

#[tokio::test]
async fn entries_are_taken_once_and_in_order() {
    let (one, two) = (open_over(MemoryEngine::new(), 3), open_over(MemoryEngine::new(), 4));
    for n in 1..=3 {
        create_album(&one, owner(1), album(n), "a").await;
    }
    let entries = lacking(&one, &two);
    assert_eq!(entries.len(), 4);
    assert_eq!(two.receive(entries[1].clone()).await, Ok(Received::Gap));
    assert_eq!(two.receive(entries[0].clone()).await, Ok(Received::Applied));
    assert_eq!(two.receive(entries[0].clone()).await, Ok(Received::Known));
    assert_eq!(two.receive(entries[2].clone()).await, Ok(Received::Gap));
    let mut forked = Entry::decode(&entries[1]).unwrap();
    forked.previous = crate::model::entry::ChainHash([1; 32]);
    assert_eq!(two.receive(forked.encode()).await, Ok(Received::Broken));
    let before = two.read().last_commit().unwrap();
    assert_eq!(one.receive(entries[0].clone()).await, Ok(Received::Known), "its own");
    assert!(matches!(two.receive(vec![99, 0]).await, Err(MetadataError::Newer { .. })), "pauses until an upgrade");
    assert!(matches!(two.receive(vec![1, 2, 3]).await, Err(MetadataError::Damaged { .. })));
    let mut ahead = Entry::decode(&entries[1]).unwrap();
    ahead.hlc = crate::model::Hlc((START_MS + 6 * 60 * 1000) << 16);
    assert_eq!(two.receive(ahead.encode()).await, Ok(Received::Ahead));
    assert_eq!(two.read().last_commit().unwrap(), before, "nothing was written for any of these");
    for entry in &entries[1..] {
        assert_eq!(two.receive(entry.clone()).await, Ok(Received::Applied));
    }
    assert_sound(&two);
}

#[tokio::test]
async fn received_time_raises_own_time() {
    let (one, two) = (open_over(MemoryEngine::new(), 5), Runtime::simulated(6, START_MS - 60_000));
    let two = open_with(Arc::new(MemoryEngine::new()), &two, 9);
    create_album(&one, owner(1), album(1), "a").await;
    let at = one.write("stamp", |tx| Ok::<_, MetadataError>(tx.stamp())).await.unwrap();
    pull(&one, &two).await;
    let after = two.write("stamp", |tx| Ok::<_, MetadataError>(tx.stamp())).await.unwrap();
    assert!(after.hlc >= at.hlc, "an edit by who saw it is later");
}

#[tokio::test]
async fn what_is_deleted_or_edited_before_it_arrives_leaves_no_stub_in_the_end() {
    let sites = [7, 8, 9].map(|seed| open_over(MemoryEngine::new(), seed));
    let [one, two, three] = &sites;
    create_album(one, owner(1), album(1), "a").await;
    create_album(one, owner(1), album(2), "b").await;
    let created = lacking(one, three);
    pull(one, two).await;
    let purge = two.write("purge", |tx| {
        let gone = tx.album(owner(1), album(1))?.unwrap().purge();
        let edit = crate::model::album::AlbumEdit { name: Some("renamed".to_owned()), description: None };
        let edited = tx.album(owner(1), album(2))?.unwrap().edit(tx.stamp(), &edit);
        tx.apply_all(gone.into_iter().chain(edited))
    });
    purge.await.unwrap();
    // Two's own entries reach three before one's.
    let own = two.write("stamp", |tx| Ok::<_, MetadataError>(tx.stamp())).await.unwrap().origin;
    for entry in lacking(two, three) {
        if Entry::decode(&entry).unwrap().origin == own {
            assert_eq!(three.receive(entry).await, Ok(Received::Applied));
        }
    }
    assert_sound(three);
    assert!(three.read().births(&RowKey::album(owner(1), album(1))).unwrap().has_stub());
    assert!(three.read().album(owner(1), album(2)).unwrap().is_none());
    for entry in created {
        assert_eq!(three.receive(entry).await, Ok(Received::Applied));
    }
    assert!(three.read().births(&RowKey::album(owner(1), album(1))).unwrap().is_empty());
    assert_eq!(three.read().album(owner(1), album(2)).unwrap().unwrap().name, "renamed");
    assert_sound(three);
    pull(two, one).await;
    pull(three, one).await;
    pull(one, two).await;
    pull(one, three).await;
    assert_eq!((root(one), root(two)), (root(two), root(three)));
}

#[tokio::test]
async fn an_erasure_travels_and_nothing_brings_the_row_back() {
    let (one, two) = (open_over(MemoryEngine::new(), 10), open_over(MemoryEngine::new(), 11));
    upload(&one, owner(1), album(1), photo(1), 1).await.unwrap();
    pull(&one, &two).await;
    let key = RowKey::photo(owner(1), photo(1));
    two.write("erase", move |tx| tx.erase(Erasure::Row(key))).await.unwrap();
    let edit = crate::model::photo::PhotoEdit { name: Some("b".to_owned()), caption: None };
    one.write("edit", move |tx| tx.apply_all(tx.photo(owner(1), photo(1))?.unwrap().edit(tx.stamp(), &edit))).await.unwrap();
    pull(&one, &two).await;
    pull(&two, &one).await;
    for site in [&one, &two] {
        assert!(site.read().births(&key).unwrap().is_empty() && site.read().is_erased(&key).unwrap());
        assert_sound(site);
    }
    assert_eq!(root(&one), root(&two));
}
