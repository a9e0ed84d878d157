//! Who may render: a bounded queue, of which one photo has a share, so many that fetch what they are made from, and so many turns at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::BlobHash;
use crate::service::ServiceError;
use crate::service::shares::{Share, Shares};

/// Once half of the queue is taken, one photo has at most this part of it: more sizes of it than pages ask for at once, and an album's page asks
/// for many photos. Before that it may have more: a viewer that zooms asks for dozens of tiles of one, and several are made of one decoding.
const SHARE_OF_THE_QUEUE: u32 = 16;
/// But so many in every case.
const SHARE_AT_LEAST: u32 = 4;

/// Photos that are fetched from the backend at once, or are fetched and wait for their turn: so many,
const FETCHES_AT_LEAST: usize = 16;
/// and on a large machine so many for each that renders. More than have turns, since a backend is slow by its distance, not by its work.
const FETCHES_OF_ONE: usize = 4;

/// One queue. What takes many times as long as the rest has one of its own, so that nothing waits behind it.
#[derive(Debug)]
pub(in crate::service) struct Lane {
    /// One permit a rendition that renders or waits to.
    places: Arc<Semaphore>,
    limit: u32,
    /// And one of its photo's share: for one photo there are as many renditions to be had as sizes.
    shares: Shares<BlobHash>,
    /// One permit a photo that is fetched, until it renders: not one of a turn, so that a backend that stalls keeps nobody from rendering what
    /// is in memory.
    pub(in crate::service) fetches: Arc<Semaphore>,
    /// One permit a photo that renders, and one more: it waits at the decoder's door, so that no decoder waits for it. Whoever has one waits for
    /// decoders alone.
    pub(in crate::service) turns: Arc<Semaphore>,
}

/// A place in the queue, until the rendition is there or nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    _share: Share<BlobHash>,
}

/// Leave to fetch from the backend, and to have what was fetched, until it is dropped.
#[derive(Debug)]
pub(super) struct Fetch(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit);

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
            fetches: Arc::new(Semaphore::new((at_once * FETCHES_OF_ONE).max(FETCHES_AT_LEAST))),
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
    /// `Busy` where too many wait, or, with half of the places taken, too many of this photo.
    pub(super) fn place(&self, hash: BlobHash) -> Result<Place, ServiceError> {
        let is_half_full = self.load().0 * 2 >= u64::from(self.limit);
        let share = if is_half_full { self.shares.take(hash) } else { Some(self.shares.take_more(hash)) };
        let share = share.ok_or(ServiceError::Busy("too many renditions of this photo are waiting"))?;
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err(ServiceError::Busy("too many renditions are waiting"));
        };
        Ok(Place { _place: place, _share: share })
    }

    /// Waits for leave to fetch. Who has it waits for no memory, only for the backend and for a turn.
    ///
    /// # Errors
    /// Where no more renditions are made.
    pub(super) async fn fetch(&self) -> Result<Fetch, ServiceError> {
        Ok(Fetch(self.fetches.clone().acquire_owned().await.map_err(|_| ServiceError::SHUTTING_DOWN)?))
    }

    /// Waits for a turn, for whoever has a place. Who gives up here leaves nothing behind.
    ///
    /// # Errors
    /// Where no more renditions are made.
    pub(super) async fn turn(&self) -> Result<Turn, ServiceError> {
        Ok(Turn(self.turns.clone().acquire_owned().await.map_err(|_| ServiceError::SHUTTING_DOWN)?))
    }
}
