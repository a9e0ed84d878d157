//! Clearing the caches of what nobody has any more, in its own time: what is not cleared yet is not shown either.

use std::collections::{BTreeSet, HashSet};
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
/// Pause after a site did not answer.
const PAUSE: Duration = Duration::from_secs(2);
/// Pause before a disk is looked at again that would not tell what lies there.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What is to be asked of.
#[derive(Debug, Default)]
pub(super) struct Clearing {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How often everything in the caches was to be, and up to which of these it was found out what that is.
    all: u64,
    found: u64,
    lost: BTreeSet<HashPrefix>,
}

impl Clearing {
    /// All that lies in the caches is to be asked of.
    pub(super) fn all(&self) {
        self.state().all += 1;
        self.news.notify_one();
    }

    /// These are.
    pub(super) fn some(&self, lost: impl IntoIterator<Item = HashPrefix>) {
        let mut state = self.state();
        state.lost.extend(lost);
        if state.lost.len() > WAITING {
            state.lost.clear();
            state.all += 1;
        }
        drop(state);
        self.news.notify_one();
    }

    /// Those that wait, at most as many as are asked of at once.
    fn take(&self) -> Vec<HashPrefix> {
        let mut state = self.state();
        (0..ASKED_AT_ONCE).map_while(|_| state.lost.pop_first()).collect()
    }

    /// Where everything is to be asked of, and was not found out since: which time that is.
    fn wanted(&self) -> Option<u64> {
        let state = self.state();
        (state.all > state.found).then_some(state.all)
    }

    fn found(&self, wanted: u64) {
        self.state().found = wanted;
    }

    /// Whether it is known of everything in the caches that it is to be asked of.
    #[cfg(test)]
    pub(super) fn has_found_all(&self) -> bool {
        let state = self.state();
        state.all > 0 && state.all == state.found
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Edge {
    /// Clears, until it is dropped.
    pub(super) async fn clear_on(&self, renditions: &RenditionService) {
        let clearing = &self.0.clearing;
        // What is still to be asked of where everything is: however many there are, they lie in no queue. And what the disk would not tell.
        let (mut everything, mut unread, mut look_at) = (vec![], None, Duration::ZERO);
        let now = || self.0.runtime.clock.monotonic();
        loop {
            let wanted = clearing.wanted();
            // What was begun before may be of anything, and lies nowhere yet. What the new session began since is rendered once more.
            if wanted.is_some()
                && let Err(error) = renditions.forget_begun().await
            {
                tracing::warn!(%error, "it is not known what comes to the cache on disk: it is cleared later");
                runtime::sleep(PAUSE).await;
                continue;
            }
            if wanted.is_some() || (unread.is_some() && look_at <= now()) {
                look_at = now() + LOOK_AGAIN;
                let found = renditions.cached_blobs(unread.take().filter(|_| wanted.is_none())).await;
                everything = if wanted.is_some() { found.blobs } else { [everything, found.blobs].concat() };
                unread = found.unread;
                if let Some(wanted) = wanted {
                    clearing.found(wanted);
                }
            }
            // What was lost comes first.
            let lost = clearing.take();
            if !lost.is_empty() {
                if !self.clear(renditions, &lost).await {
                    clearing.some(lost);
                    runtime::sleep(PAUSE).await;
                }
            } else if !everything.is_empty() {
                let next = everything.split_off(everything.len().saturating_sub(ASKED_AT_ONCE));
                if !self.clear(renditions, &next).await {
                    everything.extend(next);
                    runtime::sleep(PAUSE).await;
                }
            } else if unread.is_some() {
                let _ = runtime::timeout(LOOK_AGAIN, clearing.news.notified()).await;
            } else {
                clearing.news.notified().await;
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
        let mut kept = 0;
        // Only of what was asked: whatever else stands there is no answer.
        let asked: HashSet<_> = asked.iter().collect();
        for prefix in unowned.iter().copied().filter(|prefix| asked.contains(prefix)) {
            // Logged where it failed.
            kept += usize::from(renditions.forget_prefix(prefix).await.is_err());
        }
        if kept > 0 {
            tracing::warn!(blobs = kept, "renditions of what nobody has any more could not be removed");
        }
        kept == 0
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
    fn what_waits_is_taken_in_pieces_and_once() {
        let clearing = Clearing::default();
        clearing.some((0..1_500).map(prefix));
        clearing.some([prefix(1)]);
        assert_eq!([clearing.take().len(), clearing.take().len(), clearing.take().len()], [1_000, 500, 0]);
        assert_eq!(clearing.wanted(), None);
        clearing.some((0..=WAITING as u32).map(prefix));
        assert!(clearing.wanted().is_some() && clearing.take().is_empty(), "too many are all");
    }

    #[test]
    fn everything_is_found_out_again_where_that_was_asked_for_meanwhile() {
        let clearing = Clearing::default();
        clearing.all();
        let first = clearing.wanted().unwrap();
        clearing.all();
        clearing.found(first);
        let second = clearing.wanted().unwrap();
        assert!(!clearing.has_found_all());
        clearing.found(second);
        assert!(clearing.wanted().is_none() && clearing.has_found_all());
    }
}
