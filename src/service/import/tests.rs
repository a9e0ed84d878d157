use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::blobs::{BlobError, MemoryStore, Operation};
use crate::metadata::{Metadata, Read as _};
use crate::model::{BlobHash, TokenId};
use crate::runtime::shutdown_channel;
use crate::service::{Scopes, site_with};

/// A site in memory, a tree, and imports of it.
struct World {
    place: tempfile::TempDir,
    store: MemoryStore,
    metadata: Metadata,
    imports: Arc<Imports>,
    caller: Caller,
}

impl World {
    fn new(photos: usize) -> Self {
        let place = tempfile::tempdir().unwrap();
        for name in ["tree", "data"] {
            std::fs::create_dir(place.path().join(name)).unwrap();
        }
        for number in 0..photos {
            std::fs::write(place.path().join(format!("tree/{number}.jpg")), photo(number)).unwrap();
        }
        let (store, metadata, runtime, services) = site_with(Arc::new);
        let config = ImportConfig { directories: place.path().display().to_string().parse().unwrap(), ..ImportConfig::for_testing() };
        let parts = ImportsParts { services, config, data: place.path().join("data"), own: vec![place.path().join("blobs")], runtime };
        let imports = Arc::new(Imports::open(parts).unwrap());
        let caller = Caller {
            owner: Owner::DEFAULT,
            token: TokenId::from_bytes([1; 16]),
            scopes: [Scope::Admin].into_iter().collect::<Scopes>(),
            request_id: None,
        };
        Self { place, store, metadata, imports, caller }
    }

    fn request(&self) -> CreateImport {
        let path = self.place.path().join("tree").display().to_string();
        serde_json::from_value(serde_json::json!({ "path": path })).unwrap()
    }

    /// Imports the tree from begin to end.
    async fn import(&self) -> Import {
        let (_trigger, shutdown) = shutdown_channel();
        let id = self.imports.start(&self.caller, self.request()).await.unwrap().id;
        self.imports.run(id, &shutdown).await;
        self.imports.get(&self.caller, id).unwrap()
    }

    /// The hashes of all blobs that metadata names, each with a whole copy.
    fn blobs(&self) -> BTreeSet<BlobHash> {
        self.store.keys().into_iter().map(|key| key.hash).filter(|hash| self.metadata.read().blob(hash).unwrap().is_some()).collect()
    }
}

