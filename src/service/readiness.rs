//! Whether the site can do its work: a small synced write and a read at metadata and blob store, bounded in time.
//!
//! The answer is remembered briefly, and only one trial runs at a time, so that asking cannot be used to load the stores; nor does a
//! backend that hangs take one thread more for every time that somebody asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::blobs::BlobStore;
use crate::metadata::Read;
use crate::runtime;

use super::{ServiceError, Services};

/// How long an answer is given again.
const REMEMBER: Duration = Duration::from_secs(1);
/// How long somebody who asks waits for the trial.
const LIMIT: Duration = Duration::from_secs(5);

/// When a trial ended, and how.
type Outcome = Option<(Duration, Result<(), ServiceError>)>;

/// The last trial, and the one that runs.
#[derive(Debug, Default)]
pub(super) struct Readiness(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Outcome,
    running: Option<watch::Receiver<Outcome>>,
}

impl Readiness {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Services {
    /// Whether metadata and blob store do their work: each writes, syncs and reads back something small. The answer may be a second old.
    ///
    /// # Errors
    /// What does not work; `Unavailable` where it takes longer than five seconds.
    pub async fn ready(self: &Arc<Self>) -> Result<(), ServiceError> {
        let now = self.runtime.clock.monotonic();
        let mut trial = {
            let mut state = self.readiness.state();
            if let Some((at, outcome)) = &state.last
                && now.saturating_sub(*at) < REMEMBER
            {
                return outcome.clone();
            }
            match &state.running {
                Some(running) => running.clone(),
                None => {
                    let (sender, receiver) = watch::channel(None);
                    state.running = Some(receiver.clone());
                    let trial = Trial { services: self.clone(), done: sender };
                    runtime::spawn(trial.run());
                    receiver
                }
            }
        };
        let waited = runtime::timeout(LIMIT, trial.wait_for(Option::is_some)).await;
        match waited {
            Some(Ok(outcome)) => outcome.as_ref().map_or(Ok(()), |(_, outcome)| outcome.clone()),
            Some(Err(_)) => Err(ServiceError::Internal("a trial of the stores was given up".into())),
            None => Err(ServiceError::Unavailable("store")),
        }
    }

