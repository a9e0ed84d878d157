//! What was taken back lately, so that nothing that was begun before brings it back: renditions of a blob that is removed, answers that are
//! revoked.

use std::collections::VecDeque;

/// Forgettings that are told apart: of what was begun before these nothing holds.
const REMEMBERED: usize = 4_096;

/// The last forgettings, each of one `T`. Whoever begins something takes the [count](Forgotten::count) first, and asks in the end whether what it
/// was begun of was forgotten since. Memory is bounded, and what is not known any more is taken for forgotten.
#[derive(Debug)]
pub struct Forgotten<T> {
    count: u64,
    /// The newest last.
    last: VecDeque<T>,
}

impl<T> Default for Forgotten<T> {
    fn default() -> Self {
        Self { count: 0, last: VecDeque::new() }
    }
}

impl<T> Forgotten<T> {
    /// How many forgettings there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// One more.
    pub fn add(&mut self, forgotten: T) {
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(forgotten);
        self.count += 1;
    }

    /// One of everything: nothing holds that was begun before.
    pub fn add_all(&mut self) {
        self.last.clear();
        self.count += 1;
    }

    /// Whether there was a forgetting that `is_it` is true of since there had been so many; also where that is not known any more.
    pub fn is_since(&self, count: u64, is_it: impl Fn(&T) -> bool) -> bool {
        let since = usize::try_from(self.count.saturating_sub(count)).unwrap_or(usize::MAX);
        since > self.last.len() || self.last.iter().rev().take(since).any(is_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_forgetting_is_of_one_thing_until_there_are_too_many() {
        let mut forgotten = Forgotten::default();
        let is_since = |forgotten: &Forgotten<usize>, count, thing| forgotten.is_since(count, |one| *one == thing);
        forgotten.add(1);
        let begun = forgotten.count();
        assert!(!is_since(&forgotten, begun, 1), "before it began");
        forgotten.add(2);
        assert!(is_since(&forgotten, begun, 2) && !is_since(&forgotten, begun, 3));
        (10..10 + REMEMBERED - 1).for_each(|thing| forgotten.add(thing));
        assert!(is_since(&forgotten, begun, 2) && !is_since(&forgotten, begun, 3));
        forgotten.add(4);
        assert!(is_since(&forgotten, begun, 3), "nobody knows");
        assert!(!is_since(&forgotten, forgotten.count(), 3));
        assert_eq!(forgotten.last.len(), REMEMBERED);
    }

    #[test]
    fn one_of_everything_is_of_what_was_begun_before() {
        let mut forgotten = Forgotten::default();
        let first = forgotten.count();
        forgotten.add(1);
        let second = forgotten.count();
        forgotten.add_all();
        let third = forgotten.count();
        forgotten.add(2);
        for (count, thing, is_since) in [(first, 3, true), (second, 3, true), (third, 3, false), (third, 1, false), (third, 2, true)] {
            assert_eq!(forgotten.is_since(count, |one| *one == thing), is_since, "{thing} since {count}");
        }
    }
}
