//! The only place that touches the clock, randomness, threads and signals, so that a whole site can run in a seeded simulation.
//! Everything else is handed a [`Runtime`]; `clippy.toml` bans the bare functions elsewhere.

mod child;
mod clock;
mod pool;
mod process;
mod random;
#[cfg(test)]
pub mod seeds;
mod shutdown;
mod spawn;
mod tasks;
mod timer;

pub use child::{ChildProcess, THIS_PROGRAM, end_with_parent, spawn_process};
pub use clock::Clock;
pub use pool::{BlockingPool, Gone, PoolLoad};
pub use process::{cpu_time, give_way, raise_open_files, use_small_pages};
pub use random::Random;
pub use shutdown::{Shutdown, ShutdownTrigger, Signals, shutdown_channel};
pub use spawn::{cores, sleep, spawn, spawn_joined, spawn_thread, timeout};
pub use tasks::Tasks;
pub use timer::Timer;

/// Clock and randomness, as handed to whatever needs them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// Wall and monotonic time.
    pub clock: Clock,
    /// Random bytes.
    pub random: Random,
}

impl Runtime {
    /// The system's clock and randomness.
    pub fn system() -> Self {
        Self { clock: Clock::system(), random: Random::system() }
    }

    /// A clock that stands until it is moved, and bytes that follow from `seed`: the same at every run.
    pub fn simulated(seed: u64, start_unix_ms: u64) -> Self {
        Self { clock: Clock::manual(start_unix_ms), random: Random::seeded(seed) }
    }
}