    async fn try_both(&self) -> Result<(), ServiceError> {
        self.blobs.probe().await?;
        let probed = self.metadata.write("probe", |tx| -> Result<(), ServiceError> {
            tx.probe();
            Ok(())
        });
        probed.await?;
        // A row, not a scan: who scans much must not make the site look ill.
        self.look_up(|at| Ok(at.last_commit()?)).await?;
        Ok(())
    }
}

/// A trial under way. However it ends, also by a panic, the next one who asks begins another.
struct Trial {
    services: Arc<Services>,
    done: watch::Sender<Outcome>,
}

impl Trial {
    async fn run(self) {
        let outcome = self.services.try_both().await;
        let outcome = Some((self.services.runtime.clock.monotonic(), outcome));
        self.services.readiness.state().last = outcome.clone();
        self.done.send_replace(outcome);
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.services.readiness.state().running = None;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::blobs::{BlobError, MemoryStore, Operation, VerifySettings, VerifyStore};
    use crate::blobs::{ObservedCall, ObservedStore, StoreObserver};
    use crate::config::Config;
    use crate::imaging::Decoders;
    use crate::metadata::memory::MemoryEngine;
    use crate::metadata::{Metadata, MetadataSettings, RequestOutcome, WriteObserver};
    use crate::runtime::{BlockingPool, Clock, Runtime};
    use crate::service::{Pools, Services};

    /// A site in memory.
    pub(in crate::service) fn site() -> (MemoryStore, Metadata, Runtime, Arc<Services>) {
        site_with(Arc::new)
    }

    /// The same, with its blob store decorated.
    pub(crate) fn site_with<S: BlobStore>(decorate: impl FnOnce(MemoryStore) -> Arc<S>) -> (MemoryStore, Metadata, Runtime, Arc<Services>) {
        let runtime = Runtime::simulated(1, 1_800_000_000_000);
        let metadata = Metadata::open(Arc::new(MemoryEngine::new()), runtime.clone(), MetadataSettings::default()).unwrap();
        let store = MemoryStore::new();
        let backend: Arc<dyn BlobStore> = decorate(store.clone());
        let blobs = Arc::new(VerifyStore::new(backend, runtime.clock.clone(), VerifySettings::default()));
        let config = Config::for_testing("/nowhere");
        let pools = Pools {
            lookup: BlockingPool::new("lookup", 1),
            metadata: BlockingPool::new("metadata", 1),
            imaging: Decoders::in_threads(BlockingPool::new("imaging", 1), (&config.limits).into()),
            slow: Decoders::in_threads(BlockingPool::new("slow", 1), (&config.limits).into()),
            previews: Decoders::in_threads(BlockingPool::new("previews", 1), (&config.limits).into()),
            inspecting: Decoders::in_threads(BlockingPool::new("inspecting", 1), (&config.limits).into()),
        };
        let services = Services::new(
            metadata.clone(),
            blobs,
            crate::service::Derived { previews: Arc::new(store.clone()), cache: None },
            runtime.clone(),
            pools,
            &config,
        );
        (store, metadata, runtime, Arc::new(services))
    }

    #[tokio::test]
    async fn both_stores_are_tried_and_the_answer_is_remembered_briefly() {
        let (store, metadata, runtime, services) = site();
        services.ready().await.unwrap();
        store.faults().fail_always(Operation::Probe, BlobError::NoSpace);
        services.ready().await.expect("remembered");
        runtime.clock.advance(REMEMBER);
        assert!(matches!(services.ready().await, Err(ServiceError::NoSpace)));
        store.faults().clear();
        assert!(matches!(services.ready().await, Err(ServiceError::NoSpace)), "a failure is remembered, too");
        runtime.clock.advance(REMEMBER);
        services.ready().await.unwrap();
        metadata.close();
        runtime.clock.advance(REMEMBER);
        assert!(matches!(services.ready().await, Err(ServiceError::Unavailable("metadata"))));
    }

    /// Panics at the first call.
    #[derive(Debug, Default)]
    struct PanicsOnce(AtomicBool);

    impl StoreObserver for PanicsOnce {
        fn called(&self, _: &ObservedCall<'_>) {
            assert!(self.0.swap(true, Ordering::Relaxed), "planned");
        }
    }

    #[tokio::test]
    async fn a_trial_that_panics_is_not_waited_for_for_ever() {
        let observed = |store| Arc::new(ObservedStore::new(store, Clock::manual(0), Arc::new(PanicsOnce::default())));
        let (_, _, _, services) = site_with(observed);
        assert!(matches!(services.ready().await, Err(ServiceError::Internal(_))));
        services.ready().await.expect("the next trial");
    }

    /// Panics on the writer's thread.
    #[derive(Debug)]
    struct PanicsInTheWriter;

    impl WriteObserver for PanicsInTheWriter {
        fn request(&self, _: RequestOutcome) {}

        fn batch(&self, _: usize, _: Duration, _: bool) {
            panic!("planned");
        }
    }

    #[tokio::test]
    async fn a_writer_that_died_makes_it_unready() {
        let (_, metadata, runtime, services) = site();
        metadata.observe(Arc::new(PanicsInTheWriter));
        for _ in 0..2 {
            assert!(matches!(services.ready().await, Err(ServiceError::Unavailable("metadata"))));
            runtime.clock.advance(REMEMBER);
        }
    }

    #[tokio::test]
    async fn those_who_ask_at_once_share_one_trial() {
        let (store, _, _, services) = site();
        // One failure is planned: had there been two trials, one would have succeeded.
        store.faults().fail(Operation::Probe, 0, BlobError::NoSpace);
        let (one, other) = tokio::join!(services.ready(), services.ready());
        assert!(matches!((one, other), (Err(ServiceError::NoSpace), Err(ServiceError::NoSpace))));
    }
}
