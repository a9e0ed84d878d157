//! Where a store's blocking work runs, and how long whoever asked waits for it. A call of a filer (NFS, mounted hard) that does not answer keeps
//! its thread until it does; whoever asked is told at the deadline.

use std::collections::HashMap;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{DiskPools, FilerSettings};
use crate::blobs::BlobError;
use crate::runtime::{BlockingPool, Clock, spawn, timeout};

/// What moves bytes has a second more for so many of them.
const BYTES_A_SECOND: u64 = 4 << 20;
/// What lists directories, and looks at all that is in them, has so many times as long.
const LONG: u32 = 6;

/// The pools of a store, watched where its files lie on a filer.
#[derive(Debug, Clone)]
pub(super) struct Lanes {
    pub(super) io: Lane,
    pub(super) verifying: Lane,
    /// Waits for no file.
    pub(super) hashing: BlockingPool,
}

impl Lanes {
    pub(super) fn new(pools: DiskPools, filer: Option<&FilerSettings>, clock: &Clock) -> Self {
        let lane = |pool: BlockingPool| {
            let watch = filer.map(|filer| Arc::new(Watch::new(filer.deadline, pool.load().limit, clock.clone())));
            Lane { pool, watch }
        };
        Self { io: lane(pools.io), verifying: lane(pools.verifying), hashing: pools.hashing }
    }
}

/// A pool whose work is about files.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    pool: BlockingPool,
    watch: Option<Arc<Watch>>,
}

impl Lane {
    /// Does `work`, which moves about `bytes`.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`] where a filer does not answer in time: what was begun goes on, and nobody hears how it ended. At once where
    /// every thread waits for the filer longer than it may.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        bytes: u64,
        work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        self.run_within(|deadline| deadline.saturating_add(Duration::from_millis(bytes.saturating_mul(1000) / BYTES_A_SECOND)), work).await
    }

    /// Does `work` that makes many calls.
    ///
    /// # Errors
    /// As of [`Lane::run`].
    pub(super) async fn run_long<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        self.run_within(|deadline| deadline.saturating_mul(LONG), work).await
    }

    async fn run_within<T: Send + 'static>(
        &self,
        limit: impl FnOnce(Duration) -> Duration,
        work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        self.require_there()?;
        let Some(watch) = &self.watch else { return self.pool.run(work).await? };
        let limit = limit(watch.deadline);
        let watched = watch.clone();
        // What has not begun when its time is over never begins.
        let done = self.pool.run(move || watched.during(limit, work));
        timeout(limit, done).await.unwrap_or_else(|| Ok(Err(away("the filer does not answer"))))?
    }

    /// Has `work`, such as removing or closing what nobody wants any more, done whenever the device is there again, off the async threads.
    pub(super) fn let_go(&self, work: impl FnOnce() + Send + 'static) {
        if tokio::runtime::Handle::try_current().is_err() {
            // One of the pool's own threads, or nobody who must not wait.
            return work();
        }
        let pool = self.pool.clone();
        let Some(watch) = self.watch.clone() else {
            return spawn(async move {
                let _ = pool.run(work).await;
            });
        };
        // Where the pool is closed the process is about to end, which closes what is left: dropping it here might wait.
        let work = ManuallyDrop::new(work);
        spawn(async move {
            let _ = pool.run(move || watch.during(watch.deadline, ManuallyDrop::into_inner(work))).await;
        });
    }

    /// Whether its files lie on a filer.
    pub(super) fn is_of_filer(&self) -> bool {
        self.watch.is_some()
    }

    /// That not every thread waits for a filer longer than it may.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    pub(super) fn require_there(&self) -> Result<(), BlobError> {
        if self.is_away() { Err(away("every thread waits for the filer")) } else { Ok(()) }
    }

    /// Whether every thread waits for a filer longer than it may.
    pub(super) fn is_away(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.is_away())
    }

    #[cfg(test)]
    pub(super) fn pool(&self) -> &BlockingPool {
        &self.pool
    }
}

fn away(why: &'static str) -> BlobError {
    BlobError::Unavailable { doing: "wait for the filer", source: Arc::new(io::Error::new(io::ErrorKind::TimedOut, why)) }
}

/// What a pool's threads are at, and since when.
#[derive(Debug)]
struct Watch {
    deadline: Duration,
    threads: usize,
    clock: Clock,
    running: Mutex<Running>,
    /// For the log: every thread was found to hang.
    was_away: AtomicBool,
}

#[derive(Debug, Default)]
struct Running {
    begun: u64,
    /// By number, when each is overdue, by the clock's monotonic time. As many at most as there are threads.
    overdue_at: HashMap<u64, Duration>,
}

impl Watch {
    fn new(deadline: Duration, threads: usize, clock: Clock) -> Self {
        Self { deadline, threads, clock, running: Mutex::default(), was_away: AtomicBool::new(false) }
    }

    fn during<T>(&self, limit: Duration, work: impl FnOnce() -> T) -> T {
        let overdue_at = self.clock.monotonic().saturating_add(limit);
        let number = {
            let mut running = self.running();
            running.begun += 1;
            let number = running.begun;
            running.overdue_at.insert(number, overdue_at);
            number
        };
        let _ends = Ends { watch: self, number };
        work()
    }

    fn is_away(&self) -> bool {
        let running = self.running();
        if running.overdue_at.len() < self.threads {
            return false;
        }
        let now = self.clock.monotonic();
        let is_away = running.overdue_at.values().all(|overdue_at| *overdue_at <= now);
        if is_away && !self.was_away.swap(true, Ordering::Relaxed) {
            tracing::error!(threads = self.threads, "the filer does not answer: what needs it is refused until it does");
        }
        is_away
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a piece of work, also where it panics.
struct Ends<'a> {
    watch: &'a Watch,
    number: u64,
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.watch.running().overdue_at.remove(&self.number);
        if self.watch.was_away.swap(false, Ordering::Relaxed) {
            tracing::info!("the filer answers again");
        }
    }
}
