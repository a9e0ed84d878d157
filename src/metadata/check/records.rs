//! Where the store stands, and the columns that nothing follows from: their records must at least be readable.

use std::ops::ControlFlow;

use super::Checker;
use crate::metadata::MetadataError;
use crate::metadata::column::{Audit, Candidates, Column, Doomed, Entries, Erased, HeadsOf, Journal, Pins, Snapshots, TokenUses, Vector};
use crate::metadata::engine::Bounds;
use crate::metadata::key::Key;
use crate::metadata::record::{Heads, StoredEntry, Value};
use crate::model::entry::Entry;
use crate::model::{Origin, Seq};

impl Checker<'_> {
    /// Reads what the other checks are made against. An unreadable head is reported here, unreadable heads of the store by the log's.
    pub(super) fn standing(&mut self) -> Result<(), MetadataError> {
        self.scan::<Vector>(&Bounds::all(), |checker, origin, head| {
            checker.vector.set(origin, head);
            Ok(())
        })?;
        let heads = self.source().get(HeadsOf::ID, &().to_key())?.and_then(|value| Heads::from_value(&value).ok());
        let mut last = heads.map(|heads| heads.commit);
        if last.is_none() {
            self.source().scan(Journal::ID, &Bounds::all().reversed(), &mut |key, _| {
                last = Journal::key(key).ok();
                ControlFlow::Break(())
            })?;
        }
        self.last = last.unwrap_or_default();
        // The first entry of a life names the one before it.
        let mut life = heads.and_then(|heads| heads.own).map(|own| own.origin);
        while let Some(origin) = life {
            life = if self.own_origins.insert(origin) { self.former_life(origin)? } else { None };
        }
        Ok(())
    }

    fn former_life(&self, origin: Origin) -> Result<Option<Origin>, MetadataError> {
        let first = self.source().get(Entries::ID, &(origin, Seq(1)).to_key())?;
        let entry = first.and_then(|value| StoredEntry::from_value(&value).ok()).and_then(|stored| Entry::decode(&stored.bytes).ok());
        Ok(entry.and_then(|entry| entry.predecessor).map(|predecessor| predecessor.origin))
    }

    /// The other checks read the remaining columns.
    pub(super) fn records(&mut self) -> Result<(), MetadataError> {
        self.readable::<Erased>()?;
        self.readable::<Pins>()?;
        self.readable::<Candidates>()?;
        self.readable::<Doomed>()?;
        self.readable::<Snapshots>()?;
        self.readable::<Audit>()?;
        self.readable::<TokenUses>()
    }

    fn readable<C: Column>(&mut self) -> Result<(), MetadataError> {
        self.scan::<C>(&Bounds::all(), |_, _, _| Ok(()))
    }
}
