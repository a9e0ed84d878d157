//! Which call of a store fails, and how. Drawn from the seed, the call and what it is about, not from the order in which threads get there: so a seed
//! gives the same faults again.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use halidom::blobs::{BlobError, Operation};
use tokio::sync::Notify;

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// An error; nothing was done.
    Before,
    /// It was done, but the answer got lost.
    LostAnswer,
    /// No space; nothing was done.
    NoSpace,
    /// Half of a copy lies under its final name, and an error.
    Torn,
    /// Fewer bytes than there are.
    Short,
    /// One bit of what is read is another.
    Flipped,
    /// No answer until much later. The work is done then.
    Hang,
    /// The process dies before the call reaches the store.
    CrashBefore,
    /// The process dies before the answer comes.
    CrashAfter,
    /// The metadata's disk fails: of all kinds that the memory engine knows.
    Metadata,
}

/// How many there are.
pub const KINDS: usize = 10;

#[derive(Debug, Default)]
struct State {
    seed: u64,
    /// Of a thousand calls.
    rate: u64,
    /// Faults that may still fire before the next [`Plan::arm`].
    budget: u64,
    calls: BTreeMap<(&'static str, u64), u64>,
    fired: BTreeMap<Fault, u64>,
    log: Vec<String>,
}

/// The faults of one schedule. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Plan(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    died: Notify,
    hung: Notify,
    answer: Notify,
}

/// One life of the process: what it has under way does nothing any more once it is dead.
#[derive(Debug, Clone, Default)]
pub struct Life(Arc<AtomicBool>);

impl Life {
    /// Ends it.
    pub fn end(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Plan {
    /// Nothing fails yet.
    pub fn new(seed: u64) -> Self {
        let plan = Self::default();
        plan.state().seed = seed;
        plan
    }

    /// From now on `rate` of a thousand calls fail, `budget` at most.
    pub fn arm(&self, rate: u64, budget: u64) {
        let mut state = self.state();
        (state.rate, state.budget) = (rate, budget);
    }

    /// Nothing fails from now on.
    pub fn disarm(&self) {
        self.arm(0, 0);
    }

    /// The fault of this call, among those that fit it.
    pub fn draw(&self, call: Operation, about: u64) -> Option<Fault> {
        let mut state = self.state();
        let count = state.calls.entry((call.as_str(), about)).or_default();
        *count += 1;
        let mut dice = mix(*count ^ mix(about ^ mix(call as u64 ^ mix(state.seed))));
        if state.budget == 0 || dice % 1000 >= state.rate {
            return None;
        }
        dice = mix(dice);
        let fitting = fitting(call);
        let fault = fitting[(dice % fitting.len() as u64) as usize];
        state.budget -= 1;
        state.note(fault, call.as_str());
        Some(fault)
    }

    /// Notes a fault that fired elsewhere.
    pub fn note(&self, fault: Fault, what: &str) {
        self.state().note(fault, what);
    }

    /// Notes a step in the log.
    pub fn step(&self, what: String) {
        self.state().log.push(what);
    }

    /// How many of each kind have fired.
    pub fn fired(&self) -> BTreeMap<Fault, u64> {
        self.state().fired.clone()
    }

    /// What was done and what failed, in order.
    pub fn log(&self) -> String {
        self.state().log.join("\n")
    }

    /// The process dies here. Whatever was under way ends once there is another one, and does nothing.
    pub async fn die<T>(&self, life: &Life) -> Result<T, BlobError> {
        life.end();
        let answered = self.0.answer.notified();
        tokio::pin!(answered);
        answered.as_mut().enable();
        self.0.died.notify_one();
        answered.await;
        Err(BlobError::Closed)
    }

    /// Waits for such an end.
    pub async fn died(&self) {
        self.0.died.notified().await;
    }

    /// A call that gets no answer, until [`Plan::answer`].
    pub async fn hang(&self) {
        let answered = self.0.answer.notified();
        tokio::pin!(answered);
        // From here on it is heard, whoever comes first.
        answered.as_mut().enable();
        self.0.hung.notify_one();
        answered.await;
    }

    /// Waits for a call that hangs.
    pub async fn hung(&self) {
        self.0.hung.notified().await;
    }

    /// All that hang go on.
    pub fn answer(&self) {
        self.0.answer.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no test panics with it")
    }
}

impl State {
    fn note(&mut self, fault: Fault, what: &str) {
        *self.fired.entry(fault).or_default() += 1;
        self.log.push(format!("    {what}: {fault:?}"));
    }
}

/// What can happen to a call. A death is one chance among several of each.
fn fitting(call: Operation) -> &'static [Fault] {
    use Fault::*;
    match call {
        Operation::Stage | Operation::Write => &[Before, NoSpace, LostAnswer, Hang, Before, NoSpace, CrashBefore],
        Operation::Publish => &[Before, NoSpace, LostAnswer, Torn, Hang, Torn, LostAnswer, CrashBefore, CrashAfter],
        Operation::Open => &[Before, Hang, Before, Flipped, CrashBefore],
        Operation::Read => &[Before, Short, Flipped, Hang, Flipped, Short, CrashBefore],
        Operation::Delete | Operation::Claim => &[Before, LostAnswer, Hang, LostAnswer, CrashBefore, CrashAfter],
        Operation::Digests | Operation::Contents | Operation::Copies | Operation::Inventory | Operation::Marker | Operation::Probe => {
            &[Before]
        }
    }
}

/// What a caller is told of a backend that fails.
pub fn away() -> BlobError {
    BlobError::Unavailable { doing: "test", source: Arc::new(io::ErrorKind::TimedOut.into()) }
}

/// Splitmix64.
pub fn mix(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
