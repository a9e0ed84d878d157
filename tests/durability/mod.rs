//! What the tests of durability share: distinct photos that follow from a seed, uploaders that note what was acknowledged, and the proof
//! that all of it is still there.

#![allow(dead_code)] // Each of the tests uses its part.

pub mod ledger;
pub mod photos;
pub mod server;
pub mod settings;
pub mod site;
pub mod traffic;

pub use ledger::Ledger;
pub use photos::Photos;
pub use site::{Failure, Site};
