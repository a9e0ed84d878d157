//! Large buffers that are used again: a fresh one costs a page fault, and a page cleared, every 4 KiB.

use std::sync::{Mutex, PoisonError};

/// Spare buffers of one size.
#[derive(Debug)]
pub(super) struct Buffers {
    size_bytes: usize,
    /// How many are kept at most; the rest are freed.
    keep: usize,
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    /// Keeps up to `keep` buffers of `size_bytes` once they were used.
    pub(super) fn new(size_bytes: usize, keep: usize) -> Self {
        Self { size_bytes, keep, spare: Mutex::default() }
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// A buffer with room for `size_bytes`, of any content and length.
    pub(super) fn take(&self) -> Vec<u8> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| Vec::with_capacity(self.size_bytes))
    }

    /// Takes back what [`Buffers::take`] gave; any other size is freed.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.capacity() == self.size_bytes && spare.len() < self.keep {
            spare.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spare(buffers: &Buffers) -> usize {
        buffers.spare.lock().unwrap().len()
    }

    #[test]
    fn no_more_are_kept_than_agreed() {
        let buffers = Buffers::new(100, 2);
        let taken: Vec<_> = (0..5).map(|_| buffers.take()).collect();
        taken.into_iter().for_each(|buffer| buffers.give_back(buffer));
        buffers.give_back(Vec::with_capacity(99));
        assert_eq!(spare(&buffers), 2);
    }
}
