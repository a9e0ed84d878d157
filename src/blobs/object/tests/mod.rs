use futures_util::FutureExt;

use super::*;
use crate::blobs::contract::{self, Subject, bytes, contract_suite, get, put};
use crate::blobs::derived_contract::keeps_what_is_derived;
use crate::blobs::{DerivedKind, DiskSettings, InventoryItem, VerifySettings, VerifyStore, needs};
use crate::runtime::{BlockingPool, Clock};

use fake::Service;

pub(in crate::blobs) mod fake;
mod faults;
mod seaweed;
#[path = "../../../../tests/harness/weed.rs"]
mod weed;

const DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);

fn settings(prefix: &str) -> ObjectSettings {
    ObjectSettings { prefix: prefix.to_owned(), create: true, deadline: DEADLINE }
}

async fn spool(directory: &std::path::Path) -> DiskStore {
    // Little is held in memory, so that the spool sees something.
    let settings = DiskSettings { hold_bytes: 4 << 20, ..DiskSettings::default() };
    DiskStore::open(&directory.join("spool"), Runtime::system(), BlockingPool::new("spool", 4), settings).await.unwrap()
}

/// A store behind this connection, and what lies in the spool's staging.
async fn subject(connection: Connection, prefix: &str) -> Subject {
    let directory = tempfile::tempdir().unwrap();
    let store = ObjectStore::open(connection, Some(spool(directory.path()).await), Runtime::system(), &settings(prefix)).await.unwrap();
    let spool = store.spool().unwrap().clone();
    let staged = move || {
        let spool = spool.clone();
        async move { crate::blobs::disk::tests::staged(&spool).await }.boxed()
    };
    Subject { store: Arc::new(store), staged: Box::new(staged), _keep: Some(directory), is_remote: true }
}

async fn in_memory() -> Subject {
    subject(Service::new().connection(), "some/where").await
}

contract_suite!(in_memory);

mod verified {
    use super::*;

    async fn in_memory() -> Subject {
        let subject = super::in_memory().await;
        Subject { store: Arc::new(VerifyStore::new(subject.store, Clock::manual(0), VerifySettings::default())), ..subject }
    }

    contract_suite!(in_memory);
}

#[tokio::test]
async fn it_keeps_what_is_derived() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::new();
    let store =
        ObjectStore::open(service.connection(), Some(spool(directory.path()).await), Runtime::system(), &settings("")).await.unwrap();
    keeps_what_is_derived(&store).await;
}

#[tokio::test]
async fn a_store_lies_where_the_layout_says() {
    let service = Service::new();
    let subject = subject(service.connection(), "/a/b/").await;
    let content = bytes(1, 1000);
    let key = put(&*subject.store, &content, 1).await.unwrap();
    subject.store.claim(None, Marker { site: crate::model::SiteId::from_bytes([1; 16]), epoch: 1 }).await.unwrap();
    let copy = format!("a/b/{}", path::copy(&key).display());
    assert_eq!(service.names().await, ["a/b/blobs-format".into(), "a/b/blobs-marker.json".into(), copy.clone()]);
    assert_eq!(service.get(&copy).await, content);
    assert_eq!(service.get("a/b/blobs-format").await, "halidom blobs 1\n");
    let marker: serde_json::Value = serde_json::from_slice(&service.get("a/b/blobs-marker.json").await).unwrap();
    assert_eq!((&marker["version"], &marker["epoch"]), (&1.into(), &1.into()));
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let spool = spool(directory.path()).await;
    let open = async |service: &Service, create| {
        ObjectStore::open(service.connection(), Some(spool.clone()), Runtime::system(), &ObjectSettings { create, ..settings("p") }).await
    };
    let service = Service::new();
    assert!(matches!(open(&service, false).await, Err(BlobError::Refused { .. })), "a site that has blobs does not begin anew");
    assert_eq!(service.names().await, [""; 0]);
    service.put("p/blobs/00/11/something", "of another's").await;
    assert!(matches!(open(&service, true).await, Err(BlobError::Refused { .. })), "part of a store");
    service.put("p/blobs-format", "halidom blobs 2\n").await;
    assert!(matches!(open(&service, true).await, Err(BlobError::Refused { .. })), "a later one");
    service.put("p/blobs-format", "halidom blobs 1\n").await;
    let store = open(&service, false).await.unwrap();
    let listed = contract::inventory(&store).await.unwrap();
    assert!(matches!(&listed[..], [InventoryItem::Foreign { path }] if path.ends_with("something")), "{listed:?}");
    service.remove("p/blobs-format").await;
    let key = contract::key(b"x", 1);
    assert!(matches!(store.open(&key).await, Err(BlobError::Unavailable { .. })), "a store that has gone has not lost one copy");
    assert!(matches!(store.marker().await, Err(BlobError::Unavailable { .. })));
    assert!(store.probe().await.is_err());
}

