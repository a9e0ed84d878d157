//! Memory for what is received: small uploads are held whole in it until they are published, larger ones gather their chunks in it.

use std::sync::{Arc, Mutex, PoisonError};

/// Direct I/O wants memory, offset and length at multiples of the device's block, which is this or a part of it.
pub(super) const ALIGNMENT_BYTES: usize = 4096;
/// The smallest buffer.
const SMALLEST_BYTES: usize = 64 << 10;
/// The largest copy that is held whole; above it memory would go to few.
pub(super) const LARGEST_BYTES: usize = 8 << 20;

/// Buffers of a few sizes that are used again, since a fresh one costs a page fault, and a page cleared, every 4 KiB. All together, lent
/// and spare, they have no more room than was agreed (beside a page each, for alignment).
#[derive(Debug)]
pub(super) struct Holds {
    limit_bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Room of all buffers, lent and spare.
    total_bytes: usize,
    /// In the order in which they came back.
    spare: Vec<Vec<u8>>,
}

/// Room that was taken.
struct Taken {
    /// A buffer that has it; else a new one has to be made.
    spare: Option<Vec<u8>>,
    /// Those that went for it.
    evicted: Vec<Vec<u8>>,
}

impl Holds {
    pub(super) fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self { limit_bytes, state: Mutex::default() })
    }

    /// Whether a copy of this many bytes may be held whole at all.
    pub(super) fn is_small(size_bytes: u64) -> bool {
        size_bytes <= LARGEST_BYTES as u64
    }

    /// An empty buffer for a copy of this many bytes; `None` where that is too many, or others have the memory.
    pub(super) fn whole(self: &Arc<Self>, size_bytes: u64) -> Option<Buffer> {
        let room = usize::try_from(size_bytes).ok().filter(|_| Self::is_small(size_bytes))?;
        self.lend(room.next_power_of_two().max(SMALLEST_BYTES))
    }

    /// An empty buffer of this size in any case: of its own, where others have the memory.
    pub(super) fn gather(self: &Arc<Self>, room: usize) -> Buffer {
        self.lend(room).unwrap_or_else(|| Buffer::new(Vec::with_capacity(room + ALIGNMENT_BYTES), room, None))
    }

    fn lend(self: &Arc<Self>, room: usize) -> Option<Buffer> {
        let Taken { spare, evicted } = self.state.lock().unwrap_or_else(PoisonError::into_inner).take(room, self.limit_bytes)?;
        // Not under the lock: what the system takes back, and gives, costs time.
        drop(evicted);
        let bytes = spare.unwrap_or_else(|| Vec::with_capacity(room + ALIGNMENT_BYTES));
        Some(Buffer::new(bytes, room, Some(self.clone())))
    }

    pub(super) fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Room that is lent out now, in bytes.
    pub(super) fn lent_bytes(&self) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.total_bytes - state.spare_bytes()
    }

    fn give_back(&self, bytes: Vec<u8>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).spare.push(bytes);
    }
}

impl State {
    /// Takes room, of a spare buffer that has exactly that, or in place of others. Nothing, and nothing is changed, where it would be too
    /// much.
    fn take(&mut self, room: usize, limit_bytes: usize) -> Option<Taken> {
        if let Some(at) = self.spare.iter().rposition(|spare| room_of(spare) == room) {
            return Some(Taken { spare: Some(self.spare.remove(at)), evicted: vec![] });
        }
        if self.total_bytes - self.spare_bytes() + room > limit_bytes {
            return None;
        }
        let mut evicted = vec![];
        while self.total_bytes + room > limit_bytes {
            // The one that was not used for longest.
            let oldest = self.spare.remove(0);
            self.total_bytes -= room_of(&oldest);
            evicted.push(oldest);
        }
        self.total_bytes += room;
        Some(Taken { spare: None, evicted })
    }

    fn spare_bytes(&self) -> usize {
        self.spare.iter().map(room_of).sum()
    }
}

