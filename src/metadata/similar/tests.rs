//! The search against a comparison with every photo, over rows as photos make them.

use proptest::prelude::*;

use super::*;
use crate::metadata::engine::{Batch, Engine};
use crate::metadata::memory::MemoryEngine;
use crate::model::{TenantId, UserId};

fn owner(n: u8) -> Owner {
    Owner { tenant: TenantId::DEFAULT, user: UserId::from_bytes([n; 16]) }
}

fn photo(n: usize) -> PhotoId {
    PhotoId::from_uuid(uuid::Uuid::from_u128(n as u128))
}

fn store(photos: impl Iterator<Item = (Owner, PerceptualHash, PhotoId)>) -> MemoryEngine {
    let engine = MemoryEngine::new();
    let mut batch = Batch::default();
    for (owner, hash, photo) in photos {
        rows(owner, hash, photo).for_each(|row| batch.put(Similar::ID, row.to_key(), vec![]));
    }
    engine.write(batch, true).unwrap();
    engine
}

fn sought(hash: PerceptualHash, distance: u32, room: usize) -> Sought {
    Sought { owner: owner(1), hash, except: photo(usize::MAX), distance, after: None, room }
}

/// Hashes within some bits of a few centres, as bursts are; and strangers.
fn hashes() -> impl Strategy<Value = Vec<PerceptualHash>> {
    let near = (0..3_usize, proptest::collection::vec(0..64_u32, 0..16)).prop_map(|(centre, bits)| {
        let centre = [0, 0xffff_0000_1234_5678, 0x0f0f_3333_5555_00ff_u64][centre];
        PerceptualHash(bits.into_iter().fold(centre, |hash, bit| hash ^ 1 << bit))
    });
    proptest::collection::vec(prop_oneof![5 => near, 1 => any::<u64>().prop_map(PerceptualHash)], 1..80)
}

proptest! {
    #[test]
    fn the_index_finds_what_a_comparison_with_all_finds(
        hashes in hashes(), distance in 0..=MAX_DISTANCE, room in 1..12_usize, from in any::<prop::sample::Index>(), is_after: bool,
    ) {
        // Another owner has the same photos, and one more bit of each.
        let mine = hashes.iter().enumerate().map(|(at, hash)| (owner(1), *hash, photo(at)));
        let others = hashes.iter().enumerate().map(|(at, hash)| (owner(2), PerceptualHash(hash.0 ^ 1), photo(1000 + at)));
        let engine = store(mine.chain(others));
        let hash = hashes[from.index(hashes.len())];
        let mut expected: Vec<_> = hashes
            .iter()
            .enumerate()
            .map(|(at, other)| SimilarPosition { distance: hash.distance(*other), photo: photo(at) })
            .filter(|at| at.distance <= distance && at.photo != photo(from.index(hashes.len())))
            .collect();
        expected.sort_unstable();
        let after = if is_after { expected.get(expected.len() / 2).copied() } else { None };
        expected.retain(|at| after.is_none_or(|after| *at > after));
        expected.truncate(room);

        let sought = Sought { except: photo(from.index(hashes.len())), after, ..sought(hash, distance, room) };
        let mut search = Search::new(&engine, sought);
        prop_assert_eq!(search.nearest_first(), Ok(distance));
        prop_assert_eq!(search.found.into_iter().collect::<Vec<_>>(), expected.clone());
        let mut search = Search::new(&engine, sought);
        prop_assert_eq!(search.all(), Ok(true));
        prop_assert_eq!(search.found.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_search_that_is_cut_claims_no_more_than_it_found(hashes in hashes(), rows_left in 0..200_usize) {
        let engine = store(hashes.iter().enumerate().map(|(at, hash)| (owner(1), *hash, photo(at))));
        let hash = hashes[0];
        let mut search = Search { rows_left, ..Search::new(&engine, sought(hash, MAX_DISTANCE, 1000)) };
        let complete = search.nearest_first().unwrap();
        prop_assert!(complete <= MAX_DISTANCE);
        for (at, other) in hashes.iter().enumerate() {
            let position = SimilarPosition { distance: hash.distance(*other), photo: photo(at) };
            prop_assert!(position.distance > complete || search.found.contains(&position), "{position:?} within {complete}");
        }
    }
}

#[test]
fn very_many_photos_of_one_scene_cost_a_page_and_are_paged_through() {
    const COPIES: usize = MAX_ROWS + 1_000;
    let hash = PerceptualHash(0xff00_ff00_ff00_ff00);
    let near = PerceptualHash(hash.0 ^ 3);
    let copies = (0..COPIES).map(|at| (owner(1), hash, photo(at)));
    let engine = store(copies.chain([(owner(1), near, photo(COPIES))]));
    let mut search = Search::new(&engine, sought(hash, MAX_DISTANCE, 101));
    assert_eq!(search.nearest_first(), Ok(MAX_DISTANCE), "a page of what is nearest is whole");
    assert_eq!((search.found.len(), search.rows_left), (101, MAX_ROWS));

    let last = SimilarPosition { distance: 0, photo: photo(COPIES - 1) };
    let mut search = Search::new(&engine, Sought { after: Some(last), ..sought(hash, MAX_DISTANCE, 101) });
    assert_eq!(search.nearest_first(), Ok(0), "what is further away is among too many");
    assert_eq!(search.rows_left, 0);

    // Another photo, that has nothing in common with these, is not slowed down.
    let mut search = Search::new(&engine, sought(PerceptualHash(!hash.0), MAX_DISTANCE, 101));
    assert_eq!(search.nearest_first(), Ok(MAX_DISTANCE));
    assert_eq!(search.rows_left, MAX_ROWS);
}
