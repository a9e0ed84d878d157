//! One request to the writer: reads its own changes, and becomes one commit or none.

use super::MetadataError;
use super::changes::Changes;
use super::column::{Audit, Blobs, Candidates, Entries, Erased, Journal, Rows, Stubs, Vector};
use super::engine::{Bounds, Source};
use super::flight::Flight;
use super::key::{Commit, Key};
use super::overlay::{Mark, Overlay};
use super::read::Read;
use super::record::{AuditRecord, Heads, JournalRow, OwnHead, StoredEntry};
use super::table;
use crate::model::change;
use crate::model::entry::{ChainHash, Entry, Predecessor};
use crate::model::erasure::Erasure;
use crate::model::row::Delta;
use crate::model::set_hash::SetKey;
use crate::model::vector::Head;
use crate::model::{BlobHash, BlobKey, Hlc, Origin, RowKey, Seq, Stamp, WallMs};
use std::ops::ControlFlow;

/// What a request is evaluated in. All of it holds for one request; the next sees the next commit.
#[derive(Debug)]
pub(super) struct Moment<'a> {
    /// Where the store stands.
    pub(super) heads: Heads,
    /// The present life.
    pub(super) origin: Origin,
    /// Wall clock time.
    pub(super) now: WallMs,
    /// The logical time of this commit.
    pub(super) hlc: Hlc,
    /// Keys the set hashes.
    pub(super) set_key: &'a SetKey,
    /// The copies that this run writes.
    pub(super) flight: &'a Flight,
    /// After how long a purged blob is looked at.
    pub(super) restore_window_ms: u64,
}

/// What an accepted request leaves beside its rows.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Where the store stands after it.
    pub(super) heads: Option<Heads>,
    /// Copies that were named or doomed: no longer in flight once the batch is durable.
    pub(super) landed: Vec<BlobKey>,
    /// To be told once the batch is durable.
    pub(super) changes: Changes,
}

/// A request to the writer while it is evaluated. What it changes is seen by its own reads, and by later requests; it becomes durable
/// together with its log entry, before anybody is told.
///
/// A call that fails with a [`MetadataError`] may have done a part: the request then fails as a whole, whatever it answers.
#[derive(Debug)]
pub struct Transaction<'a> {
    pub(super) overlay: &'a mut Overlay,
    pub(super) moment: Moment<'a>,
    pub(super) mark: Mark,
    deltas: Vec<Delta>,
    erasures: Vec<Erasure>,
    /// A received entry instead of an own one.
    received: Option<(Entry, Vec<u8>)>,
    /// References that began in this request.
    new_refs: Vec<BlobHash>,
    /// Copies named or doomed in this request.
    pub(super) landed: Vec<BlobKey>,
    /// Blobs named in this request.
    pub(super) named: Vec<BlobHash>,
    /// What others may remember and is so no more.
    pub(super) changes: Changes,
    /// A birth of this commit stands as a stub.
    stubbed: bool,
    audits: u16,
    failure: Option<MetadataError>,
}

impl Read for Transaction<'_> {
    fn source(&self) -> &dyn Source {
        &*self.overlay
    }
}

impl<'a> Transaction<'a> {
    pub(super) fn new(overlay: &'a mut Overlay, moment: Moment<'a>) -> Self {
        let mark = overlay.mark();
        Self {
            overlay,
            moment,
            mark,
            deltas: vec![],
            erasures: vec![],
            received: None,
            new_refs: vec![],
            landed: vec![],
            named: vec![],
            changes: Changes::default(),
            stubbed: false,
            audits: 0,
            failure: None,
        }
    }

    /// The stamp of this commit: its time, and the birth of what it creates.
    pub fn stamp(&self) -> Stamp {
        let own = self.moment.heads.own.filter(|own| own.origin == self.moment.origin);
        Stamp { hlc: self.moment.hlc, origin: self.moment.origin, seq: Seq(own.map_or(0, |own| own.seq.0) + 1) }
    }

    /// Wall clock time, the same throughout the request.
    pub fn now(&self) -> WallMs {
        self.moment.now
    }

    /// The local number that this commit gets if it changes anything.
    pub fn commit(&self) -> Commit {
        Commit(self.moment.heads.commit.0 + 1)
    }

