//! Tests that need something which not every machine has: what is left out is said where it is seen, and fails where nothing may be.
//!
//! The library's own tests read this file, too.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::io::Write as _;

/// What must not be missing: words such as `promtool`, apart by spaces or commas. `make test` sets it to what it has installed.
const REQUIRES: &str = "HALIDOM_TEST_REQUIRES";

/// Says that a test does less or nothing, past the test runner's capture: that must be seen also where all is well.
pub fn skipped(what: &str, why: &str) {
    // Nobody reading it is no reason to fail.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {why}");
}

/// The same for want of `need`.
///
/// # Panics
/// Where `HALIDOM_TEST_REQUIRES` names it; with `CI` set and no such list, always.
#[track_caller]
#[allow(clippy::disallowed_methods)] // `config::environment` goes by another name in the library's own tests.
pub fn missing(need: &str, what: &str, why: &str) {
    let list = std::env::var_os(REQUIRES).map(|list| list.to_string_lossy().into_owned());
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(!is_required(need, list.as_deref(), in_ci), "{what}: {why}; {need} is required here ({REQUIRES}, or CI)");
    skipped(what, why);
}

/// Whether a need on this list, where there is one, or in CI may not be missing.
pub fn is_required(need: &str, list: Option<&str>, in_ci: bool) -> bool {
    list.map_or(in_ci, |list| list.split([' ', ',']).any(|word| word == need))
}
