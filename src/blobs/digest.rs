//! The digests that are taken of every copy while it is received.

use super::sha256::RunningSha256;
use super::tree::{Tree, TreeHasher};
use crate::model::{BlobHash, Sha256};

/// Digests of a copy's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// BLAKE3: the blob's name.
    pub hash: BlobHash,
    /// SHA-256, for `Repr-Digest`.
    pub sha256: Sha256,
    /// CRC-32 (the one of ZIP and gzip), for resumable archives.
    pub crc32: u32,
    /// Length in bytes.
    pub size_bytes: u64,
}

impl Digests {
    /// The digests of bytes that are already in memory.
    pub fn of(bytes: &[u8]) -> Self {
        let mut running = RunningDigests::default();
        running.update(bytes);
        running.finish()
    }

    /// The digests of two copies at once, which costs less than of one after the other. For measuring: the store has it done where it has two.
    pub fn of_both(copies: [&[u8]; 2]) -> [Self; 2] {
        let mut running = [RunningDigests::default(), RunningDigests::default()];
        RunningDigests::update_both(running.each_mut(), copies);
        running.map(|running| running.finish())
    }
}

/// So much stays in the processor's cache from the first digest to the last.
const PIECE_BYTES: usize = 64 * 1024;

/// All digests, taken in one pass.
#[derive(Debug, Clone, Default)]
pub(super) struct RunningDigests {
    blake3: TreeHasher,
    sha256: RunningSha256,
    crc32: crc32fast::Hasher,
}

impl RunningDigests {
    /// Takes the next bytes: about a millisecond of CPU a megabyte, so not for async threads.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE_BYTES) {
            self.sha256.update(piece);
            self.update_others(piece);
        }
    }

    /// Takes the next bytes of two copies; for as long as there are some of each that takes less time than one after the other.
    pub(super) fn update_both([one, other]: [&mut Self; 2], bytes: [&[u8]; 2]) {
        let both = bytes[0].len().min(bytes[1].len());
        let ((its, its_rest), (others, others_rest)) = (bytes[0].split_at(both), bytes[1].split_at(both));
        for (its, others) in its.chunks(PIECE_BYTES).zip(others.chunks(PIECE_BYTES)) {
            RunningSha256::update_both([(&mut one.sha256, its), (&mut other.sha256, others)]);
            one.update_others(its);
            other.update_others(others);
        }
        one.update(its_rest);
        other.update(others_rest);
    }

    /// Comes after SHA-256, which is slow enough not to wait while the bytes come from memory.
    fn update_others(&mut self, piece: &[u8]) {
        self.blake3.update(piece);
        self.crc32.update(piece);
    }

    /// How many bytes were taken so far.
    pub(super) fn size_bytes(&self) -> u64 {
        self.blake3.size_bytes()
    }

    /// BLAKE3's tree of everything taken so far, where it has more than one group.
    pub(super) fn tree(&self) -> Option<Tree> {
        self.blake3.tree()
    }

    /// The digests of everything taken so far.
    pub(super) fn finish(&self) -> Digests {
        Digests {
            hash: self.blake3.finish(),
            sha256: Sha256::from_bytes(self.sha256.finish()),
            crc32: self.crc32.clone().finalize(),
            size_bytes: self.size_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let digests = Digests::of(b"123456789");
        assert_eq!(digests.crc32, 0xcbf4_3926, "the check value of CRC-32");
        assert_eq!(digests.sha256.to_string(), "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225");
        assert_eq!(digests.hash, BlobHash::of(b"123456789"));
        assert_eq!(digests.size_bytes, 9);
    }

    #[test]
    fn pieces_do_not_matter() {
        let bytes: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        let mut running = RunningDigests::default();
        bytes.chunks(777).for_each(|piece| running.update(piece));
        assert_eq!(running.finish(), Digests::of(&bytes));
    }

    #[test]
    fn two_at_once_are_each_as_if_alone() {
        let bytes = crate::blobs::contract::bytes(1, 500_000);
        for (one, other) in [(0, 0), (0, 1), (1000, 100_000), (131_072, 131_072), (300_001, 200_000)] {
            let copies = [&bytes[..one], &bytes[bytes.len() - other..]];
            assert_eq!(Digests::of_both(copies), copies.map(Digests::of), "{one} and {other}");
        }
    }
}
