//! Faults and traces of system calls, for tests.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

use rustix::io::Errno;

use super::files::Call;

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It does nothing and gives this error.
    Fail(Errno),
    /// It is done, but its answer gets lost and this error is given.
    FailDone(Errno),
    /// The process dies here: neither this call nor any later one, clean-up included, does anything.
    Halt,
}

#[derive(Debug, Default)]
struct State {
    /// Calls until the fault, and the fault.
    planned: Option<(usize, Fault)>,
    /// Only calls that this accepts are counted.
    only: Option<fn(Call) -> bool>,
    halted: bool,
    /// Calls that this accepts do not come back until it is taken away.
    hanging: Option<fn(Call) -> bool>,
    /// How many hang now.
    held: usize,
    trace: Vec<(Call, PathBuf)>,
}

/// The faults that a test has asked for, and what was called so far.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<State>, Condvar);

impl Faults {
    /// Makes the call after the next `calls` ones fail, once.
    pub(super) fn plan(&self, calls: usize, fault: Fault) {
        let mut state = self.state();
        (state.planned, state.only) = (Some((calls, fault)), None);
    }

    /// Makes the next call that `only` accepts fail, once.
    pub(super) fn plan_next(&self, only: fn(Call) -> bool, fault: Fault) {
        let mut state = self.state();
        (state.planned, state.only) = (Some((0, fault)), Some(only));
    }

    /// The device, or the filer, does not answer the calls that `only` accepts, until [`Faults::answer`].
    pub(super) fn hang(&self, only: fn(Call) -> bool) {
        self.state().hanging = Some(only);
    }

    /// It answers again; what hung is done now.
    pub(super) fn answer(&self) {
        self.state().hanging = None;
        self.1.notify_all();
    }

    /// How many calls hang.
    pub(super) fn held(&self) -> usize {
        self.state().held
    }

    /// Forgets a planned fault; answers whether it was still to come.
    pub(super) fn clear(&self) -> bool {
        self.state().planned.take().is_some()
    }

    /// The calls since the last time that this was asked.
    pub(super) fn take_trace(&self) -> Vec<(Call, PathBuf)> {
        std::mem::take(&mut self.state().trace)
    }

    pub(super) fn apply<T>(&self, call: Call, path: &Path, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.next(call, path) {
            None => act(),
            Some(Fault::Fail(errno)) => Err(errno.into()),
            Some(Fault::FailDone(errno)) => {
                let _ = act();
                Err(errno.into())
            }
            Some(Fault::Halt) => Err(io::Error::other("the process is dead")),
        }
    }

    fn next(&self, call: Call, path: &Path) -> Option<Fault> {
        let mut state = self.state();
        if state.halted {
            return Some(Fault::Halt);
        }
        state.trace.push((call, path.to_owned()));
        if state.hanging.is_some_and(|only| only(call)) {
            state.held += 1;
            let waited = self.1.wait_while(state, |state| state.hanging.is_some_and(|only| only(call)));
            state = waited.unwrap_or_else(PoisonError::into_inner);
            state.held -= 1;
        }
        let counted = state.only.is_none_or(|only| only(call));
        match &mut state.planned {
            Some((0, fault)) if counted => {
                let fault = *fault;
                state.planned = None;
                state.halted = fault == Fault::Halt;
                Some(fault)
            }
            Some((calls, _)) if counted => {
                *calls -= 1;
                None
            }
            _ => None,
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
