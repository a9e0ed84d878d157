//! The journal: what every commit of a site did, in the site's own order. It feeds peers, and from it the past is replayed.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::codec::{self, DecodeError};
use super::entry::Entry;
use super::erasure::Erasure;
use super::row::Delta;
use super::vector::VersionVector;

/// The newest format of a record.
const VERSION: u64 = 1;

/// One commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// An entry, own or received, as it was encoded by its author: the bytes that its chain hash is of.
    Entry(ByteBuf),
    /// A step of a reconciliation: erasures first, then rows.
    Reconciled {
        /// What the sender had erased.
        erasures: Vec<Erasure>,
        /// What was joined.
        deltas: Vec<Delta>,
    },
    /// The end of a reconciliation: the sender's vector was joined, and stubs were swept.
    Vector(VersionVector),
}

impl Record {
    /// The record of an entry.
    pub fn of_entry(entry: &Entry) -> Self {
        Self::Entry(ByteBuf::from(entry.encode()))
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(VERSION, self)
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode("a journal record", VERSION, bytes)
    }
}
