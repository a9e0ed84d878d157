//! Laws of the join, on random rows and random histories: any order, any repetition, the same state; derived rows are what a
//! recomputation gives. Cases follow from a fixed seed, which a failure shows with the smallest case; more cases, or others:
//! `HALIDOM_PROPERTY_CASES=10000 HALIDOM_PROPERTY_SEED=7 cargo test --test model_properties`.

#![allow(clippy::print_stderr)] // Seeds are printed, for who repeats a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use halidom::model::album::{self, AlbumEdit, NewAlbum};
use halidom::model::entry::Entry;
use halidom::model::erasure::Erasure;
use halidom::model::photo::{self, NewPhoto, PhotoEdit};
use halidom::model::replica::{Replica, State};
use halidom::model::row::{Births, Delta, Field, Live, Register, Row};
use halidom::model::set_hash::{RowHash, SetHash, SetKey};
use halidom::model::vector::Arrival;
use halidom::model::{AlbumId, BlobHash, Hlc, Origin, Owner, PhotoId, RowKey, Seq, Sha256, Stamp, TenantId, UserId, WallMs};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

/// Read when the test is compiled.
fn setting(value: Option<&str>, default: u64) -> u64 {
    value.map_or(default, |text| text.parse().expect("a number"))
}

fn config() -> Config {
    let seed = setting(option_env!("HALIDOM_PROPERTY_SEED"), 20_261_124);
    let cases = setting(option_env!("HALIDOM_PROPERTY_CASES"), 200) as u32;
    eprintln!("{cases} cases from seed {seed}");
    Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() }
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (0..3u64, 0..3u8, 1..3u64).prop_map(|(hlc, origin, seq)| Stamp { hlc: Hlc(hlc), origin: Origin([origin; 16]), seq: Seq(seq) })
}

fn register() -> impl Strategy<Value = Register> {
    (stamp(), prop::collection::vec(any::<u8>(), 0..3)).prop_map(|(stamp, value)| Register { stamp, value })
}

fn row() -> impl Strategy<Value = Row> {
    let fixed = prop::option::of(prop::collection::btree_map(0..4u16, prop::collection::vec(any::<u8>(), 0..4), 0..3));
    let registers = prop::collection::btree_map(0..3u16, register(), 0..3);
    let live =
        (fixed, prop::option::of(register()), prop::option::of(stamp()), registers).prop_map(|(fixed, place, removed, registers)| {
            let fixed =
                fixed.map(|fixed: BTreeMap<u16, Vec<u8>>| fixed.into_iter().map(|(field, value)| (Field(field), value.into())).collect());
            Row::Live(Live {
                fixed,
                place,
                removed,
                registers: registers.into_iter().map(|(field, value)| (Field(field), value)).collect(),
            })
        });
    prop_oneof![1 => Just(Row::Dead), 6 => live]
}

fn joined<'a>(deltas: impl IntoIterator<Item = &'a (Stamp, Row)>) -> Births {
    let mut births = Births::default();
    deltas.into_iter().for_each(|(birth, row)| births.join(*birth, row, false));
    births
}

/// One thing that happens at one of the sites: where, what, to which, how.
type Event = (usize, u8, u8, u8);

fn history() -> impl Strategy<Value = (usize, Vec<Event>)> {
    (2..4usize).prop_flat_map(|sites| (Just(sites), prop::collection::vec((0..sites, 0..12u8, any::<u8>(), any::<u8>()), 1..60)))
}

fn owner(which: u8) -> Owner {
    Owner { tenant: TenantId::DEFAULT, user: UserId::from_bytes([1 + which % 2; 16]) }
}

fn new_photo(bytes: u8) -> NewPhoto {
    NewPhoto {
        hash: BlobHash::of(&[bytes]),
        size_bytes: 10 + u64::from(bytes),
        format: "png".to_owned(),
        width: 1,
        height: 1,
        orientation: 1,
        sha256: Sha256::from_bytes([bytes; 32]),
        crc32: 0,
        taken_at: None,
        camera_make: None,
        camera_model: None,
        lens: None,
        gps: None,
        placeholder: None,
        perceptual_hash: None,
    }
}