    /// Joins a delta to its row; it becomes a part of this commit's entry, and everything derived follows.
    ///
    /// # Errors
    /// [`MetadataError::Erased`] where the row was erased for good; what the engine meets.
    pub fn apply(&mut self, delta: Delta) -> Result<(), MetadataError> {
        self.guard(|tx| {
            if tx.is_erased(&delta.key)? {
                return Err(MetadataError::Erased { key: delta.key });
            }
            tx.join(&delta)?;
            tx.deltas.push(delta);
            Ok(())
        })
    }

    /// [`Transaction::apply`] for several.
    ///
    /// # Errors
    /// As [`Transaction::apply`].
    pub fn apply_all(&mut self, deltas: impl IntoIterator<Item = Delta>) -> Result<(), MetadataError> {
        deltas.into_iter().try_for_each(|delta| self.apply(delta))
    }

    /// Erases for good: rows and references go at once, the ledger keeps the name. Work in proportion to what the erasure covers.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn erase(&mut self, erasure: Erasure) -> Result<(), MetadataError> {
        self.guard(|tx| {
            tx.erase_rows(erasure)?;
            tx.erasures.push(erasure);
            Ok(())
        })
    }

    /// Adds to the audit log.
    ///
    /// # Errors
    /// [`MetadataError::Unavailable`] past 65,535 records in one request.
    pub fn audit(&mut self, record: AuditRecord) -> Result<(), MetadataError> {
        self.guard(|tx| {
            let number = tx.audits;
            let full = || MetadataError::Unavailable { detail: "too many audit records in one request".to_owned() };
            tx.audits = number.checked_add(1).ok_or_else(full)?;
            tx.overlay.put::<Audit>(&(tx.commit(), number), &record);
            Ok(())
        })
    }

    /// Remembers a failure, so that a request cannot be accepted half done by overlooking it.
    pub(super) fn guard<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, MetadataError>) -> Result<T, MetadataError> {
        let done = work(self);
        if let Err(error) = &done {
            self.failure.get_or_insert_with(|| error.clone());
        }
        done
    }

    fn covers(&self, stamp: &Stamp) -> Result<bool, MetadataError> {
        Ok(self.head(stamp.origin)?.is_some_and(|head| head.seq >= stamp.seq))
    }

    fn join(&mut self, delta: &Delta) -> Result<(), MetadataError> {
        let former = self.births(&delta.key)?;
        let mut present = former.clone();
        present.join(delta.birth, &delta.row, self.covers(&delta.birth)?);
        if present != former {
            let refs = self.set_row(&delta.key, &former, &present, false)?;
            self.new_refs.extend(refs);
            self.stubbed |= present.has_stub();
        }
        Ok(())
    }

    fn erase_rows(&mut self, erasure: Erasure) -> Result<(), MetadataError> {
        if table::get::<Erased>(self.source(), &erasure)?.is_some() {
            return Ok(());
        }
        let at = self.entry_hlc().wall();
        self.overlay.put::<Erased>(&erasure, &at);
        let mut rows = vec![];
        let bounds = Bounds::prefix(&erasure.to_key());
        table::scan::<Rows>(self.source(), &bounds, |key, births| {
            rows.push((key, births));
            Ok(ControlFlow::Continue(()))
        })?;
        for (key, births) in rows {
            self.set_row(&key, &births, &Default::default(), true)?;
        }
        self.forget_held(&erasure)
    }

    fn entry_hlc(&self) -> Hlc {
        self.received.as_ref().map_or_else(|| self.stamp().hlc, |(entry, _)| entry.hlc)
    }

    /// Applies a received entry, which is the next of its origin; the request then makes nothing of its own.
    pub(super) fn apply_received(&mut self, entry: Entry, bytes: Vec<u8>) -> Result<(), MetadataError> {
        self.guard(|tx| {
            let (erasures, deltas) = (entry.erasures.clone(), entry.deltas.clone());
            tx.received = Some((entry, bytes));
            erasures.into_iter().try_for_each(|erasure| tx.erase_rows(erasure))?;
            for delta in deltas {
                if !tx.is_erased(&delta.key)? {
                    tx.join(&delta)?;
                }
            }
            Ok(())
        })
    }

    /// Ends an accepted request: the last preconditions, then entry, vector and journal.
    ///
    /// # Errors
    /// [`MetadataError::MissingBlob`] where an own request refers to a blob that is not here undamaged;
    /// [`MetadataError::Contradiction`] where it sets one thing twice; a failure that the request met.
    pub(super) fn finish(mut self) -> Result<Effects, MetadataError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if self.received.is_none() {
            // Which of two values of one commit stands would not be up to the program.
            if let Some(delta) = change::contradiction(self.stamp(), &self.deltas) {
                return Err(MetadataError::Contradiction { key: delta.key });
            }
            self.require_bytes()?;
        }
        self.queue_unreferenced()?;
        let mut heads = self.moment.heads;
        heads.commit = self.commit();
        let journal = match self.received.take() {
            Some((entry, bytes)) => {
                heads.hlc = heads.hlc.max(entry.hlc);
                Some(self.log(&entry, bytes, true)?)
            }
            None if !self.deltas.is_empty() || !self.erasures.is_empty() => {
                let (entry, bytes) = self.own_entry();
                heads.hlc = entry.hlc;
                heads.own = Some(OwnHead { origin: entry.origin, seq: entry.seq, chain: Entry::chain_hash(&bytes) });
                let stubbed = self.stubbed;
                Some(self.log(&entry, bytes, stubbed)?)
            }
            None if self.overlay.changed_since(self.mark) => Some(JournalRow::Local),
            None => None,
        };
        // Nothing to write; a given-up copy that a row names after all lands without.
        let Some(journal) = journal else { return Ok(Effects { heads: None, landed: self.landed, changes: self.changes }) };
        self.overlay.put::<Journal>(&heads.commit, &journal);
        Ok(Effects { heads: Some(heads), landed: self.landed, changes: self.changes })
    }

    fn own_entry(&mut self) -> (Entry, Vec<u8>) {
        let stamp = self.stamp();
        let own = self.moment.heads.own;
        let (previous, predecessor) = match own {
            Some(own) if own.origin == stamp.origin => (own.chain, None),
            Some(former) => (ChainHash::ROOT, Some(Predecessor { origin: former.origin, seq: former.seq, chain: former.chain })),
            None => (ChainHash::ROOT, None),
        };
        let entry = Entry {
            origin: stamp.origin,
            seq: stamp.seq,
            hlc: stamp.hlc,
            previous,
            predecessor,
            deltas: std::mem::take(&mut self.deltas),
            erasures: std::mem::take(&mut self.erasures),
        };
        let bytes = entry.encode();
        (entry, bytes)
    }

    /// Writes the entry and moves its origin's head; `sweep`: births that it covers may stand as stubs.
    fn log(&mut self, entry: &Entry, bytes: Vec<u8>, sweep: bool) -> Result<JournalRow, MetadataError> {
        let head = Head { seq: entry.seq, chain: Some(Entry::chain_hash(&bytes)) };
        self.overlay.put::<Vector>(&entry.origin, &head);
        self.overlay.put::<Entries>(&(entry.origin, entry.seq), &StoredEntry { commit: self.commit(), bytes });
        if sweep {
            self.sweep_stubs(entry.origin, entry.seq)?;
        }
        Ok(JournalRow::Entry { origin: entry.origin, seq: entry.seq })
    }

    /// Births of this origin up to this entry are covered now: where one is a stub, it is dead.
    fn sweep_stubs(&mut self, origin: Origin, seq: Seq) -> Result<(), MetadataError> {
        let mut rows: Vec<RowKey> = vec![];
        table::scan::<Stubs>(self.source(), &Bounds::prefix(&origin.to_key()), |(_, born, key), ()| {
            if born > seq {
                return Ok(ControlFlow::Break(()));
            }
            rows.push(key);
            Ok(ControlFlow::Continue(()))
        })?;
        for key in rows {
            let former = self.births(&key)?;
            let mut present = former.clone();
            present.sweep(|birth| birth.origin == origin && birth.seq <= seq);
            self.set_row(&key, &former, &present, false)?;
        }
        Ok(())
    }

    /// A local client's reference begins only where the bytes are (`blobs.md`, lemma 3).
    fn require_bytes(&self) -> Result<(), MetadataError> {
        for hash in &self.new_refs {
            if table::get::<Blobs>(self.source(), hash)?.is_none_or(|blob| blob.damaged) {
                return Err(MetadataError::MissingBlob { hash: *hash });
            }
        }
        Ok(())
    }

    /// A blob that was named without a reference must be found by the reaper.
    fn queue_unreferenced(&mut self) -> Result<(), MetadataError> {
        for hash in std::mem::take(&mut self.named) {
            if !self.is_referenced(&hash)? {
                self.overlay.put::<Candidates>(&(self.moment.now, hash), &());
            }
        }
        Ok(())
    }
}
