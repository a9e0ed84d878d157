//! Looking after what is stored: the check of metadata against itself and against the blobs.

mod check;

pub use check::{CheckError, Problem, check};
