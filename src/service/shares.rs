//! A share of what all have together: so many pieces of work at once for each user, or each photo, and no more.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many pieces of work each has under way. Holds only those who have some, so it is bounded by what all have together.
#[derive(Debug, Clone)]
pub(super) struct Shares<K: Eq + Hash> {
    limit: usize,
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

/// One piece of somebody's share, for as long as it lives.
#[derive(Debug)]
pub(super) struct Share<K: Eq + Hash> {
    whose: K,
    shares: Shares<K>,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// At most `limit` (at least one) for each.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), taken: Arc::default() }
    }

    /// How many each may have.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes one of this one's; `None` where all are taken.
    pub(super) fn take(&self, whose: K) -> Option<Share<K>> {
        let mut taken = self.taken();
        let count = taken.entry(whose.clone()).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Share { whose, shares: self.clone() })
    }

    /// Takes one of this one's, also where all are taken: while there is more than all need. It counts as any other.
    pub(super) fn take_more(&self, whose: K) -> Share<K> {
        *self.taken().entry(whose.clone()).or_default() += 1;
        Share { whose, shares: self.clone() }
    }
}

impl<K: Eq + Hash> Shares<K> {
    fn taken(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        match taken.get_mut(&self.whose) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.whose)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_and_nothing_is_kept_of_those_who_have_none() {
        let shares = Shares::new(2);
        let (first, second) = (shares.take("one").unwrap(), shares.take("one").unwrap());
        assert!(shares.take("one").is_none());
        let others = shares.take("other").unwrap();
        drop(first);
        let third = shares.take("one").unwrap();
        assert!(shares.take("one").is_none());
        // While there is enough for all.
        let fourth = shares.take_more("one");
        drop(second);
        assert!(shares.take("one").is_none(), "it counts");
        drop((third, fourth, others));
        assert!(shares.taken().is_empty());
    }
}
