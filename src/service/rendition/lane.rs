//! Who may render: a bounded queue, of which one photo has a share, and so many turns at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::BlobHash;
use crate::service::ServiceError;
use crate::service::shares::{Share, Shares};

/// One photo has at most this part of the queue: more sizes of it than pages ask for at once, and an album's page asks for many photos.
const SHARE_OF_THE_QUEUE: u32 = 16;
/// But so many in every case.
const SHARE_AT_LEAST: u32 = 4;

/// One queue. What takes many times as long as the rest has one of its own, so that nothing waits behind it.
#[derive(Debug)]
pub(in crate::service) struct Lane {
    /// One permit a rendition that renders or waits to.
    places: Arc<Semaphore>,
    limit: u32,
    /// And one of its photo's share: for one photo there are as many renditions to be had as sizes.
    shares: Shares<BlobHash>,
    /// One permit a rendition that renders, and one more: its original is read meanwhile.
    pub(in crate::service) turns: Arc<Semaphore>,
}

/// A place in the queue, until the rendition is there or nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    _share: Share<BlobHash>,
}

/// The right to render, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit);

impl Lane {
    /// At most `limit` render or wait to, before a pool that renders so many at once.
    pub(super) fn new(limit: u32, at_once: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limit as usize)),
            limit,
            shares: Shares::new((limit / SHARE_OF_THE_QUEUE).max(SHARE_AT_LEAST) as usize),
            turns: Arc::new(Semaphore::new(at_once + 1)),
        }
    }

    /// Renditions that render or wait to, and how many may.
    pub(super) fn load(&self) -> (u64, u64) {
        let limit = u64::from(self.limit);
        (limit.saturating_sub(self.places.available_permits() as u64), limit)
    }

    /// Takes a place.
    ///
    /// # Errors
    /// `Busy` where too many wait, or too many of this photo.
    pub(super) fn place(&self, hash: BlobHash) -> Result<Place, ServiceError> {
        let Some(share) = self.shares.take(hash) else {
            return Err(ServiceError::Busy("too many renditions of this photo are waiting"));
        };
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err(ServiceError::Busy("too many renditions are waiting"));
        };
        Ok(Place { _place: place, _share: share })
    }

    /// Waits for a turn, for whoever has a place. Who gives up here leaves nothing behind.
    ///
    /// # Errors
    /// Where no more renditions are made.
    pub(super) async fn turn(&self) -> Result<Turn, ServiceError> {
        Ok(Turn(self.turns.clone().acquire_owned().await.map_err(|_| ServiceError::SHUTTING_DOWN)?))
    }
}
