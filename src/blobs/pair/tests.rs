use futures_util::FutureExt;

use super::*;
use crate::blobs::contract::{self, Subject, bytes, contract_suite, get, put};
use crate::blobs::{MemoryStore, Operation};

fn pair(needs: Needs) -> (MemoryStore, MemoryStore, PairStore) {
    let (first, second) = (MemoryStore::new(), MemoryStore::new());
    let pair = PairStore::new(Arc::new(first.clone()), Arc::new(second.clone()), needs, Arc::default());
    (first, second, pair)
}

async fn mirror() -> Subject {
    let (first, second, pair) = pair(Needs::Both);
    let staged = move || {
        let staged = first.staged() + second.staged();
        async move { staged }.boxed()
    };
    Subject { store: Arc::new(pair), staged: Box::new(staged), _keep: None, is_remote: false }
}

contract_suite!(mirror);

/// A disk, mirrored to another kind of store.
mod disk_and_memory {
    use super::*;
    use crate::blobs::disk::tests::staged;
    use crate::blobs::{DiskSettings, DiskStore};
    use crate::runtime::{BlockingPool, Runtime};

    async fn mirrored() -> Subject {
        let directory = tempfile::tempdir().unwrap();
        let (disk, second) = (DiskSettings::default(), MemoryStore::new());
        let first = DiskStore::open(&directory.path().join("store"), Runtime::system(), BlockingPool::new("blobs", 4), disk).await.unwrap();
        first.sweep().await.unwrap();
        let pair = PairStore::new(Arc::new(first.clone()), Arc::new(second.clone()), Needs::Both, Arc::default());
        let staged = move || {
            let (first, second) = (first.clone(), second.clone());
            async move { staged(&first).await + second.staged() }.boxed()
        };
        Subject { store: Arc::new(pair), staged: Box::new(staged), _keep: Some(directory), is_remote: false }
    }

    contract_suite!(mirrored);
}

/// A mirror that takes nothing, and is not needed.
mod full_mirror {
    use super::*;

    async fn mirrored() -> Subject {
        let (first, second, pair) = pair(Needs::First);
        second.faults().fail_always(Operation::Stage, BlobError::NoSpace);
        let staged = move || {
            let staged = first.staged() + second.staged();
            async move { staged }.boxed()
        };
        Subject { store: Arc::new(pair), staged: Box::new(staged), _keep: None, is_remote: false }
    }

    contract_suite!(mirrored);
}

#[tokio::test]
async fn a_copy_is_on_both_legs_and_goes_from_both() {
    let (first, second, pair) = pair(Needs::Both);
    let content = bytes(1, 10_000);
    let key = put(&pair, &content, 1).await.unwrap();
    for leg in [&first, &second] {
        assert_eq!(get(leg, &key).await.unwrap(), content);
    }
    assert_eq!(pair.delete(&key).await.unwrap(), Deletion::Deleted);
    for leg in [&first, &second] {
        assert!(matches!(leg.open(&key).await, Err(BlobError::NotFound)));
    }
}

#[tokio::test]
async fn what_one_leg_has_lost_the_other_gives() {
    let (first, second, pair) = pair(Needs::Both);
    let content = bytes(1, 10_000);
    let key = put(&pair, &content, 1).await.unwrap();
    first.lose(&key);
    assert!(matches!(pair.open(&key).await, Err(BlobError::NotFound)), "the first has not, which is to be known");
    let [other] = &pair.elsewhere()[..] else { panic!("one other") };
    let read = other.fetch(&key).await.unwrap();
    assert_eq!(read.read_at(0, 10_000).await.unwrap(), content);
    assert_eq!(pair.copies(&key.hash).await.unwrap(), [key]);
    assert_eq!(contract::inventory(&pair).await.unwrap(), [], "the first is listed");
    second.lose(&key);
    assert!(matches!(other.fetch(&key).await, Err(BlobError::NotFound)));
}

#[tokio::test]
async fn a_second_leg_that_fails_fails_an_upload_only_where_it_is_needed() {
    for needs in [Needs::First, Needs::Both] {
        for operation in [Operation::Open, Operation::Stage, Operation::Write, Operation::Publish, Operation::Read] {
            let (first, second, pair) = pair(needs);
            second.faults().fail_always(operation, BlobError::NoSpace);
            let content = bytes(1, 10_000);
            let done = put(&pair, &content, 1).await;
            assert_eq!(done.is_ok(), needs == Needs::First, "{operation:?}: {done:?}");
            let key = contract::key(&content, 1);
            assert_eq!(get(&first, &key).await.unwrap(), content, "the first has it");
            assert_eq!(pair.missed.take(), Some(vec![key]), "and it is known that the second has not");
        }
    }
}

#[tokio::test]
async fn no_list_of_one_leg_passes_for_both() {
    let (first, second, pair) = pair(Needs::First);
    let one = put(&first, &bytes(1, 10), 1).await.unwrap();
    for leg in [&first, &second] {
        leg.faults().fail(Operation::Copies, 0, BlobError::NoSpace);
        assert_eq!(pair.copies(&one.hash).await.is_ok(), std::ptr::eq(leg, &second), "what is found is there; nothing found says nothing");
        leg.faults().clear();
    }
}