/// What a client at a site makes of an event; nothing where there is nothing to do it to.
fn deltas(state: &State, at: Stamp, (_, what, which, how): Event) -> Vec<Delta> {
    let key = RowKey::photo(owner(which), PhotoId::from_bytes([which % 3; 16]));
    let album_key = RowKey::album(owner(which), AlbumId::from_bytes([0x80 + how % 2; 16]));
    let (births, album_births) = (state.births(&key), state.births(&album_key));
    let album_id = AlbumId::from_uuid(album_key.id);
    let shown = photo::view(&key, &births).into_iter().next();
    let trashed = photo::view_trashed(&key, &births).into_iter().next();
    match what {
        0..=2 if births.live().next().is_none() => {
            vec![new_photo(how % 3).create(key.owner, PhotoId::from_uuid(key.id), at, album_id, &format!("{how}"), None)]
        }
        3 => shown.map_or(vec![], |photo| photo.edit(at, &PhotoEdit { name: None, caption: Some(format!("{how}")) })),
        4 => shown.map_or(vec![], |photo| photo.move_to(at, album_id)),
        5 => shown.map_or(vec![], |photo| photo.trash()),
        6 => trashed.map_or(vec![], |photo| photo.purge()),
        7 => trashed.map_or(vec![], |photo| photo::put_back(key, at, &photo.hash, &births, &births, None)),
        8 if album_births.live().next().is_none() => {
            vec![NewAlbum { name: format!("{how}"), ..NewAlbum::default() }.create(album_key.owner, album_id, at)]
        }
        9 => match album::view(&album_key, &album_births) {
            Some(album) if how % 4 == 0 => album.trash(),
            Some(album) => album.edit(at, &AlbumEdit { name: Some(format!("{how}")), description: None }),
            None => album::view_trashed(&album_key, &album_births).map_or(vec![], |album| album.purge()),
        },
        _ => vec![],
    }
}

/// Plays a history: sites write, and now and then take what the others have. Answers the sites and all entries.
fn play(sites: usize, events: &[Event]) -> (Vec<Replica>, Vec<Arc<Entry>>) {
    let mut replicas: Vec<Replica> = (0..sites).map(|site| Replica::new(SetKey([3; 32]), Origin([0x40 + site as u8; 16]))).collect();
    let mut entries: Vec<Arc<Entry>> = vec![];
    for (time, event) in events.iter().enumerate() {
        let (site, what, which, how) = *event;
        let replica = &mut replicas[site];
        if what >= 10 {
            // In the order of commits; of one of the others only, where `how` says so.
            let from = |entry: &&Arc<Entry>| how % 2 == 0 || entry.origin.0[0] == 0x40 + which % sites as u8;
            entries.iter().filter(from).for_each(|entry| {
                replica.receive(entry);
            });
            continue;
        }
        // Clocks differ, so that times and orders do, too.
        let at = replica.next_stamp(WallMs(100 + time as u64 / 3 + site as u64));
        let deltas = deltas(replica.state(), at, *event);
        let erasures = if what == 2 && how < 8 { vec![Erasure::Owner(owner(which))] } else { vec![] };
        if !deltas.is_empty() || !erasures.is_empty() {
            entries.push(replica.commit(at, deltas, erasures));
        }
    }
    (replicas, entries)
}

