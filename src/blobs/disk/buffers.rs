//! Large buffers that are used again: a fresh one costs a page fault, and a page cleared, every 4 KiB.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

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
    pub(super) fn new(size_bytes: usize, keep: usize) -> Arc<Self> {
        Arc::new(Self { size_bytes, keep, spare: Mutex::default() })
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

    /// `length` bytes, filled by `fill`, in a buffer that comes back here when the last clone of them goes. Longer ones than
    /// `size_bytes` get one of their own.
    pub(super) fn filled<E>(self: &Arc<Self>, length: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Bytes, E> {
        if length > self.size_bytes {
            let mut bytes = vec![0; length];
            fill(&mut bytes)?;
            return Ok(bytes.into());
        }
        let mut lent = Lent { bytes: self.take(), length, home: self.clone() };
        if lent.bytes.len() < length {
            lent.bytes.resize(length, 0);
        }
        fill(&mut lent.bytes[..length])?;
        Ok(Bytes::from_owner(lent))
    }

    /// These bytes, in a buffer that comes back here when the last clone of them goes.
    pub(super) fn lent(self: &Arc<Self>, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { length: bytes.len(), bytes, home: self.clone() })
    }
}

/// A buffer that is away.
struct Lent {
    bytes: Vec<u8>,
    length: usize,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spare(buffers: &Buffers) -> usize {
        buffers.spare.lock().unwrap().len()
    }

    #[test]
    fn a_buffer_comes_back_with_the_last_clone_and_is_filled_anew() {
        let buffers = Buffers::new(100, 2);
        let fill = |value: u8| {
            move |into: &mut [u8]| -> Result<(), ()> {
                into.fill(value);
                Ok(())
            }
        };
        let first = buffers.filled(100, fill(1)).unwrap();
        let part = first.slice(10..20);
        drop(first);
        assert_eq!(spare(&buffers), 0, "a part of it is still held");
        assert_eq!(part, vec![1; 10]);
        drop(part);
        assert_eq!(spare(&buffers), 1);
        assert_eq!(buffers.filled(7, fill(2)).unwrap(), vec![2; 7]);
        assert!(buffers.filled(5, |_| Err(())).is_err());
        assert_eq!(spare(&buffers), 1, "also after a failure");
        assert_eq!(buffers.filled(101, fill(3)).unwrap(), vec![3; 101], "larger than all");
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
