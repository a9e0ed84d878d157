//! Of which blobs the renditions were removed lately: what was begun before must not come back.

use std::collections::VecDeque;

use crate::model::HashPrefix;

/// Forgettings that are told apart: of what was begun before these nothing is kept.
const REMEMBERED: usize = 4_096;

/// The last forgettings.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    count: u64,
    /// The newest last.
    blobs: VecDeque<HashPrefix>,
}

impl Forgotten {
    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn add(&mut self, blob: HashPrefix) {
        if self.blobs.len() == REMEMBERED {
            self.blobs.pop_front();
        }
        self.blobs.push_back(blob);
        self.count += 1;
    }

    /// Whether this blob was forgotten since there had been so many forgettings; also where that is not known any more.
    pub(super) fn is_since(&self, count: u64, blob: HashPrefix) -> bool {
        let since = usize::try_from(self.count.saturating_sub(count)).unwrap_or(usize::MAX);
        since > self.blobs.len() || self.blobs.iter().rev().take(since).any(|forgotten| *forgotten == blob)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BlobHash;

    #[test]
    fn one_forgetting_is_of_one_blob_until_there_are_too_many() {
        let blob = |nth: usize| BlobHash::of(&nth.to_be_bytes()).prefix();
        let mut forgotten = Forgotten::default();
        forgotten.add(blob(1));
        let begun = forgotten.count();
        assert!(!forgotten.is_since(begun, blob(1)), "before it began");
        forgotten.add(blob(2));
        assert!(forgotten.is_since(begun, blob(2)) && !forgotten.is_since(begun, blob(3)));
        for nth in 0..REMEMBERED - 1 {
            forgotten.add(blob(10 + nth));
        }
        assert!(forgotten.is_since(begun, blob(2)) && !forgotten.is_since(begun, blob(3)));
        forgotten.add(blob(4));
        assert!(forgotten.is_since(begun, blob(3)), "nobody knows");
        assert!(!forgotten.is_since(forgotten.count(), blob(3)));
    }
}
