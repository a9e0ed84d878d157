//! The sites that an edge may ask, and which of them it asks now.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::client::Client;

/// At least one site.
#[derive(Debug)]
pub(super) struct Sites {
    all: Vec<Client>,
    current: AtomicUsize,
    /// One joins at a time.
    pub(super) joining: tokio::sync::Mutex<Joining>,
    cursor: Mutex<Option<String>>,
    /// When no site could be joined, by the monotonic clock.
    failed: Mutex<Option<Duration>>,
    /// Questions that the present one has not answered, since it last did.
    pub(super) doubts: AtomicU32,
    /// Told when another was chosen.
    pub(super) chosen: Notify,
}

/// What was said of each site that could not be joined.
#[derive(Debug, Default)]
pub(super) struct Joining {
    pub(super) said: HashMap<String, String>,
    /// When, by the monotonic clock, those that are liked better than the present one are looked at; `None`: the present one is liked best, or was not
    /// followed when that was looked at.
    pub(super) look_back_at: Option<Duration>,
}

impl Sites {
    pub(super) fn new(all: Vec<Client>) -> Self {
        assert!(!all.is_empty(), "settings without a site are refused");
        Self {
            all,
            current: AtomicUsize::new(0),
            joining: tokio::sync::Mutex::default(),
            cursor: Mutex::default(),
            failed: Mutex::default(),
            doubts: AtomicU32::new(0),
            chosen: Notify::new(),
        }
    }

    /// The one that is asked.
    pub(super) fn current(&self) -> Client {
        self.all[self.current.load(Ordering::Acquire) % self.all.len()].clone()
    }

    /// All with their numbers, beginning with the one that is asked.
    pub(super) fn current_first(&self) -> impl Iterator<Item = (usize, &Client)> {
        let (before, from) = self.all.split_at(self.current.load(Ordering::Acquire) % self.all.len());
        let number = before.len();
        let from = from.iter().enumerate().map(move |(step, site)| (number + step, site));
        from.chain(before.iter().enumerate())
    }

    /// Those that are liked better than the one that is asked, the best first.
    pub(super) fn better(&self) -> impl Iterator<Item = (usize, &Client)> {
        self.all.iter().enumerate().take(self.current.load(Ordering::Acquire) % self.all.len())
    }

    /// From here on this one is asked, and followed from there.
    pub(super) fn choose(&self, number: usize, cursor: String) {
        self.current.store(number, Ordering::Release);
        self.set_cursor(cursor);
        self.doubts.store(0, Ordering::Relaxed);
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.chosen.notify_one();
    }

    /// No site could be joined, at that time.
    pub(super) fn note_failure(&self, at: Duration) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// When no site could be joined, where none was since.
    pub(super) fn failed(&self) -> Option<Duration> {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where its feed goes on.
    pub(super) fn cursor(&self) -> Option<String> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_cursor(&self, cursor: String) {
        *self.cursor.lock().unwrap_or_else(PoisonError::into_inner) = Some(cursor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientSettings;
    use crate::runtime::Runtime;

    #[test]
    fn the_one_that_is_asked_comes_first_and_each_once() {
        let client = |n: u16| Client::new(&format!("http://127.0.0.1:{n}"), None, ClientSettings::default(), Runtime::system()).unwrap();
        let sites = Sites::new([1, 2, 3].map(client).into());
        let order = || sites.current_first().map(|(number, site)| (number, site.server().to_owned())).collect::<Vec<_>>();
        let all: Vec<_> = (0..3).map(|n| (n, format!("http://127.0.0.1:{}", n + 1))).collect();
        assert_eq!(order(), all);
        sites.choose(2, String::new());
        assert_eq!(order(), [&all[2..], &all[..2]].concat());
        assert_eq!(sites.current().server(), all[2].1);
        assert_eq!(sites.better().map(|(number, _)| number).collect::<Vec<_>>(), [0, 1]);
    }
}
