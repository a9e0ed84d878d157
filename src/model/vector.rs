//! The version vector: what a replica has seen of every origin.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::entry::ChainHash;
use super::{Origin, Seq, Stamp};

/// How far an origin's log was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The last entry.
    pub seq: Seq,
    /// Its hash; `None` after a reconciliation, which brings the state but not the chain.
    pub chain: Option<ChainHash>,
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
