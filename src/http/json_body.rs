//! JSON bodies in memory: the first bytes of each are free, what comes beyond is taken from a budget that all have together.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;
use crate::service::ServiceError;

/// Bytes of each body that are free, so that ordinary calls never find too little.
const FREE: usize = 16 << 10;
/// Bytes that the budget is counted in.
const STEP: usize = 4 << 10;

/// The memory that JSON bodies may take beyond what is free. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JsonMemory(Arc<Semaphore>);

/// A body that came whole, with what it holds of the budget.
#[derive(Debug, Default)]
pub(super) struct Received {
    bytes: Vec<u8>,
    taken: Option<OwnedSemaphorePermit>,
}

impl JsonMemory {
    /// So many bytes, in whole steps.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / STEP).min(Semaphore::MAX_PERMITS))))
    }

    /// Receives a body of at most `max` bytes. What it takes of the budget grows with what has come, and is given back with it.
    ///
    /// # Errors
    /// `BodyTooLarge`, also where it only says that it will be; `Interrupted` where it breaks off; `Busy` where the budget is used up.
    pub(super) async fn receive(&self, body: Body, max: usize) -> Result<Received, ApiError> {
        if body.size_hint().lower() > max as u64 {
            return Err(ApiError::BodyTooLarge);
        }
        let mut received = Received::default();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| ServiceError::Interrupted)?;
            let length = received.bytes.len() + chunk.len();
            if length > max {
                return Err(ApiError::BodyTooLarge);
            }
            if length > received.bytes.capacity() {
                let capacity = length.max(2 * received.bytes.capacity()).min(max);
                self.grow(&mut received, capacity)?;
            }
            received.bytes.extend_from_slice(&chunk);
        }
        Ok(received)
    }

    /// Makes room for so many bytes in all.
    fn grow(&self, received: &mut Received, capacity: usize) -> Result<(), ApiError> {
        let have = received.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = capacity.saturating_sub(FREE).div_ceil(STEP).saturating_sub(have);
        if more > 0 {
            let more = u32::try_from(more).ok().and_then(|more| self.0.clone().try_acquire_many_owned(more).ok());
            let more = more.ok_or(ServiceError::Busy("too many large JSON bodies at once"))?;
            match &mut received.taken {
                Some(taken) => taken.merge(more),
                none => *none = Some(more),
            }
        }
        received.bytes.reserve_exact(capacity - received.bytes.len());
        Ok(())
    }
}

impl Received {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::{FutureExt as _, poll, stream};
    use tokio::sync::mpsc;

    use super::*;

    const MAX: usize = 100_000;
    const BUDGET: usize = 128 << 10;

    /// What sends a body, and the body.
    fn body() -> (mpsc::Sender<Result<Bytes, axum::Error>>, Body) {
        let (sends, mut comes) = mpsc::channel(100);
        (sends, Body::from_stream(stream::poll_fn(move |context| comes.poll_recv(context))))
    }

    fn left(memory: &JsonMemory) -> usize {
        memory.0.available_permits() * STEP
    }

    fn is_busy(received: Result<Received, ApiError>) -> bool {
        matches!(received, Err(ApiError::Service(ServiceError::Busy(_))))
    }

    #[tokio::test]
    async fn bodies_that_stand_still_take_no_more_than_the_budget() {
        let memory = JsonMemory::new(BUDGET);
        let (sends, slow) = body();
        let mut receiving = Box::pin(memory.receive(slow, MAX));
        assert!(poll!(&mut receiving).is_pending());
        assert_eq!(left(&memory), BUDGET, "nothing has come");
        for _ in 0..9 {
            sends.send(Ok(vec![b' '; 10_000].into())).await.unwrap();
        }
        assert!(poll!(&mut receiving).is_pending());
        let whole = (MAX - FREE).div_ceil(STEP) * STEP;
        assert_eq!(left(&memory), BUDGET - whole, "room for 160,000, but for no more than the limit");

        // Another large one is refused at once, and gives back what it had; small ones come in.
        let (also, second) = body();
        for _ in 0..9 {
            also.send(Ok(vec![b' '; 10_000].into())).await.unwrap();
        }
        assert!(is_busy(memory.receive(second, MAX).now_or_never().expect("not waiting for the rest")));
        assert_eq!(left(&memory), BUDGET - whole);
        assert_eq!(memory.receive(Body::from(vec![b' '; FREE]), MAX).await.unwrap().bytes().len(), FREE);

        // The first goes on, and its memory is its own until it is done with.
        drop(sends);
        let first = receiving.await.unwrap();
        assert_eq!(first.bytes().len(), 90_000);
        assert_eq!(left(&memory), BUDGET - whole);
        drop(first);
        assert_eq!(left(&memory), BUDGET);
        assert_eq!(memory.receive(Body::from(vec![b' '; MAX]), MAX).await.unwrap().bytes().len(), MAX);
    }

    #[tokio::test]
    async fn what_breaks_off_gives_back_what_it_took() {
        let memory = JsonMemory::new(BUDGET);
        for broken in [true, false] {
            let (sends, body) = body();
            sends.send(Ok(vec![b' '; 50_000].into())).await.unwrap();
            let mut receiving = Box::pin(memory.receive(body, MAX));
            assert!(poll!(&mut receiving).is_pending());
            assert!(left(&memory) < BUDGET);
            if broken {
                sends.send(Err(axum::Error::new(std::io::Error::other("planned")))).await.unwrap();
                assert!(matches!(receiving.await, Err(ApiError::Service(ServiceError::Interrupted))));
            } else {
                drop(receiving);
            }
            assert_eq!(left(&memory), BUDGET);
        }
    }

    #[tokio::test]
    async fn free_bodies_need_no_budget_and_too_large_ones_find_out_first() {
        let none = JsonMemory::new(0);
        assert_eq!(none.receive(Body::from(vec![b' '; FREE]), MAX).await.unwrap().bytes().len(), FREE);
        assert!(is_busy(none.receive(Body::from(vec![b' '; FREE + 1]), MAX).await));
        assert!(matches!(none.receive(Body::from(vec![b' '; MAX + 1]), MAX).await, Err(ApiError::BodyTooLarge)));
        let (sends, endless) = body();
        sends.send(Ok(vec![b' '; MAX + 1].into())).await.unwrap();
        assert!(matches!(none.receive(endless, MAX).await, Err(ApiError::BodyTooLarge)));
    }
}
