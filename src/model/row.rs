//! Rows of replicated state and the one join that merges them (`metadata.md`, section 2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::codec::{self, DecodeError};
use super::{RowKey, Stamp};

/// The newest format of a stored value of births.
const VERSION: u64 = 1;

/// The number of a fixed field or a register within its kind (`photo`, `album`, …). Unknown numbers are kept and merged the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Field(pub u16);

/// What the creating delta set, once and for all.
pub type Fixed = BTreeMap<Field, serde_bytes::ByteBuf>;

/// A value that can be set again; the larger stamp wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// When it was set, and by whom.
    pub stamp: Stamp,
    /// To what.
    #[serde(with = "serde_bytes")]
    pub value: Vec<u8>,
}

/// A birth that is not deleted, or as much of it as a delta carries.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Live {
    /// `None`: an edit that arrived before the creation (a stub).
    pub fixed: Option<Fixed>,
    /// Where it stands: a photo in an album, an album in the root. A move writes it.
    pub place: Option<Register>,
    /// The largest stamp of a place that a trashing saw.
    pub removed: Option<Stamp>,
    /// Name, caption and whatever else can be edited.
    pub registers: BTreeMap<Field, Register>,
}

impl Live {
    /// In the trash: a trashing saw the present place. A concurrent move wins.
    pub fn is_trashed(&self) -> bool {
        matches!((&self.removed, &self.place), (Some(removed), Some(place)) if *removed >= place.stamp)
    }

    /// Merges what another delta says of the same birth.
    ///
    /// The fixed part comes from one delta only, the creating one; were there two, the larger stands, so that order never matters.
    pub fn join(&mut self, other: &Self) {
        if self.fixed < other.fixed {
            self.fixed.clone_from(&other.fixed);
        }
        self.join_edits(other);
    }

    /// Merges everything but the fixed part: also between births that a user sees as one.
    pub fn join_edits(&mut self, other: &Self) {
        join_register(&mut self.place, other.place.as_ref());
        self.removed = self.removed.max(other.removed);
        for (field, register) in &other.registers {
            match self.registers.get_mut(field) {
                Some(own) if (&own.stamp, &own.value) >= (&register.stamp, &register.value) => {}
                Some(own) => own.clone_from(register),
                None => {
                    self.registers.insert(*field, register.clone());
                }
            }
        }
    }
}

fn join_register(own: &mut Option<Register>, other: Option<&Register>) {
    let Some(other) = other else { return };
    // Equal stamps come from one commit, which sets a register once; the value only makes the order total.
    if own.as_ref().is_none_or(|own| (&own.stamp, &own.value) < (&other.stamp, &other.value)) {
        *own = Some(other.clone());
    }
}

/// One birth of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Row {
    /// Alive, or a stub of an edit whose creation has not arrived.
    Live(Live),
    /// A stub: deleted before its creation arrived. Only while the birth is not covered.
    Dead,
}

impl Row {
    /// Stands only until its birth is covered: deleted, or edited before created.
    pub fn is_stub(&self) -> bool {
        match self {
            Self::Live(live) => live.fixed.is_none(),
            Self::Dead => true,
        }
    }
}

/// What a log entry says of one birth of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// Of which row.
    pub key: RowKey,
    /// Of which birth.
    pub birth: Stamp,
    /// What to join.
    pub row: Row,
}

/// The value of a row: nearly always one birth. A birth is dead, for good, once a deletion that saw it is applied.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Births(BTreeMap<Stamp, Row>);

impl Births {
    /// Joins one delta. `covered`: the version vector covers `birth`, so that its absence means that it was deleted.
    /// Whether the key is erased is asked before, by the caller: the ledger is not a row.
    pub fn join(&mut self, birth: Stamp, row: &Row, covered: bool) {
        match (self.0.get_mut(&birth), row) {
            (None, _) if covered => {}
            (None, _) => {
                self.0.insert(birth, row.clone());
            }
            (Some(Row::Dead), _) => {}
            (Some(own), Row::Dead) if !covered => *own = Row::Dead,
            (Some(_), Row::Dead) => {
                self.0.remove(&birth);
            }
            (Some(Row::Live(own)), Row::Live(other)) => own.join(other),
        }
    }

    /// Drops the stubs whose birth is covered now: such a birth is dead. Answers whether anything went.
    pub fn sweep(&mut self, covers: impl Fn(&Stamp) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|birth, row| !(row.is_stub() && covers(birth)));
        self.0.len() != before
    }

    /// What a reconciliation joins to this row, which is `self` here and `theirs` at the sender (empty where it has none): every birth
    /// of the sender, and the deletion of every birth that the sender lacks and its vector covers. What would change nothing is left out,
    /// so that equal rows give nothing; `covers` asks the own vector, `sender_covers` the sender's.
    pub fn reconciliation(
        &self,
        theirs: &Self,
        covers: impl Fn(&Stamp) -> bool,
        sender_covers: impl Fn(&Stamp) -> bool,
    ) -> Vec<(Stamp, Row)> {
        let lacking = self.live().map(|(birth, _)| birth).filter(|birth| !theirs.0.contains_key(birth) && sender_covers(birth));
        let deltas = theirs.0.iter().map(|(birth, row)| (*birth, row.clone())).chain(lacking.map(|birth| (*birth, Row::Dead)));
        let changes = deltas.filter(|(birth, row)| {
            let own = Self(self.0.get(birth).map(|own| (*birth, own.clone())).into_iter().collect());
            let mut joined = own.clone();
            joined.join(*birth, row, covers(birth));
            joined != own
        });
        changes.collect()
    }

    /// All births with their rows, oldest first, stubs included.
    pub fn iter(&self) -> impl Iterator<Item = (&Stamp, &Row)> {
        self.0.iter()
    }

    /// The births that are not deleted, oldest first, stubs of edits included.
    pub fn live(&self) -> impl Iterator<Item = (&Stamp, &Live)> {
        self.0.iter().filter_map(|(birth, row)| match row {
            Row::Live(live) => Some((birth, live)),
            Row::Dead => None,
        })
    }

    /// Whether a stub stands here.
    pub fn has_stub(&self) -> bool {
        self.0.values().any(Row::is_stub)
    }

    /// Nothing is left: the row can go.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(VERSION, self)
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode("a row", VERSION, bytes)
    }
}
