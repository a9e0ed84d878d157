//! What stands in the local columns: records that never travel. Each carries a version; a newer one is refused with a clear word.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::MetadataError;
use super::key::Commit;
use crate::model::entry::ChainHash;
use crate::model::row::Births;
use crate::model::set_hash::{SetHash, SetKey};
use crate::model::vector::Head;
use crate::model::{BlobHash, BlobNonce, Hlc, Origin, Seq, Sha256, SiteId, WallMs};

/// A stored value.
pub trait Value: Sized {
    /// The stored form.
    fn to_value(&self) -> Vec<u8>;

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`MetadataError::Newer`] and [`MetadataError::Damaged`].
    fn from_value(bytes: &[u8]) -> Result<Self, MetadataError>;
}

/// A key whose presence says everything.
impl Value for () {
    fn to_value(&self) -> Vec<u8> {
        vec![]
    }

    fn from_value(bytes: &[u8]) -> Result<Self, MetadataError> {
        if bytes.is_empty() { Ok(()) } else { Err(MetadataError::damaged("an index row has a value")) }
    }
}

impl Value for Births {
    fn to_value(&self) -> Vec<u8> {
        self.encode()
    }

    fn from_value(bytes: &[u8]) -> Result<Self, MetadataError> {
        Ok(Self::decode(bytes)?)
    }
}

fn encode<T: Serialize>(version: u64, value: &T) -> Vec<u8> {
    postcard::to_stdvec(&(version, value)).expect("plain data serializes into memory")
}

fn decode<T: DeserializeOwned>(what: &'static str, known: u64, bytes: &[u8]) -> Result<T, MetadataError> {
    let malformed = || MetadataError::damaged(format!("{what} is malformed"));
    let (found, rest) = postcard::take_from_bytes::<u64>(bytes).map_err(|_| malformed())?;
    if found > known {
        return Err(MetadataError::Newer { what, found, known });
    }
    match postcard::take_from_bytes::<T>(rest) {
        // Version 0 was never written.
        Ok((value, [])) if found > 0 => Ok(value),
        _ => Err(malformed()),
    }
}

/// A record is its version as a varint, then postcard. A new version gets a reader of the old one here, never a new column.
macro_rules! records {
    ($($type:ty, $version:literal, $what:literal;)*) => {$(
        impl Value for $type {
            fn to_value(&self) -> Vec<u8> {
                encode($version, self)
            }

            fn from_value(bytes: &[u8]) -> Result<Self, MetadataError> {
                decode($what, $version, bytes)
            }
        }
    )*};
}

records! {
    Commit, 1, "a commit number";
    WallMs, 1, "a time";
    Head, 1, "a vector row";
    SetHash, 1, "a sum row";
    Heads, 1, "the heads";
    Settled, 1, "what the store is";
    StoredBlob, 1, "a blob row";
    JournalRow, 1, "a journal row";
    StoredEntry, 1, "a stored entry";
    Counts, 1, "a count row";
    SnapshotRow, 1, "a snapshot row";
    AuditRecord, 1, "an audit record";
}

/// A copy that waits for its deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doom {
    /// When it was queued.
    pub since: WallMs,
    /// A row named it once: copies of the blobs that were made meanwhile may have it alone, and metadata that is put back may name it.
    pub was_named: bool,
}

impl Value for Doom {
    fn to_value(&self) -> Vec<u8> {
        encode(2, self)
    }

    fn from_value(bytes: &[u8]) -> Result<Self, MetadataError> {
        const WHAT: &str = "a doomed copy";
        match postcard::take_from_bytes::<u64>(bytes) {
            // The first version was the time alone.
            Ok((1, _)) => Ok(Self { since: decode(WHAT, 1, bytes)?, was_named: true }),
            _ => decode(WHAT, 2, bytes),
        }
    }
}

/// What a store is, written once when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Whose metadata it is.
    pub site: SiteId,
    /// Keys the set hashes; sites that compare share it.
    pub set_key: SetKey,
}

/// How far the store has come, written by every group of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    /// The last commit.
    pub commit: Commit,
    /// The time of the last entry, own or received: the next is later.
    pub hlc: Hlc,
    /// The last own entry, of this life or of a former one; `None` before the first.
    pub own: Option<OwnHead>,
}

/// The end of the log of one life of this site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnHead {
    /// Which life.
    pub origin: Origin,
    /// Its last entry.
    pub seq: Seq,
    /// The hash of that entry.
    pub chain: ChainHash,
}

