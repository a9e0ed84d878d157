//! The requests of HTTP/2: each is a stream of its own, whose client has to take what is sent.
//!
//! Where the client opens no window, hyper asks the answer's body for one piece, keeps it, and writes nothing that could block: the connection
//! looks idle to `connection`, while the body holds what it holds, such as an open file.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::rt::Executor;

use crate::runtime::{self, Clock, Tasks};

/// Waits of one stall each that a stream's client may let pass with nothing taken. Pieces are small, so that many streams may share a slow line:
/// 100 of them need 14 kB/s, with a stall of 30 s.
const STALLS: u32 = 4;

tokio::task_local! {
    static TAKING: Arc<Taking>;
}

/// Whether a client takes what is sent on a stream.
#[derive(Debug)]
pub(super) struct Taking {
    clock: Clock,
    /// Since when the body is not asked for what comes next.
    since: Mutex<Option<Duration>>,
}

impl Taking {
    /// That of the stream which this task answers; `None` on HTTP/1, whose writes block instead.
    pub(super) fn current() -> Option<Arc<Self>> {
        TAKING.try_with(Arc::clone).ok()
    }

    /// The body is asked for its next piece.
    pub(super) fn asked(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A head or piece was handed over: the client is waited for.
    pub(super) fn handed(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clock.monotonic());
    }

    async fn until_overdue(&self, limit: Duration) {
        let pause = (limit / 4).max(Duration::from_millis(1));
        loop {
            runtime::sleep(pause).await;
            let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
            if since.is_some_and(|since| self.clock.monotonic().saturating_sub(since) >= limit) {
                return;
            }
        }
    }
}

/// Where hyper runs the streams: with the connections, to be cut off with them. One whose client takes nothing is reset.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    tasks: Tasks,
    clock: Clock,
    limit: Duration,
}

impl Streams {
    /// `stall` as for a connection.
    pub(super) fn new(tasks: Tasks, clock: Clock, stall: Duration) -> Self {
        Self { tasks, clock, limit: stall.saturating_mul(STALLS) }
    }
}

impl<W: Future<Output = ()> + Send + 'static> Executor<W> for Streams {
    fn execute(&self, work: W) {
        let (taking, limit) = (Arc::new(Taking { clock: self.clock.clone(), since: Mutex::default() }), self.limit);
        let work = TAKING.scope(taking.clone(), work);
        self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = taking.until_overdue(limit) => tracing::debug!("a stream was reset: its client takes nothing"),
            }
        });
    }
}
