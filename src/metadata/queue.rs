//! What waits for the writer: requests, as many as are allowed, and copies in flight that were given up.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::MetadataError;
use super::flight::Flight;
use super::transaction::Transaction;
use crate::model::BlobKey;

/// What became of a request when it was evaluated.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    Refused,
}

/// A request with its type forgotten.
pub(super) trait Request: Send {
    /// For logs.
    fn label(&self) -> &'static str;
    /// Evaluates it, once.
    fn evaluate(&mut self, tx: &mut Transaction<'_>) -> Verdict;
    /// Answers what the evaluation gave, now that it is durable; or that it failed.
    fn answer(self: Box<Self>, outcome: Result<(), MetadataError>);
}

/// What the writer takes at once.
pub(super) struct Taken {
    pub(super) requests: Vec<Box<dyn Request>>,
    pub(super) abandoned: Vec<BlobKey>,
}

/// Why a request cannot wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    Closed,
}

/// The bounded queue.
pub(super) struct Queue {
    pub(super) flight: Flight,
    pub(super) limit: usize,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Box<dyn Request>>,
    /// Bounded by the flight, which they leave only by the writer's hand.
    abandoned: Vec<BlobKey>,
    closed: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.len()).field("limit", &self.limit).finish()
    }
}

impl Queue {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { flight: Flight::default(), limit: limit.max(1), waiting: Mutex::default(), changed: Condvar::new() })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting().requests.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.waiting().closed
    }

    pub(super) fn push(&self, request: Box<dyn Request>) -> Result<(), Refusal> {
        let mut waiting = self.waiting();
        // A refused request is dropped by the caller, after the lock: dropping it may abandon a copy, which comes back here.
        let refusal = if waiting.closed {
            Some(Refusal::Closed)
        } else if waiting.requests.len() >= self.limit {
            Some(Refusal::Full)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            drop(waiting);
            drop(request);
            return Err(refusal);
        }
        waiting.requests.push_back(request);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    pub(super) fn abandon(&self, key: BlobKey) {
        self.waiting().abandoned.push(key);
        self.changed.notify_one();
    }

    /// Waits for something to do; `None` once the queue is closed and empty.
    pub(super) fn take(&self, limit: usize) -> Option<Taken> {
        let mut waiting = self.waiting();
        while waiting.requests.is_empty() && waiting.abandoned.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let count = waiting.requests.len().min(limit.max(1));
        Some(Taken { requests: waiting.requests.drain(..count).collect(), abandoned: std::mem::take(&mut waiting.abandoned) })
    }

    /// The writer is gone: what still waits is dropped, which tells whoever waits for its answer, and nothing more is taken.
    pub(super) fn end(&self) {
        let left = {
            let mut waiting = self.waiting();
            waiting.closed = true;
            std::mem::take(&mut waiting.requests)
        };
        // After the lock: dropping a request may abandon a copy, which comes back here.
        drop(left);
    }

    /// Takes no more requests; those that wait are still done.
    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.changed.notify_all();
    }
}
