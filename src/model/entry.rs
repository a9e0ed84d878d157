//! Entries of the change log: hash-chained per origin, carrying row deltas.

use serde::{Deserialize, Serialize};

use super::codec::{self, DecodeError};
use super::erasure::Erasure;
use super::row::Delta;
use super::{Hlc, Origin, Seq, Stamp};

/// The newest format of an entry.
const VERSION: u64 = 1;

/// BLAKE3 of an encoded entry, which itself holds the hash of the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// Stands before the first entry of an origin.
    pub const ROOT: Self = Self([0; 32]);
}

/// The life before this one, named by the first entry of an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predecessor {
    /// The former origin of the same site.
    pub origin: Origin,
    /// Its last entry.
    pub seq: Seq,
    /// The hash of that entry.
    pub chain: ChainHash,
}

/// One commit, as it travels between sites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Whose.
    pub origin: Origin,
    /// Its number within the origin, from 1.
    pub seq: Seq,
    /// Its time.
    pub hlc: Hlc,
    /// The hash of the origin's entry before it, [`ChainHash::ROOT`] for the first.
    pub previous: ChainHash,
    /// In an origin's first entry: the site's former life, where there was one.
    pub predecessor: Option<Predecessor>,
    /// What it does to rows.
    pub deltas: Vec<Delta>,
    /// What it erases.
    pub erasures: Vec<Erasure>,
}

impl Entry {
    /// The stamp of the commit.
    pub fn stamp(&self) -> Stamp {
        Stamp { hlc: self.hlc, origin: self.origin, seq: self.seq }
    }

    /// The form that is stored, sent and hashed.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(VERSION, self)
    }

    /// Reads the encoded form. [`DecodeError::Newer`] pauses the origin until an upgrade.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode("a log entry", VERSION, bytes)
    }

    /// The chain hash of an encoded entry.
    pub fn chain_hash(encoded: &[u8]) -> ChainHash {
        ChainHash(*blake3::hash(encoded).as_bytes())
    }
}
