//! A whole site over stores that fail: what lasts, and what a life of the process holds.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use halidom::blobs::{BlobStore, ColdStore, Home, Marker, MemoryStore, MovableStore, Needs, VerifySettings, VerifyStore};
use halidom::config::{ColdConfig, ColdMode, Config, ImportConfig};
use halidom::imaging::Decoders;
use halidom::maintenance::{ColdJob, Idleness, MoveError, MoveJournal, Moving};
use halidom::metadata::memory::MemoryEngine;
use halidom::metadata::{Metadata, MetadataSettings};
use halidom::model::{AlbumId, BlobHash, Owner, PhotoId, TenantId, TokenId};
use halidom::runtime::{BlockingPool, Clock, Runtime, Shutdown};
use halidom::service::{Caller, Derived, Imports, ImportsParts, Pools, Scope, Services};

use tokio::sync::Notify;

use super::plan::{Life, Plan};
use super::store::FaultyStore;

const START_MS: u64 = 1_800_000_000_000;
/// Turns until what goes on by itself must have come to its end: many, for it has threads to wait for.
pub const PATIENCE: u32 = 50_000_000;

/// Work that goes on without anybody waiting for it.
pub fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Waits until there is none: what a step has begun must not draw faults, or nonces, in the next.
pub async fn come_to_rest(plan: &Plan) {
    let mut turns = 0;
    while tasks() > 0 {
        plan.answer();
        tokio::task::yield_now().await;
        turns += 1;
        assert!(turns < PATIENCE, "work goes on for ever");
    }
}

/// What a move has written down: durable, as a file is.
#[derive(Debug, Default)]
pub struct Notes {
    pub copied: Option<BlobHash>,
    pub switched: bool,
}

/// Shared by the lives of a process.
#[derive(Debug, Clone, Default)]
pub struct Journal(pub Arc<Mutex<Notes>>, pub Arc<Gate>);

/// Lets an upload come in the middle of a move, always at the same moment.
#[derive(Debug, Default)]
pub struct Gate {
    opened: AtomicBool,
    pub begin: Notify,
    pub done: Notify,
}

#[async_trait::async_trait]
impl MoveJournal for Journal {
    async fn copied(&self, up_to: BlobHash) -> Result<(), MoveError> {
        self.0.lock().expect("no test panics with it").copied = Some(up_to);
        if !self.1.opened.swap(true, Ordering::Relaxed) {
            self.1.begin.notify_one();
            self.1.done.notified().await;
        }
        Ok(())
    }

    async fn switched(&self) -> Result<(), MoveError> {
        self.0.lock().expect("no test panics with it").switched = true;
        Ok(())
    }
}

#[derive(Debug)]
struct Always;

impl Idleness for Always {
    fn is_idle(&self) -> bool {
        true
    }
}

/// A photo that was acknowledged: it has to be there for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    pub user: usize,
    pub id: PhotoId,
    pub number: u32,
    pub in_trash: bool,
}

/// What outlives a crash, and what is known of it from outside.
pub struct World {
    pub plan: Plan,
    pub runtime: Runtime,
    pub engine: MemoryEngine,
    /// The store that is relied on, and another.
    pub stores: [MemoryStore; 2],
    /// A move is under way to the other one.
    pub moving: Option<Journal>,
    pub place: tempfile::TempDir,
    pub users: Vec<(Caller, AlbumId)>,
    pub acknowledged: Vec<Acknowledged>,
    /// The import's photos were all taken in once.
    pub imported: bool,
    pub crashes: u32,
    pub is_sequential: bool,
    /// What is done to the stores behind everybody's back before the proof.
    pub breaks: Option<fn(&Self)>,
    /// The bytes of every photo that was ever sent, by hash.
    pub bytes: BTreeMap<BlobHash, Bytes>,
}

/// One life of the process.
pub struct Site {
    pub life: Life,
    pub metadata: Metadata,
    pub movable: MovableStore,
    /// Decoded, not checked.
    pub cold: Arc<dyn BlobStore>,
    pub services: Arc<Services>,
    pub job: ColdJob,
    pub imports: Arc<Imports>,
    pub claim: Marker,
    pub homes: [Home; 2],
}

impl World {
    pub fn new(seed: u64, place: tempfile::TempDir) -> Self {
        Self {
            plan: Plan::new(seed),
            runtime: Runtime::simulated(seed, START_MS),
            engine: MemoryEngine::new(),
            stores: [MemoryStore::new(), MemoryStore::new()],
            moving: None,
            place,
            users: vec![],
            acknowledged: vec![],
            imported: false,
            crashes: 0,
            is_sequential: seed.is_multiple_of(2),
            breaks: None,
            bytes: BTreeMap::new(),
        }
    }

    pub fn tree(&self) -> std::path::PathBuf {
        self.place.path().join("tree")
    }