fn room_of(spare: &Vec<u8>) -> usize {
    spare.capacity() - ALIGNMENT_BYTES
}

/// Bytes in memory that begin at a multiple of [`ALIGNMENT_BYTES`]. Goes back to its pool when it is dropped.
pub(super) struct Buffer {
    /// Padding, then the bytes.
    bytes: Vec<u8>,
    padding: usize,
    room: usize,
    home: Option<Arc<Holds>>,
}

impl Buffer {
    fn new(mut bytes: Vec<u8>, room: usize, home: Option<Arc<Holds>>) -> Self {
        let padding = bytes.as_ptr().align_offset(ALIGNMENT_BYTES);
        bytes.resize(padding, 0);
        Self { bytes, padding, room, home }
    }

    /// Appends `chunk`; `false`, and nothing is done, where there is no room for it.
    pub(super) fn push(&mut self, chunk: &[u8]) -> bool {
        let fits = self.as_ref().len() + chunk.len() <= self.room;
        if fits {
            self.bytes.extend_from_slice(chunk);
        }
        fits
    }

    pub(super) fn room(&self) -> usize {
        self.room
    }

    pub(super) fn clear(&mut self) {
        self.bytes.truncate(self.padding);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.as_ref().is_empty()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.padding..]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(holds: &Holds) -> (usize, usize) {
        let state = holds.state.lock().unwrap();
        (state.total_bytes, state.spare.len())
    }

    #[test]
    fn bytes_are_aligned_and_never_past_the_room() {
        let holds = Holds::new(64 << 20);
        for (size, room) in [(0, 64 << 10), (65_536, 64 << 10), (65_537, 128 << 10), (3_000_000, 4 << 20)] {
            let mut buffer = holds.whole(size).unwrap();
            let at = buffer.bytes.as_ptr();
            assert!(buffer.push(&vec![1; room - 3]) && buffer.push(&[2; 3]) && !buffer.push(&[3]) && buffer.push(&[]));
            assert_eq!(buffer.bytes.as_ptr(), at, "never moved");
            assert_eq!(buffer.as_ref().as_ptr().align_offset(ALIGNMENT_BYTES), 0);
            assert_eq!((buffer.as_ref().len(), buffer.as_ref()[room - 1]), (room, 2));
            buffer.clear();
            assert!(buffer.is_empty() && buffer.push(&[4]));
            assert_eq!(buffer.as_ref(), [4]);
        }
        assert!(holds.whole(LARGEST_BYTES as u64 + 1).is_none() && holds.whole(u64::MAX).is_none());
    }

    #[test]
    fn buffers_are_used_again_and_take_no_more_than_agreed() {
        const MIB: u64 = 1 << 20;
        let one = 1 << 20;
        let holds = Holds::new(3 * one);
        let mut lent: Vec<_> = (0..3).map(|_| holds.whole(MIB).unwrap()).collect();
        assert!(holds.whole(MIB).is_none() && holds.whole(1).is_none(), "all is lent");
        let own = holds.gather(1000);
        assert!(own.home.is_none(), "of its own");
        drop(own);
        let at = lent[2].bytes.as_ptr();
        lent.pop();
        assert_eq!(state(&holds), (3 * one, 1));
        lent.push(holds.whole(MIB).unwrap());
        assert_eq!(lent[2].bytes.as_ptr(), at, "the spare one");
        assert!(lent[2].is_empty());
        lent.clear();
        assert_eq!(state(&holds), (3 * one, 3));
        let other = holds.whole(2 * MIB).unwrap();
        assert_eq!(state(&holds).1, 1, "two made room for it");
        drop(other);
        assert!(holds.whole(4 * MIB).is_none(), "more than all");
        assert_eq!(state(&holds), (3 * one, 2), "nothing was freed for it");
        assert_eq!(holds.lent_bytes(), 0);
    }
}
