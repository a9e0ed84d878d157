//! Parts of large copies: right bytes or none, and no more read than covers them.

use std::sync::{LazyLock, Mutex};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::blobs::contract::key;
use crate::blobs::tree::{FROM_BYTES, GROUP_BYTES};
use crate::blobs::{DamageObserver, MemoryStore, Needs, Operation, PairStore, VerifySettings};
use crate::runtime::Clock;

/// Every group of it is another.
fn large(seed: u64, length: usize) -> Bytes {
    let mut content = crate::blobs::contract::bytes(seed, GROUP_BYTES as usize).repeat(length.div_ceil(GROUP_BYTES as usize));
    for (index, group) in content.chunks_mut(GROUP_BYTES as usize).enumerate() {
        group[..8].copy_from_slice(&(index as u64).to_be_bytes());
    }
    content.truncate(length);
    content.into()
}

fn checked<B: BlobStore>(store: B, trees: &MemoryStore) -> VerifyStore<B> {
    VerifyStore::new(store, Clock::manual(0), VerifySettings::default()).keeping_trees_in(Arc::new(trees.clone()))
}

/// Puts a copy there.
fn lay(store: &MemoryStore, content: &Bytes, nonce: u8) -> BlobKey {
    let key = key(content, nonce);
    store.put_raw(key, content.clone());
    key
}

fn remote() -> MemoryStore {
    let store = MemoryStore::new();
    store.come_in_passes();
    store
}

/// Reads the part as a download does: opened for it, in pieces, and what is no part's pass to its end before.
async fn part(store: &impl BlobStore, key: &BlobKey, part: Range<u64>) -> Result<Bytes, BlobError> {
    let read = store.open_part(key, part.clone()).await?;
    if part.end < read.size_bytes() && read.is_sequential() {
        read.read_at(read.size_bytes() - 1, 1).await?;
    }
    let (mut got, mut at) = (vec![], part.start);
    while at < part.end {
        let length = (part.end - at).min(100_000) as usize;
        got.push(read.read_at(at, length).await?);
        at += length as u64;
    }
    Ok(got.concat().into())
}

async fn kept(store: &MemoryStore, hash: &BlobHash) -> Option<Bytes> {
    store.get_derived(DerivedKind::Tree, hash).await.unwrap()
}

#[tokio::test]
async fn a_part_reads_no_more_than_the_groups_that_cover_it() {
    let (store, content) = (remote(), large(1, 100 << 20));
    let key = lay(&store, &content, 1);
    let read_for = async |verify: &VerifyStore<MemoryStore>, range: Range<u64>| {
        let before = store.read_bytes();
        let got = part(verify, &key, range.clone()).await.unwrap();
        assert_eq!(got, content[range.start as usize..range.end as usize], "{range:?}");
        store.read_bytes() - before
    };
    let verify = checked(store.clone(), &store);
    assert_eq!(read_for(&verify, 50_000_000..50_001_000).await, (100 << 20) + GROUP_BYTES, "there is no tree yet");
    assert_eq!(read_for(&verify, 60_000_000..60_000_001).await, GROUP_BYTES);
    assert_eq!(kept(&store, &key.hash).await.unwrap().len(), 32 + 32 * 100);
    // Another process has to have it from the store.
    let verify = checked(store.clone(), &store);
    let mebibyte = 1 << 20;
    for (range, most) in [
        (70_000_000..70_000_000 + mebibyte, 2 * GROUP_BYTES),
        (5 * mebibyte..6 * mebibyte, GROUP_BYTES),
        (0..1, GROUP_BYTES),
        ((100 << 20) - 1..100 << 20, GROUP_BYTES),
        (mebibyte - 1..mebibyte + 1, 2 * GROUP_BYTES),
        (90 * mebibyte..100 * mebibyte, 10 * GROUP_BYTES),
    ] {
        assert_eq!(read_for(&verify, range.clone()).await, most, "{range:?}");
    }
}

#[tokio::test]
async fn only_large_copies_that_come_in_passes_have_a_tree() {
    for (length, is_remote, has_tree) in [(FROM_BYTES, true, false), (FROM_BYTES + 1, true, true), (FROM_BYTES + 1, false, false)] {
        let store = if is_remote { remote() } else { MemoryStore::new() };
        let content = large(1, length as usize);
        let key = lay(&store, &content, 1);
        assert_eq!(part(&checked(store.clone(), &store), &key, 5..10).await.unwrap(), content[5..10]);
        assert_eq!(kept(&store, &key.hash).await.is_some(), has_tree, "{length}");
    }
}

