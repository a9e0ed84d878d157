//! The tree that BLAKE3 hashes a blob by, down to groups of one size: with it any group is checked alone, without the rest.
//!
//! BLAKE3 is the root of a binary tree over chunks of 1 KiB (the [paper], section 2.1). A group of 1 MiB, and the shorter last one, is a whole subtree
//! of it, so that the chaining values of all groups merge to the blob's hash. They are kept beside the blob ([`super::DerivedKind::Tree`]), and nothing
//! there is trusted: what does not merge to the hash is no tree of it, and to find others that do is to find a collision.
//!
//! [paper]: https://github.com/BLAKE3-team/BLAKE3-specs/blob/master/blake3.pdf

mod hasher;
#[cfg(test)]
mod tests;

use std::ops::Range;

use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};
use bytes::Bytes;

pub(super) use self::hasher::TreeHasher;
use crate::model::BlobHash;

/// Bytes of a group; the last one of a blob may have fewer. A power of two, of BLAKE3's chunks, so that each is a subtree.
pub const GROUP_BYTES: u64 = 1 << 20;
/// Blobs of more bytes have a tree kept. Of a smaller one a part costs hardly more by reading the whole.
pub const FROM_BYTES: u64 = 8 << 20;
/// What a kept tree begins with: this version's bytes. Another version's is as good as none.
pub const MAGIC: &[u8; 16] = b"halidom b3tree 1";
/// What stands before the chaining values: [`MAGIC`], the length of the blob and [`GROUP_BYTES`], eight bytes each, big-endian.
const HEAD_BYTES: usize = MAGIC.len() + 16;

/// Whether blobs of this length have a tree kept.
pub fn is_kept_of(size_bytes: u64) -> bool {
    size_bytes > FROM_BYTES
}

/// The bytes of all groups that this part touches, whatever the length of the blob.
pub(super) fn cover(part: &Range<u64>) -> Range<u64> {
    let end = part.end.checked_next_multiple_of(GROUP_BYTES).unwrap_or(u64::MAX);
    part.start / GROUP_BYTES * GROUP_BYTES..end
}

/// The tree of a blob that has more than one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    size_bytes: u64,
    /// At least two.
    groups: Vec<ChainingValue>,
}

impl Tree {
    /// Length of the blob in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// What it takes in memory, about, in bytes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + size_of_val(&self.groups[..])
    }

    /// The hash of the blob that has this tree.
    pub(super) fn root(&self) -> BlobHash {
        let (left, right) = self.groups.split_at(left_of(self.groups.len()));
        merge_subtrees_root(&merged(left), &merged(right), Mode::Hash).into()
    }

    /// As it is kept.
    pub(super) fn to_record(&self) -> Bytes {
        [MAGIC, &self.size_bytes.to_be_bytes()[..], &GROUP_BYTES.to_be_bytes(), self.groups.as_flattened()].concat().into()
    }

    /// The tree of this blob, from what is kept; `None` for whatever is torn, damaged, another blob's or another version's.
    pub(super) fn from_record(of: &BlobHash, size_bytes: u64, record: &[u8]) -> Option<Self> {
        let (head, groups) = record.split_at_checked(HEAD_BYTES)?;
        let expected = [MAGIC, &size_bytes.to_be_bytes()[..], &GROUP_BYTES.to_be_bytes()].concat();
        let (groups, rest) = groups.as_chunks();
        let has_all = rest.is_empty() && groups.len() as u64 == size_bytes.div_ceil(GROUP_BYTES);
        if head != expected || !has_all || groups.len() < 2 {
            return None;
        }
        let tree = Self { size_bytes, groups: groups.to_vec() };
        (tree.root() == *of).then_some(tree)
    }

    /// The bytes of the group that this byte is in; `None` past the end of the blob.
    pub(super) fn group_at(&self, offset: u64) -> Option<Range<u64>> {
        let group = cover(&(offset..offset.checked_add(1)?));
        (offset < self.size_bytes).then_some(group.start..group.end.min(self.size_bytes))
    }

    /// Whether what was hashed is the group of these bytes.
    pub(super) fn is_group(&self, group: &Range<u64>, hasher: &GroupHasher) -> bool {
        let expected = usize::try_from(group.start / GROUP_BYTES).ok().and_then(|index| self.groups.get(index));
        hasher.0.count() == group.end - group.start && expected == Some(&hasher.0.finalize_non_root())
    }
}

/// Hashes one group of a blob that has more.
#[derive(Debug)]
pub(super) struct GroupHasher(Box<blake3::Hasher>);

impl GroupHasher {
    /// Of the group that begins there.
    pub(super) fn new(start: u64) -> Self {
        let mut hasher = Box::<blake3::Hasher>::default();
        hasher.set_input_offset(start);
        Self(hasher)
    }

    /// Takes the next bytes: never more than the group has.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// How many of so many groups, at least two, are the left part of their tree: the largest power of two that leaves some for the right one.
fn left_of(groups: usize) -> usize {
    groups.next_power_of_two() / 2
}

/// The chaining value of the subtree over these groups, at least one.
fn merged(groups: &[ChainingValue]) -> ChainingValue {
    if let [one] = groups {
        return *one;
    }
    let (left, right) = groups.split_at(left_of(groups.len()));
    merge_subtrees_non_root(&merged(left), &merged(right), Mode::Hash)
}
