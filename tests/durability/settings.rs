//! Settings of a run, from the environment; the seed; and draws from it.

use std::io::Write as _;

use halidom::config::environment;
use halidom::runtime::Random;

/// A number from the environment.
///
/// # Panics
/// Where it is set to something else.
pub fn number(name: &str) -> Option<u64> {
    let value = environment().get(name)?.to_str().expect("a number in UTF-8").to_owned();
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number")))
}

/// Whether the tests that take long were asked for.
pub fn long() -> bool {
    environment().get("HALIDOM_TEST_LONG").is_some()
}

/// The seed of this run: the variable's, or a fresh one. It is said, so that a failure can be run again.
pub fn seed(variable: &str) -> u64 {
    let seed = number(variable).unwrap_or_else(|| u64::from(u32::from_be_bytes(Random::system().bytes())));
    say(&format!("{variable}={seed}"));
    seed
}

/// Says something past the test runner's capture: a skipped test and a seed must be seen also where all is well.
pub fn say(line: &str) {
    // Nobody reading it is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A number from 0 up to `bound`, `bound` not included.
pub fn below(random: &Random, bound: u64) -> u64 {
    u64::from_be_bytes(random.bytes()) % bound
}
