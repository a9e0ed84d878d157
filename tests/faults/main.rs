//! A site over stores that fail: uploads, reads, deletions, moves, imports and recompressing go on while calls give errors before or after their effect,
//! hang, tear copies, read too little or another bit, run out of space, and the process dies in their middle; and the metadata's disk fails, too. Beside it
//! stands a model: what was acknowledged. Once nothing fails any more, all of it reads back byte for byte, and nothing else is left.
//!
//! A schedule follows from its seed, which is printed where it fails: `HALIDOM_FAULTS_SEED` runs one again. 10,000 faults fire with
//! `HALIDOM_TEST_LONG=1` (`make test-long`), some hundreds without.

// A test may stop at what it did not expect.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod plan;
mod steps;
mod store;
mod world;

use std::collections::BTreeMap;
use std::io::Write as _;

use plan::Plan;
use world::World;

/// Parts of the campaign: they run beside one another.
const PARTS: u64 = 4;
/// Steps of a schedule.
const STEPS: u32 = 40;

/// Faults that have to fire in a part.
fn wanted() -> u64 {
    let all = if std::env::var_os("HALIDOM_TEST_LONG").is_some() { 10_000 } else { 600 };
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

fn run(seed: u64) -> BTreeMap<plan::Fault, u64> {
    let world = World::new(seed, tempfile::tempdir().unwrap());
    let plan = world.plan.clone();
    let _says = Says(seed, plan.clone());
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    threads.block_on(steps::schedule(seed, STEPS, world));
    plan.fired()
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
        for (fault, count) in run(seed) {
            *fired.entry(fault).or_default() += count;
        }
        if fired.values().sum::<u64>() >= wanted() {
            break;
        }
    }
    // Not one kind, over and over.
    assert_eq!(fired.len(), 10, "{fired:?}");
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

#[test]
fn a_seed_gives_the_same_faults_again() {
    assert_eq!(run(12_345), run(12_345));
}
