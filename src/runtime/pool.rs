//! Pools of threads for blocking work.

#![allow(clippy::disallowed_methods)] // Waits for its threads on one of the async runtime's.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::spawn::spawn_thread;

/// How long a thread waits for its next piece of work before it ends.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Why work has no answer, named for what who asked does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// It panicked, a fault of ours: report it. Asking again meets it again.
    #[error("the work panicked")]
    Panicked,
    /// The pool or the runtime is closed, for the process is about to end: come again once there is another.
    #[error("no more work is taken: shutting down")]
    Closed,
    /// The system has no thread to give. Nothing was begun: try again later, look at the machine.
    #[error("the system has no thread to give")]
    NoThread,
}

/// Runs blocking work (file system, decoding, metadata) off the async threads, at most `limit` pieces at once; the rest wait.
/// One pool a kind of work, so that a dead filer cannot take the threads that decoding needs. Cheap to clone.
///
/// The threads are the pool's own, and the one that worked last works next: as few do the work as can, each of one kind, so that their
/// caches and heaps stay small. They come when they are needed and end when they were idle for a while, or with the pool's last clone.
#[derive(Clone, Debug)]
pub struct BlockingPool {
    limit: usize,
    permits: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    owner: Arc<Owner>,
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
    /// A pool of at most `limit` (at least one) pieces of work at once. `name` is for logs and the threads.
    pub fn new(name: &'static str, limit: usize) -> Self {
        Self::with_keep_alive(name, limit, KEEP_ALIVE)
    }

    fn with_keep_alive(name: &'static str, limit: usize, keep_alive: Duration) -> Self {
        let limit = limit.max(1);
        let threads = Threads {
            name,
            keep_alive,
            state: Mutex::default(),
            #[cfg(test)]
            is_refused: std::sync::atomic::AtomicBool::default(),
        };
        Self {
            limit,
            permits: Arc::new(Semaphore::new(limit)),
            waiting: Arc::default(),
            owner: Arc::new(Owner { threads: Arc::new(threads) }),
        }
    }

    /// How busy it is, for metrics.
    pub fn load(&self) -> PoolLoad {
        let running = self.limit.saturating_sub(self.permits.available_permits());
        PoolLoad { waiting: self.waiting.load(Ordering::Relaxed), running, limit: self.limit }
    }

    /// Runs `work` on a thread of the pool. Work that has begun runs to its end, also where the caller has gone; its place is held till then.
    ///
    /// # Errors
    /// [`Gone`] says why there is no answer.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Gone> {
        let waiting = Waiting::new(&self.waiting);
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| Gone::Closed)?;
        drop(waiting);
        let (answer, answered) = oneshot::channel();
        let span = tracing::Span::current();
        let work = move || span.in_scope(work);
        let run = move || -> Answer {
            // Where nobody wants it any more, what dropping it takes is part of the work.
            match catch_unwind(AssertUnwindSafe(|| Some(work()).filter(|_| !answer.is_closed()))) {
                Ok(Some(value)) => Box::new(move || drop(answer.send(Ok(value)))),
                Ok(None) => Box::new(move || drop(answer)),
                Err(_) => Box::new(move || drop(answer.send(Err(Gone::Panicked)))),
            }
        };
        self.owner.threads.begin(Piece { run: Box::new(run), permit })?;
        // What was begun is always answered.
        answered.await.unwrap_or(Err(Gone::Closed))
    }

    /// Takes no more work, and waits until all of its threads have ended. The first caller waits; one that comes later finds nobody to wait for.
    pub async fn close(&self) {
        self.permits.close();
        let State { live, retired, .. } = self.owner.threads.close();
        // Not on an async thread; where the runtime ends first, they end by themselves.
        let _ = tokio::task::spawn_blocking(move || live.into_values().chain(retired).for_each(join)).await;
    }
}

/// Gives an answer to whoever waits for it.
type Answer = Box<dyn FnOnce() + Send>;

/// A piece of work.
struct Piece {
    /// Never panics.
    run: Box<dyn FnOnce() -> Answer + Send>,
    permit: OwnedSemaphorePermit,
}

/// What a thread does next.
enum Order {
    Work(Piece),
    Leave,
}

/// What a thread does after its work.
enum After {
    Work(Piece),
    Wait,
    Leave,
}

/// Where an idle thread finds its next order.
struct Desk {
    thread: u64,
    order: Mutex<Option<Order>>,
    laid: Condvar,
}

impl Desk {
    fn put(&self, order: Order) {
        *lock(&self.order) = Some(order);
        self.laid.notify_one();
    }

