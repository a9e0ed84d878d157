//! The replicated state of a site: rows, vector, ledger, and what is derived of them.

use std::collections::{BTreeMap, BTreeSet};

use super::tables::Tables;
use crate::model::derive::derive;
use crate::model::entry::Entry;
use crate::model::erasure::{Erasure, Ledger};
use crate::model::journal::Record;
use crate::model::row::{Births, Delta};
use crate::model::set_hash::SetKey;
use crate::model::vector::{Head, VersionVector};
use crate::model::{DecodeError, RowKey};

/// What sites agree on at rest, present or past. A clone is a checkpoint.
#[derive(Clone, Debug)]
pub struct State {
    set_key: SetKey,
    rows: BTreeMap<RowKey, Births>,
    /// Rows in which a stub stands, so that a sweep need not read all.
    stubs: BTreeSet<RowKey>,
    vector: VersionVector,
    ledger: Ledger,
    tables: Tables,
}

impl State {
    /// Nothing yet.
    pub fn new(set_key: SetKey) -> Self {
        Self {
            set_key,
            rows: BTreeMap::new(),
            stubs: BTreeSet::new(),
            vector: VersionVector::default(),
            ledger: Ledger::default(),
            tables: Tables::default(),
        }
    }

    /// All rows.
    pub fn rows(&self) -> &BTreeMap<RowKey, Births> {
        &self.rows
    }

    /// One row; empty where there is none.
    pub fn births(&self, key: &RowKey) -> Births {
        self.rows.get(key).cloned().unwrap_or_default()
    }

    /// Rows in which a stub stands.
    pub fn stubs(&self) -> &BTreeSet<RowKey> {
        &self.stubs
    }

    /// What has been seen of every origin.
    pub fn vector(&self) -> &VersionVector {
        &self.vector
    }

    /// What has been erased.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What is derived, kept along with every change.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// What is derived, computed from all rows anew: must equal [`State::tables`].
    pub fn recomputed(&self) -> Tables {
        let mut tables = Tables::default();
        for (key, births) in &self.rows {
            tables.replace(key, &derive(&self.set_key, key, &Births::default()), &derive(&self.set_key, key, births));
        }
        tables
    }

    /// Joins one delta, unless its row is erased.
    pub fn join(&mut self, delta: &Delta) {
        if self.ledger.covers(&delta.key) {
            return;
        }
        let mut births = self.births(&delta.key);
        births.join(delta.birth, &delta.row, self.vector.covers(&delta.birth));
        self.put(&delta.key, births);
    }

    /// Takes an erasure into the ledger, and the rows that it names away.
    pub fn erase(&mut self, erasure: Erasure) {
        if self.ledger.insert(erasure) {
            let erased: Vec<RowKey> = self.rows.keys().filter(|key| erasure.covers(key)).copied().collect();
            for key in erased {
                self.put(&key, Births::default());
            }
        }
    }

    /// Applies an entry that is the next of its origin: erasures, rows, vector, stubs, in one batch. The own vector covers the entry's
    /// births only after its rows: while they are joined, an absent birth is one that is being created.
    pub fn apply(&mut self, entry: &Entry, encoded: &[u8]) {
        self.take_over(&entry.erasures, &entry.deltas);
        self.vector.set(entry.origin, Head { seq: entry.seq, chain: Some(Entry::chain_hash(encoded)) });
        self.sweep();
    }

    /// A step of a reconciliation: erasures first, then rows. The vector stays as it is: an interrupted reconciliation claims nothing.
    pub fn take_over(&mut self, erasures: &[Erasure], deltas: &[Delta]) {
        erasures.iter().for_each(|erasure| self.erase(*erasure));
        deltas.iter().for_each(|delta| self.join(delta));
    }

    /// The end of a reconciliation: takes over the sender's vector. Only after all its rows.
    pub fn join_vector(&mut self, theirs: &VersionVector) {
        self.vector.join(theirs);
        self.sweep();
    }

    /// Does again what a record of the journal did.
    ///
    /// # Errors
    /// An entry in it that cannot be read.
    pub fn replay(&mut self, record: &Record) -> Result<(), DecodeError> {
        match record {
            Record::Entry(encoded) => self.apply(&Entry::decode(encoded)?, encoded),
            Record::Reconciled { erasures, deltas } => self.take_over(erasures, deltas),
            Record::Vector(vector) => self.join_vector(vector),
        }
        Ok(())
    }

    /// Drops stubs whose birth is covered now.
    fn sweep(&mut self) {
        for key in self.stubs.clone() {
            let mut births = self.births(&key);
            if births.sweep(|birth| self.vector.covers(birth)) {
                self.put(&key, births);
            }
        }
    }

    /// Replaces a row, and what is derived of it.
    fn put(&mut self, key: &RowKey, births: Births) {
        let former = self.rows.remove(key).unwrap_or_default();
        self.tables.replace(key, &derive(&self.set_key, key, &former), &derive(&self.set_key, key, &births));
        if births.has_stub() {
            self.stubs.insert(*key);
        } else {
            self.stubs.remove(key);
        }
        if !births.is_empty() {
            self.rows.insert(*key, births);
        }
    }
}
