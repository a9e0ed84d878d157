//! A request body that stands still or trickles is given up: a dead or hostile line must not hold a place for ever.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;

use crate::runtime::{Clock, Timer};
use crate::service::ServiceError;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The connection broke, or the framing is wrong.
    #[error("the body broke off: {0}")]
    Broken(#[from] axum::Error),
    /// Nothing came for too long.
    #[error("the body stood still")]
    Idle,
    /// It came below the least rate.
    #[error("the body came too slowly")]
    Slow,
}

impl From<BodyError> for ServiceError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Broken(_) => Self::Interrupted,
            BodyError::Idle | BodyError::Slow => Self::TooSlow,
        }
    }
}

/// How slow a body may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How long nothing may come, and how long the rate is not looked at.
    pub(super) stall: Duration,
    /// The average since the beginning that is demanded; 0: none.
    pub(super) min_bytes_per_second: u64,
}

/// A body's chunks, with a limit on the time between two, and on the time that all of them take.
pub(super) struct Paced<S> {
    stream: S,
    timer: Timer,
    clock: Clock,
    pace: Pace,
    received_bytes: u64,
    /// Time that the client was waited for. What this side takes for what has come is not the client's fault.
    waited: Duration,
    waiting_since: Option<Duration>,
}

impl<S> Paced<S> {
    /// Gives up once the client falls below `pace`.
    pub(super) fn new(stream: S, pace: Pace, clock: Clock) -> Self {
        Self { stream, timer: Timer::after(pace.stall), clock, pace, received_bytes: 0, waited: Duration::ZERO, waiting_since: None }
    }

    /// Counts a chunk; whether all so far came too slowly.
    fn is_too_slow(&mut self, length: usize) -> bool {
        self.received_bytes += length as u64;
        if let Some(since) = self.waiting_since.take() {
            self.waited += self.clock.monotonic().saturating_sub(since);
        }
        let demanded = u128::from(self.pace.min_bytes_per_second) * self.waited.as_millis() / 1_000;
        self.waited >= self.pace.stall && u128::from(self.received_bytes) < demanded
    }
}

impl<S: Stream<Item = Result<Bytes, axum::Error>> + Unpin> Stream for Paced<S> {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.stream).poll_next(context) {
            Poll::Ready(Some(Ok(chunk))) => {
                if self.is_too_slow(chunk.len()) {
                    return Poll::Ready(Some(Err(BodyError::Slow)));
                }
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                if self.waiting_since.is_none() {
                    let (now, stall) = (self.clock.monotonic(), self.pace.stall);
                    self.waiting_since = Some(now);
                    self.timer.reset(stall);
                }
                self.timer.poll(context).map(|()| Some(Err(BodyError::Idle)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _};
    use tokio::sync::mpsc;

    use super::*;

    const STALL: Duration = Duration::from_secs(30);
    type Chunks = mpsc::UnboundedReceiver<Result<Bytes, axum::Error>>;

    /// A body of which `length` bytes came every `every`: how many chunks came through, and how it ended, if it has.
    async fn trickled(min_bytes_per_second: u64, length: usize, every: Duration, chunks: usize) -> (usize, Option<BodyError>) {
        let clock = Clock::manual(0);
        let (sender, mut receiver): (_, Chunks) = mpsc::unbounded_channel();
        let body = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
        let mut paced = Paced::new(body, Pace { stall: STALL, min_bytes_per_second }, clock.clone());
        for count in 0..chunks {
            // A task that never pauses is made to wait after some polls.
            tokio::task::yield_now().await;
            assert!(paced.next().now_or_never().is_none(), "nothing has come");
            clock.advance(every);
            sender.send(Ok(Bytes::from(vec![0; length]))).unwrap();
            match paced.next().now_or_never().unwrap().unwrap() {
                Ok(chunk) => assert_eq!(chunk.len(), length),
                Err(error) => return (count, Some(error)),
            }
            // What this side does meanwhile does not count.
            clock.advance(Duration::from_secs(3_600));
        }
        (chunks, None)
    }

    #[tokio::test]
    async fn one_that_trickles_is_broken_off_after_the_grace() {
        let second = Duration::from_secs(1);
        let (came, ended) = trickled(1_000, 999, second, 100).await;
        assert!(matches!(ended, Some(BodyError::Slow)), "{ended:?}");
        assert_eq!(came, 29, "within the grace the rate is not looked at");
        assert!(matches!(trickled(1_000, 1_000, second, 100).await, (100, None)));
        assert!(matches!(trickled(1_000, 20_000, 20 * second, 10).await, (10, None)));
        assert!(matches!(trickled(0, 1, 29 * second, 100).await, (100, None)), "switched off");
    }
}
