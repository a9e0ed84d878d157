//! The metadata of a site: rows that sites share, and rows about this site's blobs, in one ordered store.
//!
//! There is one writer. It evaluates every request in turn, and puts rows, everything derived from them, log entry, version vector and
//! journal into one synced batch before anybody is told (`writer`, `transaction`, `row_change`, `blob_life`). Readers see snapshots
//! (`read`). Which column holds what stands in `column`, and nothing else formats a key.

mod blob_life;
mod changes;
pub mod check;
pub mod column;
mod derived;
pub mod engine;
mod error;
mod flight;
mod format;
mod key;
pub mod memory;
mod open;
mod overlay;
mod page;
mod queue;
mod read;
mod receive;
mod record;
mod request;
pub mod rocks;
mod row_change;
mod shown;
mod similar;
mod swap;
mod table;
mod token_use;
mod transaction;
mod writer;

pub use blob_life::{NewBlob, PlaceError, Placed, RequireError};
pub use changes::{ChangeObserver, Changes};
pub use error::{MetadataError, WriteError};
pub use flight::InFlight;
pub use format::FORMAT;
pub use key::{Commit, Key};
pub use open::{Metadata, MetadataSettings};
pub use page::{PAGE_LIMIT, Page};
pub use read::{Read, Snapshot};
pub use receive::Received;
pub use record::{
    AuditRecord, Codec, ColdCounts, Counts, Doom, Encoding, JournalRow, SnapshotRow, StaysRaw, StaysRawWhy, StoredBlob, StoredEntry, Value,
};
pub use shown::{AlbumTotals, BlobRow, ColdStats, PhotoPosition, SiteStats};
pub use similar::{MAX_DISTANCE, SimilarPage, SimilarPhoto, SimilarPosition};
pub use swap::Swapped;
pub use transaction::Transaction;
pub use writer::{RequestOutcome, WriteObserver};

#[cfg(test)]
mod tests;
