//! The pure core: ids, names, what records mean, hybrid logical time, and the one join that merges rows.
//!
//! No I/O, no clock, no randomness; imports nothing of ours. Everything here is a function of its arguments, so that own writes,
//! received entries, reconciliation, restore and replay can all go through the same code (see `row` and `entry`).

pub mod album;
pub mod change;
mod codec;
pub mod derive;
pub mod entry;
pub mod erasure;
pub mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod hash;
pub mod ids;
pub mod journal;
pub mod key;
pub mod perceptual;
pub mod photo;
pub mod replica;
pub mod row;
pub mod set_hash;
pub mod stamp;
pub mod taken;
pub mod tenant;
pub mod token;
pub mod user;
mod value;
pub mod vector;

pub use codec::DecodeError;
pub use format::{Format, RawFormat};
pub use hash::{BlobHash, BlobKey, BlobNonce, HashPrefix, Sha256, SigningKeyId};
pub use ids::{AlbumId, ImportId, PhotoId, SiteId, SnapshotId, TenantId, TokenId, UserId};
pub use key::{Kind, Owner, RowKey};
pub use perceptual::PerceptualHash;
pub use stamp::{Hlc, Origin, Seq, Stamp, WallMs};
pub use taken::{Gps, TakenAt};