/// How a copy's bytes lie on the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// As they were uploaded.
    Raw,
}

/// A blob that is present at this site, as stored: the hash is the row's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBlob {
    /// With the hash: the key of the one copy that counts.
    pub nonce: BlobNonce,
    /// How its bytes lie.
    pub encoding: Encoding,
    /// Length of the original.
    pub size_bytes: u64,
    /// Length of the copy.
    pub stored_bytes: u64,
    /// BLAKE3 of the copy's bytes where they are not the original's.
    pub stored_hash: Option<BlobHash>,
    /// SHA-256 of the original.
    pub sha256: Sha256,
    /// CRC-32 (IEEE) of the original.
    pub crc32: u32,
    /// The copy was found not to hold these bytes; nothing may rely on it.
    pub damaged: bool,
}

/// What a commit was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JournalRow {
    /// A log entry, own or received.
    Entry {
        /// Whose.
        origin: Origin,
        /// Which.
        seq: Seq,
    },
    /// Only rows of this site: pins, the delete queue, snapshots.
    Local,
}

/// A log entry and where it was applied here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEntry {
    /// The local commit that applied it.
    pub commit: Commit,
    /// The entry as it was hashed and is sent.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// How many, of what visible rows show. Kept by adding and subtracting, never counted anew but by `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Rows of tenants that are not in the trash.
    pub tenants: i64,
    /// Rows of users that are not in the trash.
    pub users: i64,
    /// Rows of albums that are not in the trash.
    pub albums: i64,
    /// Photos that are shown.
    pub photos: i64,
    /// The sizes of these photos' originals.
    pub photo_bytes: i64,
    /// Local, site only: blobs present.
    pub blobs: i64,
    /// Local, site only: bytes of the copies that blob rows name.
    pub stored_bytes: i64,
    /// Local, site only: copies queued for deletion.
    pub doomed: i64,
    /// Local, site only: pins, expired ones too until they are swept.
    pub pins: i64,
}

impl Counts {
    /// Adds the other's figures, field by field.
    pub fn add(&mut self, other: &Self, sign: i64) {
        self.tenants += sign * other.tenants;
        self.users += sign * other.users;
        self.albums += sign * other.albums;
        self.photos += sign * other.photos;
        self.photo_bytes += sign * other.photo_bytes;
        self.blobs += sign * other.blobs;
        self.stored_bytes += sign * other.stored_bytes;
        self.doomed += sign * other.doomed;
        self.pins += sign * other.pins;
    }

    /// Nothing is counted: the row can go.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// A snapshot: which references it sees follows from its commit alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRow {
    /// For people.
    pub name: String,
    /// When it was taken.
    pub taken: WallMs,
}

/// What an administrator, or the site itself, did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When.
    pub at: WallMs,
    /// Who: a token's id, or the part of the site that acted.
    pub actor: String,
    /// What was done, as a stable word.
    pub action: String,
    /// To what: ids, as text.
    pub subject: String,
    /// Anything else worth knowing. Never a secret.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_record_is_refused_and_a_broken_one_is_damage() {
        let mut bytes = Commit(7).to_value();
        assert_eq!(Commit::from_value(&bytes), Ok(Commit(7)));
        bytes[0] = 2;
        assert_eq!(Commit::from_value(&bytes), Err(MetadataError::Newer { what: "a commit number", found: 2, known: 1 }));
        for broken in [&[][..], &[0, 7], &[1], &[1, 7, 7]] {
            assert!(matches!(Commit::from_value(broken), Err(MetadataError::Damaged { .. })), "{broken:?}");
        }
    }

    #[test]
    fn a_doomed_copy_of_the_first_version_is_taken_as_named() {
        let since = WallMs(1_800_000_000_000);
        assert_eq!(Doom::from_value(&since.to_value()), Ok(Doom { since, was_named: true }));
        for was_named in [false, true] {
            let doom = Doom { since, was_named };
            assert_eq!(Doom::from_value(&doom.to_value()), Ok(doom));
        }
        assert_eq!(Doom::from_value(&[3, 7, 0]), Err(MetadataError::Newer { what: "a doomed copy", found: 3, known: 2 }));
        assert!(matches!(Doom::from_value(&[2, 7]), Err(MetadataError::Damaged { .. })));
    }
}
