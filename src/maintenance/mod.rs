//! Looking after what is stored: the check of metadata against itself and against the blobs; moving blobs to another store.

mod check;
mod moving;

pub use check::{CheckError, Problem, check};
pub use moving::{MoveError, MoveJournal, MoveProgress, Moving, Progress};
