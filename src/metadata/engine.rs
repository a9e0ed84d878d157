//! The narrow interface to an ordered key-value store. RocksDB serves it in production, memory in tests and simulations.

use std::fmt::Debug;
use std::ops::{Bound, ControlFlow};
use std::path::Path;

use super::MetadataError;
use super::column::ColumnId;

/// Where a scan begins and ends, and which way it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The lower edge.
    pub from: Bound<Vec<u8>>,
    /// The upper edge.
    pub to: Bound<Vec<u8>>,
    /// From the upper edge down.
    pub reverse: bool,
}

impl Bounds {
    /// The whole column.
    pub fn all() -> Self {
        Self { from: Bound::Unbounded, to: Bound::Unbounded, reverse: false }
    }

    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { from: Bound::Included(prefix.to_vec()), to: after_prefix(prefix), reverse: false }
    }

    /// Keys that begin with `prefix` and stand after `key`.
    pub fn prefix_after(prefix: &[u8], key: Vec<u8>) -> Self {
        Self { from: Bound::Excluded(key), ..Self::prefix(prefix) }
    }

    /// The same range, largest key first.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { reverse: true, ..self }
    }

    /// No key can lie within: such a range must not reach an ordered map, which panics on it.
    pub fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
        }
    }
}

/// The smallest key after all that begin with `prefix`.
fn after_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    let Some(last) = prefix.iter().rposition(|byte| *byte != u8::MAX) else { return Bound::Unbounded };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Bound::Excluded(end)
}

/// What a scan hands out, one row at a time; [`ControlFlow::Break`] ends it.
pub type Each<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Rows that can be read: an engine as it is now, an engine's snapshot, or a transaction's overlay.
pub trait Source {
    /// One value; `None` where the key is absent.
    ///
    /// # Errors
    /// [`MetadataError::Unavailable`] and [`MetadataError::Damaged`]; never mistaken for absence.
    fn get(&self, column: ColumnId, key: &[u8]) -> Result<Option<Vec<u8>>, MetadataError>;

    /// Many values of one column, in the order of `keys`.
    ///
    /// # Errors
    /// As [`Source::get`]; one bad key fails the whole call.
    fn multi_get(&self, column: ColumnId, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, MetadataError> {
        keys.iter().map(|key| self.get(column, key)).collect()
    }

    /// Hands the rows within `bounds` to `each`, in order, until it breaks.
    ///
    /// # Errors
    /// As [`Source::get`]; `each` may have seen rows by then.
    fn scan(&self, column: ColumnId, bounds: &Bounds, each: &mut Each<'_>) -> Result<(), MetadataError>;
}

/// A store at one point of its history. Owned: it keeps what it needs alive.
pub trait EngineSnapshot: Source + Send + Sync + Debug {
    /// Whether a read has failed because what it asked for does not lie in memory: only of one that does not wait for the disk, see
    /// [`Engine::snapshot_in_memory`].
    fn has_missed(&self) -> bool;
}

/// A column, a key, and its new value, or `None` for a removal.
pub type Change = (ColumnId, Vec<u8>, Option<Vec<u8>>);

/// Changes that are made together or not at all. The last change of a key holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    changes: Vec<Change>,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, column: ColumnId, key: Vec<u8>, value: Vec<u8>) {
        self.changes.push((column, key, Some(value)));
    }

    /// Removes a key, where it is.
    pub fn delete(&mut self, column: ColumnId, key: Vec<u8>) {
        self.changes.push((column, key, None));
    }

    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes in order.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }
}

/// An ordered key-value store with columns.
pub trait Engine: Source + Send + Sync + Debug {
    /// Makes all changes of the batch, or none. With `sync` they, and all earlier ones, survive a power cut once this returns `Ok`.
    ///
    /// # Errors
    /// [`MetadataError::NoSpace`] and [`MetadataError::Unavailable`]. Whether the batch was made is then unknown: read it back.
    fn write(&self, batch: Batch, sync: bool) -> Result<(), MetadataError>;

    /// The store as it is now, not moved by later writes.
    fn snapshot(&self) -> Box<dyn EngineSnapshot>;

    /// The same, without waiting for the disk: a read of what does not lie in memory fails with [`MetadataError::NotInMemory`], and
    /// [`EngineSnapshot::has_missed`] says so from then on.
    fn snapshot_in_memory(&self) -> Box<dyn EngineSnapshot>;

    /// Makes a complete copy at `path`, which must not exist and must lie on the same file system.
    ///
    /// # Errors
    /// [`MetadataError::OtherFileSystem`], [`MetadataError::NoSpace`], [`MetadataError::Unavailable`].
    fn checkpoint(&self, path: &Path) -> Result<(), MetadataError>;

    /// Figures for metrics, by name: bytes and counts.
    fn figures(&self) -> Vec<(&'static str, u64)> {
        vec![]
    }
}
