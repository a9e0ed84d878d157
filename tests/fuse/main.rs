//! The disk store over a file system of our own that fails: calls give errors before or after their effect, syncs fail once and lie from then on, space
//! runs out at a write or at a close, reads are short or give another bit, and the power is cut, which takes away what was not synced.
//!
//! A schedule follows from its seed, which is printed where it fails; `HALIDOM_FUSE_SEED` runs one again. Hundreds with `HALIDOM_TEST_LONG=1`
//! (`make test-long`), some tens without. It needs `/dev/fuse` and a user who may mount (`fuse`).

// A test may stop at what it did not expect.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../harness/needs.rs"]
mod needs;

mod disk;
mod mount;
mod schedule;
mod wire;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::PoisonError;

use disk::{Lie, Log};
use schedule::run;

/// Says where it failed.
struct Says(u64, Log);

impl Drop for Says {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.1.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(std::io::stderr(), "seed {}: HALIDOM_FUSE_SEED={} runs it again\n{}", self.0, self.0, log.join("\n"));
        }
    }
}

fn schedule(seed: u64, lie: Option<Lie>) -> Vec<disk::Fault> {
    let log = Log::default();
    let _says = Says(seed, log.clone());
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    threads.block_on(run(seed, lie, &log))
}

/// The proof sees what it is there to see.
#[test]
fn a_disk_that_lies_is_caught() {
    if let Err(why) = mount::is_possible() {
        return needs::missing("fuse", "the disk store over a disk that lies", &why);
    }
    for lie in [Lie::Files, Lie::Directories] {
        let is_caught = |seed| std::panic::catch_unwind(|| schedule(seed, Some(lie))).is_err();
        assert!((0..20).any(is_caught), "{lie:?} may go unsynced, and nobody notices");
    }
}

#[test]
fn what_was_acknowledged_outlasts_faults_and_power_cuts() {
    if let Err(why) = mount::is_possible() {
        return needs::missing("fuse", "the disk store over a file system that fails", &why);
    }
    let seeds = match std::env::var("HALIDOM_FUSE_SEED") {
        Ok(seed) => seed.parse().map(|seed| seed..seed + 1).unwrap(),
        Err(_) if std::env::var_os("HALIDOM_TEST_LONG").is_some() => 0..600,
        Err(_) => 0..40,
    };
    let is_one = seeds.clone().count() == 1;
    let mut fired = BTreeMap::new();
    for seed in seeds {
        for fault in schedule(seed, None) {
            *fired.entry(format!("{fault:?}")).or_insert(0_u64) += 1;
        }
    }
    let _ = writeln!(std::io::stderr(), "fuse: fired: {fired:?}");
    assert!(is_one || fired.len() == disk::Fault::ALL.len(), "{fired:?}");
}
