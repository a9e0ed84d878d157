//! Moves of the blobs as administrators ask for them: opens the other store, writes down how far it has come, and goes on after a restart.

mod record;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use self::record::{Other, Record, Role};
use super::ServerError;
use super::backend::Backend;
use crate::api::{MoveRequest, MoveStatus};
use crate::blobs::{BlobStore as _, DiskPools, Home, Marker, MovableStore, Needs};
use crate::config::{BlobsUrl, Config};
use crate::maintenance::{MoveError, MoveJournal, Moving, Progress};
use crate::metadata::Metadata;
use crate::model::BlobHash;
use crate::runtime::{self, BlockingPool, Runtime, Shutdown, ShutdownTrigger, shutdown_channel};
use crate::service::ServiceError;

/// How long it is waited until a store that could not be opened is tried again.
const AGAIN: Duration = Duration::from_secs(15);

/// The claim under which a site collects. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Claim(Arc<Mutex<Marker>>);

impl Claim {
    pub(super) fn new(marker: Marker) -> Self {
        Self(Arc::new(Mutex::new(marker)))
    }

    pub(super) fn get(&self) -> Marker {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, marker: Marker) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = marker;
    }
}

/// The settings of the store that is relied on, and what is written down of others.
#[derive(Debug)]
pub(super) struct Whereabouts {
    /// The settings, with that store's URL.
    pub(super) config: Config,
    record: Option<Record>,
}

impl Whereabouts {
    /// Looks where the blobs of these settings are.
    pub(super) fn find(config: &Config) -> Result<Self, ServerError> {
        let failed = ServerError::io(config.storage.data.join("blobs-home.json").display().to_string());
        let record = Record::load(&config.storage.data).map_err(failed)?;
        let said = config.storage.blobs.to_string();
        let Some(found) = &record else { return Ok(Self { config: config.clone(), record }) };
        if said != found.home && said != found.was {
            return Err(ServerError::NotOurs(format!(
                "the blobs were moved from {} to {}, but storage.blobs says {said}: say {}, or move them there once the server runs",
                found.was, found.home, found.home
            )));
        }
        if said != found.home {
            tracing::warn!(home = found.home, storage.blobs = said, "the blobs were moved: storage.blobs should say where they are");
        }
        let url: BlobsUrl = found.home.parse().map_err(ServerError::Unsupported)?;
        Ok(Self { config: at(config, url), record })
    }
}

/// The same settings with the blobs elsewhere.
fn at(config: &Config, url: BlobsUrl) -> Config {
    let mut config = config.clone();
    config.storage.blobs = url;
    config
}

/// Moves the blobs of a site. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Mover(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// As they were given; what is written down goes over them.
    config: Config,
    runtime: Runtime,
    metadata: Metadata,
    store: MovableStore,
    claim: Claim,
    pools: DiskPools,
    /// Where metadata is read.
    reading: BlockingPool,
    shutdown: Shutdown,
    state: Mutex<State>,
    /// One call that changes something at a time.
    turn: tokio::sync::Semaphore,
    /// One record that is written down at a time.
    writing: Arc<tokio::sync::Semaphore>,
}

#[derive(Debug)]
struct State {
    record: Record,
    home: Home,
    /// Open, where it could be.
    other: Option<Home>,
    running: Option<Running>,
    /// How the last run ended.
    error: Option<String>,
}

#[derive(Debug)]
struct Running {
    progress: Arc<Progress>,
    stop: ShutdownTrigger,
}

/// What a mover needs of a site.
#[derive(Debug)]
pub(super) struct MoverParts {
    pub(super) given: Config,
    pub(super) whereabouts: Whereabouts,
    pub(super) runtime: Runtime,
    pub(super) metadata: Metadata,
    pub(super) store: MovableStore,
    pub(super) home: Home,
    pub(super) claim: Claim,
    pub(super) pools: DiskPools,
    pub(super) reading: BlockingPool,
}

