//! Opening the metadata of a site, and the handle that everybody holds.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::changes::ChangeObserver;
use super::column::{Format, Site};
use super::engine::Engine;
use super::flight::InFlight;
use super::format::{self, FORMAT, FormatVersion};
use super::queue::{Queue, Refusal, Request, Taken};
use super::read::Snapshot;
use super::record::Settled;
use super::request::Typed;
use super::transaction::Transaction;
use super::writer::{Figures, WriteObserver, Writer, read_heads, read_settled};
use super::{MetadataError, WriteError};
use crate::model::set_hash::SetKey;
use crate::model::tenant::{NewTenant, SigningKey};
use crate::model::user::NewUser;
use crate::model::{BlobHash, BlobKey, BlobNonce, Owner, SiteId, TenantId};
use crate::runtime::{Runtime, spawn_thread};

/// Limits and waits of the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataSettings {
    /// Requests that are written as one batch, at most.
    pub group_limit: usize,
    /// Requests that may wait; past it, [`WriteError::Busy`].
    pub queue_limit: usize,
    /// How long a purged photo can be restored without a snapshot: its blob is looked at after it.
    pub restore_window: Duration,
    /// For a new store: the key of its set hashes, which sites that compare must share. Drawn where it is `None`.
    pub set_key: Option<SetKey>,
}

impl Default for MetadataSettings {
    fn default() -> Self {
        Self { group_limit: 256, queue_limit: 4096, restore_window: Duration::from_secs(30 * 24 * 3600), set_key: None }
    }
}

/// The metadata of a site. Cheap to clone. When the last clone goes, what waits is still written.
#[derive(Clone)]
pub struct Metadata(Arc<Inner>);

struct Inner {
    engine: Arc<dyn Engine>,
    queue: Arc<Queue>,
    figures: Arc<Figures>,
    runtime: Runtime,
    site: SiteId,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Inner {
    /// What waits is still written. The writer's thread ends before this answers: it must not outlive the program's static data, which
    /// RocksDB takes down as it closes.
    fn drop(&mut self) {
        self.queue.close();
        let thread = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // A request may hold the last handle: the writer cannot wait for itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Metadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metadata").field("site", &self.0.site).field("engine", &self.0.engine).finish_non_exhaustive()
    }
}

impl Metadata {
    /// Opens a store, or makes one in an empty engine: with a site id, the default tenant and the default user. Every opening begins a
    /// new life of the change log. Starts the writer's thread. Does blocking I/O.
    ///
    /// # Errors
    /// [`MetadataError::Newer`] for a store of a later program; what the engine meets.
    pub fn open(engine: Arc<dyn Engine>, runtime: Runtime, settings: MetadataSettings) -> Result<Self, MetadataError> {
        let exists = format::settle(&*engine)?;
        let settled = match read_settled(&*engine)? {
            Some(settled) if exists => settled,
            None if !exists => Settled {
                site: SiteId::new(runtime.clock.unix_ms(), runtime.random.bytes()),
                set_key: settings.set_key.unwrap_or_else(|| SetKey(runtime.random.bytes())),
            },
            _ => return Err(MetadataError::damaged("the store does not say whose it is")),
        };
        let heads = read_heads(&*engine)?;
        let queue = Queue::new(settings.queue_limit);
        let figures = Arc::<Figures>::default();
        let mut writer = Writer::new(engine.clone(), runtime.clone(), queue.clone(), figures.clone(), settled, heads, &settings);
        if !exists {
            make(&mut writer, settled, &runtime)?;
        }
        let thread = spawn_thread("metadata-writer", move || writer.run());
        let thread = thread.map_err(|error| MetadataError::Unavailable { detail: format!("no thread for the writer: {error}") })?;
        let writer = Mutex::new(Some(thread));
        Ok(Self(Arc::new(Inner { engine, queue, figures, runtime, site: settled.site, writer })))
    }

    /// Whose metadata this is.
    pub fn site(&self) -> SiteId {
        self.0.site
    }

    /// Sends a request to the writer, and waits until it is durable. `work` is evaluated once, on the writer's thread, after everything
    /// that was accepted before; it must be quick and do no I/O of its own. `label` is for logs. A request that was sent is done, even
    /// where nobody waits for the answer any more.
    ///
    /// # Errors
    /// [`WriteError::Refused`] with what `work` answered, [`WriteError::Busy`], [`WriteError::Failed`]; in each nothing was acknowledged,
    /// and but for [`MetadataError::Unavailable`] and [`MetadataError::NoSpace`], after which it may still turn up, nothing was written.
    pub async fn write<T, E, F>(&self, label: &'static str, work: F) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let (request, answer) = Typed::new(label, work);
        self.0.queue.push(Box::new(request)).map_err(|refusal| match refusal {
            Refusal::Full => WriteError::Busy,
            Refusal::Closed => WriteError::Failed(MetadataError::closed()),
        })?;
        answer.await.unwrap_or_else(|_| Err(WriteError::Failed(MetadataError::closed())))
    }

    /// The metadata as it is now. Reading from it does blocking I/O.
    pub fn read(&self) -> Snapshot {
        Snapshot::new(self.0.engine.snapshot())
    }

