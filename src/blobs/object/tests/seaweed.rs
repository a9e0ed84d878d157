//! The same over a real service.

use super::weed::{BUCKET, Weed};
use super::*;
use crate::blobs::contract::every_case;

fn connection(weed: &Weed) -> Connection {
    let settings = S3Settings {
        bucket: BUCKET.to_owned(),
        endpoint: Some(weed.endpoint()),
        credentials_file: Some(weed.credentials()),
        deadline: DEADLINE,
        ..S3Settings::default()
    };
    Connection::s3(&settings).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seaweedfs_keeps_the_contract() {
    let Some(weed) = Weed::start("blobs in SeaweedFS's S3") else { return };
    let connection = connection(&weed);
    let mut number = 0;
    every_case!(async {
        number += 1;
        subject(connection.clone(), &format!("case/{number}")).await
    });
    let directory = tempfile::tempdir().unwrap();
    let store = ObjectStore::open(connection, Some(spool(directory.path()).await), Runtime::system(), &settings("derived")).await.unwrap();
    keeps_what_is_derived(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_loses_nothing_and_ends_with_it() {
    let Some(mut weed) = Weed::start("outages of SeaweedFS's S3") else { return };
    let subject = subject(connection(&weed), "outage").await;
    let store = &*subject.store;
    let (one, other) = (bytes(1, 100_000), bytes(2, 9_000_000));
    let keys = [put(store, &one, 1).await.unwrap(), put(store, &other, 1).await.unwrap()];
    weed.kill();
    for _ in 0..5 {
        assert!(matches!(store.open(&keys[0]).await, Err(BlobError::Unavailable { .. } | BlobError::Away)));
    }
    assert!(matches!(put(store, &bytes(3, 1000), 1).await, Err(BlobError::Unavailable { .. } | BlobError::Away)));
    assert!(contract::inventory(store).await.is_err(), "nothing is listed as nothing");
    weed.run();
    while matches!(store.probe().await, Err(BlobError::Unavailable { .. } | BlobError::Away)) {
        tokio::task::yield_now().await;
    }
    assert_eq!(get(store, &keys[0]).await.unwrap(), one);
    assert_eq!(get(store, &keys[1]).await.unwrap(), other);
    assert_eq!(contract::inventory(store).await.unwrap().len(), 2);
    assert_eq!((subject.staged)().await, 0);
}