    /// Starts the process. Nothing fails meanwhile.
    pub async fn open(&self) -> Site {
        self.plan.disarm();
        let (runtime, life) = (self.runtime.clone(), Life::default());
        let metadata = Metadata::open(Arc::new(self.engine.clone()), runtime.clone(), MetadataSettings::default()).expect("metadata opens");
        let home = |store: &MemoryStore| Home {
            blobs: Arc::new(FaultyStore::new(store.clone(), self.plan.clone(), life.clone(), self.is_sequential)),
            // What is derived is nobody's loss.
            derived: Arc::new(MemoryStore::new()),
        };
        let homes = [home(&self.stores[0]), home(&self.stores[1])];
        let movable = MovableStore::new(homes[0].clone());
        if self.moving.is_some() {
            movable.pair(homes[0].clone(), homes[1].clone(), Needs::First);
        }
        let mut claim = Marker { site: metadata.site(), epoch: 1 };
        for home in &homes {
            let found = home.blobs.marker().await.expect("nothing fails");
            claim.epoch = claim.epoch.max(found.map_or(0, |found| found.epoch) + 1);
        }
        for home in &homes {
            let found = home.blobs.marker().await.expect("nothing fails");
            home.blobs.claim(found, claim).await.expect("the marker is this site's");
        }
        let cold: Arc<dyn BlobStore> = Arc::new(ColdStore::new(movable.clone(), BlockingPool::new("decoding", 1), 64 << 20));
        let blobs = Arc::new(VerifyStore::new(cold.clone(), runtime.clock.clone(), VerifySettings::default()));
        let config = Config::for_testing(self.place.path().join("data"));
        let decoders = |name| Decoders::in_threads(BlockingPool::new(name, 1), (&config.limits).into());
        let pools = Pools {
            lookup: BlockingPool::new("lookup", 1),
            metadata: BlockingPool::new("metadata", 1),
            imaging: decoders("imaging"),
            slow: decoders("slow"),
            previews: decoders("previews"),
            inspecting: decoders("inspecting"),
        };
        let derived = Derived { previews: Arc::new(movable.clone()), cache: None };
        let services = Arc::new(Services::new(metadata.clone(), blobs.clone(), derived, runtime.clone(), pools, &config));
        let job = ColdJob {
            metadata: metadata.clone(),
            blobs,
            runtime: runtime.clone(),
            reading: BlockingPool::new("metadata", 1),
            encoding: BlockingPool::new("recompressing", 1),
            idleness: Arc::new(Always),
            settings: ColdConfig { mode: ColdMode::On, after: Duration::ZERO, concurrency: 1, ..ColdConfig::for_testing() },
            figures: Arc::default(),
        };
        let directories = self.place.path().display().to_string().parse().expect("an absolute path");
        let import = ImportConfig { directories, concurrency: 1 };
        let parts = ImportsParts { services: services.clone(), config: import, data: self.place.path().join("data"), own: vec![], runtime };
        let imports = Arc::new(Imports::open(parts).expect("what was written down can be read"));
        Site { life, metadata, movable, cold, services, job, imports, claim, homes }
    }

    /// The process dies, and starts again. Of what metadata has not synced, `kept` writes survive.
    pub async fn crash(&mut self, site: Site, kept: usize) -> Site {
        site.life.end();
        self.engine = self.engine.crash(kept);
        drop(site);
        self.plan.answer();
        come_to_rest(&self.plan).await;
        self.crashes += 1;
        if let Some(journal) = &self.moving
            && journal.0.lock().expect("no test panics with it").switched
        {
            self.change_places();
        }
        self.open().await
    }

    /// The move is over: what was relied on goes.
    pub fn change_places(&mut self) {
        self.moving = None;
        self.stores.swap(0, 1);
        for key in self.stores[1].keys() {
            self.stores[1].lose(&key);
        }
    }

    /// Two users with an album each.
    pub async fn settle_in(&mut self, site: &Site) {
        let admin = caller(Owner::DEFAULT, Scope::Admin);
        for name in ["ann", "bob"] {
            let user = site.services.create_user(&admin, TenantId::DEFAULT, name).await.expect("nothing fails");
            let user = caller(user.owner(), Scope::User);
            let (album, ..) = site.services.create_album(&user, None, "Album", None).await.expect("nothing fails");
            self.users.push((user, album.view.id));
        }
    }

    /// A photo's bytes, remembered under their hash.
    pub fn photo(&mut self, number: u32) -> Bytes {
        let bytes = photo(number);
        self.bytes.entry(BlobHash::of(&bytes)).or_insert(bytes).clone()
    }
}

impl Site {
    pub fn moving(&self, shutdown: Shutdown) -> Moving {
        Moving {
            metadata: self.metadata.clone(),
            store: self.movable.clone(),
            from: self.homes[0].clone(),
            to: self.homes[1].clone(),
            pool: BlockingPool::new("metadata", 1),
            clock: Clock::system(),
            progress: Arc::default(),
            max_bytes_per_second: 0,
            despite_damage: false,
            shutdown,
        }
    }
}

pub fn caller(owner: Owner, scope: Scope) -> Caller {
    Caller { owner, token: TokenId::from_bytes([1; 16]), scopes: [scope].into_iter().collect(), request_id: None }
}

/// A photo, another one for every number: every third can be recompressed.
pub fn photo(number: u32) -> Bytes {
    let name = if number.is_multiple_of(3) { "brick.jpg" } else { "clock.jpg" };
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos").join(name)).expect("a fixture");
    // A comment, behind the first segment.
    let first = 4 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
    let (head, rest) = bytes.split_at(first);
    [head, &[0xff, 0xfe, 0, 6], &number.to_be_bytes(), rest].concat().into()
}
