//! A user's share of what all users have together: so many pieces of work at once, and no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::Owner;

use super::ServiceError;

/// How many uploads each user has under way. Holds only users who have some, so it is bounded by what all have together.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    limit: usize,
    taken: Arc<Mutex<HashMap<Owner, usize>>>,
}

/// One upload of its user's share, for as long as it lives.
#[derive(Debug)]
pub(super) struct Share {
    owner: Owner,
    shares: Shares,
}

impl Shares {
    /// At most `limit` (at least one) a user.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), taken: Arc::default() }
    }

    /// Takes one of this user's.
    ///
    /// # Errors
    /// `TooManyUploads` where all are taken.
    pub(super) fn take(&self, owner: Owner) -> Result<Share, ServiceError> {
        let mut taken = self.taken();
        let count = taken.entry(owner).or_default();
        if *count >= self.limit {
            return Err(ServiceError::TooManyUploads { limit: self.limit });
        }
        *count += 1;
        Ok(Share { owner, shares: self.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Owner, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        match taken.get_mut(&self.owner) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.owner)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{TenantId, UserId};

    #[test]
    fn each_user_has_one_and_nothing_is_kept_of_those_who_have_none() {
        let shares = Shares::new(2);
        let [one, other] = [1, 2].map(|user| Owner { tenant: TenantId::DEFAULT, user: UserId::from_bytes([user; 16]) });
        let (first, second) = (shares.take(one).unwrap(), shares.take(one).unwrap());
        assert_eq!(shares.take(one).unwrap_err(), ServiceError::TooManyUploads { limit: 2 });
        let others = shares.take(other).unwrap();
        drop(first);
        let third = shares.take(one).unwrap();
        assert!(shares.take(one).is_err());
        drop((second, third, others));
        assert!(shares.taken().is_empty());
    }
}
