//! What can go wrong in the metadata, each kind named for what the caller does next.

use std::path::PathBuf;

use crate::model::{BlobHash, BlobKey, DecodeError, RowKey};

/// A failure of the metadata store or of a rule that it keeps itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The file system is full. Nothing was acknowledged; the store goes on when space returns.
    #[error("no space left for metadata: {detail}")]
    NoSpace {
        /// What the engine said, for the log.
        detail: String,
    },
    /// The engine cannot serve now (an I/O error, a store that was closed): try later, look at the machine.
    #[error("metadata is unavailable: {detail}")]
    Unavailable {
        /// What the engine said, for the log.
        detail: String,
    },
    /// What was asked for does not lie in memory, and the disk was not to be waited for: ask again where that does no harm.
    #[error("not in memory")]
    NotInMemory,
    /// Stored bytes are not what was written: stop using this copy, run `check`, recover.
    #[error("metadata is damaged: {detail}")]
    Damaged {
        /// What was found, for the log.
        detail: String,
    },
    /// Written by a newer program: upgrade; nothing was changed.
    #[error("{what} has format version {found}, this program knows up to {known}: use a newer program")]
    Newer {
        /// What was being read.
        what: &'static str,
        /// The version that was found.
        found: u64,
        /// The newest version that this program knows.
        known: u64,
    },
    /// Another process has the directory open.
    #[error("the metadata in {} is open in another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// RocksDB is not for network file systems: put the data directory on a local disk.
    #[error("{} lies on NFS: metadata has to lie on a local disk (storage.data)", path.display())]
    OnNfs {
        /// The directory.
        path: PathBuf,
    },
    /// A checkpoint was asked for on another file system, where it would silently become a copy.
    #[error("{} is not on the file system of the metadata", path.display())]
    OtherFileSystem {
        /// Where the checkpoint should have gone.
        path: PathBuf,
    },
    /// A photo was to be made of a blob that is not here: have the bytes sent first.
    #[error("the bytes of {hash} are not at this site")]
    MissingBlob {
        /// Of which blob.
        hash: BlobHash,
    },
    /// The row was erased for good.
    #[error("{key:?} was erased")]
    Erased {
        /// Which row.
        key: RowKey,
    },
    /// A copy was to be named that this run is not writing, or that is already named or queued for deletion.
    #[error("{key} is not a copy in flight")]
    NotInFlight {
        /// Which copy.
        key: BlobKey,
    },
    /// A request set one thing of a row to two values, or made the row twice. Nothing of it was written. A bug.
    #[error("a request contradicts itself about {key:?}")]
    Contradiction {
        /// Which row.
        key: RowKey,
    },
    /// The request panicked; nothing of it was written. A bug.
    #[error("the request {label} panicked")]
    Panicked {
        /// Which request.
        label: &'static str,
    },
}

impl MetadataError {
    pub(super) fn damaged(detail: impl Into<String>) -> Self {
        Self::Damaged { detail: detail.into() }
    }

    pub(super) fn closed() -> Self {
        Self::Unavailable { detail: "the metadata store is closed".to_owned() }
    }
}

impl From<DecodeError> for MetadataError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Newer { what, found, known } => Self::Newer { what, found, known },
            DecodeError::Malformed { what } => Self::damaged(format!("{what} is malformed")),
        }
    }
}

/// Why a write was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError<E> {
    /// The request's own precondition failed; nothing of it was written.
    #[error("{0}")]
    Refused(E),
    /// Too many writes are waiting: try again shortly. Nothing was written.
    #[error("too many writes are waiting")]
    Busy,
    /// The store failed. Nothing was acknowledged.
    #[error(transparent)]
    Failed(#[from] MetadataError),
}
