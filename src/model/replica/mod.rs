//! A whole site's metadata in memory: the reference model of the metadata layer, and what the protocol's properties are tested on.
//!
//! It holds no rule of its own: rows are joined by `row`, entries admitted by `vector`, derived rows made by `derive`. The metadata
//! layer calls the same functions, over an engine instead of maps.

mod reconcile;
mod state;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use reconcile::Offer;
pub use state::State;
pub use tables::{AlbumTotals, Tables};

use super::entry::{ChainHash, Entry, Predecessor};
use super::erasure::{Erasure, Ledger};
use super::journal::Record;
use super::row::Delta;
use super::set_hash::SetKey;
use super::vector::Arrival;
use super::{DecodeError, Hlc, Origin, Seq, Stamp, WallMs};

/// A site. A clone is a copy of its disk.
#[derive(Clone, Debug)]
pub struct Replica {
    state: State,
    origin: Origin,
    predecessor: Option<Predecessor>,
    hlc: Hlc,
    /// Commit `n` is at `n - 1`.
    journal: Vec<Record>,
    /// Entries that peers may still ask for.
    log: BTreeMap<(Origin, Seq), Arc<Entry>>,
    reconciliation: Option<reconcile::Running>,
}

impl Replica {
    /// A new site. `origin` is random and was never used before.
    pub fn new(set_key: SetKey, origin: Origin) -> Self {
        Self {
            state: State::new(set_key),
            origin,
            predecessor: None,
            hlc: Hlc::default(),
            journal: vec![],
            log: BTreeMap::new(),
            reconciliation: None,
        }
    }

    /// Opens the site's disk, the present one or an old copy. `origin` is random and was never used before; `outside` is the ledger
    /// that is kept apart from the store: what the store lacks of it is erased again, by an entry that is answered. A reconciliation
    /// that ran is forgotten: it starts again.
    pub fn open(&mut self, origin: Origin, outside: &Ledger, wall: WallMs) -> Option<Arc<Entry>> {
        self.reconciliation = None;
        if let Some(head) = self.state.vector().get(&self.origin) {
            let chain = head.chain.unwrap_or(ChainHash::ROOT);
            self.predecessor = Some(Predecessor { origin: self.origin, seq: head.seq, chain });
        }
        self.origin = origin;
        let lacking: Vec<Erasure> = outside.iter().filter(|erasure| !self.state.ledger().contains(erasure)).copied().collect();
        (!lacking.is_empty()).then(|| self.commit(self.next_stamp(wall), vec![], lacking))
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Of which life of the log own entries are.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The time of the last commit, own or received.
    pub fn hlc(&self) -> Hlc {
        self.hlc
    }

    /// What every commit did.
    pub fn journal(&self) -> &[Record] {
        &self.journal
    }

    /// The number of the last commit.
    pub fn last_commit(&self) -> usize {
        self.journal.len()
    }

    /// An entry that was not cut, own or received: sites relay.
    pub fn entry(&self, origin: Origin, seq: Seq) -> Option<&Arc<Entry>> {
        self.log.get(&(origin, seq))
    }

    /// Cuts entries off the log: those that every peer that counts has.
    pub fn cut(&mut self, may_go: impl Fn(Origin, Seq) -> bool) {
        self.log.retain(|(origin, seq), _| !may_go(*origin, *seq));
    }

    /// The stamp of the next own commit.
    ///
    /// # Panics
    /// At the end of logical time: this is the model that the store is compared with, and the store refuses there.
    pub fn next_stamp(&self, wall: WallMs) -> Stamp {
        let hlc = self.hlc.next(wall).expect("logical time has not ended");
        Stamp { hlc, origin: self.origin, seq: Seq(self.state.vector().seq(&self.origin).0 + 1) }
    }

    /// Commits an own entry. `at` comes from [`Replica::next_stamp`].
    pub fn commit(&mut self, at: Stamp, deltas: Vec<Delta>, erasures: Vec<Erasure>) -> Arc<Entry> {
        let head = self.state.vector().get(&at.origin);
        let previous = head.and_then(|head| head.chain).unwrap_or(ChainHash::ROOT);
        let predecessor = if at.seq == Seq(1) { self.predecessor } else { None };
        let entry = Arc::new(Entry { origin: at.origin, seq: at.seq, hlc: at.hlc, previous, predecessor, deltas, erasures });
        self.apply(&entry);
        entry
    }

    /// Receives an entry from a peer, and applies it where it is the next of its origin. Own entries are never applied again.
    pub fn receive(&mut self, entry: &Arc<Entry>) -> Arrival {
        if entry.origin == self.origin {
            return Arrival::Known;
        }
        let reconciling = self.reconciliation.as_ref().map(|running| running.vector());
        let arrival = self.state.vector().arrival(entry, reconciling);
        if arrival == Arrival::Next {
            self.apply(entry);
        }
        arrival
    }

    /// The state as it was after commit `commit`, from a checkpoint taken at commit `from`, not after it. What was erased since is
    /// erased in the past, too.
    ///
    /// # Errors
    /// A record of the journal that cannot be read.
    pub fn past(&self, checkpoint: &State, from: usize, commit: usize) -> Result<State, DecodeError> {
        let mut state = checkpoint.clone();
        for erasure in self.state.ledger().iter() {
            state.erase(*erasure);
        }
        self.journal[from..commit].iter().try_for_each(|record| state.replay(record))?;
        Ok(state)
    }

    fn apply(&mut self, entry: &Arc<Entry>) {
        let record = entry.encode();
        self.state.apply(entry, &record);
        self.hlc = self.hlc.max(entry.hlc);
        self.log.insert((entry.origin, entry.seq), entry.clone());
        self.journal.push(Record::Entry(record.into()));
    }
}
