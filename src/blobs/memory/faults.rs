//! Faults that a test asks for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::blobs::{BlobError, Operation};

#[derive(Debug)]
struct Planned {
    operation: Operation,
    /// Calls of it that still succeed.
    after: usize,
    /// Whether it is done before the error is given.
    done: bool,
    /// Whether it stays.
    lasting: bool,
    error: BlobError,
}

/// What shall fail. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Planned>>>);

impl Faults {
    /// The call of `operation` after the next `after` ones fails, once; it does nothing.
    pub fn fail(&self, operation: Operation, after: usize, error: BlobError) {
        self.state().push(Planned { operation, after, done: false, lasting: false, error });
    }

    /// The call of `operation` after the next `after` ones is done, but its answer is lost and `error` given instead, once.
    pub fn fail_done(&self, operation: Operation, after: usize, error: BlobError) {
        self.state().push(Planned { operation, after, done: true, lasting: false, error });
    }

    /// Every call of `operation` fails until [`Faults::clear`].
    pub fn fail_always(&self, operation: Operation, error: BlobError) {
        self.state().push(Planned { operation, after: 0, done: false, lasting: true, error });
    }

    /// Nothing fails any more.
    pub fn clear(&self) {
        self.state().clear();
    }

    pub(super) fn apply<T>(&self, operation: Operation, act: impl FnOnce() -> Result<T, BlobError>) -> Result<T, BlobError> {
        match self.next(operation) {
            None => act(),
            Some((false, error)) => Err(error),
            Some((true, error)) => act().and(Err(error)),
        }
    }

    /// The fault of this call, if it has one; counts it for the others.
    fn next(&self, operation: Operation) -> Option<(bool, BlobError)> {
        let mut state = self.state();
        let mut due = None;
        for (index, planned) in state.iter_mut().enumerate().filter(|(_, planned)| planned.operation == operation) {
            match planned.after {
                0 => due = due.or(Some(index)),
                _ => planned.after -= 1,
            }
        }
        let index = due?;
        let fault = (state[index].done, state[index].error.clone());
        if !state[index].lasting {
            state.remove(index);
        }
        Some(fault)
    }

    fn state(&self) -> MutexGuard<'_, Vec<Planned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
