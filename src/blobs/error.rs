//! What can go wrong with a blob store, named for what the caller does next.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use super::Marker;
use crate::model::{BlobHash, BlobKey};
use crate::runtime::Gone;

/// A failure of a blob store. Cheap to clone, so that one failure can answer everyone who waited for it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BlobError {
    /// The store answered that there is no such copy. Look for another, then report.
    #[error("no such copy in the blob store")]
    NotFound,
    /// The file system is full, or a quota is used up. Nothing was kept; try again when there is room.
    #[error("the blob store has no space left")]
    NoSpace,
    /// As much is under way to the backend as may be. Nothing was kept; come again.
    #[error("the blob store takes no more at once")]
    Busy,
    /// The backend is away or failing. Whether the last call took effect is not known; try again later.
    #[error("the blob store is not available: {doing}: {source}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The backend is known to be away: it was not asked. It is looked for; try again later. Said in the log when it was found out, not for every call.
    #[error("the blob store is away")]
    Away,
    /// The device has failed to make something durable since the store was opened, and what it says of durability since then cannot be
    /// believed: nothing is taken or deleted, reading goes on. Look at the disk's health, then open the store anew.
    #[error("the blob store is suspect: {sync_failures} syncs have failed; it takes nothing more until it is opened anew")]
    Suspect {
        /// How many.
        sync_failures: u64,
    },
    /// The stored bytes are not what they should be. Never serve them: heal from another copy.
    #[error("copy {key} is damaged: {damage}")]
    Damaged {
        /// Which copy.
        key: BlobKey,
        /// How it shows.
        damage: Damage,
    },
    /// The marker is not the expected one: another has claimed the store. Stop collecting.
    #[error("the blob store's marker is another than expected: {found:?}")]
    ClaimLost {
        /// The marker that stands.
        found: Option<Marker>,
    },
    /// Another process uses the directory. Stop that one first.
    #[error("{path} is in use by {}", by.map_or_else(|| "another process".to_owned(), |id| format!("process {id}")))]
    InUse {
        /// The store's root.
        path: PathBuf,
        /// The other's process id, where it left one.
        by: Option<u32>,
    },
    /// The store will not do this, now or later: someone has to look.
    #[error("the blob store refuses: {reason}")]
    Refused {
        /// Why, for operators.
        reason: String,
    },
    /// The store is closed, for the process is about to end. Come again once there is another.
    #[error("the blob store is closed")]
    Closed,
    /// The call panicked on the store's threads: a fault of ours. What it was about may be half done; it is as after a crash.
    #[error("a call of the blob store panicked")]
    Panicked,
    /// A mistake in the calling code.
    #[error("misuse of the blob store: {reason}")]
    Internal {
        /// Which.
        reason: &'static str,
    },
}

/// How damage shows.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Damage {
    /// The bytes hash to something else.
    #[error("its bytes hash to {found}")]
    Content {
        /// What they hash to.
        found: BlobHash,
    },
    /// The bytes of a part are not those of the hash.
    #[error("its {size_bytes} bytes from {offset} are not those of its hash")]
    Part {
        /// Where the part begins.
        offset: u64,
        /// Its length in bytes.
        size_bytes: u64,
    },
    /// Bytes are missing at the end.
    #[error("it ends at {found_bytes} of {size_bytes} bytes")]
    Short {
        /// Its length when it was opened.
        size_bytes: u64,
        /// How many bytes there were.
        found_bytes: u64,
    },
    /// The device, or the file system's own checksums, give an error for it.
    #[error("it cannot be read: {0}")]
    Unreadable(Arc<io::Error>),
    /// Something else wrote to it while it was open.
    #[error("it was written to while it was read")]
    Written,
    /// It is recompressed, and the original does not come out of it.
    #[error("it cannot be decoded: {0}")]
    Undecodable(String),
    /// What lies under its name is no regular file.
    #[error("it is no regular file")]
    NotAFile,
}

impl BlobError {
    /// What an error of the system means while `doing` something other than reading a copy's bytes.
    pub(super) fn from_io(doing: &'static str, error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::NoSpace,
            _ => Self::Unavailable { doing, source: Arc::new(error) },
        }
    }

    /// What an error of the system means while reading the bytes of `key`. A medium error, and what checksumming file systems answer
    /// for a bad block, is damage: the copy has to be healed, waiting does not help.
    pub(super) fn from_read(key: &BlobKey, error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::IO | Errno::BADMSG | Errno::UCLEAN | Errno::ILSEQ) => {
                Self::Damaged { key: *key, damage: Damage::Unreadable(Arc::new(error)) }
            }
            _ => Self::from_io("read a copy", error),
        }
    }
}

/// What an inventory answers that is asked to go on after it failed, or was given up half way.
pub(super) const INVENTORY_ENDED: BlobError = BlobError::Internal { reason: "an inventory that failed is asked to go on" };

/// For `map_err`: see [`BlobError::from_io`].
pub(super) fn failed(doing: &'static str) -> impl Fn(io::Error) -> BlobError {
    move |error| BlobError::from_io(doing, error)
}

impl From<Gone> for BlobError {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Panicked => Self::Panicked,
            Gone::Closed => Self::Closed,
            Gone::NoThread => Self::Unavailable { doing: "begin on a thread", source: Arc::new(io::Error::other(gone)) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_used_up_quota_are_the_same_to_a_caller() {
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            assert!(matches!(BlobError::from_io("write", errno.into()), BlobError::NoSpace));
        }
        for errno in [Errno::IO, Errno::ROFS, Errno::STALE, Errno::NOENT] {
            assert!(matches!(BlobError::from_io("write", errno.into()), BlobError::Unavailable { .. }));
        }
    }
}
