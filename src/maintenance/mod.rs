//! Looking after what is stored: the check of metadata against itself and against the blobs, the inventory, moving blobs to another store, and photos that are
//! recompressed once they are cold.

mod check;
mod cold;
mod inventory;
mod moving;

pub use check::{CheckError, Problem, check};
pub use cold::{ColdError, ColdFigures, ColdJob, ColdOutcome, Idleness};
pub use inventory::{InventoryError, Tell, inventory};
pub use moving::{MoveError, MoveJournal, MoveProgress, Moving, Progress};
