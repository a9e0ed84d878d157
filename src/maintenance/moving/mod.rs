//! Moving all blobs to another store while the site is used (`protocols/blobs.md`, "Move").
//!
//! 1. The other store is put beside the one that is relied on: from now on what is published goes to both, and so does every deletion. What the other could not take is remembered.
//! 2. Whatever was in flight before is waited for; from then on every copy that metadata comes to name was published to both, or is remembered.
//! 3. Every copy that metadata names is copied, verified (`copy`); then the other store's listing is held against metadata.
//! 4. Uploads need both for a moment; what is still remembered is copied; then the two change places, durably first, then in fact.
//!
//! A copy never changes and no key is used twice, so copying one again, or one that is being deleted, does no harm: what nothing names is queued for deletion.

pub(super) mod copy;
pub(super) mod extras;
mod progress;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::heal::HealError;
use crate::blobs::{BlobError, Home, MovableStore, Needs};
use crate::metadata::{Metadata, MetadataError, Read as _, WriteError};
use crate::model::BlobHash;
use crate::runtime::{self, BlockingPool, Clock, Gone, Shutdown};

pub use progress::{MoveProgress, Progress};

/// How long it is waited until something that failed is tried again: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How often it is looked whether what was in flight has landed.
const LOOKING: Duration = Duration::from_millis(20);

/// What moves from where to where.
#[derive(Debug)]
pub struct Moving {
    /// Whose blobs.
    pub metadata: Metadata,
    /// What the site reads and writes.
    pub store: MovableStore,
    /// Where the blobs are.
    pub from: Home,
    /// Where they go.
    pub to: Home,
    /// Where metadata is read.
    pub pool: BlockingPool,
    /// For the rate.
    pub clock: Clock,
    /// Who looks on.
    pub progress: Arc<Progress>,
    /// The most that is copied in a second, in bytes; 0: as much as goes.
    pub max_bytes_per_second: u64,
    /// Whether damaged blobs may be left behind.
    pub despite_damage: bool,
    /// Ends it, to be gone on with.
    pub shutdown: Shutdown,
}

/// What is to be remembered of a move, durably.
#[async_trait::async_trait]
pub trait MoveJournal: Send + Sync {
    /// All blobs up to this one are copied.
    async fn copied(&self, up_to: BlobHash) -> Result<(), MoveError>;

    /// From now on the other store is relied on. Answers once that is durable.
    async fn switched(&self) -> Result<(), MoveError>;
}

/// Why a move ended before its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MoveError {
    /// Blobs of the site are damaged: mend them first, or leave them behind.
    #[error(
        "{count} blobs are damaged and cannot be copied, {first} for one: mend them (`check --read-data` lists all), or move despite the damage"
    )]
    Damaged {
        /// How many.
        count: u64,
        /// One of them.
        first: BlobHash,
    },
    /// The server stops, or somebody has called it off. It can be gone on with.
    #[error("it was stopped")]
    Stopped,
    /// Metadata cannot be read.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A store refuses.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// Metadata has as much to write as it takes.
    #[error("too many writes are waiting")]
    Busy,
    /// What is to be remembered cannot be written.
    #[error("the move cannot be written down: {0}")]
    Journal(Arc<std::io::Error>),
    /// There are no threads.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl From<WriteError<MetadataError>> for MoveError {
    fn from(error: WriteError<MetadataError>) -> Self {
        match error {
            WriteError::Refused(error) | WriteError::Failed(error) => Self::Metadata(error),
            WriteError::Busy => Self::Busy,
        }
    }
}

impl From<HealError> for MoveError {
    fn from(error: HealError) -> Self {
        match error {
            HealError::Metadata(error) => Self::Metadata(error),
            HealError::Blobs(error) => Self::Blobs(error),
            HealError::Busy => Self::Busy,
            HealError::Gone(gone) => Self::Gone(gone),
        }
    }
}

impl MoveError {
    /// Whether trying the same later may go well.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Blobs(error) => {
                matches!(
                    error,
                    BlobError::Unavailable { .. } | BlobError::Away | BlobError::Busy | BlobError::NoSpace | BlobError::Suspect { .. }
                )
            }
            // A disk that is full, say.
            Self::Busy | Self::Journal(_) => true,
            Self::Gone(gone) => *gone == Gone::NoThread,
            Self::Damaged { .. } | Self::Stopped | Self::Metadata(_) => false,
        }
    }
}

impl Moving {
    /// Moves everything, then has the two stores change places. `after`: up to where a former run has come.
    ///
    /// # Errors
    /// Nothing has changed places then, and it can be begun again. What may pass by itself is waited for.
    pub async fn run(&self, after: Option<BlobHash>, journal: &dyn MoveJournal) -> Result<(), MoveError> {
        let mut shutdown = self.shutdown.clone();
        tokio::select! {
            () = shutdown.stopping() => Err(MoveError::Stopped),
            moved = self.run_to_end(after, journal) => moved,
        }
    }

    async fn run_to_end(&self, after: Option<BlobHash>, journal: &dyn MoveJournal) -> Result<(), MoveError> {
        self.store.pair(self.from.clone(), self.to.clone(), Needs::First);
        self.land().await;
        self.progress.begin(&self.metadata.read().stats()?);
        let walk = copy::Walk::new(self.clock.monotonic(), after);
        self.persistently(|| copy::walk(self, &walk, journal).boxed()).await?;
        loop {
            self.progress.set_phase("verifying");
            self.persistently(|| copy::compare(self).boxed()).await?;
            let damaged = self.progress.damaged();
            if let Some(first) = damaged.first.filter(|_| !self.despite_damage) {
                return Err(MoveError::Damaged { count: damaged.count, first });
            }
            self.progress.set_phase("switching");
            if self.switch(journal).await? {
                return Ok(());
            }
        }
    }

    /// Has the stores change places; `false`, and all is as before, where the other lacks something and has to be looked at again.
    async fn switch(&self, journal: &dyn MoveJournal) -> Result<bool, MoveError> {
        // From here on nothing is named that is not on both.
        self.store.pair(self.from.clone(), self.to.clone(), Needs::Both);
        self.land().await;
        let caught_up = match self.store.missed().take() {
            Some(keys) => copy::all(self, keys).await,
            None => Ok(false),
        };
        match caught_up {
            Ok(true) => {}
            other => {
                self.store.pair(self.from.clone(), self.to.clone(), Needs::First);
                return match other {
                    // What was taken from the missed is looked for by comparing.
                    Err(error) if !error.may_pass() => Err(error),
                    _ => Ok(false),
                };
            }
        }
        // Where writing it down fails nobody knows what the next start would find: so both are needed until it is written.
        self.persistently(|| journal.switched().boxed()).await?;
        self.store.pair(self.to.clone(), self.from.clone(), Needs::First);
        Ok(true)
    }

    /// Waits until every copy that is in flight now has been named or given up.
    async fn land(&self) {
        let mut flying = self.metadata.keys_in_flight();
        while !flying.is_empty() {
            runtime::sleep(LOOKING).await;
            let now = self.metadata.keys_in_flight();
            flying.retain(|key| now.contains(key));
        }
    }

    /// Does it until it succeeds, or fails in a way that does not pass.
    async fn persistently<'a>(&self, work: impl Fn() -> BoxFuture<'a, Result<(), MoveError>>) -> Result<(), MoveError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match work().await {
                Err(error) if error.may_pass() => {
                    tracing::warn!(%error, "moving blobs waits until this has passed");
                    self.progress.set_error(Some(error.to_string()));
                }
                done => {
                    self.progress.set_error(None);
                    return done;
                }
            }
            runtime::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests;
