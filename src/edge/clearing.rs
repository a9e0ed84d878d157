//! Clearing the caches of what nobody has any more, in its own time: what is not cleared yet is not shown either.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::model::HashPrefix;
use crate::runtime;
use crate::service::RenditionService;

use super::Edge;

/// Blobs that are asked of at once.
const ASKED_AT_ONCE: usize = 1_000;
/// Blobs that wait to be asked of; past it all that lies in the caches is.
const WAITING: usize = 100_000;
/// What was lost is asked of once more so much later: no rendition takes as long.
const AGAIN: Duration = Duration::from_secs(120);
/// Pause after a site did not answer.
const PAUSE: Duration = Duration::from_secs(2);

/// What is to be asked of.
#[derive(Debug, Default)]
pub(super) struct Clearing {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Everything that lies in the caches.
    all: bool,
    /// When each is due, by the monotonic clock.
    due: BTreeMap<HashPrefix, Duration>,
    /// When each is due once more.
    again: BTreeMap<HashPrefix, Duration>,
}

impl Clearing {
    /// All that lies in the caches is to be asked of.
    pub(super) fn all(&self) {
        self.state().all = true;
        self.news.notify_one();
    }

    /// These are, at that time.
    pub(super) fn some(&self, prefixes: impl IntoIterator<Item = HashPrefix>, at: Duration) {
        let mut state = self.state();
        state.due.extend(prefixes.into_iter().map(|prefix| (prefix, at)));
        if state.due.len() > WAITING {
            state.due.clear();
            state.all = true;
        }
        drop(state);
        self.news.notify_one();
    }

    /// These are at that time as well: a rendition that was being made when its photo went may have come into a cache behind the clearing.
    fn once_more(&self, prefixes: impl IntoIterator<Item = HashPrefix>, at: Duration) {
        let mut state = self.state();
        state.again.extend(prefixes.into_iter().map(|prefix| (prefix, at)));
        if state.again.len() > WAITING {
            state.again.clear();
            state.all = true;
        }
    }

    /// Those that are due, at most as many as are asked of at once.
    fn take_due(&self, now: Duration) -> Vec<HashPrefix> {
        let mut state = self.state();
        let State { due, again, .. } = &mut *state;
        for waiting in [due, again] {
            let taken: Vec<_> = waiting.iter().filter(|(_, at)| **at <= now).map(|(prefix, _)| *prefix).take(ASKED_AT_ONCE).collect();
            waiting.retain(|prefix, _| taken.binary_search(prefix).is_err());
            if !taken.is_empty() {
                return taken;
            }
        }
        vec![]
    }

    fn take_all(&self) -> bool {
        std::mem::take(&mut self.state().all)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Edge {
    /// Clears, until it is dropped.
    pub(super) async fn clear_on(&self, renditions: &RenditionService) {
        let clearing = &self.0.clearing;
        // What is still to be asked of where everything is.
        let mut everything = vec![];
        loop {
            if clearing.take_all() {
                // However many there are: they lie in no queue.
                everything = renditions.cached_blobs().await;
                everything.sort_unstable();
                everything.dedup();
            }
            let now = self.0.runtime.clock.monotonic();
            // What was lost comes first.
            let due = clearing.take_due(now);
            if !due.is_empty() {
                if !self.clear(renditions, &due).await {
                    clearing.some(due, now);
                    runtime::sleep(PAUSE).await;
                }
            } else if !everything.is_empty() {
                let next = everything.split_off(everything.len().saturating_sub(ASKED_AT_ONCE));
                if !self.clear(renditions, &next).await {
                    everything.extend(next);
                    runtime::sleep(PAUSE).await;
                }
            } else {
                // What is due only later is looked for now and then.
                let _ = runtime::timeout(PAUSE, clearing.news.notified()).await;
            }
        }
    }

    /// Removes those of these that nobody has any more; `false` where it could not be asked, or not be removed.
    async fn clear(&self, renditions: &RenditionService, asked: &[HashPrefix]) -> bool {
        let unowned = match self.0.sites.current().edge_unowned(asked.to_vec()).await {
            Ok(unowned) => unowned.prefixes,
            Err(error) => {
                tracing::debug!(%error, "what nobody has any more stays in the caches for now, and is not shown");
                return false;
            }
        };
        let mut cleared = true;
        // Only of what was asked: whatever else stands there is no answer.
        for prefix in unowned.into_iter().filter(|prefix| asked.binary_search(prefix).is_ok()) {
            if let Err(error) = renditions.forget_prefix(prefix).await {
                tracing::warn!(%error, "renditions of what nobody has any more could not be removed");
                cleared = false;
            }
        }
        cleared
    }

    /// Has what these were cleared, now and once more later.
    pub(super) fn clear_lost(&self, lost: &[HashPrefix]) {
        let now = self.0.runtime.clock.monotonic();
        self.0.clearing.some(lost.iter().copied(), now);
        self.0.clearing.once_more(lost.iter().copied(), now + AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BlobHash;

    fn prefix(number: u32) -> HashPrefix {
        BlobHash::of(&number.to_be_bytes()).prefix()
    }

    #[test]
    fn what_is_due_is_taken_in_pieces_and_once() {
        let (clearing, second) = (Clearing::default(), Duration::from_secs(1));
        clearing.some((0..1_500).map(prefix), second);
        assert!(clearing.take_due(Duration::ZERO).is_empty());
        assert_eq!([clearing.take_due(second).len(), clearing.take_due(second).len(), clearing.take_due(second).len()], [1_000, 500, 0]);
        clearing.once_more([prefix(1)], 2 * second);
        clearing.some([prefix(1)], second);
        assert_eq!(clearing.take_due(second), [prefix(1)]);
        assert!(clearing.take_due(second).is_empty());
        assert_eq!(clearing.take_due(2 * second), [prefix(1)], "and once more");
        assert!(!clearing.take_all());
        clearing.some((0..=WAITING as u32).map(prefix), second);
        assert!(clearing.take_all() && clearing.take_due(second).is_empty(), "too many are all");
    }
}
