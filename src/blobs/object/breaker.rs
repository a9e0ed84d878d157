//! Whether the service is asked at all: one that has failed several times in a row is left alone until it answers again.

use std::sync::{Mutex, PoisonError};

/// Failures in a row after which it counts as away.
const MAX_FAILURES: u32 = 3;

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    is_away: bool,
}

/// What a call's end means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// As before.
    Same,
    /// It counts as away from now on: somebody has to look when it is back.
    Away,
    /// It is back.
    Back,
}

impl Breaker {
    pub(super) fn is_away(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_away
    }

    /// A call has ended; `answered`: the service has said something, be it that there is no such object.
    pub(super) fn note(&self, answered: bool) -> Turn {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answered {
            state.failures = 0;
            return if std::mem::take(&mut state.is_away) { Turn::Back } else { Turn::Same };
        }
        state.failures = state.failures.saturating_add(1);
        let turns = state.failures >= MAX_FAILURES && !state.is_away;
        state.is_away |= turns;
        if turns { Turn::Away } else { Turn::Same }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_some_failures_in_a_row_and_one_answer() {
        let breaker = Breaker::default();
        for _ in 0..3 {
            assert_eq!([false, false, true].map(|answered| breaker.note(answered)), [Turn::Same; 3]);
            assert!(!breaker.is_away());
        }
        assert_eq!([false; 5].map(|answered| breaker.note(answered)), [Turn::Same, Turn::Same, Turn::Away, Turn::Same, Turn::Same]);
        assert!(breaker.is_away());
        assert_eq!([true, true].map(|answered| breaker.note(answered)), [Turn::Back, Turn::Same]);
        assert!(!breaker.is_away());
    }
}
