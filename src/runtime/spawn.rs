//! Threads: blocking work off the async threads, and the few long-lived threads of our own.

#![allow(clippy::disallowed_methods)] // The one place that spawns.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// The work was given up: it panicked, or the runtime is shutting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work was given up")]
pub struct Gone;

/// Runs blocking work (file system, decoding, metadata) off the async threads, at most `limit` pieces at once; the rest wait.
/// One pool a kind of work, so that a dead filer cannot take the threads that decoding needs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BlockingPool {
    name: &'static str,
    limit: usize,
    permits: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// How busy a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLoad {
    /// Pieces of work that wait for a thread.
    pub waiting: usize,
    /// Pieces of work that run.
    pub running: usize,
    /// How many may run at once.
    pub limit: usize,
}

/// Counts one that waits, for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl BlockingPool {
    /// A pool of at most `limit` (at least one) pieces of work at once. `name` is for logs and metrics.
    pub fn new(name: &'static str, limit: usize) -> Self {
        let limit = limit.max(1);
        Self { name, limit, permits: Arc::new(Semaphore::new(limit)), waiting: Arc::default() }
    }

    /// How busy it is, for metrics.
    pub fn load(&self) -> PoolLoad {
        let running = self.limit.saturating_sub(self.permits.available_permits());
        PoolLoad { waiting: self.waiting.load(Ordering::Relaxed), running, limit: self.limit }
    }

    /// What the pool is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs `work` on a blocking thread. Work that has begun runs to its end, also where the caller has gone; its permit is held till then.
    ///
    /// # Errors
    /// [`Gone`] where `work` panicked or the runtime is shutting down.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Gone> {
        let waiting = Waiting::new(&self.waiting);
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| Gone)?;
        drop(waiting);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        })
        .await
        .map_err(|_| Gone)
    }
}

/// Cores that this process may use; 1 where the system does not say.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Starts an async task that nobody waits for. It must end by itself when the shutdown begins.
pub fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}

/// Begins `work` at once in a task of its own; the answer waits for it. The work goes on to its end also where the caller has gone.
///
/// # Errors
/// [`Gone`] where `work` panicked or the runtime is shutting down.
pub fn spawn_joined<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> impl Future<Output = Result<T, Gone>> + Send {
    use tracing::Instrument;
    // Begun here, not when the answer is awaited.
    let task = tokio::spawn(work.in_current_span());
    async move { task.await.map_err(|_| Gone) }
}

/// Waits for this long: for retries and periodic work, never to guess that something has happened.
pub async fn sleep(duration: std::time::Duration) {
    tokio::time::sleep(duration).await;
}

/// Waits for `work`, but no longer than `limit`; `None` where it took longer. Then `work` is dropped.
pub async fn timeout<T>(limit: std::time::Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

/// Starts a long-lived thread of our own, such as the metadata writer.
///
/// # Errors
/// Where the system has no thread to give.
pub fn spawn_thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_pool_says_how_busy_it_is() {
        let pool = BlockingPool::new("test", 1);
        assert_eq!(pool.load(), PoolLoad { waiting: 0, running: 0, limit: 1 });
        let (release, held) = mpsc::channel::<()>();
        let mut first = Box::pin(pool.run(move || held.recv().is_ok()));
        let mut second = Box::pin(pool.run(|| true));
        assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut second).is_pending());
        assert_eq!(pool.load(), PoolLoad { waiting: 1, running: 1, limit: 1 });
        release.send(()).unwrap();
        assert_eq!((first.await, second.await), (Ok(true), Ok(true)));
        // The thread gives its permit back after its answer is there.
        while pool.load().running > 0 {
            tokio::task::yield_now().await;
        }
        let mut given_up = Box::pin(pool.run(|| true));
        let _ = futures_util::poll!(&mut given_up);
        drop(given_up);
        assert_eq!(pool.load().waiting, 0);
    }
}
