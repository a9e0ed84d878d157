//! Imports: trees of photos on the server's own disks are taken in, one at a time, beside everything else.
//!
//! A photo's id follows from its owner, the tree's source and the file's path, so that a tree that is begun again, after a crash too, makes nothing
//! twice. What is under way is written down (`record`), and goes on at the next start. What comes out is told photo by photo (`run`).

mod one;
mod places;
mod record;
mod run;
#[cfg(test)]
mod tests;
mod texts;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::api::{CreateImport, Import, ImportCounts, ImportLayout, ImportState};
use crate::config::ImportConfig;
use crate::model::{ImportId, Owner, UserId, WallMs};
use crate::runtime::{self, BlockingPool, Runtime, Shutdown};
use crate::trees::{self, Root};

use super::caller::{Caller, Scope};
use super::{ServiceError, Services, audit};
use record::{Book, Record};

/// Imports that are remembered; the oldest goes.
const REMEMBERED: usize = 32;

/// The parts of [`Imports`].
#[derive(Debug)]
pub struct ImportsParts {
    /// What makes photos.
    pub services: Arc<Services>,
    /// What may be imported.
    pub config: ImportConfig,
    /// The site's data directory, where imports are written down.
    pub data: PathBuf,
    /// Where else files of the site's own lie: blobs, a spool, renditions. No tree of others is there.
    pub own: Vec<PathBuf>,
    /// Clock and randomness.
    pub runtime: Runtime,
}

/// The imports of a site.
#[derive(Debug)]
pub struct Imports {
    services: Arc<Services>,
    config: ImportConfig,
    /// What is never imported: the site's own directories.
    own: Vec<PathBuf>,
    runtime: Runtime,
    /// Where trees are read: they may lie on a filer that hangs.
    pool: BlockingPool,
    /// Where imports are written down, whatever hangs.
    books: BlockingPool,
    state: Mutex<State>,
    /// There is something to do.
    begun: Notify,
    book: tokio::sync::Mutex<Book>,
}

#[derive(Debug, Default)]
struct State {
    /// The oldest first.
    records: Vec<Record>,
    /// Of the one that runs.
    stop: Arc<AtomicBool>,
}

impl State {
    fn record(&mut self, id: ImportId) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.shown.id == id)
    }

    fn running(&self) -> Option<&Record> {
        self.records.iter().find(|record| record.shown.state == ImportState::Running)
    }
}

impl Imports {
    /// Reads what was written down. Nothing runs yet: that is [`Imports::work`].
    ///
    /// # Errors
    /// What the system says; where what stands there is of a newer version, or no such file.
    pub fn open(parts: ImportsParts) -> std::io::Result<Self> {
        let ImportsParts { services, config, data, mut own, runtime } = parts;
        let book = Book::in_data(&data);
        let state = State { records: book.read()?, ..State::default() };
        let pool = BlockingPool::new("import", config.concurrency as usize + 1);
        own.push(data);
        Ok(Self {
            services,
            config,
            own,
            runtime,
            pool,
            books: BlockingPool::new("imports", 1),
            state: Mutex::new(state),
            begun: Notify::new(),
            book: tokio::sync::Mutex::new(book),
        })
    }

    /// Begins an import. It is written down durably before it is answered; what has begun also begins where the caller goes away meanwhile.
    ///
    /// # Errors
    /// `Forbidden`; `Invalid` where the path is none that may be imported, or cannot be opened; `NotFound` for the user; `Conflict` where
    /// another import runs.
    pub async fn start(self: &Arc<Self>, caller: &Caller, mut request: CreateImport) -> Result<Import, ServiceError> {
        caller.require(Scope::Admin)?;
        let tenant = request.tenant.unwrap_or(caller.owner.tenant);
        let user = match request.user {
            Some(user) => self.services.user(caller, Owner { tenant, user }).await?.id,
            None if tenant == caller.owner.tenant => caller.owner.user,
            // Only what the tree names a user for comes in.
            None => UserId::NONE,
        };
        request.tenant = Some(tenant);
        self.check(&request).await?;
        let id = ImportId::new(self.runtime.clock.unix_ms(), self.runtime.random.bytes());
        let shown = Import {
            id,
            path: request.path.clone(),
            layout: None,
            state: ImportState::Running,
            counts: ImportCounts::default(),
            refusals: vec![],
            error: None,
            started_at: self.now(),
            ended_at: None,
        };
        let record = Record { owner: Owner { tenant, user }, token: caller.token, request, stopping: false, shown };
        let (imports, noted) = (self.clone(), caller.clone());
        // To its end: a record that was left half way would have every other import refused.
        runtime::spawn_joined(async move { imports.begin(noted, record).await }).await?
    }

    async fn begin(&self, noted: Caller, record: Record) -> Result<Import, ServiceError> {
        let shown = record.shown.clone();
        let id = shown.id;
        {
            let mut state = self.state();
            if let Some(running) = state.running() {
                let detail = format!("the import {} runs: one at a time", running.shown.id);
                return Err(ServiceError::Conflict { code: "import_running", detail });
            }
            state.records.push(record);
            let surplus = state.records.len().saturating_sub(REMEMBERED);
            state.records.drain(..surplus);
            state.stop = Arc::default();
        }
        let noting = self.services.metadata.write("import.start", move |tx| audit::note(tx, &noted, "import.start", id));
        let written = match noting.await {
            Ok(()) => self.write_down().await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = written {
            self.state().records.retain(|record| record.shown.id != id);
            return Err(error);
        }
        self.begun.notify_one();
        Ok(shown)
    }

    /// All that are remembered, newest first, without their refusals.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn list(&self, caller: &Caller) -> Result<Vec<Import>, ServiceError> {
        caller.require(Scope::Admin)?;
        let shown = |record: &Record| Import { refusals: vec![], ..record.shown.clone() };
        Ok(self.state().records.iter().rev().map(shown).collect())
    }

