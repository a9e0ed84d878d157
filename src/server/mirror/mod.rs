//! The mirror of a site: opens it, fills it, keeps it whole, and says how it stands.

mod record;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use self::record::Record;
use super::ServerError;
use super::beside::Beside;
use super::moving::Whereabouts;
use crate::api::MirrorStatus;
use crate::blobs::{AbsentStore, Home, MovableStore, Needs};
use crate::config::{BlobsUrl, Config, MirrorConfig, MirrorNeeds};
use crate::maintenance::{Healer, MirrorJournal, Mirroring, MoveError, Moving, Progress};
use crate::model::BlobHash;
use crate::runtime::{self, BlockingPool, Shutdown};

/// How long it is waited until a mirror that is away is tried again.
const AGAIN: Duration = Duration::from_secs(15);
/// How often it is looked whether the mirror misses something.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often its listing is compared with metadata, beside every start.
const COMPARE_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Where the mirror is, as the settings have it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    settings: MirrorConfig,
    url: BlobsUrl,
}

impl Place {
    /// Where there is to be one. Without one, what was known of a former one is forgotten: from here on it is not kept up.
    pub(super) fn find(config: &Config, whereabouts: &Whereabouts) -> Result<Option<Self>, ServerError> {
        let Some(url) = config.mirror.place() else {
            Record::remove(&config.storage.data).map_err(ServerError::io("blobs-mirror.json in the data directory"))?;
            return Ok(None);
        };
        if whereabouts.is_moving() {
            return Err(ServerError::Unsupported(
                "mirror.url: a move of the blobs has not ended; take the mirror out of the settings until `halidom blobs finish`, or `back`".to_owned(),
            ));
        }
        if url == whereabouts.config.storage.blobs {
            return Err(ServerError::Unsupported(format!("mirror.url: the blobs are at {url} already: a mirror is another place")));
        }
        Ok(Some(Self { settings: config.mirror.clone(), url }))
    }

    fn needs(&self) -> Needs {
        match self.settings.needs {
            MirrorNeeds::First => Needs::First,
            MirrorNeeds::Both => Needs::Both,
        }
    }

    /// Has the site do without the mirror until that is open: what has to reach it is not taken for done.
    pub(super) fn await_it(&self, store: &MovableStore, home: &Home) {
        store.pair(home.clone(), AbsentStore::home(), self.needs());
    }
}

/// The mirror. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Mirror(Arc<Shared>);

/// What a mirror needs of a site.
#[derive(Debug)]
pub(super) struct MirrorParts {
    pub(super) place: Place,
    pub(super) beside: Beside,
    pub(super) store: MovableStore,
    pub(super) home: Home,
    pub(super) healer: Healer,
    /// Where metadata is read.
    pub(super) reading: BlockingPool,
}

#[derive(Debug)]
struct Shared {
    parts: MirrorParts,
    record: Mutex<Record>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_open: bool,
    /// `filling`, `comparing`, `verifying`, `whole`.
    phase: &'static str,
    progress: Arc<Progress>,
    /// What keeps it from going on.
    error: Option<String>,
}

