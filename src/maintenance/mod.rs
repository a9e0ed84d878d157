//! Looking after what is stored: the check of metadata against itself and against the blobs, and photos that are recompressed once they are cold.

mod check;
mod cold;

pub use check::{CheckError, Problem, check};
pub use cold::{ColdError, ColdFigures, ColdJob, ColdOutcome, Idleness};
