//! A body that stands still is given up: a client on a dead line must not hold a place for ever.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;

use crate::runtime::Timer;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The connection broke, or the framing is wrong.
    #[error("the body broke off: {0}")]
    Broken(#[from] axum::Error),
    /// Nothing came for too long.
    #[error("the body stood still")]
    Idle,
}

/// A body's chunks, with a limit on the time between two.
pub(super) struct IdleTimeout<S> {
    stream: S,
    timer: Timer,
    limit: Duration,
}

impl<S> IdleTimeout<S> {
    /// Gives up once `limit` passes without a chunk.
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, timer: Timer::after(limit), limit }
    }
}

impl<S: Stream<Item = Result<Bytes, axum::Error>> + Unpin> Stream for IdleTimeout<S> {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.stream).poll_next(context) {
            Poll::Ready(Some(chunk)) => {
                let limit = self.limit;
                self.timer.reset(limit);
                Poll::Ready(Some(chunk.map_err(BodyError::from)))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => match self.timer.poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::Idle))),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}