    /// Looks at the metadata as it is now without waiting for the disk. `None` where something that `look` asked for does not lie in memory:
    /// ask [`Metadata::read`] then.
    pub fn look_in_memory<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> Option<T> {
        let snapshot = Snapshot::new(self.0.engine.snapshot_in_memory());
        let found = look(&snapshot);
        // What it made of a read that failed for this is of no use, whatever it is.
        (!snapshot.has_missed()).then_some(found)
    }

    /// Draws a key for a copy of a blob, and notes that this run writes it, before a byte of it reaches the backend under this key.
    pub fn begin_copy(&self, hash: BlobHash) -> InFlight {
        loop {
            let key = BlobKey { hash, nonce: BlobNonce::from_random(self.0.runtime.random.bytes()) };
            if self.0.queue.flight.enter(key) {
                return InFlight::new(key, self.0.queue.clone());
            }
        }
    }

    /// Whether this run is writing a copy.
    pub fn is_in_flight(&self, key: &BlobKey) -> bool {
        self.0.queue.flight.contains(key)
    }

    /// Has `observer` told of what the writer does from now on. The first one stays.
    pub fn observe(&self, observer: Arc<dyn WriteObserver>) {
        // Who comes second is not told: there is one server a store.
        let _ = self.0.figures.observer.set(observer);
    }

    /// Has `observer` told of what others may remember and is so no more, from now on. The first one stays.
    pub fn observe_changes(&self, observer: Arc<dyn ChangeObserver>) {
        let _ = self.0.figures.changes.set(observer);
    }

    /// Whether nothing is written any more, for the store was closed or its writer has panicked.
    pub fn is_closed(&self) -> bool {
        self.0.queue.is_closed()
    }

    /// Requests that wait for the writer, and how many may.
    pub fn queue(&self) -> (usize, usize) {
        (self.0.queue.len(), self.0.queue.limit)
    }

    /// Copies that this run is writing.
    pub fn copies_in_flight(&self) -> usize {
        self.0.queue.flight.len()
    }

    /// Which these are. What enters later is not among them.
    pub fn keys_in_flight(&self) -> std::collections::HashSet<crate::model::BlobKey> {
        self.0.queue.flight.all()
    }

    /// Figures of the engine, for metrics: names that end in `_bytes` are sizes, the others numbers of things. Does blocking I/O.
    pub fn engine_figures(&self) -> Vec<(&'static str, u64)> {
        self.0.engine.figures()
    }

    /// What the writer has done, and the engine's figures, by name.
    pub fn figures(&self) -> Vec<(&'static str, u64)> {
        let writer = &self.0.figures;
        let mut figures = vec![
            ("queue", self.0.queue.len() as u64),
            ("queue_limit", self.0.queue.limit as u64),
            ("in_flight", self.0.queue.flight.len() as u64),
            ("groups", writer.groups.load(Ordering::Relaxed)),
            ("accepted", writer.accepted.load(Ordering::Relaxed)),
            ("refused", writer.refused.load(Ordering::Relaxed)),
            ("panicked", writer.panicked.load(Ordering::Relaxed)),
            ("failed_groups", writer.failed_groups.load(Ordering::Relaxed)),
        ];
        figures.extend(self.0.engine.figures());
        figures
    }

    /// Makes a complete copy of the store at `path`, on the same file system. Does blocking I/O.
    ///
    /// # Errors
    /// As [`Engine::checkpoint`].
    pub fn checkpoint(&self, path: &std::path::Path) -> Result<(), MetadataError> {
        self.0.engine.checkpoint(path)
    }

    /// Takes no more requests, and blocks until those that wait are done. Reading goes on. Closing again does nothing.
    pub fn close(&self) {
        self.0.queue.close();
        let thread = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A writer that panicked has nothing more to say.
        let _ = thread.map(JoinHandle::join);
    }
}

/// The first commit of a new store, all in one batch: either it is there, or the directory is still new.
fn make(writer: &mut Writer, settled: Settled, runtime: &Runtime) -> Result<(), MetadataError> {
    let signing_key = SigningKey { key: runtime.random.bytes::<32>().to_vec(), salt: runtime.random.bytes::<32>().to_vec() };
    let (request, mut answer) = Typed::new("make the store", move |tx: &mut Transaction<'_>| {
        tx.overlay.put::<Format>(&(), &FormatVersion(FORMAT));
        tx.overlay.put::<Site>(&(), &settled);
        let at = tx.stamp();
        tx.apply(NewTenant { name: "default".to_owned(), signing_keys: vec![signing_key] }.create(TenantId::DEFAULT, at))?;
        tx.apply(NewUser { name: "default".to_owned() }.create(Owner::DEFAULT, at))
    });
    let requests: Vec<Box<dyn Request>> = vec![Box::new(request)];
    writer.group(Taken { requests, abandoned: vec![] });
    match answer.try_recv() {
        Ok(Ok(())) => Ok(()),
        Ok(Err(WriteError::Refused(error) | WriteError::Failed(error))) => Err(error),
        Ok(Err(WriteError::Busy)) | Err(_) => Err(MetadataError::closed()),
    }
}