#[tokio::test]
async fn a_part_that_reaches_the_end_is_one_pass_where_there_is_no_tree() {
    let (store, content) = (remote(), large(1, 9 << 20));
    let key = lay(&store, &content, 1);
    let verify = checked(store.clone(), &store);
    assert_eq!(part(&verify, &key, 1_000_000..9 << 20).await.unwrap(), content[1_000_000..]);
    assert_eq!(store.read_bytes(), 9 << 20);
}

#[tokio::test]
async fn those_who_ask_at_once_wait_for_one_who_reads_all() {
    let (store, content) = (remote(), large(1, 9 << 20));
    let key = lay(&store, &content, 1);
    let verify = checked(store.clone(), &store);
    let asked = (0..8_u64).map(|n| part(&verify, &key, n << 20..(n << 20) + 10));
    for (n, got) in futures_util::future::join_all(asked).await.into_iter().enumerate() {
        assert_eq!(got.unwrap(), content[n << 20..(n << 20) + 10]);
    }
    assert_eq!(store.read_bytes(), (9 << 20) + 8 * GROUP_BYTES);
}

#[tokio::test]
async fn a_store_of_trees_that_fails_costs_a_pass_and_no_more() {
    let (store, trees, content) = (remote(), MemoryStore::new(), large(1, 9 << 20));
    let key = lay(&store, &content, 1);
    for operation in [Operation::Write, Operation::Read] {
        trees.faults().fail_always(operation, BlobError::Away);
        assert_eq!(part(&checked(store.clone(), &trees), &key, 3..100).await.unwrap(), content[3..100]);
    }
    trees.faults().clear();
    assert!(kept(&trees, &key.hash).await.is_none());
}

#[tokio::test]
async fn a_tree_does_not_outlive_its_copy() {
    let (store, content) = (remote(), large(1, 9 << 20));
    let key = lay(&store, &content, 1);
    let verify = checked(store.clone(), &store);
    let read = store.open(&key).await.unwrap();
    // Deleted while it is read, tree and all.
    verify.delete(&key).await.unwrap();
    verify.forget_tree(&key.hash).await.unwrap();
    verify.make_tree(&key, &*read, verify.trees.as_ref().unwrap()).await.unwrap();
    assert!(kept(&store, &key.hash).await.is_none());
    // Kept before it is deleted.
    let key = lay(&store, &content, 2);
    part(&verify, &key, 0..1).await.unwrap();
    assert!(kept(&store, &key.hash).await.is_some());
    verify.delete(&key).await.unwrap();
    verify.forget_tree(&key.hash).await.unwrap();
    assert!(kept(&store, &key.hash).await.is_none());
    assert!(matches!(part(&verify, &key, 0..1).await, Err(BlobError::NotFound)));
}

#[derive(Debug, Default)]
struct Told(Mutex<Vec<BlobKey>>);

impl DamageObserver for Told {
    fn is_bad(&self, key: &BlobKey, _error: &BlobError) {
        self.0.lock().unwrap().push(*key);
    }
}

/// Whatever was given out had been found good: so a part is read on from the other store, also half way.
#[tokio::test]
async fn a_group_that_is_bad_is_read_from_elsewhere_and_told() {
    let content = large(1, 9 << 20);
    for has_tree in [true, false] {
        for second_is_good in [true, false] {
            let (first, second, told) = (remote(), remote(), Arc::<Told>::default());
            let pair = PairStore::new(Arc::new(first.clone()), Arc::new(second.clone()), Needs::Both, Arc::default());
            let store = checked(pair, &first).reporting_to(told.clone());
            let key = lay(&first, &content, 1);
            second.put_raw(key, content.clone());
            if has_tree {
                part(&store, &key, 0..1).await.unwrap();
            }
            // Group 4 has the byte in the middle.
            assert!(first.corrupt(&key) && (second_is_good || second.corrupt(&key)));
            let range = 3 << 20..5 << 20;
            let got = part(&store, &key, range.clone()).await;
            if second_is_good {
                assert_eq!(got.unwrap(), content[3 << 20..5 << 20], "{has_tree}");
            } else {
                assert!(got.unwrap_err().is_damage(), "{has_tree}");
            }
            assert_eq!(told.0.lock().unwrap()[..1], [key]);
            if has_tree {
                assert_eq!(part(&store, &key, 0..4 << 20).await.unwrap(), content[..4 << 20], "what is good is served");
            }
        }
    }
}

