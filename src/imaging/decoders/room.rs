//! Memory that photos may take decoded, together: who finds too little waits, in turn.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Processes for each of which a photo as large as may be has room at once; most are far smaller.
const THREADS_OF_ONE: usize = 4;

/// Room for decoded photos, of one kind of decoders. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    whole: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: u64,
    /// Who came, and whose turn it is: numbers that count up.
    came: u64,
    turn: u64,
}

/// A part of the room, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    room: Room,
    bytes: u64,
}

impl Room {
    /// For so many threads, of which a photo takes at most `largest` bytes: as much as a quarter of them need, one at least.
    pub(super) fn of(threads: usize, largest: u64) -> Self {
        Self::new(largest.saturating_mul(threads.div_ceil(THREADS_OF_ONE).max(1) as u64))
    }

    fn new(whole: u64) -> Self {
        Self(Arc::new(Inner { whole, state: Mutex::default(), changed: Condvar::new() }))
    }

    /// Takes so many bytes, or all where it is more. Waits on this thread until they are free and all who came before have theirs: a large
    /// photo is not passed by small ones for ever.
    pub(super) fn take(&self, bytes: u64) -> Held {
        let Inner { whole, state, changed } = &*self.0;
        let bytes = bytes.min(*whole);
        let mut now = locked(state);
        let number = now.came;
        now.came += 1;
        while now.turn != number || now.taken > whole - bytes {
            now = changed.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        now.turn += 1;
        now.taken += bytes;
        drop(now);
        changed.notify_all();
        Held { room: self.clone(), bytes }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        locked(&self.room.0.state).taken -= self.bytes;
        self.room.0.changed.notify_all();
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::runtime::spawn_thread;

    #[test]
    fn a_quarter_of_the_threads_may_have_the_largest() {
        for (threads, largest) in [(0, 1), (1, 1), (4, 1), (5, 2), (16, 4)] {
            assert_eq!(Room::of(threads, 10).0.whole, 10 * largest, "{threads}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn no_more_than_the_whole_is_taken_and_all_have_their_turn(sizes in prop::collection::vec(0..300_u64, 1..24)) {
            let (room, taken) = (Room::new(200), Arc::new(AtomicU64::new(0)));
            let threads: Vec<_> = sizes
                .iter()
                .map(|bytes| {
                    let (room, taken, bytes) = (room.clone(), taken.clone(), *bytes);
                    spawn_thread("room", move || {
                        let held = room.take(bytes);
                        let now = taken.fetch_add(held.bytes, Ordering::SeqCst) + held.bytes;
                        std::thread::yield_now();
                        taken.fetch_sub(held.bytes, Ordering::SeqCst);
                        now
                    })
                    .unwrap()
                })
                .collect();
            for thread in threads {
                prop_assert!(thread.join().unwrap() <= 200);
            }
            prop_assert_eq!(locked(&room.0.state).taken, 0);
        }
    }
}