impl Mover {
    pub(super) fn new(parts: MoverParts, shutdown: Shutdown) -> Self {
        let MoverParts { given, whereabouts, runtime, metadata, store, home, claim, pools, reading } = parts;
        let said = given.storage.blobs.to_string();
        let record = whereabouts.record.unwrap_or_else(|| Record::new(said.clone(), said));
        let state = Mutex::new(State { record, home, other: None, running: None, error: None });
        let turn = tokio::sync::Semaphore::new(1);
        let writing = Arc::new(tokio::sync::Semaphore::new(1));
        Self(Arc::new(Shared { config: given, runtime, metadata, store, claim, pools, reading, shutdown, state, turn, writing }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on with what was begun before the start.
    pub(super) async fn resume(self) {
        let mut shutdown = self.0.shutdown.clone();
        loop {
            let Some(other) = self.state().record.other.clone() else { return };
            let opened = self.open_other(&other.url, true).await;
            // Somebody may have asked for something else meanwhile.
            let Ok(_turn) = self.0.turn.acquire().await else { return };
            let is_as_before = {
                let state = self.state();
                state.record.other.as_ref() == Some(&other) && state.running.is_none()
            };
            if !is_as_before {
                return;
            }
            match opened {
                Ok(home) => {
                    self.state().other = Some(home.clone());
                    match other.role {
                        Role::Target => self.run(&other, home),
                        Role::Former => self.0.store.pair(self.state().home.clone(), home, Needs::First),
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, other = other.url, "the other blob store cannot be opened: tried again");
                    self.state().error = Some(error.to_string());
                }
            }
            drop(_turn);
            if runtime::timeout(AGAIN, shutdown.stopping()).await.is_some() {
                return;
            }
        }
    }

    /// Opens another store and claims it as the site's. `known`: it was before.
    async fn open_other(&self, url: &str, known: bool) -> Result<Home, ServerError> {
        let Shared { config, runtime, pools, metadata, claim, .. } = &*self.0;
        let url: BlobsUrl = url.parse().map_err(ServerError::Unsupported)?;
        let backend = Backend::open_beside(&at(config, url), runtime, metadata.site(), pools.clone(), known).await?;
        let (store, own) = (backend.store(), claim.get());
        let found = store.marker().await?;
        if let Some(later) = found.filter(|found| found.epoch > own.epoch) {
            // It was home before: the one that is relied on goes past it.
            let home = self.state().home.blobs.clone();
            home.claim(Some(own), later).await?;
            claim.set(later);
        } else if found != Some(own) {
            store.claim(found, own).await?;
        }
        backend.sweep().await?;
        Ok(backend.home())
    }

    /// Has the blobs copied beside all else. The caller has the turn.
    fn run(&self, other: &Other, to: Home) {
        let (stop, stopping) = shutdown_channel();
        let progress = Arc::new(Progress::default());
        let moving = Moving {
            metadata: self.0.metadata.clone(),
            store: self.0.store.clone(),
            from: self.state().home.clone(),
            to: to.clone(),
            pool: self.0.reading.clone(),
            clock: self.0.runtime.clock.clone(),
            progress: progress.clone(),
            max_bytes_per_second: other.max_bytes_per_second,
            despite_damage: other.despite_damage,
            shutdown: stopping,
        };
        {
            let mut state = self.state();
            state.running = Some(Running { progress, stop });
            state.error = None;
        }
        let (mover, after) = (self.clone(), other.copied());
        runtime::spawn(async move {
            let journal = Journal { mover: mover.clone(), to };
            let mut shutdown = mover.0.shutdown.clone();
            let moved = tokio::select! {
                () = shutdown.stopping() => Err(MoveError::Stopped),
                moved = moving.run(after, &journal) => moved,
            };
            let mut state = mover.state();
            state.running = None;
            match moved {
                Ok(()) => tracing::info!(home = state.record.home, "the blobs have been moved"),
                Err(error) => {
                    tracing::warn!(%error, "moving the blobs has ended before its end");
                    state.error = Some(error.to_string());
                }
            }
        });
    }

    /// Writes down what `change` makes of what stands, and only then has it stand.
    async fn write_down(&self, change: impl FnOnce(&mut Record)) -> Result<(), MoveError> {
        // One after the other, and each to its end, also where whoever asked is stopped: no former one may come after a later.
        let turn = self.0.writing.clone().acquire_owned().await.map_err(|_| MoveError::Stopped)?;
        let mut record = self.state().record.clone();
        change(&mut record);
        let (data, saved) = (self.0.config.storage.data.clone(), record.clone());
        let said = self.0.config.storage.blobs.to_string();
        let write = move || if saved.other.is_none() && saved.home == said { Record::remove(&data) } else { saved.save(&data) };
        let reading = self.0.reading.clone();
        let written = runtime::spawn_joined(async move {
            let written = reading.run(write).await;
            drop(turn);
            written
        });
        written.await??.map_err(|error| MoveError::Journal(Arc::new(error)))?;
        self.state().record = record;
        Ok(())
    }
}

/// Writes down how a move goes.
struct Journal {
    mover: Mover,
    to: Home,
}

#[async_trait]
impl MoveJournal for Journal {
    async fn copied(&self, up_to: BlobHash) -> Result<(), MoveError> {
        let note = |record: &mut Record| {
            if let Some(other) = &mut record.other {
                other.copied = Some(up_to.to_string());
            }
        };
        self.mover.write_down(note).await
    }

    async fn switched(&self) -> Result<(), MoveError> {
        let change = |record: &mut Record| {
            if let Some(other) = &mut record.other {
                std::mem::swap(&mut record.home, &mut other.url);
                (other.role, other.copied) = (Role::Former, None);
            }
        };
        self.mover.write_down(change).await?;
        let mut state = self.mover.state();
        let former = std::mem::replace(&mut state.home, self.to.clone());
        state.other = Some(former);
        Ok(())
    }
}

fn conflict(detail: impl Into<String>) -> ServiceError {
    ServiceError::Conflict { code: "blobs_moving", detail: detail.into() }
}

fn failed(error: MoveError) -> ServiceError {
    match error {
        MoveError::Metadata(error) => error.into(),
        MoveError::Blobs(error) => error.into(),
        MoveError::Gone(gone) => gone.into(),
        MoveError::Busy => ServiceError::Busy("too many writes are waiting"),
        MoveError::Stopped => ServiceError::SHUTTING_DOWN,
        error @ (MoveError::Damaged { .. } | MoveError::Journal(_)) => ServiceError::Internal(error.to_string()),
    }
}

impl Mover {
    /// Begins to move the blobs, or goes on with it.
    pub(super) async fn start(&self, request: MoveRequest) -> Result<MoveStatus, ServiceError> {
        let Ok(_turn) = self.0.turn.try_acquire() else { return Err(conflict("a call that moves blobs is under way")) };
        let invalid = |detail: String| ServiceError::Invalid { field: "to", detail };
        let url: BlobsUrl = request.to.parse().map_err(invalid)?;
        let to = url.to_string();
        let record = self.state().record.clone();
        if self.state().running.is_some() {
            return Err(conflict("the blobs are being moved already: `blobs status` says how far, `blobs back` calls it off"));
        }
        if to == record.home {
            return Err(invalid("the blobs are there".to_owned()));
        }
        match &record.other {
            Some(Other { role: Role::Former, url, .. }) if *url != to => {
                return Err(conflict(format!(
                    "the last move has not ended: `blobs finish` lets go of {url}, `blobs back` goes back there"
                )));
            }
            Some(Other { role: Role::Target, url, .. }) if *url != to => {
                return Err(conflict(format!("a move to {url} has not ended: ask for that again, or call it off with `blobs back`")));
            }
            _ => {}
        }
        let copied = record.other.as_ref().filter(|other| other.role == Role::Target).and_then(|other| other.copied.clone());
        let is_open = self.state().other.clone();
        let home = match is_open {
            Some(home) => home,
            None => {
                let known = record.other.as_ref().is_some_and(|other| other.url == to);
                let home = self.open_other(&to, known).await.map_err(|error| invalid(error.to_string()))?;
                self.require_another_place(&home).await?;
                home
            }
        };
        let other = Other {
            url: to,
            role: Role::Target,
            copied,
            max_bytes_per_second: request.max_bytes_per_second,
            despite_damage: request.despite_damage,
        };
        let said = self.0.config.storage.blobs.to_string();
        let change = |record: &mut Record| {
            record.was = said;
            record.other = Some(other.clone());
        };
        self.write_down(change).await.map_err(failed)?;
        self.state().other = Some(home.clone());
        self.run(&other, home);
        Ok(self.status())
    }

    /// That what is put there is not found where the blobs are: the same place may have two URLs, and what is thought to be a copy would be the only one.
    async fn require_another_place(&self, other: &Home) -> Result<(), ServiceError> {
        let home = self.state().home.clone();
        let name = BlobHash::from_bytes(self.0.runtime.random.bytes());
        other.derived.put_derived(&name, Bytes::from_static(b"halidom: is this another place?")).await?;
        let found = home.derived.get_derived(&name).await;
        other.derived.delete_derived(&name).await?;
        match found? {
            None => Ok(()),
            Some(_) => {
                Err(ServiceError::Invalid { field: "to", detail: "the blobs are there: it is the same place by another name".to_owned() })
            }
        }
    }

    /// Calls a move off; or, where it has ended, has the blobs go back to where they were.
    pub(super) async fn back(&self) -> Result<MoveStatus, ServiceError> {
        let Some(other) = self.state().record.other.clone() else { return Err(conflict("there is no move to go back on")) };
        if other.role == Role::Former {
            return self.start(MoveRequest { to: other.url, ..MoveRequest::default() }).await;
        }
        let Ok(_turn) = self.0.turn.try_acquire() else { return Err(conflict("a call that moves blobs is under way")) };
        if let Some(running) = &self.state().running {
            running.stop.stop();
        }
        while self.state().running.is_some() {
            runtime::sleep(Duration::from_millis(10)).await;
        }
        if self.state().record.other.as_ref().is_none_or(|other| other.role == Role::Former) {
            return Err(conflict("it has ended in this moment: go back once more"));
        }
        self.settle().await
    }

    /// Lets go of the store where the blobs were.
    pub(super) async fn finish(&self) -> Result<MoveStatus, ServiceError> {
        let Ok(_turn) = self.0.turn.try_acquire() else { return Err(conflict("a call that moves blobs is under way")) };
        let (role, is_running) = {
            let state = self.state();
            (state.record.other.as_ref().map(|other| other.role), state.running.is_some())
        };
        match role {
            Some(Role::Former) if !is_running => {}
            Some(_) => return Err(conflict("the move has not come to its end")),
            None => return Err(conflict("there is no move to finish")),
        }
        self.settle().await
    }

    /// One store from now on: the one that is relied on.
    async fn settle(&self) -> Result<MoveStatus, ServiceError> {
        self.write_down(|record| record.other = None).await.map_err(failed)?;
        let home = {
            let mut state = self.state();
            (state.other, state.error) = (None, None);
            state.home.clone()
        };
        self.0.store.settle(home);
        Ok(self.status())
    }

    /// Where the blobs are, and how far a move has come.
    pub(super) fn status(&self) -> MoveStatus {
        let state = self.state();
        let told = state.running.as_ref().map(|running| running.progress.told()).unwrap_or_default();
        let phase = match (&state.running, state.record.other.as_ref().map(|other| other.role)) {
            (Some(_), _) if told.phase.is_empty() => "copying",
            (Some(_), _) => told.phase,
            (None, Some(Role::Former)) => "switched",
            (None, Some(Role::Target)) => "stopped",
            (None, None) => "settled",
        };
        let left = told.total_bytes.saturating_sub(told.bytes);
        let eta =
            (told.bytes > 0 && !told.elapsed.is_zero()).then(|| (told.elapsed.as_secs_f64() * left as f64 / told.bytes as f64) as u64);
        MoveStatus {
            phase: phase.to_owned(),
            home: state.record.home.clone(),
            other: state.record.other.as_ref().map(|other| other.url.clone()),
            blobs: told.blobs,
            total_blobs: told.total_blobs,
            bytes: told.bytes,
            total_bytes: told.total_bytes,
            copied_bytes: told.copied_bytes,
            eta_seconds: eta.filter(|_| phase == "copying"),
            damaged: told.damaged,
            error: told.error.or_else(|| state.error.clone()),
        }
    }
}
