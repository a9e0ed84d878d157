use futures_util::FutureExt;

use super::*;
use crate::blobs::contract::{self, Subject, bytes, contract_suite, get, put};

fn subject(store: MemoryStore, tested: Arc<dyn BlobStore>) -> Subject {
    let staged = move || {
        let staged = store.staged();
        async move { staged }.boxed()
    };
    Subject { store: tested, staged: Box::new(staged), _keep: None, is_remote: false }
}

async fn memory() -> Subject {
    let store = MemoryStore::new();
    subject(store.clone(), Arc::new(store))
}

contract_suite!(memory);

mod verified {
    use super::*;
    use crate::blobs::{VerifySettings, VerifyStore};
    use crate::runtime::Clock;

    async fn memory() -> Subject {
        let store = MemoryStore::new();
        subject(store.clone(), Arc::new(VerifyStore::new(store, Clock::manual(0), VerifySettings::default())))
    }

    contract_suite!(memory);
}

mod observed {
    use super::*;
    use crate::blobs::{ObservedCall, ObservedStore, StoreObserver};
    use crate::runtime::Clock;

    #[derive(Debug)]
    struct Nobody;

    impl StoreObserver for Nobody {
        fn called(&self, _: &ObservedCall<'_>) {}
    }

    async fn memory() -> Subject {
        let store = MemoryStore::new();
        subject(store.clone(), Arc::new(ObservedStore::new(store, Clock::manual(0), Arc::new(Nobody))))
    }

    contract_suite!(memory);
}

#[tokio::test]
async fn a_full_store_gives_room_back() {
    let store = MemoryStore::new();
    store.set_capacity(Some(1000));
    put(&store, &bytes(1, 600), 1).await.unwrap();
    assert!(matches!(put(&store, &bytes(2, 600), 1).await, Err(BlobError::NoSpace)));
    assert_eq!((store.staged(), store.keys().len()), (0, 1));
    put(&store, &bytes(3, 400), 1).await.unwrap();
    assert!(matches!(store.probe().await, Err(BlobError::NoSpace)));
    assert!(store.lose(&contract::key(&bytes(1, 600), 1)));
    store.probe().await.unwrap();
}

#[tokio::test]
async fn what_shall_fail_fails_when_it_shall() {
    let store = MemoryStore::new();
    store.faults().fail(Operation::Publish, 1, BlobError::NoSpace);
    let key = put(&store, &bytes(1, 10), 1).await.unwrap();
    assert!(matches!(put(&store, &bytes(1, 10), 2).await, Err(BlobError::NoSpace)));
    put(&store, &bytes(1, 10), 2).await.unwrap();
    store.faults().fail_done(Operation::Publish, 0, BlobError::NoSpace);
    assert!(matches!(put(&store, &bytes(1, 10), 3).await, Err(BlobError::NoSpace)));
    assert_eq!(store.keys().len(), 3, "done, but the answer was lost");
    store.faults().fail_always(Operation::Read, BlobError::NoSpace);
    for _ in 0..3 {
        assert!(get(&store, &key).await.is_err());
    }
    store.faults().clear();
    get(&store, &key).await.unwrap();
    assert_eq!(store.staged(), 0);
    store.faults().fail(Operation::Inventory, 1, BlobError::NoSpace);
    let mut walk = store.inventory();
    assert_eq!(walk.next().await.unwrap().unwrap().len(), 3);
    assert!(matches!(walk.next().await, Err(BlobError::NoSpace)));
    assert!(matches!(walk.next().await, Err(BlobError::Internal { .. })), "it does not go on");
}
