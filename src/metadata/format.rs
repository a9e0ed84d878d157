//! The version of the store as a whole, and the steps from each version to the next.

use super::MetadataError;
use super::column::{COLUMNS, Column, Format};
use super::engine::{Batch, Bounds, Engine};
use super::key::Key;
use super::record::Value;
use std::ops::ControlFlow;

/// The version of the store that this program writes.
pub const FORMAT: u64 = 1;

/// The stored number. It has no version of its own: every program that ever was must be able to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatVersion(pub u64);

impl Value for FormatVersion {
    fn to_value(&self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    fn from_value(bytes: &[u8]) -> Result<Self, MetadataError> {
        let bytes = bytes.try_into().map_err(|_| MetadataError::damaged("the format version is malformed"))?;
        Ok(Self(u64::from_be_bytes(bytes)))
    }
}

/// One step: brings a store of version `from` to `from + 1`. A step may be cut short by a crash and is then done again from its beginning,
/// so each must be idempotent; the version is written after it, in a batch of its own.
pub struct Migration {
    /// The version that it starts from.
    pub from: u64,
    /// Does it.
    pub run: fn(&dyn Engine) -> Result<(), MetadataError>,
}

/// All steps there are, oldest first. Version 1 is the first that was ever released.
const MIGRATIONS: &[Migration] = &[];

/// The version that stands in the store; `None` where the store is empty.
///
/// # Errors
/// [`MetadataError::Damaged`] where there are rows but no version.
pub(super) fn found(engine: &dyn Engine) -> Result<Option<u64>, MetadataError> {
    if let Some(bytes) = engine.get(Format::ID, &().to_key())? {
        return Ok(Some(FormatVersion::from_value(&bytes)?.0));
    }
    for column in COLUMNS {
        let mut empty = true;
        engine.scan(column.id, &Bounds::all(), &mut |_, _| {
            empty = false;
            ControlFlow::Break(())
        })?;
        if !empty {
            return Err(MetadataError::damaged(format!("{} has rows, but the store has no format version", column.name)));
        }
    }
    Ok(None)
}

/// Refuses a newer store, brings an older one up to date. Answers whether there is a store at all.
///
/// # Errors
/// [`MetadataError::Newer`], and whatever a step meets.
pub(super) fn settle(engine: &dyn Engine) -> Result<bool, MetadataError> {
    settle_with(engine, FORMAT, MIGRATIONS)
}

fn settle_with(engine: &dyn Engine, known: u64, migrations: &[Migration]) -> Result<bool, MetadataError> {
    let Some(mut version) = found(engine)? else { return Ok(false) };
    if version > known {
        return Err(MetadataError::Newer { what: "the metadata store", found: version, known });
    }
    while version < known {
        let step = migrations.iter().find(|step| step.from == version);
        let step = step.ok_or_else(|| MetadataError::damaged(format!("no program ever wrote a store of format version {version}")))?;
        (step.run)(engine)?;
        version += 1;
        let mut batch = Batch::default();
        batch.put(Format::ID, ().to_key(), FormatVersion(version).to_value());
        engine.write(batch, true)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::column::ColumnId;
    use crate::metadata::engine::Source;
    use crate::metadata::memory::MemoryEngine;

    fn store_of(version: u64) -> MemoryEngine {
        let engine = MemoryEngine::new();
        let mut batch = Batch::default();
        batch.put(Format::ID, vec![], FormatVersion(version).to_value());
        engine.write(batch, true).unwrap();
        engine
    }

    fn mark(engine: &dyn Engine) -> Result<(), MetadataError> {
        let mut batch = Batch::default();
        let key = engine.get(ColumnId::Audit, b"marks")?.map_or(vec![b'x'], |mut marks| {
            marks.push(b'x');
            marks
        });
        batch.put(ColumnId::Audit, b"marks".to_vec(), key);
        engine.write(batch, true)
    }

    #[test]
    fn an_older_store_goes_through_every_step() {
        let engine = store_of(1);
        let steps = [Migration { from: 1, run: mark }, Migration { from: 2, run: mark }];
        assert_eq!(settle_with(&engine, 3, &steps), Ok(true));
        assert_eq!(engine.get(ColumnId::Audit, b"marks").unwrap().unwrap(), b"xx");
        assert_eq!(found(&engine), Ok(Some(3)));
        assert_eq!(settle_with(&engine, 3, &steps), Ok(true), "once");
        assert_eq!(engine.get(ColumnId::Audit, b"marks").unwrap().unwrap(), b"xx");
    }

    #[test]
    fn a_newer_store_is_refused_and_not_touched() {
        let engine = store_of(FORMAT + 1);
        let refused = MetadataError::Newer { what: "the metadata store", found: FORMAT + 1, known: FORMAT };
        assert_eq!(settle(&engine), Err(refused));
        assert_eq!(found(&engine), Ok(Some(FORMAT + 1)));
    }

    #[test]
    fn rows_without_a_version_are_damage_and_an_empty_store_is_new() {
        let engine = MemoryEngine::new();
        assert_eq!(settle(&engine), Ok(false));
        mark(&engine).unwrap();
        assert!(matches!(settle(&engine), Err(MetadataError::Damaged { .. })));
    }
}
