//! The version vector: what a replica has seen of every origin.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::entry::{ChainHash, Entry};
use super::{Origin, Seq, Stamp};

/// How far an origin's log was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The last entry.
    pub seq: Seq,
    /// Its hash; `None` where a reconciliation brought the state without the chain.
    pub chain: Option<ChainHash>,
}

/// What to do with a received entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The next of its origin, and its chain holds: apply it.
    Next,
    /// Covered already: drop it.
    Known,
    /// Covered by what a running reconciliation brings: drop it, or offer it again after the reconciliation, which will make it known.
    Waits,
    /// Entries before it are missing: ask for them; where the peer has cut them, reconcile.
    Gap,
    /// It does not follow from the entry before it: the origin's log was forked (an old copy that ran on, or damage). Reconcile.
    Broken,
}

/// Origin → head. A dot is covered once the origin's head has reached it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionVector(BTreeMap<Origin, Head>);

impl VersionVector {
    /// What was seen of one origin.
    pub fn get(&self, origin: &Origin) -> Option<&Head> {
        self.0.get(origin)
    }

    /// The last sequence seen of one origin; 0 where none was.
    pub fn seq(&self, origin: &Origin) -> Seq {
        self.get(origin).map_or(Seq(0), |head| head.seq)
    }

    /// Whether the commit of this stamp is part of the state.
    pub fn covers(&self, stamp: &Stamp) -> bool {
        self.seq(&stamp.origin) >= stamp.seq
    }

    /// What to do with an entry of another origin. `reconciling`: the sender's vector while a reconciliation runs; what it covers waits,
    /// because the deletions that it covers will never be sent.
    pub fn arrival(&self, entry: &Entry, reconciling: Option<&Self>) -> Arrival {
        let head = self.get(&entry.origin);
        let seq = head.map_or(Seq(0), |head| head.seq);
        if entry.seq <= seq {
            return Arrival::Known;
        }
        if reconciling.is_some_and(|theirs| theirs.covers(&entry.stamp())) {
            return Arrival::Waits;
        }
        if entry.seq.0 != seq.0 + 1 {
            return Arrival::Gap;
        }
        // A head without a chain came of a reconciliation with a peer that had none either: taken on trust.
        let chain = head.map_or(Some(ChainHash::ROOT), |head| head.chain);
        if chain.is_some_and(|chain| chain != entry.previous) { Arrival::Broken } else { Arrival::Next }
    }

    /// Moves one origin's head.
    pub fn set(&mut self, origin: Origin, head: Head) {
        self.0.insert(origin, head);
    }

    /// Takes the larger of both at every origin, as after a reconciliation. Answers the origins that moved.
    pub fn join(&mut self, other: &Self) -> Vec<Origin> {
        let mut moved = vec![];
        for (origin, head) in &other.0 {
            if head.seq > self.seq(origin) {
                self.0.insert(*origin, *head);
                moved.push(*origin);
            }
        }
        moved
    }

    /// All origins with their heads.
    pub fn iter(&self) -> impl Iterator<Item = (&Origin, &Head)> {
        self.0.iter()
    }
}
