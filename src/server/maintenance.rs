//! The long work that HTTP may start: one at a time. It reads metadata on a thread of its own, and blobs one after the other, so that it
//! takes little from requests but the disk's time.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::mirror::Mirror;
use super::moving::Mover;
use crate::api::{CheckReport, CheckRequest, InventoryPart, MoveRequest, MoveStatus};
use crate::blobs::BlobStore;
use crate::http::{InventoryParts, Maintenance};
use crate::maintenance::{self, Listing, WalkError};
use crate::metadata::Metadata;
use crate::runtime::{self, BlockingPool, Shutdown};
use crate::service::ServiceError;

/// Makes checks and inventories for HTTP. They end with the client who asked for them, and when the server begins to stop.
#[derive(Debug)]
pub(super) struct SiteMaintenance {
    metadata: Metadata,
    backend: Arc<dyn BlobStore>,
    pool: BlockingPool,
    turn: Arc<Semaphore>,
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
        Self { metadata, backend, pool, turn: Arc::new(Semaphore::new(1)), mover, mirror: None, shutdown }
    }

    /// The same, which says how the mirror stands.
    pub(super) fn with_mirror(self, mirror: Option<Mirror>) -> Self {
        Self { mirror, ..self }
    }

    /// The one that may go on: held until it has ended.
    fn turn(&self) -> Result<OwnedSemaphorePermit, ServiceError> {
        self.turn.clone().try_acquire_owned().map_err(|_| ServiceError::Busy("a check or an inventory is running already"))
    }

    fn mover(&self) -> Result<&Mover, ServiceError> {
        self.mover.as_ref().ok_or(ServiceError::Unavailable("mover"))
    }
}

#[async_trait]
impl Maintenance for SiteMaintenance {
    async fn check(&self, request: CheckRequest) -> Result<CheckReport, ServiceError> {
        let _turn = self.turn()?;
        let mut shutdown = self.shutdown.clone();
        let checked = tokio::select! {
            checked = maintenance::check(&self.metadata, &*self.backend, &self.pool, request.read_data) => checked,
            () = shutdown.stopping() => return Err(ServiceError::SHUTTING_DOWN),
        };
        checked.map_err(failed)
    }

    async fn inventory(&self, read_data: bool) -> Result<InventoryParts, ServiceError> {
        let turn = self.turn()?;
        let listing = Listing::of_site(self.metadata.clone(), self.backend.clone(), self.pool.clone(), read_data);
        let going = Going { listing, shutdown: self.shutdown.clone(), _turn: turn };
        let mut parts = Box::pin(stream::try_unfold(Some(going), Going::next));
        // What fails at once is answered as such.
        let first = parts.next().await.transpose()?;
        Ok(stream::iter(first.map(Ok)).chain(parts).boxed())
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

/// An inventory that somebody takes.
struct Going {
    listing: Listing,
    shutdown: Shutdown,
    _turn: OwnedSemaphorePermit,
}

impl Going {
    /// The next parts, and what is to come after them.
    async fn next(going: Option<Self>) -> Result<Option<(Vec<InventoryPart>, Option<Self>)>, ServiceError> {
        let Some(mut going) = going else { return Ok(None) };
        let lines = tokio::select! {
            lines = going.listing.next() => lines.map_err(failed)?,
            () = going.shutdown.stopping() => return Err(ServiceError::SHUTTING_DOWN),
        };
        Ok(Some(match lines {
            Some(lines) => (lines.into_iter().map(InventoryPart::Thing).collect(), Some(going)),
            None => (vec![InventoryPart::End { summary: going.listing.summary() }], None),
        }))
    }
}

fn failed(error: WalkError) -> ServiceError {
    match error {
        WalkError::Metadata(error) => error.into(),
        WalkError::Blobs(error) => error.into(),
        WalkError::Gone(gone) => gone.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use bytes::Bytes;
    use futures_util::{TryStreamExt as _, poll};

    use super::*;
    use crate::blobs::{MemoryStore, contract};
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
        let store = MemoryStore::new();
        store.put_raw(contract::key(b"nobody's", 1), Bytes::from_static(b"nobody's"));
        let site = SiteMaintenance::new(metadata, Arc::new(store), BlockingPool::new("check", 1), None, shutdown);
        let check = || site.check(CheckRequest::default());
        let busy = |checked, why| assert_eq!(checked, Err(ServiceError::Busy(why)));
        check().await.unwrap();

        let (release, held) = mpsc::channel::<()>();
        let mut holding = Box::pin(site.pool.run(move || held.recv().is_ok()));
        assert!(poll!(&mut holding).is_pending());
        let mut first = check();
        assert!(poll!(&mut first).is_pending());
        busy(check().await, "a check or an inventory is running already");
        drop(first);
        let mut second = check();
        assert!(poll!(&mut second).is_pending(), "the first one's client has gone");
        release.send(()).unwrap();
        second.await.unwrap();
        assert!(holding.await.unwrap());

        // An inventory has its turn until it has ended, or nobody takes it any more.
        let inventory = || site.inventory(false);
        let taken = inventory().await.unwrap();
        busy(check().await, "a check or an inventory is running already");
        assert!(matches!(inventory().await.map(drop), Err(ServiceError::Busy("a check or an inventory is running already"))));
        drop(taken);
        let parts: Vec<_> = inventory().await.unwrap().try_concat().await.unwrap();
        assert!(matches!(&parts[..], [InventoryPart::Thing(_), InventoryPart::End { summary }] if summary.extra == 1), "{parts:?}");
        check().await.unwrap();

        trigger.stop();
        let (release, held) = mpsc::channel::<()>();
        let mut holding = Box::pin(site.pool.run(move || held.recv().is_ok()));
        assert!(poll!(&mut holding).is_pending());
        busy(check().await, "shutting down");
        assert_eq!(inventory().await.map(drop), Err(ServiceError::SHUTTING_DOWN));
        release.send(()).unwrap();
    }
}
