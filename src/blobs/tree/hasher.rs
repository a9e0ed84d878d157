//! Hashing a blob by its groups, which costs what hashing it costs: its hash and its tree come of one pass.

use blake3::hazmat::{ChainingValue, HasherExt as _};

use super::{GROUP_BYTES, Tree};
use crate::model::BlobHash;

/// Hashes a blob whose length need not be known.
#[derive(Debug, Clone, Default)]
pub(in crate::blobs) struct TreeHasher {
    /// Of all groups but the last.
    groups: Vec<ChainingValue>,
    /// Of the last, which may still grow.
    last: Box<blake3::Hasher>,
}

impl TreeHasher {
    /// Takes the next bytes.
    pub(in crate::blobs) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.last.count() == GROUP_BYTES {
                self.next_group();
            }
            let room = usize::try_from(GROUP_BYTES - self.last.count()).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.last.update(now);
            bytes = rest;
        }
    }

    /// Only once there is another byte: of a blob of one group the last is the root, which is hashed otherwise.
    fn next_group(&mut self) {
        self.groups.push(self.last.finalize_non_root());
        // A new one: `reset` of one with an offset leaves it there.
        *self.last = blake3::Hasher::new();
        self.last.set_input_offset(self.groups.len() as u64 * GROUP_BYTES);
    }

    /// How many bytes were taken.
    pub(in crate::blobs) fn size_bytes(&self) -> u64 {
        self.groups.len() as u64 * GROUP_BYTES + self.last.count()
    }

    /// The hash of everything taken.
    pub(in crate::blobs) fn finish(&self) -> BlobHash {
        self.tree().map_or_else(|| self.last.finalize().into(), |tree| tree.root())
    }

    /// Its tree, where there is more than one group.
    pub(in crate::blobs) fn tree(&self) -> Option<Tree> {
        if self.groups.is_empty() {
            return None;
        }
        let groups = [&self.groups[..], &[self.last.finalize_non_root()]].concat();
        Some(Tree { size_bytes: self.size_bytes(), groups })
    }
}
