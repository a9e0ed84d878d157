//! Recomputation: everything that is kept by adding and subtracting is computed again from `rows`, and every difference reported.
//!
//! Reads one snapshot, in order, with memory in proportion to the largest owner. Nothing is changed.

mod blobs;
mod log;
mod rows;

use std::fmt;
use std::ops::ControlFlow;

use super::MetadataError;
use super::column::{Column, ColumnId, Site};
use super::engine::{Bounds, Source};
use super::key::Key;
use super::read::{Read, Snapshot};
use super::record::Value;

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// It follows from others, and is not there.
    Missing,
    /// It is there, and follows from nothing.
    Extra,
    /// It is not what follows from others.
    Differs,
    /// It cannot be read.
    Malformed,
    /// It should have gone with an erasure.
    Erased,
    /// An entry that does not follow from the one before it.
    Broken,
}

impl Fault {
    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Differs => "differs",
            Self::Malformed => "malformed",
            Self::Erased => "erased",
            Self::Broken => "broken",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What is wrong.
    pub fault: Fault,
    /// In which column.
    pub column: ColumnId,
    /// Under which key.
    pub key: Vec<u8>,
    /// For people.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.column.name(), self.fault.as_str())?;
        self.key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, ": {}", self.detail)
    }
}

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Checked {
    /// Rows that sites share.
    pub rows: u64,
    /// Live references.
    pub refs: u64,
    /// References whose bytes are not here (yet): no difference where another site has them.
    pub arriving: u64,
    /// Blobs present.
    pub blobs: u64,
    /// Blobs marked as damaged.
    pub damaged: u64,
    /// Log entries.
    pub entries: u64,
    /// Commits.
    pub commits: u64,
    /// Differences.
    pub findings: u64,
}

/// Checks a snapshot; `each` is handed every difference.
///
/// # Errors
/// Where the engine cannot be read; a row that cannot be decoded is a finding, not an error.
pub fn check(snapshot: &Snapshot, each: &mut dyn FnMut(Finding)) -> Result<Checked, MetadataError> {
    let mut checker = Checker { snapshot, each, checked: Checked::default() };
    checker.rows()?;
    checker.blobs()?;
    checker.log()?;
    Ok(checker.checked)
}

struct Checker<'a> {
    snapshot: &'a Snapshot,
    each: &'a mut dyn FnMut(Finding),
    checked: Checked,
}

impl Checker<'_> {
    fn source(&self) -> &dyn Source {
        self.snapshot.source()
    }

    fn report(&mut self, fault: Fault, column: ColumnId, key: Vec<u8>, detail: impl Into<String>) {
        self.checked.findings += 1;
        (self.each)(Finding { fault, column, key, detail: detail.into() });
    }

    /// Hands the readable rows of a column to `each`, and reports the others.
    fn scan<C: Column>(
        &mut self,
        bounds: &Bounds,
        mut each: impl FnMut(&mut Self, C::Key, C::Value) -> Result<(), MetadataError>,
    ) -> Result<(), MetadataError> {
        let snapshot = self.snapshot;
        let mut outcome = Ok(());
        snapshot.source().scan(C::ID, bounds, &mut |key, value| {
            let row = C::key(key).and_then(|key| Ok((key, C::Value::from_value(value)?)));
            outcome = match row {
                Ok((key, value)) => each(self, key, value),
                Err(error) => {
                    self.report(Fault::Malformed, C::ID, key.to_vec(), error.to_string());
                    Ok(())
                }
            };
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        outcome
    }

    /// Whether any row's key begins with `prefix`; the row itself may be unreadable.
    fn any(&self, column: ColumnId, prefix: &[u8]) -> Result<bool, MetadataError> {
        let mut found = false;
        self.source().scan(column, &Bounds::prefix(prefix), &mut |_, _| {
            found = true;
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// How many rows a column has.
    fn count(&self, column: ColumnId) -> Result<u64, MetadataError> {
        let mut count = 0;
        self.source().scan(column, &Bounds::all(), &mut |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    /// A row that must be there with this value.
    fn expect<C: Column>(&mut self, key: &C::Key, value: &C::Value, detail: &str) -> Result<(), MetadataError> {
        let (key, expected) = (key.to_key(), value.to_value());
        match self.source().get(C::ID, &key)? {
            Some(found) if found == expected => {}
            Some(_) => self.report(Fault::Differs, C::ID, key, detail),
            None => self.report(Fault::Missing, C::ID, key, detail),
        }
        Ok(())
    }

    fn set_key(&self) -> Result<crate::model::set_hash::SetKey, MetadataError> {
        let settled = super::table::get::<Site>(self.source(), &())?;
        Ok(settled.ok_or_else(|| MetadataError::damaged("the store does not say whose it is"))?.set_key)
    }
}
