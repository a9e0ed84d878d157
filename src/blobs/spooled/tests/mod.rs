use futures_util::{FutureExt as _, poll};

use super::*;
use crate::blobs::contract::{self, Subject, bytes, contract_suite, get, inventory, put};
use crate::blobs::object::tests::fake::{Fault, Service};
use crate::blobs::{DiskSettings, ObjectSettings};
use crate::model::SiteId;
use crate::runtime::{BlockingPool, Runtime};

mod model;

/// A service in memory, and a directory for the local disk before it.
struct Place {
    service: Service,
    directory: tempfile::TempDir,
    /// One thread: what is done later finds done what was asked for before.
    pool: BlockingPool,
    runtime: Runtime,
}

/// How long a thread may hold on to a store that was let go of.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
const ALL: SpooledSettings = SpooledSettings { takes: true, max_bytes: u64::MAX };

impl Place {
    fn new() -> Self {
        let (service, directory) = (Service::new(), tempfile::tempdir().unwrap());
        Self { service, directory, pool: BlockingPool::new("spool", 1), runtime: Runtime::simulated(1, 1_800_000_000_000) }
    }

    async fn local(&self) -> DiskStore {
        // Little is held in memory, so that copies are streamed as well.
        let settings = DiskSettings { hold_bytes: 1 << 20, ..DiskSettings::default() };
        let (clock, root) = (Clock::system(), self.directory.path().join("spool"));
        let latest = clock.monotonic() + PATIENCE;
        loop {
            match DiskStore::open(&root, self.runtime.clone(), self.pool.clone(), settings.clone()).await {
                // The last thread of the one before has not let go of it yet.
                Err(BlobError::InUse { .. }) if clock.monotonic() < latest => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    }

    /// As a process begins whose service does not answer.
    async fn open_alone(&self, settings: SpooledSettings) -> SpooledStore {
        SpooledStore::open(Some(self.local().await), self.runtime.clock.clone(), settings).await.unwrap()
    }

    async fn join(&self, store: &SpooledStore) {
        let settings = ObjectSettings { prefix: "site".to_owned(), create: true, deadline: std::time::Duration::from_secs(60) };
        let local = store.local().cloned();
        store.join(ObjectStore::open(self.service.connection(), local, self.runtime.clone(), &settings).await.unwrap());
    }

    async fn open(&self, settings: SpooledSettings) -> SpooledStore {
        let store = self.open_alone(settings).await;
        self.join(&store).await;
        store
    }

    /// The names of the copies that the service has.
    async fn put_there(&self) -> Vec<String> {
        let mut names = self.service.names().await;
        names.retain(|name| name.contains("/blobs/"));
        names
    }
}

fn waiting(store: &SpooledStore) -> u64 {
    store.backlog().unwrap().figures().copies
}

async fn subject(fault: Option<Fault>) -> Subject {
    let place = Place::new();
    let store = place.open(ALL).await;
    if let Some(fault) = fault {
        place.service.always(fault, true);
    }
    let local = store.local().unwrap().clone();
    let staged = move || {
        let local = local.clone();
        async move { crate::blobs::disk::tests::staged(&local).await }.boxed()
    };
    Subject { store: Arc::new(store), staged: Box::new(staged), _keep: Some(place.directory), is_remote: true }
}

async fn with_the_service() -> Subject {
    subject(None).await
}

contract_suite!(with_the_service);

mod refused {
    use super::*;

    /// The service takes nothing, so that all of it lies on the local disk.
    async fn on_the_local_disk() -> Subject {
        subject(Some(Fault::Refused)).await
    }

    contract_suite!(on_the_local_disk);
}

#[tokio::test]
async fn what_the_service_does_not_take_waits_and_is_put_there_later() {
    let place = Place::new();
    let store = place.open(ALL).await;
    let there = put(&store, &bytes(1, 1000), 1).await.unwrap();
    assert_eq!((waiting(&store), place.put_there().await.len()), (0, 1));
    place.service.always(Fault::Before, false);
    let (content, large) = (bytes(2, 100_000), bytes(3, (8 << 20) + 17));
    let here = [put(&store, &content, 2).await.unwrap(), put(&store, &large, 3).await.unwrap()];
    assert_eq!(get(&store, &here[0]).await.unwrap(), content, "it is read at once");
    assert_eq!(store.copies(&here[0].hash).await.unwrap(), [here[0]]);
    assert_eq!(store.stored_bytes(&here[1]).await.unwrap(), large.len() as u64);
    assert!(get(&store, &there).await.is_err(), "not what lies there alone");
    store.probe().await.unwrap();
    assert!(inventory(&store).await.is_err(), "a listing of half of it is none");
    assert!(store.destage().await.is_away);
    let figures = store.backlog().unwrap().figures();
    assert_eq!((figures.copies, figures.bytes), (2, (content.len() + large.len()) as u64));

    // Another process, the service still away, then back.
    drop(store);
    let store = place.open_alone(ALL).await;
    assert_eq!(get(&store, &here[1]).await.unwrap(), large);
    assert!(matches!(get(&store, &there).await, Err(BlobError::Away)));
    assert!(matches!(store.delete(&there).await, Err(BlobError::Away)));
    let more = put(&store, &bytes(4, 10), 4).await.unwrap();
    place.service.heal();
    place.join(&store).await;
    let keys = |items: Vec<InventoryItem>| items.len();
    assert_eq!(keys(inventory(&store).await.unwrap()), 4, "both places are listed as one");
    assert_eq!(store.destage().await, Destaged { copies: 3, ..Destaged::default() });
    assert_eq!((waiting(&store), place.put_there().await.len()), (0, 4));
    assert_eq!(inventory(store.local().unwrap()).await.unwrap(), []);
    for (key, content) in [(here[0], content), (here[1], large), (more, bytes(4, 10)), (there, bytes(1, 1000))] {
        assert_eq!(get(&store, &key).await.unwrap(), content);
    }
}

#[tokio::test]
async fn a_put_whose_answer_got_lost_is_in_both_places_and_does_no_harm() {
    let place = Place::new();
    let store = place.open(ALL).await;
    place.service.plan([Fault::After]);
    let content = bytes(1, 1000);
    let key = put(&store, &content, 1).await.unwrap();
    assert_eq!((waiting(&store), place.put_there().await.len()), (1, 1));
    assert_eq!(inventory(&store).await.unwrap().len(), 1);
    place.service.calls();
    assert_eq!(store.destage().await.copies, 1);
    assert!(!place.service.calls().contains(&"put a copy"), "what is there is read, and not put again");
    assert_eq!(get(&store, &key).await.unwrap(), content);
    // Torn, or another's: put over.
    place.service.plan([Fault::After]);
    let other = put(&store, &content, 2).await.unwrap();
    let name = place.put_there().await.into_iter().find(|name| name.contains(&other.to_string())).unwrap();
    place.service.put(&name, "torn").await;
    assert_eq!(store.destage().await.copies, 1);
    assert_eq!(place.service.get(&name).await, content);
}

#[tokio::test]
async fn only_photos_wait_and_only_so_many() {
    let place = Place::new();
    let store = place.open(SpooledSettings { takes: true, max_bytes: 2500 }).await;
    place.service.always(Fault::Refused, true);
    put(&store, &bytes(1, 1000), 1).await.unwrap();
    put(&store, &bytes(2, 1000), 2).await.unwrap();
    assert!(matches!(put(&store, &bytes(3, 1000), 3).await, Err(BlobError::Unavailable { .. })));
    assert_eq!(waiting(&store), 2);
    let (photo, lies) = (bytes(4, 300), bytes(5, 200));
    let mut staged = store.stage(None).await.unwrap();
    staged.write(lies.clone()).await.unwrap();
    let key = contract::key(&photo, 4);
    let content = crate::blobs::Content::named(key.hash, Some(BlobHash::of(&lies)));
    assert!(staged.publish_as(&key, &content).await.is_err(), "a recompressed copy does not wait");
    assert_eq!(crate::blobs::disk::tests::staged(store.local().unwrap()).await, 0);
}

#[tokio::test]
async fn switched_off_it_takes_nothing_and_gives_what_waits() {
    let place = Place::new();
    let store = place.open_alone(ALL).await;
    let key = put(&store, &bytes(1, 1000), 1).await.unwrap();
    drop(store);
    let store = place.open_alone(SpooledSettings { takes: false, max_bytes: u64::MAX }).await;
    assert!(matches!(store.stage(None).await.map(drop), Err(BlobError::Away)));
    assert!(store.probe().await.is_err());
    assert_eq!(get(&store, &key).await.unwrap(), bytes(1, 1000));
    place.join(&store).await;
    assert_eq!(store.destage().await.copies, 1);
    assert_eq!(get(&store, &key).await.unwrap(), bytes(1, 1000));
}

#[tokio::test]
async fn nothing_is_put_back_after_its_deletion() {
    let place = Place::new();
    let store = place.open_alone(ALL).await;
    let key = put(&store, &bytes(1, 1000), 1).await.unwrap();
    place.join(&store).await;
    // The put is on its way, and hangs.
    place.service.plan([Fault::None, Fault::None, Fault::Hangs]);
    let mut destaging = Box::pin(store.destage());
    place.service.calls();
    let mut calls = vec![];
    while !calls.contains(&"put a copy") {
        assert!(poll!(&mut destaging).is_pending());
        calls.extend(place.service.calls());
        tokio::task::yield_now().await;
    }
    assert!(matches!(store.delete(&key).await, Err(BlobError::Busy)), "whoever deletes comes again");
    assert_eq!(get(&store, &key).await.unwrap(), bytes(1, 1000));
    drop(destaging);
    assert_eq!(store.delete(&key).await.unwrap(), Deletion::Gone);
    assert_eq!(store.destage().await, Destaged::default());
    assert_eq!((waiting(&store), place.put_there().await.len()), (0, 0));
}

#[tokio::test]
async fn a_copy_that_is_safe_stays_while_another_of_its_photo_waits() {
    let place = Place::new();
    let store = place.open(ALL).await;
    let content = bytes(1, 1000);
    let safe = put(&store, &content, 1).await.unwrap();
    place.service.plan([Fault::Before]);
    let here = put(&store, &content, 2).await.unwrap();
    assert!(matches!(store.delete(&safe).await, Err(BlobError::Busy)));
    assert_eq!(store.copies(&safe.hash).await.unwrap(), [safe, here]);
    assert_eq!(store.destage().await.copies, 1);
    assert_eq!(store.delete(&safe).await.unwrap(), Deletion::Gone);
    assert_eq!(get(&store, &here).await.unwrap(), content);
}

#[tokio::test]
async fn a_copy_that_has_gone_bad_here_is_kept_and_told() {
    let place = Place::new();
    let store = place.open_alone(ALL).await;
    let (bad, good) = (put(&store, &bytes(1, 1000), 1).await.unwrap(), put(&store, &bytes(2, 1000), 2).await.unwrap());
    let path = place.directory.path().join("spool").join(crate::blobs::path::copy(&bad));
    let mut damaged = bytes(1, 1000).to_vec();
    damaged[500] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    place.join(&store).await;
    assert_eq!(store.destage().await, Destaged { copies: 1, failed: 1, is_away: false });
    assert_eq!(store.destage().await, Destaged::default(), "not again at once");
    assert!(path.exists() && waiting(&store) == 1, "what may be all that is left of it is not thrown away");
    assert_eq!(place.put_there().await.len(), 1);
    assert_eq!(get(&store, &good).await.unwrap(), bytes(2, 1000));
}

#[tokio::test]
async fn it_is_noted_whose_the_service_is() {
    let place = Place::new();
    let store = place.open(ALL).await;
    let marker = |epoch| Marker { site: SiteId::from_bytes([1; 16]), epoch };
    assert_eq!(store.local_marker().await.unwrap(), None);
    store.claim(None, marker(1)).await.unwrap();
    store.claim(Some(marker(1)), marker(3)).await.unwrap();
    drop(store);
    let store = place.open_alone(ALL).await;
    assert_eq!(store.local_marker().await.unwrap(), Some(marker(3)));
    assert!(matches!(store.marker().await, Err(BlobError::Away)), "what is noted is no claim: nothing is deleted by it");
}

#[tokio::test]
async fn it_keeps_what_is_derived() {
    crate::blobs::derived_contract::keeps_what_is_derived(&Place::new().open(ALL).await).await;
}
