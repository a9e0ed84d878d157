//! A site over stores that fail: uploads, reads, deletions, moves, imports and recompressing go on while calls give errors before or after their effect,
//! hang, tear copies, read too little or another bit, run out of space, and the process dies in their middle; and the metadata's disk fails, too. Beside it
//! stands a model: what was acknowledged. Once nothing fails any more, all of it reads back byte for byte, and nothing else is left.
//!
//! A schedule follows from its seed, which is printed where it fails: `HALIDOM_FAULTS_SEED` runs one again (a few times
//! where it has moves, which copy four at a time). 10,000 faults fire with
//! `HALIDOM_TEST_LONG=1` (`make test-long`), some hundreds without.

// A test may stop at what it did not expect.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod plan;
mod steps;
mod store;
mod world;

use std::collections::BTreeMap;
use std::io::Write as _;

use halidom::blobs::BlobStore as _;
use plan::Plan;
use world::World;

/// Parts of the campaign: they run beside one another.
const PARTS: u64 = 4;
/// Steps of a schedule.
const STEPS: u32 = 40;

/// Faults that have to fire in a part.
fn wanted() -> u64 {
    let all = if std::env::var_os("HALIDOM_TEST_LONG").is_some() { 10_000 } else { 400 };
    all / PARTS
}

/// Says where it failed.
struct Says(u64, Plan);

impl Drop for Says {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "seed {}: HALIDOM_FAULTS_SEED={} runs it again\n{}", self.0, self.0, self.1.log());
        }
    }
}

fn run(seed: u64) -> Plan {
    run_in(seed, World::new(seed, tempfile::tempdir().unwrap()))
}

fn run_in(seed: u64, world: World) -> Plan {
    let plan = world.plan.clone();
    let _says = Says(seed, plan.clone());
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    threads.block_on(steps::schedule(seed, STEPS, world));
    plan
}

fn part(part: u64) {
    if let Some(seed) = std::env::var_os("HALIDOM_FAULTS_SEED") {
        if part == 0 {
            run(seed.to_str().unwrap().parse().unwrap());
        }
        return;
    }
    let mut fired = BTreeMap::new();
    for seed in (part..).step_by(PARTS as usize) {
        for (fault, count) in run(seed).fired() {
            *fired.entry(fault).or_default() += count;
        }
        if fired.values().sum::<u64>() >= wanted() {
            break;
        }
    }
    assert!(fired.len() >= plan::KINDS - 3, "{fired:?}");
    let _ = writeln!(std::io::stderr(), "faults: part {part}: {} fired: {fired:?}", fired.values().sum::<u64>());
}

#[test]
fn nothing_acknowledged_is_lost() {
    part(0);
}

#[test]
fn nothing_acknowledged_is_lost_in_a_second_part() {
    part(1);
}

#[test]
fn nothing_acknowledged_is_lost_in_a_third_part() {
    part(2);
}

#[test]
fn nothing_acknowledged_is_lost_in_a_fourth_part() {
    part(3);
}

/// The proof sees what it is there to see.
#[test]
fn what_is_lost_or_changed_or_left_is_caught() {
    let lost: fn(&World) = |world| {
        world.stores[0].keys().iter().for_each(|key| {
            world.stores[0].lose(key);
        })
    };
    let changed: fn(&World) = |world| {
        world.stores[0].keys().iter().for_each(|key| {
            world.stores[0].corrupt(key);
        })
    };
    let left: fn(&World) = |world| {
        let staged = futures_util::FutureExt::now_or_never(world.stores[0].stage(None)).unwrap().unwrap();
        std::mem::forget(staged);
    };
    for breaks in [lost, changed, left] {
        let world = World { breaks: Some(breaks), ..World::new(4, tempfile::tempdir().unwrap()) };
        let proven = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(run_in(4, world))));
        assert!(proven.is_err());
    }
}

/// Up to the first move: of what that copies, four at a time, threads decide which meets the next fault.
#[test]
fn a_seed_gives_the_same_faults_again() {
    let log = || run(12_345).log().split("a move").next().unwrap_or_default().to_owned();
    let (first, second) = (log(), log());
    if let Some((at, (one, other))) = first.lines().zip(second.lines()).enumerate().find(|(_, (one, other))| one != other) {
        panic!("line {at}: {one:?}, then {other:?}\n{first}");
    }
    assert_eq!(first, second);
}