/// A small photo with a comment after its first segment, so that each has bytes of its own.
fn photo(number: usize) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let jpegs = paths.filter(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    let bytes = std::fs::read(jpegs.min_by_key(|path| (path.metadata().unwrap().len(), path.clone())).unwrap()).unwrap();
    let first = 4 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
    let (head, rest) = bytes.split_at(first);
    let text = format!("photo {number}");
    let length = u16::try_from(text.len() + 2).unwrap().to_be_bytes();
    [head, &[0xff, 0xfe], &length, text.as_bytes(), rest].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_runs_at_a_time_and_only_for_administrators() {
    let world = World::new(1);
    let begun = world.imports.start(&world.caller, world.request()).await.unwrap();
    let again = world.imports.start(&world.caller, world.request()).await;
    assert!(matches!(again, Err(ServiceError::Conflict { code: "import_running", .. })), "{again:?}");
    let user = Caller { scopes: [Scope::User].into_iter().collect::<Scopes>(), ..world.caller.clone() };
    assert!(matches!(world.imports.start(&user, world.request()).await, Err(ServiceError::Forbidden { .. })));
    assert!(matches!(world.imports.list(&user), Err(ServiceError::Forbidden { .. })));
    assert!(matches!(world.imports.stop(&user, begun.id).await, Err(ServiceError::Forbidden { .. })));
    world.imports.stop(&world.caller, begun.id).await.unwrap();
    let (_trigger, shutdown) = shutdown_channel();
    world.imports.run(begun.id, &shutdown).await;
    assert_eq!(world.imports.get(&world.caller, begun.id).unwrap().state, ImportState::Stopped);
    assert!(world.store.keys().is_empty());
    assert_eq!(world.import().await.counts.imported, 1, "one that was stopped is no hindrance");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_leaves_it_to_the_next() {
    let world = World::new(3);
    let begun = world.imports.start(&world.caller, world.request()).await.unwrap();
    let (trigger, shutdown) = shutdown_channel();
    trigger.stop();
    world.imports.run(begun.id, &shutdown).await;
    assert_eq!(world.imports.get(&world.caller, begun.id).unwrap().state, ImportState::Running);
    let read = Book::in_data(&world.place.path().join("data")).read().unwrap();
    assert_eq!((read.len(), read[0].shown.state, read[0].shown.id), (1, ImportState::Running, begun.id), "it is written down");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_an_import_that_begins() {
    let world = World::new(1);
    // Where the book would be written: the handler goes while it waits for that.
    let held = world.imports.book.lock().await;
    let mut starting = Box::pin(world.imports.start(&world.caller, world.request()));
    let pushed = || world.imports.state().running().is_some();
    std::future::poll_fn(|context| {
        let polled = starting.as_mut().poll(context);
        context.waker().wake_by_ref();
        assert!(polled.is_pending());
        if pushed() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    drop(starting);
    drop(held);
    runtime::timeout(std::time::Duration::from_secs(60), world.imports.begun.notified()).await.expect("somebody is woken");
    let read = Book::in_data(&world.place.path().join("data")).read().unwrap();
    assert_eq!(read.len(), 1, "it is written down");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_was_answered_outlives_the_process() {
    let world = World::new(2);
    let begun = world.imports.start(&world.caller, world.request()).await.unwrap();
    world.imports.stop(&world.caller, begun.id).await.unwrap();
    // Killed here; this is the next start.
    let parts = ImportsParts {
        services: world.imports.services.clone(),
        config: world.imports.config.clone(),
        data: world.place.path().join("data"),
        own: vec![],
        runtime: world.imports.runtime.clone(),
    };
    let next = Imports::open(parts).unwrap();
    let (_trigger, shutdown) = shutdown_channel();
    next.run(begun.id, &shutdown).await;
    let shown = next.get(&world.caller, begun.id).unwrap();
    assert_eq!((shown.state, shown.counts.imported), (ImportState::Stopped, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_that_hangs_does_not_keep_a_stop_from_being_written_down() {
    let world = World::new(1);
    let begun = world.imports.start(&world.caller, world.request()).await.unwrap();
    let (answer, hung) = std::sync::mpsc::channel::<()>();
    let hung = Arc::new(Mutex::new(hung));
    let hanging: Vec<_> = (0..world.imports.pool.load().limit)
        .map(|_| {
            let (pool, hung) = (world.imports.pool.clone(), hung.clone());
            runtime::spawn_joined(async move { pool.run(move || hung.lock().unwrap().recv().is_ok()).await })
        })
        .collect();
    while world.imports.pool.load().running < world.imports.pool.load().limit {
        tokio::task::yield_now().await;
    }
    let stopped = runtime::timeout(std::time::Duration::from_secs(60), world.imports.stop(&world.caller, begun.id)).await;
    drop(answer);
    for hanging in hanging {
        hanging.await.unwrap().unwrap();
    }
    stopped.expect("it is answered").unwrap();
    assert!(Book::in_data(&world.place.path().join("data")).read().unwrap()[0].stopping);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sites_own_files_are_no_tree() {
    let world = World::new(1);
    std::fs::create_dir_all(world.place.path().join("blobs/in")).unwrap();
    for own in ["data", "blobs", "blobs/in", ""] {
        let request = CreateImport { path: world.place.path().join(own).display().to_string(), ..world.request() };
        let refused = world.imports.start(&world.caller, request).await;
        assert!(matches!(refused, Err(ServiceError::Invalid { field: "path", .. })), "{own}: {refused:?}");
    }
    assert_eq!(world.import().await.counts.imported, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_store_ends_it_and_room_has_it_go_on() {
    let world = World::new(4);
    world.store.faults().fail_always(Operation::Publish, BlobError::NoSpace);
    let failed = world.import().await;
    assert_eq!((failed.state, failed.counts.imported), (ImportState::Failed, 0));
    assert!(failed.error.unwrap().contains("out of space"));
    world.store.faults().clear();
    let done = world.import().await;
    assert_eq!((done.state, done.counts.imported, world.store.staged()), (ImportState::Done, 4, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_user_has_is_not_kept_twice() {
    let world = World::new(2);
    world.import().await;
    let user = world.imports.services.create_user(&world.caller, world.caller.owner.tenant, "ann").await.unwrap();
    let request = CreateImport { user: Some(user.id), ..world.request() };
    let (_trigger, shutdown) = shutdown_channel();
    let id = world.imports.start(&world.caller, request).await.unwrap().id;
    world.imports.run(id, &shutdown).await;
    let counts = world.imports.get(&world.caller, id).unwrap().counts;
    assert_eq!((counts.imported, counts.deduplicated, world.store.keys().len()), (2, 2, 2));
    std::fs::write(world.place.path().join("tree/0.jpg"), photo(77_777)).unwrap();
    let again = world.import().await;
    assert_eq!((again.counts.existing, again.refusals[0].code.as_str()), (1, "changed_since"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever fails on the way, the import that is begun again makes everything, nothing twice, and leaves nothing.
    #[test]
    fn faults_lose_nothing(faults in proptest::collection::vec((0_usize..5, 0_usize..12, any::<bool>()), 1..12)) {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        threads.block_on(async {
            const PHOTOS: usize = 6;
            let world = World::new(PHOTOS);
            let operations = [Operation::Stage, Operation::Write, Operation::Digests, Operation::Contents, Operation::Publish];
            for (operation, after, done) in &faults {
                let (operation, error) = (operations[*operation], BlobError::NoSpace);
                if *done { world.store.faults().fail_done(operation, *after, error) } else { world.store.faults().fail(operation, *after, error) }
            }
            let mut runs = 0;
            let last = loop {
                let import = world.import().await;
                runs += 1;
                assert!(runs <= faults.len() + 1, "each fault ends one run at most: {import:?}");
                if import.state == ImportState::Done {
                    break import;
                }
            };
            assert_eq!(last.counts.imported + last.counts.existing, PHOTOS as u64, "{last:?}");
            let expected: BTreeSet<_> = (0..PHOTOS).map(|number| BlobHash::of(&photo(number))).collect();
            assert_eq!(world.blobs(), expected);
            let stats = world.metadata.read().stats().unwrap();
            assert_eq!((stats.photos, stats.blobs, world.store.staged()), (PHOTOS as u64, PHOTOS as u64, 0));
            assert!(world.store.keys().len() as u64 <= stats.blobs + stats.doomed + world.metadata.copies_in_flight() as u64, "every copy is named or queued");
        });
    }
}
