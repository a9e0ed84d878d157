//! The long work that HTTP may start: one at a time. It reads metadata on a thread of its own, and blobs one after the other, so that it
//! takes little from requests but the disk's time.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::mirror::Mirror;
use super::moving::Mover;
use crate::api::{CheckReport, CheckRequest, MoveRequest, MoveStatus};
use crate::blobs::BlobStore;
use crate::http::Maintenance;
use crate::maintenance::{self, CheckError};
use crate::metadata::Metadata;
use crate::runtime::{self, BlockingPool, Shutdown};
use crate::service::ServiceError;

/// Runs the check for HTTP. It ends with the client who asked for it, and when the server begins to stop.
#[derive(Debug)]
pub(super) struct SiteMaintenance {
    metadata: Metadata,
    backend: Arc<dyn BlobStore>,
    pool: BlockingPool,
    turn: Semaphore,
    /// None where nothing is ever moved: in tests.
    mover: Option<Mover>,
    /// Where there is one.
    mirror: Option<Mirror>,
    shutdown: Shutdown,
}

impl SiteMaintenance {
    pub(super) fn new(
        metadata: Metadata,
        backend: Arc<dyn BlobStore>,
        pool: BlockingPool,
        mover: Option<Mover>,
        shutdown: Shutdown,
    ) -> Self {
        Self { metadata, backend, pool, turn: Semaphore::new(1), mover, mirror: None, shutdown }
    }

    /// The same, which says how the mirror stands.
    pub(super) fn with_mirror(self, mirror: Option<Mirror>) -> Self {
        Self { mirror, ..self }
    }

    fn mover(&self) -> Result<&Mover, ServiceError> {
        self.mover.as_ref().ok_or(ServiceError::Unavailable("mover"))
    }
}

#[async_trait]
impl Maintenance for SiteMaintenance {
    async fn check(&self, request: CheckRequest) -> Result<CheckReport, ServiceError> {
        let Ok(_turn) = self.turn.try_acquire() else { return Err(ServiceError::Busy("a check is running already")) };
        let mut shutdown = self.shutdown.clone();
        let checked = tokio::select! {
            checked = maintenance::check(&self.metadata, &*self.backend, &self.pool, request.read_data) => checked,
            () = shutdown.stopping() => return Err(ServiceError::SHUTTING_DOWN),
        };
        checked.map_err(failed)
    }

    async fn move_status(&self) -> Result<MoveStatus, ServiceError> {
        let mirror = self.mirror.as_ref().map(Mirror::status);
        Ok(MoveStatus { mirror, ..self.mover()?.status() })
    }

    async fn start_move(&self, request: MoveRequest) -> Result<MoveStatus, ServiceError> {
        let mover = self.mover()?.clone();
        // To its end, also where the client leaves.
        runtime::spawn_joined(async move { mover.start(request).await }).await?
    }

    async fn move_back(&self) -> Result<MoveStatus, ServiceError> {
        let mover = self.mover()?.clone();
        runtime::spawn_joined(async move { mover.back().await }).await?
    }

    async fn finish_move(&self) -> Result<MoveStatus, ServiceError> {
        let mover = self.mover()?.clone();
        runtime::spawn_joined(async move { mover.finish().await }).await?
    }
}

fn failed(error: CheckError) -> ServiceError {
    match error {
        CheckError::Metadata(error) => error.into(),
        CheckError::Blobs(error) => error.into(),
        CheckError::Gone(gone) => gone.into(),
        CheckError::GivenUp => ServiceError::SHUTTING_DOWN,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::poll;

    use super::*;
    use crate::blobs::MemoryStore;
    use crate::metadata::MetadataSettings;
    use crate::metadata::memory::MemoryEngine;
    use crate::runtime::{Gone, Runtime, shutdown_channel};

    #[test]
    fn a_check_that_panics_is_no_stop() {
        assert!(matches!(failed(Gone::Panicked.into()), ServiceError::Internal(_)));
        assert_eq!(failed(Gone::Closed.into()), ServiceError::SHUTTING_DOWN);
        assert!(matches!(failed(Gone::NoThread.into()), ServiceError::Unavailable(_)));
    }

    #[tokio::test]
    async fn one_check_at_a_time_which_ends_with_its_client_and_with_the_server() {
        let runtime = Runtime::simulated(1, 1_800_000_000_000);
        let metadata = Metadata::open(Arc::new(MemoryEngine::new()), runtime, MetadataSettings::default()).unwrap();
        let (trigger, shutdown) = shutdown_channel();
        let site = SiteMaintenance::new(metadata, Arc::new(MemoryStore::new()), BlockingPool::new("check", 1), None, shutdown);
        let check = || site.check(CheckRequest::default());
        let busy = |checked, why| assert_eq!(checked, Err(ServiceError::Busy(why)));
        check().await.unwrap();

        let (release, held) = mpsc::channel::<()>();
        let mut holding = Box::pin(site.pool.run(move || held.recv().is_ok()));
        assert!(poll!(&mut holding).is_pending());
        let mut first = check();
        assert!(poll!(&mut first).is_pending());
        busy(check().await, "a check is running already");
        drop(first);
        let mut second = check();
        assert!(poll!(&mut second).is_pending(), "the first one's client has gone");
        release.send(()).unwrap();
        second.await.unwrap();
        assert!(holding.await.unwrap());

        trigger.stop();
        let (release, held) = mpsc::channel::<()>();
        let mut holding = Box::pin(site.pool.run(move || held.recv().is_ok()));
        assert!(poll!(&mut holding).is_pending());
        busy(check().await, "shutting down");
        release.send(()).unwrap();
    }
}