#[tokio::test]
async fn the_tree_of_a_large_blob_is_put_with_it_and_a_part_is_all_that_is_asked_for() {
    let service = Service::new();
    let directory = tempfile::tempdir().unwrap();
    let store =
        ObjectStore::open(service.connection(), Some(spool(directory.path()).await), Runtime::system(), &settings("p")).await.unwrap();
    let verify = VerifyStore::new(store.clone(), Clock::manual(0), VerifySettings::default()).keeping_trees_in(Arc::new(store.clone()));
    let (small, content) = (bytes(1, 8 << 20), bytes(2, (9 << 20) + 5));
    put(&store, &small, 1).await.unwrap();
    let key = put(&store, &content, 1).await.unwrap();
    // A recompressed copy's bytes are not the blob's.
    let mut staged = store.stage(None).await.unwrap();
    staged.write(content.clone()).await.unwrap();
    let other = BlobHash::of(b"another");
    staged.publish_as(&BlobKey { hash: other, ..key }, &Content::proven(other, key.hash)).await.unwrap();
    let trees: Vec<_> = service.names().await.into_iter().filter(|name| name.contains("/trees/")).collect();
    assert_eq!(trees, [format!("p/{}", path::derived(DerivedKind::Tree, &key.hash).display())], "of the large one alone");
    service.given_bytes();
    let (group, beginning, tree) = (1 << 20, 4096, 32 + 32 * 10);
    for (part, expected) in [
        (5_000_000..5_000_100, group + beginning + tree),
        (2 << 20..4 << 20, 2 * group + beginning),
        (0..3_000_000, 3 * group),
        (9 << 20..(9 << 20) + 5, 5 + beginning),
    ] {
        let read = verify.open_part(&key, part.clone()).await.unwrap();
        let (start, end) = (part.start as usize, part.end as usize);
        assert_eq!(read.read_at(part.start, end - start).await.unwrap(), content[start..end], "{part:?}");
        assert_eq!(service.given_bytes(), expected, "{part:?}");
    }
}

#[tokio::test]
async fn what_a_tool_put_there_for_directories_is_nothing() {
    let service = Service::new();
    let subject = subject(service.connection(), "p").await;
    let mut keys = vec![];
    for content in 0..20 {
        keys.push(put(&*subject.store, &bytes(content, 10), 1).await.unwrap());
    }
    keys.sort_unstable();
    for key in &keys {
        let leaf = path::leaf(&key.hash);
        for directory in [leaf.parent().unwrap(), &leaf] {
            service.put(&format!("p/{}", directory.display()), "").await;
        }
    }
    service.put("p/blobs/ff", "no directory's").await;
    let listed = contract::inventory(&*subject.store).await.unwrap();
    let (copies, foreign): (Vec<_>, Vec<_>) = listed.into_iter().partition(|item| matches!(item, InventoryItem::Copy { .. }));
    assert_eq!(copies, keys.iter().map(|key| InventoryItem::Copy { key: *key, size_bytes: 10 }).collect::<Vec<_>>());
    assert_eq!(foreign, [InventoryItem::Foreign { path: "blobs/ff".into() }]);
}