    /// The next order; `None` where none came in time.
    fn wait(&self, limit: Duration) -> Option<Order> {
        let waited = self.laid.wait_timeout_while(lock(&self.order), limit, |order| order.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

/// The threads of a pool.
struct Threads {
    name: &'static str,
    keep_alive: Duration,
    state: Mutex<State>,
    /// As if the system had no thread to give.
    #[cfg(test)]
    is_refused: std::sync::atomic::AtomicBool,
}

#[derive(Default)]
struct State {
    /// Threads without work; the last of them worked last.
    idle: Vec<Arc<Desk>>,
    /// Work for which the system had no thread; as many at most as there are permits.
    queue: VecDeque<Piece>,
    /// All that have not ended.
    live: HashMap<u64, JoinHandle<()>>,
    /// The last that ended: whichever ends next waits for it, so that all can be waited for.
    retired: Option<JoinHandle<()>>,
    started: u64,
    closed: bool,
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threads").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Waits for a thread to end, unless that is the one that asks.
fn join(thread: JoinHandle<()>) {
    if thread.thread().id() != std::thread::current().id() {
        let _ = thread.join();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Threads {
    /// Gives the piece to the thread that worked last, or to a new one; where the system has none to give, to whichever is free first.
    /// Never more than there are permits.
    fn begin(self: &Arc<Self>, piece: Piece) -> Result<(), Gone> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Gone::Closed);
        }
        if let Some(desk) = state.idle.pop() {
            drop(state);
            desk.put(Order::Work(piece));
            return Ok(());
        }
        let desk = Arc::new(Desk { thread: state.started, order: Mutex::default(), laid: Condvar::new() });
        match self.start(&desk) {
            Ok(thread) => {
                state.started += 1;
                state.live.insert(desk.thread, thread);
                drop(state);
                desk.put(Order::Work(piece));
                Ok(())
            }
            Err(error) if state.live.is_empty() => {
                drop(state);
                tracing::error!(%error, pool = self.name, "no thread to be had");
                Err(Gone::NoThread)
            }
            Err(_) => {
                state.queue.push_back(piece);
                Ok(())
            }
        }
    }

    fn start(self: &Arc<Self>, desk: &Arc<Desk>) -> std::io::Result<JoinHandle<()>> {
        #[cfg(test)]
        if self.is_refused.load(Ordering::Relaxed) {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        let (threads, desk) = (self.clone(), desk.clone());
        spawn_thread(self.name, move || threads.serve(&desk))
    }

    /// What a thread does.
    fn serve(&self, desk: &Arc<Desk>) {
        let mut next = self.next(desk);
        loop {
            while let Some(piece) = next.take() {
                let answer = (piece.run)();
                // Idle before its place is free, and free before the answer is there: whoever is answered and comes again finds this thread.
                let after = self.rest(desk);
                drop(piece.permit);
                // What nobody wants after all is dropped here; a panic in that must not take the thread.
                let _ = catch_unwind(AssertUnwindSafe(answer));
                next = match after {
                    After::Work(piece) => Some(piece),
                    After::Wait => self.next(desk),
                    After::Leave => None,
                };
            }
            let mut state = lock(&self.state);
            // Laid there while this one was about to end.
            next = state.queue.pop_front();
            if next.is_none() {
                let own = state.live.remove(&desk.thread);
                let previous = own.and_then(|own| state.retired.replace(own));
                drop(state);
                return previous.into_iter().for_each(join);
            }
        }
    }

    /// The thread has done its work.
    fn rest(&self, desk: &Arc<Desk>) -> After {
        let mut state = lock(&self.state);
        if let Some(piece) = state.queue.pop_front() {
            return After::Work(piece);
        }
        if state.closed {
            return After::Leave;
        }
        state.idle.push(desk.clone());
        After::Wait
    }

    /// Waits for work; `None`: the thread ends.
    fn next(&self, desk: &Desk) -> Option<Piece> {
        loop {
            match desk.wait(self.keep_alive) {
                Some(Order::Work(piece)) => return Some(piece),
                Some(Order::Leave) => return None,
                None => {}
            }
            let mut state = lock(&self.state);
            let place = state.idle.iter().position(|idle| idle.thread == desk.thread);
            // Where it is not there an order is on its way.
            if let Some(place) = place {
                state.idle.remove(place);
                return None;
            }
        }
    }

    /// Ends the threads: those without work at once, the others after it. Answers whom to wait for.
    fn close(&self) -> State {
        let ending = std::mem::replace(&mut *lock(&self.state), State { closed: true, ..State::default() });
        ending.idle.iter().for_each(|desk| desk.put(Order::Leave));
        ending
    }
}

/// Ends the threads with the pool's last clone.
#[derive(Debug)]
struct Owner {
    threads: Arc<Threads>,
}

impl Drop for Owner {
    /// Waits for the threads without work, which end at once. Those that work end after it; nobody waits for them.
    fn drop(&mut self) {
        let State { idle, mut live, retired, .. } = self.threads.close();
        let ending = idle.iter().filter_map(|desk| live.remove(&desk.thread));
        ending.chain(retired).for_each(join);
    }
}

#[cfg(test)]
mod tests;
