//! Waiting for what must come, within a bound: past it a test fails instead of hanging.

use std::fmt::Debug;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use halidom::runtime::{Clock, spawn_thread};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A test that waits for longer than this waits for something that does not come.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The same of a process: a thousand photos that go in by one command take their time on a busy machine.
const PROCESS_PATIENCE: Duration = Duration::from_secs(300);

/// Looks until what is seen fits.
///
/// # Panics
/// Where it never does, with what was waited for and what was seen last.
#[track_caller]
pub fn until<T: Debug>(what: &str, mut look: impl FnMut() -> T, fits: impl Fn(&T) -> bool) -> T {
    let clock = Clock::system();
    loop {
        let seen = look();
        if fits(&seen) {
            return seen;
        }
        assert!(clock.monotonic() < PATIENCE, "{what}: not within {PATIENCE:?}; last seen: {seen:?}");
        thread::yield_now();
    }
}

/// Kills a process that has not done its part in time, so that whoever waits for it goes on.
pub struct Watch {
    done: Sender<()>,
    watching: JoinHandle<bool>,
}

impl Watch {
    /// Watches over a process that nobody has waited for yet.
    pub fn over(child: &Child) -> Self {
        Self::within(PROCESS_PATIENCE, child)
    }

    fn within(patience: Duration, child: &Child) -> Self {
        // Names this process and no later one with the same number.
        let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("our own child can be opened");
        let (done, is_done) = mpsc::channel();
        let watching = spawn_thread("watch", move || {
            let hangs = is_done.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
            // It may have ended in this moment.
            hangs && pidfd_send_signal(&process, Signal::KILL).is_ok()
        });
        Self { done, watching: watching.expect("a thread") }
    }

    /// Ends the watch; whether the process had to be killed.
    pub fn had_to_kill(self) -> bool {
        drop(self.done);
        self.watching.join().expect("a watch does not panic")
    }
}

/// Runs a command that must end by itself.
///
/// # Panics
/// Where it does not, with what it said.
#[track_caller]
pub fn output(command: &mut Command) -> Output {
    output_within(PROCESS_PATIENCE, command)
}

/// The same with less patience.
#[track_caller]
pub fn output_within(patience: Duration, command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let watch = Watch::within(patience, &child);
    let output = child.wait_with_output().expect("our own child can be waited for");
    assert!(!watch.had_to_kill(), "{command:?} does not end: {output:?}");
    output
}
