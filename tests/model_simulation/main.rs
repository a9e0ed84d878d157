//! A seeded simulation of two and three sites that all take writes, over replicas in memory: concurrent edits, lost and repeated
//! entries, cut logs, reconciliations that are interrupted, disks that are rolled back together with their clocks, erasures, restores
//! and reads of the past. What clients were told is kept outside all sites, and held against what is left at rest.
//!
//! More seeds: `HALIDOM_SIMULATION_SEEDS=100000 cargo test --test model_simulation`, from another one on:
//! `HALIDOM_SIMULATION_FIRST=…`. A failure names its seed.

#![allow(clippy::print_stderr)] // Seeds and counts are printed, for who repeats a run.

mod actions;
mod checks;
mod exchange;
mod world;

use world::{Stats, World};

/// Read when the test is compiled: the environment is not read anywhere else either.
fn setting(value: Option<&str>, default: u64) -> u64 {
    value.map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn sites_agree_at_rest_and_keep_what_clients_were_told() {
    let first = setting(option_env!("HALIDOM_SIMULATION_FIRST"), 0);
    let seeds = setting(option_env!("HALIDOM_SIMULATION_SEEDS"), 300);
    let mut stats = Stats::default();
    let mut failures = vec![];
    for seed in first..first + seeds {
        let mut world = World::new(seed);
        if let Err(what) = world.run() {
            failures.push(format!("seed {seed}: {what}"));
        }
        stats.add(&world.stats);
    }
    eprintln!("seeds {first} to {}: {stats:?}", first + seeds - 1);
    assert!(failures.is_empty(), "{} of {seeds} seeds fail:\n{}", failures.len(), failures.join("\n"));
    if seeds >= 100 {
        stats.assert_everything_happened();
    }
}
