//! Looking after what is stored: the check of metadata against itself and against the blobs, moving blobs to another store, and photos that are
//! recompressed once they are cold.

mod check;
mod cold;
mod moving;

pub use check::{CheckError, Problem, check};
pub use cold::{ColdError, ColdFigures, ColdJob, ColdOutcome, Idleness};
pub use moving::{MoveError, MoveJournal, MoveProgress, Moving, Progress};
