//! Where too much is wrong at once, it is not photos that went bad one by one: a disk dies, or somebody has made a mistake, and writing much makes it worse.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Over which time repairs are counted.
const WINDOW: Duration = Duration::from_secs(60 * 60);

/// So many repairs an hour.
#[derive(Debug)]
pub(super) struct Brake {
    most: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the monotonic clock; `None`: no hour is under way.
    begun: Option<Duration>,
    taken: u32,
}

impl Brake {
    pub(super) fn new(most: u32) -> Self {
        Self { most, state: Mutex::default() }
    }

    /// Takes one repair.
    ///
    /// # Errors
    /// How long it is until there is one again.
    pub(super) fn take(&self, now: Duration) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = state.begun.map(|begun| now.saturating_sub(begun)).filter(|elapsed| *elapsed < WINDOW);
        if elapsed.is_none() {
            *state = State { begun: Some(now), taken: 0 };
        }
        if state.taken >= self.most {
            return Err(WINDOW.saturating_sub(elapsed.unwrap_or_default()));
        }
        state.taken += 1;
        Ok(())
    }

    /// How long it is until there is a repair to be taken; nothing is taken.
    pub(super) fn left(&self, now: Duration) -> Option<Duration> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_sub(state.begun?);
        (state.taken >= self.most && elapsed < WINDOW).then(|| WINDOW.saturating_sub(elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_an_hour_and_no_more() {
        let brake = Brake::new(2);
        let at = Duration::from_secs;
        assert_eq!(brake.left(at(0)), None);
        assert_eq!((brake.take(at(100)), brake.take(at(200))), (Ok(()), Ok(())));
        assert_eq!(brake.take(at(300)), Err(at(3400)));
        assert_eq!(brake.left(at(3600)), Some(at(100)));
        assert_eq!(brake.left(at(3700)), None);
        assert_eq!(brake.take(at(3700)), Ok(()));
        assert_eq!(Brake::new(0).take(at(0)), Err(WINDOW));
    }
}
