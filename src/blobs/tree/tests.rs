//! Trees against BLAKE3 itself, and against everything that is none.

use proptest::prelude::*;

use super::*;
use crate::blobs::contract::bytes;

const GROUP: usize = GROUP_BYTES as usize;

fn hashed(content: &[u8], piece: usize) -> TreeHasher {
    let mut hasher = TreeHasher::default();
    content.chunks(piece).for_each(|piece| hasher.update(piece));
    hasher
}

fn tree(content: &[u8]) -> Tree {
    hashed(content, 128 << 10).tree().unwrap()
}

/// Lengths around the edges of chunks, groups and powers of two of them.
fn lengths() -> Vec<usize> {
    let edges = [0, 1024, 65_536, GROUP, 2 * GROUP, 3 * GROUP, 4 * GROUP, 5 * GROUP, 7 * GROUP, 8 * GROUP, 9 * GROUP];
    let around = edges.into_iter().flat_map(|edge: usize| [edge.saturating_sub(1), edge, edge + 1, edge + 1023, edge + 1024, edge + 1025]);
    around.collect()
}

#[test]
fn the_root_is_the_hash_at_every_edge() {
    let all = bytes(1, 10 * GROUP);
    for length in lengths() {
        let content = &all[..length];
        let hash = BlobHash::from(blake3::hash(content));
        for piece in [64 << 10, 100_003, 3 * GROUP + 1] {
            let hasher = hashed(content, piece);
            assert_eq!((hasher.finish(), hasher.size_bytes()), (hash, length as u64), "{length} in pieces of {piece}");
            let tree = hasher.tree();
            assert_eq!(tree.is_some(), length > GROUP, "{length}");
            if let Some(tree) = tree {
                assert_eq!((tree.root(), tree.size_bytes()), (hash, length as u64), "{length} in pieces of {piece}");
                assert_eq!(Tree::from_record(&hash, length as u64, &tree.to_record()), Some(tree));
            }
        }
    }
}

/// Of the official test vectors: bytes that count from 0 to 250 and begin anew (BLAKE3's `test_vectors.json`, the input of 102,400 bytes).
#[test]
fn the_official_vector_is_met() {
    let content: Vec<u8> = (0..102_400u32).map(|n| (n % 251) as u8).collect();
    let expected = "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085";
    assert_eq!(hashed(&content, 777).finish().to_string(), expected);
}

#[test]
fn a_part_is_covered_by_whole_groups() {
    assert_eq!(cover(&(0..1)), 0..GROUP_BYTES);
    assert_eq!(cover(&(0..GROUP_BYTES)), 0..GROUP_BYTES);
    assert_eq!(cover(&(GROUP_BYTES - 1..GROUP_BYTES + 1)), 0..2 * GROUP_BYTES);
    assert_eq!(cover(&(5..u64::MAX)), 0..u64::MAX);
    let tree = tree(&bytes(1, 2 * GROUP + 5));
    assert_eq!(tree.group_at(2 * GROUP_BYTES), Some(2 * GROUP_BYTES..2 * GROUP_BYTES + 5));
    assert_eq!((tree.group_at(2 * GROUP_BYTES + 5), tree.group_at(u64::MAX)), (None, None));
}

#[test]
fn only_its_own_record_is_a_tree() {
    let (content, other) = (bytes(1, 3 * GROUP + 7), bytes(2, 3 * GROUP + 7));
    let (hash, size) = (BlobHash::of(&content), content.len() as u64);
    let record = tree(&content).to_record();
    let is_tree = |record: &[u8]| Tree::from_record(&hash, size, record).is_some();
    assert!(is_tree(&record));
    assert_eq!((record.len(), &record[..16]), (32 + 4 * 32, &MAGIC[..]));
    for at in 0..record.len() {
        for bit in 0..8 {
            let mut damaged = record.to_vec();
            damaged[at] ^= 1 << bit;
            assert!(!is_tree(&damaged), "bit {bit} of byte {at}");
        }
        assert!(!is_tree(&record[..at]), "cut off at {at}");
    }
    assert!(!is_tree(&[&record[..], &[0; 32]].concat()) && !is_tree(&[&record[..], &[0]].concat()));
    assert!(!is_tree(&tree(&other).to_record()), "another blob's");
    assert!(Tree::from_record(&BlobHash::of(&other), size, &record).is_none());
    for wrong in [0, 1, size - 1, size + 1, size + GROUP_BYTES, u64::MAX] {
        assert!(Tree::from_record(&hash, wrong, &record).is_none(), "of {wrong} bytes");
    }
    // One that claims another number of groups merges to another root.
    let mut fewer = tree(&content);
    fewer.groups.truncate(3);
    fewer.size_bytes = 3 * GROUP_BYTES;
    assert!(Tree::from_record(&hash, fewer.size_bytes, &fewer.to_record()).is_none());
    assert!(Tree::from_record(&BlobHash::of(b""), 0, &[MAGIC, &[0; 8][..], &GROUP_BYTES.to_be_bytes()].concat()).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_group_is_itself_and_nothing_else(length in GROUP + 1..6 * GROUP, at in 0.0..1.0f64, flipped in 0.0..1.0f64, bit in 0..8u8) {
        let content = bytes(length as u64, length);
        let tree = tree(&content);
        let group = tree.group_at((at * length as f64) as u64).unwrap();
        let mut its = content[group.start as usize..group.end as usize].to_vec();
        let is_good = |start: u64, its: &[u8]| {
            let mut hasher = GroupHasher::new(start);
            its.chunks(100_000).for_each(|piece| hasher.update(piece));
            tree.is_group(&group, &hasher)
        };
        prop_assert!(is_good(group.start, &its));
        let last = its.len() - 1;
        if last > 0 {
            prop_assert!(!is_good(group.start, &its[..last]), "a byte short");
        }
        prop_assert!(!is_good(group.start ^ GROUP_BYTES, &its), "in another's place");
        let at = ((flipped * its.len() as f64) as usize).min(last);
        its[at] ^= 1 << bit;
        prop_assert!(!is_good(group.start, &its));
    }
}