/// Offers entries to a replica in an order that follows from `dice`, some of them again and again, until it has them all.
fn deliver(replica: &mut Replica, entries: &[Arc<Entry>], mut dice: u64) -> Result<(), TestCaseError> {
    let mut under_way: Vec<&Arc<Entry>> = entries.iter().filter(|entry| entry.origin != replica.origin()).collect();
    while !under_way.is_empty() {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let which = (dice >> 33) as usize % under_way.len();
        match replica.receive(under_way[which]) {
            Arrival::Next | Arrival::Known if (dice >> 20) & 3 != 0 => drop(under_way.swap_remove(which)),
            Arrival::Next | Arrival::Known | Arrival::Gap => {}
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        }
        prop_assert_eq!(&replica.state().recomputed(), replica.state().tables());
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn births_join_in_any_order_any_number_of_times(
        deltas in prop::collection::vec((stamp(), row()), 0..12).prop_flat_map(|deltas| {
            let twice = [deltas.clone(), deltas.clone()].concat();
            (Just(deltas), Just(twice).prop_shuffle())
        }),
        covered in prop::collection::btree_set(stamp(), 0..6),
    ) {
        let (mut forth, mut shuffled) = (joined(&deltas.0), joined(&deltas.1));
        prop_assert_eq!(&forth, &shuffled);
        // Replicas that joined apart and then joined each other.
        let (left, right) = deltas.0.split_at(deltas.0.len() / 2);
        let both: Vec<(Stamp, Row)> = [joined(right), joined(left)].iter().flat_map(|births| births.iter().map(|(b, r)| (*b, r.clone())).collect::<Vec<_>>()).collect();
        prop_assert_eq!(&forth, &joined(&both));
        forth.sweep(|birth| covered.contains(birth));
        shuffled.sweep(|birth| covered.contains(birth));
        prop_assert_eq!(&forth, &shuffled);
        // What is covered and absent is deleted, for good: nothing brings it back.
        let swept = forth.clone();
        for (birth, row) in deltas.0.iter().filter(|(birth, _)| covered.contains(birth)) {
            if !swept.iter().any(|(own, _)| own == birth) {
                forth.join(*birth, row, true);
            }
        }
        prop_assert_eq!(&forth, &swept);
    }

    #[test]
    fn births_are_read_as_written(deltas in prop::collection::vec((stamp(), row()), 0..12)) {
        let births = joined(&deltas);
        prop_assert_eq!(Births::decode(&births.encode()), Ok(births));
    }

    #[test]
    fn reading_anything_is_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let versioned = [&[1], bytes.as_slice()].concat();
        let _ = (Births::decode(&bytes), Entry::decode(&bytes), Births::decode(&versioned), Entry::decode(&versioned));
    }

    #[test]
    fn any_order_any_repetition_the_same_state((sites, events) in history(), dice: [u64; 2]) {
        let (mut replicas, entries) = play(sites, &events);
        let mut fresh: Vec<Replica> = dice.iter().map(|dice| Replica::new(SetKey([3; 32]), Origin([*dice as u8 & 0x3f; 16]))).collect();
        for (replica, dice) in fresh.iter_mut().zip(dice) {
            deliver(replica, &entries, dice)?;
        }
        for replica in &mut replicas {
            deliver(replica, &entries, dice[0] ^ dice[1])?;
        }
        let first = fresh[0].state();
        prop_assert!(first.stubs().is_empty(), "every birth is covered");
        for replica in replicas.iter().chain(&fresh[1..]) {
            prop_assert_eq!(replica.state().rows(), first.rows());
            prop_assert_eq!(replica.state().tables(), first.tables());
            prop_assert_eq!(replica.state().vector(), first.vector());
            prop_assert_eq!(replica.state().ledger(), first.ledger());
        }
    }

    #[test]
    fn a_reconciliation_gives_what_the_log_would((sites, events) in history(), dice: u64) {
        let (mut replicas, entries) = play(sites, &events);
        let mut whole = Replica::new(SetKey([3; 32]), Origin([1; 16]));
        deliver(&mut whole, &entries, dice)?;
        for replica in &mut replicas {
            replica.start_reconciliation(whole.offer());
            while replica.step_reconciliation() {
                prop_assert_eq!(&replica.state().recomputed(), replica.state().tables());
            }
            prop_assert_eq!(replica.state().rows(), whole.state().rows());
            prop_assert_eq!(replica.state().tables(), whole.state().tables());
            prop_assert_eq!(replica.state().vector(), whole.state().vector());
            let again = replica.last_commit();
            replica.start_reconciliation(whole.offer());
            while replica.step_reconciliation() {}
            prop_assert_eq!(replica.last_commit(), again + 1, "equal sites have nothing to take over but the vector");
        }
    }

    #[test]
    fn every_past_can_be_replayed((sites, events) in history(), dice: u64) {
        let (_, entries) = play(sites, &events);
        let mut replica = Replica::new(SetKey([3; 32]), Origin([1; 16]));
        let empty = replica.state().clone();
        let (mut under_way, mut pasts) = (entries.clone(), vec![]);
        let middle = under_way.split_off(dice as usize % (under_way.len() + 1));
        for part in [under_way, middle] {
            part.iter().for_each(|entry| {
                replica.receive(entry);
            });
            pasts.push((replica.last_commit(), replica.state().clone()));
        }
        for (commit, then) in &pasts {
            let past = replica.past(&empty, 0, *commit).expect("its own journal");
            let not_erased = |state: &State| -> BTreeMap<RowKey, Births> {
                state.rows().iter().filter(|(key, _)| !replica.state().ledger().covers(key)).map(|(key, births)| (*key, births.clone())).collect()
            };
            prop_assert_eq!(past.rows(), &not_erased(then));
            prop_assert_eq!(past.vector(), then.vector());
        }
    }

    #[test]
    fn sums_take_rows_in_and_out_in_any_order(
        rows in prop::collection::vec(any::<[u8; 32]>(), 0..20).prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        let mut sum = SetHash::default();
        rows.0.iter().for_each(|row| sum.add(&RowHash(*row)));
        prop_assert_eq!(SetHash::from_bytes(&sum.to_bytes()), Some(sum));
        rows.1.iter().for_each(|row| sum.subtract(&RowHash(*row)));
        prop_assert!(sum.is_empty());
    }
}