    /// One import.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`.
    pub fn get(&self, caller: &Caller, id: ImportId) -> Result<Import, ServiceError> {
        caller.require(Scope::Admin)?;
        self.state().record(id).map(|record| record.shown.clone()).ok_or(ServiceError::NotFound("import"))
    }

    /// Stops an import: files that are on their way come to their end. One that has ended stays as it is. The wish is written down durably
    /// before it is answered: the import does not go on at the next start.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`; where the wish cannot be written down: it is heard all the same, until the next start.
    pub async fn stop(self: &Arc<Self>, caller: &Caller, id: ImportId) -> Result<Import, ServiceError> {
        let found = self.get(caller, id)?;
        if found.state == ImportState::Running {
            let (imports, noted) = (self.clone(), caller.clone());
            runtime::spawn_joined(async move { imports.end(noted, id).await }).await??;
        }
        self.get(caller, id)
    }

    async fn end(&self, noted: Caller, id: ImportId) -> Result<(), ServiceError> {
        {
            let mut state = self.state();
            let Some(record) = state.record(id).filter(|record| record.shown.state == ImportState::Running) else { return Ok(()) };
            record.stopping = true;
            state.stop.store(true, Ordering::Relaxed);
        }
        self.services.metadata.write("import.stop", move |tx| audit::note(tx, &noted, "import.stop", id)).await?;
        self.write_down().await
    }

    /// Does what is to be done, one import after the other, until the stop; what is under way then goes on at the next start.
    pub async fn work(self: Arc<Self>, mut shutdown: Shutdown) {
        loop {
            let next = self.state().running().map(|record| record.shown.id);
            match next {
                Some(id) => {
                    self.run(id, &shutdown).await;
                    if self.state().running().is_some_and(|record| record.shown.id == id) {
                        // Cut short, so the stop has begun, or is about to.
                        return shutdown.stopping().await;
                    }
                }
                None => {
                    tokio::select! {
                        () = shutdown.stopping() => return,
                        () = self.begun.notified() => {}
                    }
                }
            }
            if shutdown.is_stopping() {
                return;
            }
        }
    }

    /// Refuses a request that could not be begun.
    async fn check(&self, request: &CreateImport) -> Result<(), ServiceError> {
        if let Some(manifest) = &request.manifest
            && trees::relative(Path::new(manifest)).is_none()
        {
            return Err(ServiceError::Invalid { field: "manifest", detail: "a path relative to the directory".into() });
        }
        if request.layout == Some(ImportLayout::Manifest) && request.manifest.is_none() {
            return Err(ServiceError::Invalid { field: "manifest", detail: "it is missing".into() });
        }
        if request.source.as_ref().is_some_and(|source| source.is_empty() || source.len() > 4_096) {
            return Err(ServiceError::Invalid { field: "source", detail: "1 to 4,096 bytes".into() });
        }
        self.open_root(&request.path).await.map(drop)
    }

    /// Opens the directory of an import, where it may be one.
    async fn open_root(&self, path: &str) -> Result<Root, ServiceError> {
        let invalid = |detail: String| ServiceError::Invalid { field: "path", detail };
        let path = PathBuf::from(path);
        let Some((allowed, below)) = self.config.directories.holding(&path) else {
            let detail = if self.config.directories.as_slice().is_empty() {
                "this server takes no trees in: name the directories that it may in import.directories".to_owned()
            } else {
                format!("not in one of import.directories ({})", self.config.directories)
            };
            return Err(invalid(detail));
        };
        if !below.as_os_str().is_empty() && trees::relative(below).is_none() {
            return Err(invalid("it leads up".into()));
        }
        let (allowed, below) = (allowed.to_owned(), below.to_owned());
        let own = self.own.clone();
        let opened = self.pool.run(move || {
            let root = Root::open(&allowed, &below)?;
            // The site's own files are no tree of others: a link would make them read-only.
            let path = root.path().canonicalize()?;
            let is_own = |own: &PathBuf| own.canonicalize().is_ok_and(|own| path.starts_with(&own) || own.starts_with(&path));
            if own.iter().any(is_own) { Err(std::io::Error::other("the site's own data lies there")) } else { Ok(root) }
        });
        opened.await?.map_err(|error| invalid(error.to_string()))
    }

    /// Writes all imports down.
    async fn write_down(&self) -> Result<(), ServiceError> {
        // Held until it is written: what is written last is the newest.
        let held = self.book.lock().await;
        let (book, records) = (held.clone(), self.state().records.clone());
        let written = self.books.run(move || book.write(&records)).await?;
        drop(held);
        written.map_err(|error| {
            tracing::error!(%error, "imports cannot be written down");
            if error.kind() == std::io::ErrorKind::StorageFull {
                ServiceError::NoSpace
            } else {
                ServiceError::Unavailable("data directory")
            }
        })
    }

    fn now(&self) -> String {
        let millis = i64::try_from(WallMs(self.runtime.clock.unix_ms()).0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).to_string()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
