//! A service that fails, hangs and loses its answers.

use std::time::Duration;

use super::fake::Fault;
use super::*;
use crate::model::SiteId;

struct Place {
    service: Service,
    store: ObjectStore,
    _directory: tempfile::TempDir,
}

async fn place() -> Place {
    place_with(DEADLINE).await
}

async fn place_with(deadline: Duration) -> Place {
    let (service, directory) = (Service::new(), tempfile::tempdir().unwrap());
    let settings = ObjectSettings { deadline, ..settings("") };
    let store = ObjectStore::open(service.connection(), Some(spool(directory.path()).await), Runtime::system(), &settings).await.unwrap();
    service.calls();
    Place { service, store, _directory: directory }
}

fn marker(site: u8, epoch: u64) -> Marker {
    Marker { site: SiteId::from_bytes([site; 16]), epoch }
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_or_repeated_is_looked_at() {
    // Reading, putting and reading again: each may fail.
    for (at, fault) in (0..3).flat_map(|at| [Fault::Before, Fault::After, Fault::Twice].map(|fault| (at, fault))) {
        let place = place().await;
        let (service, store) = (&place.service, &place.store);
        store.claim(None, marker(1, 1)).await.unwrap();
        service.plan(std::iter::repeat_n(Fault::None, at).chain([fault]));
        let claimed = store.claim(Some(marker(1, 1)), marker(2, 2)).await;
        service.plan([]);
        let stands = store.marker().await.unwrap();
        // Twice: the second attempt is told that the condition does not hold.
        match (at, fault) {
            (_, Fault::Twice) => assert!(claimed.is_ok() && stands == Some(marker(2, 2)), "{at}: {claimed:?}, {stands:?}"),
            (0, _) | (1, Fault::Before) => assert!(claimed.is_err() && stands == Some(marker(1, 1)), "{at} {fault:?}: {claimed:?}"),
            _ => assert!(claimed.is_err() && stands == Some(marker(2, 2)), "not told as done: {at} {fault:?}: {claimed:?}"),
        }
    }
}

#[tokio::test]
async fn two_that_claim_the_same_are_told_apart() {
    let place = place().await;
    let claims = (0..8).map(|_| place.store.claim(None, marker(1, 1)));
    let won = futures_util::future::join_all(claims).await.iter().filter(|claim| claim.is_ok()).count();
    assert_eq!(won, 1, "one site's processes, one epoch, one winner");
}

#[tokio::test]
async fn a_put_that_failed_names_nothing_or_the_right_bytes() {
    for size in [1000, 20 << 20] {
        let content = bytes(1, size);
        for (at, fault) in (0..5).flat_map(|at| [Fault::Before, Fault::After, Fault::Twice].map(|fault| (at, fault))) {
            let place = place().await;
            place.service.plan(std::iter::repeat_n(Fault::None, at).chain([fault]));
            let done = put(&place.store, &content, 1).await;
            place.service.plan([]);
            let key = contract::key(&content, 1);
            match get(&place.store, &key).await {
                Ok(found) => assert_eq!(found, content),
                Err(error) => assert!(done.is_err() && matches!(error, BlobError::NotFound), "{done:?}, {error}"),
            }
            assert_eq!(crate::blobs::disk::tests::staged(place.store.spool().unwrap()).await, 0);
        }
    }
}

#[tokio::test]
async fn an_inventory_that_fails_anywhere_ends() {
    let place = place().await;
    for seed in 0..30 {
        put(&place.store, &bytes(seed, 100), 1).await.unwrap();
    }
    for at in 0..5 {
        place.service.plan(std::iter::repeat_n(Fault::None, at).chain([Fault::Before]));
        let mut walk = place.store.inventory();
        let walked = contract::rest(&mut *walk).await;
        place.service.plan([]);
        assert!(walked.is_err(), "page {at}");
        assert!(walk.next().await.is_err(), "it stays ended");
    }
    assert_eq!(contract::inventory(&place.store).await.unwrap().len(), 30);
}

#[tokio::test]
async fn one_that_does_not_answer_is_left_alone_until_it_does() {
    let place = place_with(Duration::from_millis(100)).await;
    let (service, store) = (&place.service, &place.store);
    let key = put(store, &bytes(1, 1000), 1).await.unwrap();
    service.plan([Fault::Hangs; 4]);
    service.calls();
    for _ in 0..3 {
        assert!(matches!(store.open(&key).await, Err(BlobError::Unavailable { .. })));
    }
    assert!(store.is_away());
    assert_eq!(service.calls().len(), 3);
    for _ in 0..100 {
        assert!(matches!(store.open(&key).await, Err(BlobError::Away)));
        assert!(matches!(store.stage(None).await, Err(BlobError::Away)), "nothing is received for it");
    }
    assert!(service.calls().len() < 10, "it is looked for, not asked");
    // The one that looks finds it at the second try.
    while store.is_away() {
        tokio::task::yield_now().await;
    }
    assert_eq!(get(store, &key).await.unwrap(), bytes(1, 1000));
}

#[tokio::test]
async fn what_is_refused_is_no_outage() {
    let place = place().await;
    for _ in 0..10 {
        assert!(matches!(place.store.open(&contract::key(b"absent", 1)).await, Err(BlobError::NotFound)));
    }
    assert!(!place.store.is_away());
}