/// A copy on a disk goes bad while a part of it is read; what the other store gives in passes is gone through to its end before.
#[tokio::test]
async fn a_part_is_not_read_on_from_a_pass_that_was_not_checked() {
    let content = large(1, 1 << 20);
    let (first, second) = (MemoryStore::new(), remote());
    let pair = PairStore::new(Arc::new(first.clone()), Arc::new(second.clone()), Needs::Both, Arc::default());
    let store = checked(pair, &first);
    let key = lay(&first, &content, 1);
    second.put_raw(key, content.clone());
    for second_is_good in [true, false] {
        let read = store.open_part(&key, 0..500_000).await.unwrap();
        assert_eq!(read.read_at(0, 1000).await.unwrap(), content[..1000]);
        if !second_is_good {
            assert!(second.corrupt(&key));
        }
        first.faults().fail(Operation::Read, 0, BlobError::Damaged { key, damage: Damage::NotAFile });
        let rest = read.read_at(1000, 1000).await;
        assert_eq!(rest.ok(), second_is_good.then(|| content.slice(1000..2000)));
    }
}

static CONTENT: LazyLock<Bytes> = LazyLock::new(|| large(7, 12 << 20));

/// What became of the tree that was kept.
#[derive(Debug, Clone)]
enum Harm {
    None,
    Gone,
    Flipped(f64, u8),
    CutOff(f64),
    Anothers,
    /// One that says it is of the copy's length, whatever that is by now.
    OfTheCopy,
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        3 => Just(Harm::None),
        1 => Just(Harm::Gone),
        2 => (0.0..1.0f64, 0..8u8).prop_map(|(at, bit)| Harm::Flipped(at, bit)),
        1 => (0.0..1.0f64).prop_map(Harm::CutOff),
        1 => Just(Harm::Anothers),
        1 => Just(Harm::OfTheCopy),
    ]
}

fn tree_of(content: &[u8]) -> Tree {
    let mut hasher = TreeHasher::default();
    hasher.update(content);
    hasher.tree().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn wrong_bytes_are_never_given_out(
        over in 1..=4_u64 << 20,
        from in 0.0..1.0f64,
        length in prop_oneof![Just(1_u64), 1..3_000_000_u64, Just(GROUP_BYTES)],
        on_edge in any::<bool>(),
        flipped in proptest::option::of((0.0..1.0f64, 0..8u8)),
        cut_off in prop_oneof![3 => Just(0_u64), 1 => 1..2_000_000_u64],
        harm in harm(),
    ) {
        let size = FROM_BYTES + over;
        let content = CONTENT.slice(..size as usize);
        let start = ((from * size as f64) as u64).min(size - 1);
        let start = if on_edge { start / GROUP_BYTES * GROUP_BYTES } else { start };
        let range = start..size.min(start + length);
        let key = key(&content, 1);
        let mut copy = content.to_vec();
        let flipped = flipped.map(|(at, bit)| (((at * size as f64) as usize).min(copy.len() - 1), bit));
        if let Some((at, bit)) = flipped {
            copy[at] ^= 1 << bit;
        }
        copy.truncate((size - cut_off) as usize);
        let is_whole = flipped.is_none() && cut_off == 0;
        let (store, copy_bytes) = (remote(), copy.len() as u64);
        store.put_raw(key, copy.into());
        let record = tree_of(&content).to_record();
        let at = |at: f64| (at * record.len() as f64) as usize;
        let is_tree = matches!(harm, Harm::None);
        let record = match harm {
            Harm::None => Some(record),
            Harm::Gone => None,
            Harm::Flipped(place, bit) => {
                let mut record = record.to_vec();
                record[at(place)] ^= 1 << bit;
                Some(record.into())
            }
            Harm::CutOff(place) => Some(record.slice(..at(place))),
            Harm::Anothers => Some(tree_of(&large(8, size as usize)).to_record()),
            Harm::OfTheCopy => {
                let mut record = record.to_vec();
                record[16..24].copy_from_slice(&copy_bytes.to_be_bytes());
                record.truncate(32 + 32 * copy_bytes.div_ceil(GROUP_BYTES) as usize);
                Some(record.into())
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let got = runtime.block_on(async {
            if let Some(record) = record {
                store.put_derived(DerivedKind::Tree, &key.hash, record).await.unwrap();
            }
            part(&checked(store.clone(), &store), &key, range.clone()).await
        });
        match got {
            Ok(got) => prop_assert_eq!(&got, &content[range.start as usize..range.end as usize]),
            // Read past the end of a copy that was cut off: whoever asks knows the blob's length, and that it is not the copy's.
            Err(BlobError::Internal { .. }) => prop_assert!(range.end > copy_bytes),
            Err(error) => prop_assert!(error.is_damage() && !is_whole, "{error}"),
        }
        if is_whole && is_tree {
            prop_assert!(store.read_bytes() <= tree::cover(&range).end.min(size) - tree::cover(&range).start);
        }
    }
}
