//! Recomputation: everything that is kept by adding and subtracting is computed again from `rows`, and every difference reported.
//!
//! Reads one snapshot, in order, with memory in proportion to the largest owner. Nothing is changed.

mod blobs;
mod log;
mod records;
mod rows;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::ControlFlow;

use super::MetadataError;
use super::column::{Column, ColumnId, Erased, Site};
use super::engine::{Bounds, Source};
use super::key::{Commit, Key};
use super::page::{Page, bounded, page};
use super::read::{Read, Snapshot};
use super::record::{StoredBlob, Value};
use super::shown::BlobRow;
use crate::model::erasure::Erasure;
use crate::model::vector::VersionVector;
use crate::model::{BlobHash, Origin, RowKey};

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
    /// Every kind there is.
    pub const ALL: [Self; 6] = [Self::Missing, Self::Extra, Self::Differs, Self::Malformed, Self::Erased, Self::Broken];

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
    check_while(snapshot, &|| true, each)
}

/// The same for as long as `goes_on` says so, which is asked at every row.
///
/// # Errors
/// As [`check`]; [`MetadataError::Unavailable`] where it was given up.
pub fn check_while(snapshot: &Snapshot, goes_on: &dyn Fn() -> bool, each: &mut dyn FnMut(Finding)) -> Result<Checked, MetadataError> {
    let mut checker = Checker {
        snapshot,
        goes_on,
        each,
        checked: Checked::default(),
        vector: VersionVector::default(),
        last: Commit(0),
        own_origins: BTreeSet::new(),
        unreadable: BTreeSet::new(),
    };
    checker.standing()?;
    checker.rows()?;
    checker.blobs()?;
    checker.log()?;
    checker.records()?;
    Ok(checker.checked)
}

/// The blobs after `after_hash` whose rows can be read, by hash. The others are [`check`]'s to report.
///
/// # Errors
/// Where the engine cannot be read.
pub fn list_readable_blobs(
    snapshot: &Snapshot,
    after_hash: Option<BlobHash>,
    limit: usize,
) -> Result<Page<BlobRow, BlobHash>, MetadataError> {
    let limit = bounded(limit);
    let bounds = super::page::after(&[], after_hash.map(|hash| hash.to_key()));
    let mut rows = vec![];
    snapshot.source().scan(ColumnId::Blobs, &bounds, &mut |key, value| {
        if let (Some(hash), Ok(stored)) = (BlobHash::from_key(key), StoredBlob::from_value(value)) {
            rows.push((hash, BlobRow::new(hash, stored)));
        }
        if rows.len() <= limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(page(rows, limit))
}

struct Checker<'a> {
    snapshot: &'a Snapshot,
    goes_on: &'a dyn Fn() -> bool,
    each: &'a mut dyn FnMut(Finding),
    checked: Checked,
    /// What of the version vector can be read.
    vector: VersionVector,
    /// The last commit, as the heads say, or the journal where they cannot be read.
    last: Commit,
    /// The lives of this site, as far back as its log is kept.
    own_origins: BTreeSet<Origin>,
    /// Rows that were reported as malformed: several checks read the same column.
    unreadable: BTreeSet<(ColumnId, Vec<u8>)>,
}

/// So many unreadable rows are remembered; more may be reported twice.
const MAX_UNREADABLE: usize = 10_000;

impl Checker<'_> {
    fn source(&self) -> &dyn Source {
        self.snapshot.source()
    }

    fn report(&mut self, fault: Fault, column: ColumnId, key: Vec<u8>, detail: impl Into<String>) {
        self.checked.findings += 1;
        (self.each)(Finding { fault, column, key, detail: detail.into() });
    }

    fn report_unreadable(&mut self, column: ColumnId, key: Vec<u8>, error: &MetadataError) {
        let row = (column, key);
        if self.unreadable.contains(&row) {
            return;
        }
        if self.unreadable.len() < MAX_UNREADABLE {
            self.unreadable.insert(row.clone());
        }
        self.report(Fault::Malformed, row.0, row.1, error.to_string());
    }

    /// Hands the readable rows of a column to `each`, and reports the others.
    fn scan<C: Column>(
        &mut self,
        bounds: &Bounds,
        mut each: impl FnMut(&mut Self, C::Key, C::Value) -> Result<(), MetadataError>,
    ) -> Result<(), MetadataError> {
        let snapshot = self.snapshot;
        let mut outcome = self.require_going();
        snapshot.source().scan(C::ID, bounds, &mut |key, value| {
            if outcome.is_ok() {
                outcome = self.require_going();
            }
            if outcome.is_err() {
                return ControlFlow::Break(());
            }
            let row = C::key(key).and_then(|key| Ok((key, C::Value::from_value(value)?)));
            outcome = match row {
                Ok((key, value)) => each(self, key, value),
                Err(error) => {
                    self.report_unreadable(C::ID, key.to_vec(), &error);
                    Ok(())
                }
            };
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        outcome
    }

    fn require_going(&self) -> Result<(), MetadataError> {
        if (self.goes_on)() { Ok(()) } else { Err(MetadataError::Unavailable { detail: "the check was given up".to_owned() }) }
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

    /// Whether the ledger names a row; its own value may be unreadable.
    fn is_erased(&self, key: &RowKey) -> Result<bool, MetadataError> {
        for erasure in Erasure::naming(key) {
            if self.source().get(Erased::ID, &erasure.to_key())?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many rows a column has.
    fn count(&self, column: ColumnId) -> Result<u64, MetadataError> {
        let mut count = 0;
        self.source().scan(column, &Bounds::all(), &mut |_, _| {
            count += 1;
            if (self.goes_on)() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        self.require_going().map(|()| count)
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
