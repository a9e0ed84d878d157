//! Looking after what is stored: the check of metadata against itself and against the blobs, the inventory, moving blobs to another store, keeping a mirror of
//! them and repairing what is bad, and photos that are recompressed once they are cold.

mod check;
mod cold;
mod heal;
mod inventory;
mod mirror;
mod moving;
mod walk;

pub use check::{Problem, check};
pub use cold::{ColdError, ColdFigures, ColdJob, ColdOutcome, Idleness};
pub use heal::{HealError, HealFigures, HealOutcome, HealQueue, Healer, HealerParts};
pub use inventory::Listing;
pub use mirror::{MirrorJournal, Mirroring};
pub use moving::{MoveError, MoveJournal, MoveProgress, Moving, Progress};
pub use walk::WalkError;
