use super::*;

#[tokio::test]
async fn where_nothing_can_be_named_nothing_is_received() {
    let site = Site::new(12);
    let ann = site.user("ann").await;
    site.calls();
    site.metadata.close();
    assert_eq!(site.send(&ann, PhotoName::Fresh, &photo(1)).await.err(), Some(ServiceError::Unavailable("metadata")));
    assert!(site.calls().is_empty());
}

/// Of bytes sent anew, of bytes that another has, and of bytes that the sender has: what the backend is asked to do.
#[tokio::test]
async fn the_backend_does_the_same_for_what_another_has_as_for_what_nobody_has() {
    let site = Site::new(1);
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    site.send(&ann, PhotoName::Fresh, &photo(1)).await.unwrap();
    let anns = site.named(&photo(1));
    let new = site.calls();

    let known = site.send(&bob, PhotoName::Fresh, &photo(1)).await.unwrap();
    assert!(known.created && !known.duplicate && known.deduplicated);
    assert_eq!(site.calls(), new, "as long as for a new one");
    let bobs = site.named(&photo(1));
    assert_ne!(bobs, anns);
    assert!(site.metadata.read().is_doomed(&anns).unwrap(), "one copy counts, the other is queued");
    // Nor does it matter in which state the copy of the other is.
    assert!(site.store.lose(&bobs));
    let eve = site.user("eve").await;
    site.send(&eve, PhotoName::Fresh, &photo(1)).await.unwrap();
    assert_eq!(site.calls(), new);

    // Refusals cost the same, too.
    let id = PhotoId::from_bytes([7; 16]);
    site.send(&bob, PhotoName::Own(id), &photo(2)).await.unwrap();
    site.send(&ann, PhotoName::Fresh, &photo(3)).await.unwrap();
    site.calls();
    for bytes in [photo(3), photo(4)] {
        let refused = site.send(&bob, PhotoName::Own(id), &bytes).await;
        assert!(matches!(refused, Err(ServiceError::Conflict { code: "photo_id_taken", .. })));
        assert_eq!(site.calls(), new);
    }

    // What the sender has is looked at and kept as it is.
    site.send(&eve, PhotoName::Fresh, &photo(1)).await.unwrap();
    assert!(site.calls().iter().all(|(operation, _)| *operation != Operation::Publish));

    // In its time one copy of each is left.
    let marker = Marker { site: site.metadata.site(), epoch: 1 };
    site.store.claim(None, marker).await.unwrap();
    site.metadata.write("settle", |_| Ok::<_, MetadataError>(())).await.unwrap();
    site.services.delete_doomed(marker, Graces::NONE, 100).await.unwrap();
    assert_eq!(site.store.keys().len(), 3);
}

#[tokio::test]
async fn what_the_owner_has_lost_is_made_good() {
    let site = Site::new(2);
    let ann = site.user("ann").await;
    site.send(&ann, PhotoName::Fresh, &photo(1)).await.unwrap();
    let lost = site.named(&photo(1));
    site.store.lose(&lost);
    let again = site.send(&ann, PhotoName::Fresh, &photo(1)).await.unwrap();
    assert!(again.duplicate && !again.created);
    assert_ne!(site.named(&photo(1)), lost);
    assert!(!site.is_damaged(&photo(1)));
}
