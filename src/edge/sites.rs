//! The sites that an edge may ask, and which of them it asks now.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::client::{Client, ClientError};

/// At least one site.
#[derive(Debug)]
pub(super) struct Sites {
    all: Vec<Client>,
    current: AtomicUsize,
    /// One joins at a time.
    pub(super) joining: tokio::sync::Mutex<Joining>,
    cursor: Mutex<Option<String>>,
}

/// What the last attempts to join have come to.
#[derive(Debug, Default)]
pub(super) struct Joining {
    /// When no site could be joined, by the monotonic clock.
    pub(super) failed: Option<Duration>,
}

impl Sites {
    pub(super) fn new(all: Vec<Client>) -> Self {
        assert!(!all.is_empty(), "settings without a site are refused");
        Self { all, current: AtomicUsize::new(0), joining: tokio::sync::Mutex::default(), cursor: Mutex::default() }
    }

    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// The one that is asked.
    pub(super) fn current(&self) -> Client {
        self.all[self.current.load(Ordering::Acquire) % self.all.len()].clone()
    }

    /// All, beginning with the one after `current`, which comes last; with their numbers.
    pub(super) fn others_first(&self) -> impl Iterator<Item = (usize, &Client)> {
        let current = self.current.load(Ordering::Acquire);
        (1..=self.all.len()).map(move |step| (current + step) % self.all.len()).filter_map(|number| Some((number, self.all.get(number)?)))
    }

    /// From here on this one is asked, and followed from there.
    pub(super) fn choose(&self, number: usize, cursor: String) {
        self.current.store(number, Ordering::Release);
        self.set_cursor(cursor);
    }

    /// Where its feed goes on.
    pub(super) fn cursor(&self) -> Option<String> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_cursor(&self, cursor: String) {
        *self.cursor.lock().unwrap_or_else(PoisonError::into_inner) = Some(cursor);
    }
}

/// Whether another site may answer what this one did not.
pub(super) fn is_away(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } | ClientError::Protocol { .. } => true,
        ClientError::Refused(problem) => matches!(problem.status, 401 | 403 | 408 | 500..),
        _ => false,
    }
}