impl Mirror {
    /// Nothing runs yet.
    pub(super) fn new(parts: MirrorParts) -> Result<Self, ServerError> {
        let found = Record::load(&parts.beside.config.storage.data).map_err(ServerError::io("blobs-mirror.json in the data directory"))?;
        let url = parts.place.url.to_string();
        // Another mirror than the last one begins anew.
        let record = found.filter(|record| record.url == url).unwrap_or_else(|| Record::new(url));
        Ok(Self(Arc::new(Shared { parts, record: Mutex::new(record), state: Mutex::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self) -> Record {
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps it until the stop begins.
    pub(super) async fn run(self, mut shutdown: Shutdown) {
        let stop = shutdown.clone();
        tokio::select! {
            () = shutdown.stopping() => {}
            () = self.keep(&stop) => {}
        }
    }

    async fn keep(&self, shutdown: &Shutdown) {
        let home = loop {
            match self.open().await {
                Ok(home) => break home,
                Err(error) => {
                    let url = &self.0.parts.place.url;
                    tracing::warn!(%error, %url, "the mirror cannot be opened: tried again");
                    self.state().error = Some(error.to_string());
                }
            }
            runtime::sleep(AGAIN).await;
        };
        let parts = &self.0.parts;
        parts.store.pair(parts.home.clone(), home.clone(), parts.place.needs());
        self.state().is_open = true;
        let mirroring = self.mirroring(home, shutdown.clone());
        loop {
            let error = match self.tend(&mirroring).await {
                Ok(()) => continue,
                Err(error) => error,
            };
            tracing::warn!(%error, "keeping the mirror waits until this has passed");
            self.state().error = Some(error.to_string());
            runtime::sleep(AGAIN).await;
        }
    }

    async fn open(&self) -> Result<Home, ServerError> {
        let MirrorParts { place, beside, home, .. } = &self.0.parts;
        // Written down before it is used: a place that was ours is never set up anew, be it a disk that was not mounted.
        let known =
            Record::load(&beside.config.storage.data).is_ok_and(|found| found.is_some_and(|found| found.url == place.url.to_string()));
        let opened = beside.open(place.url.clone(), home, known).await?;
        if beside.is_same_place(home, &opened).await? {
            return Err(ServerError::NotOurs(format!("{} is where the blobs are, by another name: a mirror is another place", place.url)));
        }
        self.write_down(|_| {}).await.map_err(|error| ServerError::Unsupported(error.to_string()))?;
        Ok(opened)
    }

    fn mirroring(&self, to: Home, shutdown: Shutdown) -> Mirroring {
        let MirrorParts { place, beside, store, home, healer, reading } = &self.0.parts;
        let moving = Moving {
            metadata: beside.metadata.clone(),
            store: store.clone(),
            from: home.clone(),
            to,
            pool: reading.clone(),
            clock: beside.runtime.clock.clone(),
            progress: self.state().progress.clone(),
            max_bytes_per_second: place.settings.max_bytes_per_second.as_u64(),
            despite_damage: true,
            shutdown,
        };
        Mirroring { moving, healer: healer.clone() }
    }

    /// Fills it, compares, then makes up for what it misses; ends where it has to be compared again.
    async fn tend(&self, mirroring: &Mirroring) -> Result<(), MoveError> {
        if !self.record().is_filled {
            self.pass(mirroring, false).await?;
            tracing::info!(url = %self.0.parts.place.url, "the mirror has every blob");
        }
        self.set_phase("comparing");
        mirroring.compare().await?;
        self.set_phase("whole");
        let compared = self.now();
        let missed = self.0.parts.store.missed();
        loop {
            if !missed.is_empty() {
                // Where there are more than are remembered, all are looked at.
                let Some(keys) = missed.take() else { return Ok(()) };
                if let Err(error) = mirroring.catch_up(&keys).await {
                    missed.put_back(keys);
                    return Err(error);
                }
            }
            if self.is_verifying_due() {
                self.pass(mirroring, true).await?;
                self.set_phase("whole");
            }
            if self.now().saturating_sub(compared) >= COMPARE_EVERY {
                return Ok(());
            }
            runtime::sleep(LOOK_EVERY).await;
        }
    }

    async fn pass(&self, mirroring: &Mirroring, reads_both: bool) -> Result<(), MoveError> {
        self.set_phase(if reads_both { "verifying" } else { "filling" });
        mirroring.pass(self.record().passed(), reads_both, self).await?;
        let now = self.0.parts.beside.runtime.clock.unix_ms();
        let done = move |record: &mut Record| {
            (record.is_filled, record.passed, record.verified_ms) = (true, None, now);
        };
        self.write_down(done).await
    }

    fn is_verifying_due(&self) -> bool {
        let every = self.0.parts.place.settings.verify_every;
        let elapsed = self.0.parts.beside.runtime.clock.unix_ms().saturating_sub(self.record().verified_ms);
        !every.is_zero() && u128::from(elapsed) >= every.as_millis()
    }

    fn now(&self) -> Duration {
        self.0.parts.beside.runtime.clock.monotonic()
    }

    fn set_phase(&self, phase: &'static str) {
        let mut state = self.state();
        (state.phase, state.error) = (phase, None);
    }

    async fn write_down(&self, change: impl FnOnce(&mut Record)) -> Result<(), MoveError> {
        let mut record = self.record();
        change(&mut record);
        let (data, saved) = (self.0.parts.beside.config.storage.data.clone(), record.clone());
        let written = self.0.parts.reading.run(move || saved.save(&data)).await?;
        written.map_err(|error| MoveError::Journal(Arc::new(error)))?;
        *self.0.record.lock().unwrap_or_else(PoisonError::into_inner) = record;
        Ok(())
    }

    /// Whether it is open, and has every blob that it could take.
    pub(super) fn is_whole(&self) -> bool {
        let state = self.state();
        state.is_open && self.record().is_filled && state.error.is_none() && self.0.parts.store.missed().is_empty()
    }

    /// How it stands.
    pub(super) fn status(&self) -> MirrorStatus {
        let parts = &self.0.parts;
        let [repaired, copied, lost, failed] = parts.healer.figures().outcomes().map(|(_, count)| count);
        let state = self.state();
        let told = state.progress.told();
        let is_passing = ["filling", "verifying"].contains(&state.phase);
        MirrorStatus {
            url: parts.place.url.to_string(),
            phase: if state.is_open { state.phase } else { "away" }.to_owned(),
            blobs: if is_passing { told.blobs } else { 0 },
            total_blobs: if is_passing { told.total_blobs } else { 0 },
            bytes: if is_passing { told.bytes } else { 0 },
            total_bytes: if is_passing { told.total_bytes } else { 0 },
            missed: parts.store.missed().len() as u64,
            to_repair: parts.healer.queue().len() as u64,
            repaired,
            copied,
            lost,
            failed,
            braked: parts.healer.figures().is_braked(),
            error: state.error.clone(),
        }
    }
}

#[async_trait]
impl MirrorJournal for Mirror {
    async fn passed(&self, up_to: BlobHash) -> Result<(), MoveError> {
        self.write_down(|record| record.passed = Some(up_to.to_string())).await
    }
}
