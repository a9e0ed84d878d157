//! What edges remember and have to forget, in the order in which it was committed.
//!
//! The feed lies in memory. It begins anew with every start of the server, and its oldest part goes where it grows too long: whoever asks for
//! what is no longer there is told so, and forgets everything.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::metadata::{ChangeObserver, Changes};
use crate::model::{BlobHash, TenantId};
use crate::runtime::{self, Random};

/// Events that are kept: a minute of a thousand deletions a second.
const KEPT: usize = 65_536;

/// Something to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedEvent {
    /// A user of the tenant has lost this blob: the tenant may not have it any more.
    Lost {
        /// Of which tenant.
        tenant: TenantId,
        /// Which blob.
        hash: BlobHash,
    },
    /// Tenants, their keys or settings have changed.
    Tenants,
}

/// A place in a feed: which feed, and how many events lie before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedCursor {
    /// Drawn when the feed began.
    pub life: u64,
    /// Events before.
    pub at: u64,
}

/// A part of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// Where to go on.
    pub next: FeedCursor,
    /// What has happened, in order.
    pub events: Vec<FeedEvent>,
    /// Whether something happened that is not told any more: nothing of before holds.
    pub missed: bool,
}

/// The feed of a site.
#[derive(Debug)]
pub struct Feed {
    life: u64,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Events that are not kept any more.
    gone: u64,
    kept: VecDeque<FeedEvent>,
}

impl Feed {
    /// An empty one.
    pub fn new(random: &Random) -> Self {
        Self { life: u64::from_be_bytes(random.bytes()), state: Mutex::default(), news: Notify::new() }
    }

    /// What has happened since `cursor`, at most `limit` events of it; where nothing has, waits for it, but no longer than `wait`. Without a
    /// cursor, or with another feed's, it says where the feed stands, and that everything before was missed.
    pub async fn after(&self, cursor: Option<FeedCursor>, limit: usize, wait: Duration) -> FeedPage {
        let waiting = async {
            loop {
                // Before the look: what comes after it wakes.
                let news = self.news.notified();
                let page = self.page(cursor, limit);
                if page.missed || !page.events.is_empty() {
                    return page;
                }
                news.await;
            }
        };
        match runtime::timeout(wait, waiting).await {
            Some(page) => page,
            None => self.page(cursor, limit),
        }
    }

    fn page(&self, cursor: Option<FeedCursor>, limit: usize) -> FeedPage {
        let state = self.state();
        let end = state.gone + state.kept.len() as u64;
        let at = cursor.filter(|cursor| cursor.life == self.life && (state.gone..=end).contains(&cursor.at));
        let Some(at) = at.map(|cursor| cursor.at) else {
            return FeedPage { next: FeedCursor { life: self.life, at: end }, events: vec![], missed: true };
        };
        let skipped = usize::try_from(at - state.gone).unwrap_or(usize::MAX);
        let events: Vec<_> = state.kept.iter().skip(skipped).take(limit).copied().collect();
        FeedPage { next: FeedCursor { life: self.life, at: at + events.len() as u64 }, events, missed: false }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChangeObserver for Feed {
    fn changed(&self, changes: Changes) {
        let mut state = self.state();
        let tenants = changes.tenants.then_some(FeedEvent::Tenants);
        let lost = changes.ended.into_iter().map(|(tenant, hash)| FeedEvent::Lost { tenant, hash });
        for event in tenants.into_iter().chain(lost) {
            if state.kept.len() == KEPT {
                state.kept.pop_front();
                state.gone += 1;
            }
            state.kept.push_back(event);
        }
        drop(state);
        self.news.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::poll;

    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    fn lost(number: u64) -> Changes {
        Changes { ended: vec![(TenantId::DEFAULT, BlobHash::of(&number.to_be_bytes()))], tenants: false }
    }

    fn event(number: u64) -> FeedEvent {
        FeedEvent::Lost { tenant: TenantId::DEFAULT, hash: BlobHash::of(&number.to_be_bytes()) }
    }

    #[tokio::test]
    async fn everything_is_told_once_and_in_order() {
        let feed = Feed::new(&Random::seeded(1));
        let joined = feed.after(None, 10, LONG).await;
        assert!(joined.missed && joined.events.is_empty());
        (0..5).for_each(|number| feed.changed(lost(number)));
        let first = feed.after(Some(joined.next), 3, LONG).await;
        assert_eq!((first.events, first.missed), ((0..3).map(event).collect(), false));
        let second = feed.after(Some(first.next), 3, LONG).await;
        assert_eq!(second.events, (3..5).map(event).collect::<Vec<_>>());
        let none = feed.after(Some(second.next), 3, Duration::ZERO).await;
        assert_eq!((none.next, none.events.len(), none.missed), (second.next, 0, false));
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let feed = Arc::new(Feed::new(&Random::seeded(2)));
        let at = feed.after(None, 1, LONG).await.next;
        let mut waiting = Box::pin(feed.after(Some(at), 10, LONG));
        assert!(poll!(&mut waiting).is_pending());
        feed.changed(Changes { ended: vec![], tenants: true });
        assert_eq!(waiting.await.events, [FeedEvent::Tenants]);
    }

    #[tokio::test]
    async fn what_is_not_kept_was_missed() {
        let feed = Feed::new(&Random::seeded(3));
        let at = feed.after(None, 1, LONG).await.next;
        (0..KEPT as u64).for_each(|number| feed.changed(lost(number)));
        assert!(!feed.after(Some(at), 1, LONG).await.missed, "as much as is kept");
        feed.changed(lost(0));
        let page = feed.after(Some(at), 1, LONG).await;
        assert!(page.missed && page.events.is_empty());
        assert_eq!(page.next.at, KEPT as u64 + 1);
        // Another life's, and one that this feed never gave out.
        let other = Feed::new(&Random::seeded(4));
        assert!(other.after(Some(at), 1, LONG).await.missed);
        let ahead = FeedCursor { at: page.next.at + 1, ..page.next };
        assert!(feed.after(Some(ahead), 1, LONG).await.missed);
    }
}
