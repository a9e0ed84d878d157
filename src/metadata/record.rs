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
    JournalRow, 1, "a journal row";
    StoredEntry, 1, "a stored entry";
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
    /// A JPEG, recompressed without loss, in a container (`storage-layout.md`).
    Lepton(Codec),
}

/// What recompressed a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Codec {
    /// Its version.
    pub version: [u16; 3],
    /// How it worked, as the container has it.
    pub flags: u16,
}

/// What came of recompressing a blob that lies as it was uploaded: with the same codec it is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaysRaw {
    /// What it was tried with.
    pub codec: Codec,
    /// Why it stays.
    pub why: StaysRawWhy,
}

/// Why a blob stays as it was uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StaysRawWhy {
    /// It would hardly be smaller.
    NoGain,
    /// The codec does not take it.
    Unfit,
    /// The codec did not give the same bytes back.
    Unproven,
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
    /// Where it was tried to recompress it in vain.
    pub stays_raw: Option<StaysRaw>,
}

/// What a blob row adds to the site's counts.
pub(super) fn blob_counts(encoding: Encoding, size_bytes: u64, stored_bytes: u64) -> Counts {
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let cold = match encoding {
        Encoding::Raw => ColdCounts::default(),
        Encoding::Lepton(_) => ColdCounts { blobs: 1, original_bytes: bytes(size_bytes), stored_bytes: bytes(stored_bytes) },
    };
    Counts { blobs: 1, stored_bytes: bytes(stored_bytes), cold, ..Counts::default() }
}

/// The first version of [`StoredBlob`], which is still what is written of a blob that nobody has tried to recompress: so a store without such
/// blobs opens with an older program, too.
#[derive(Serialize, Deserialize)]
struct FirstBlob {
    nonce: BlobNonce,
    encoding: FirstEncoding,
    size_bytes: u64,
    stored_bytes: u64,
    stored_hash: Option<BlobHash>,
    sha256: Sha256,
    crc32: u32,
    damaged: bool,
}

#[derive(Serialize, Deserialize)]
enum FirstEncoding {
    Raw,
}

impl Value for StoredBlob {
    fn to_value(&self) -> Vec<u8> {
        let Self { nonce, encoding, size_bytes, stored_bytes, stored_hash, sha256, crc32, damaged, stays_raw } = *self;
        if encoding != Encoding::Raw || stays_raw.is_some() {
            return encode(2, self);
        }
        let encoding = FirstEncoding::Raw;
        encode(1, &FirstBlob { nonce, encoding, size_bytes, stored_bytes, stored_hash, sha256, crc32, damaged })
    }

    fn from_value(bytes: &[u8]) -> Result<Self, MetadataError> {
        const WHAT: &str = "a blob row";
        let Ok((1, _)) = postcard::take_from_bytes::<u64>(bytes) else { return decode(WHAT, 2, bytes) };
        let FirstBlob { nonce, encoding: FirstEncoding::Raw, size_bytes, stored_bytes, stored_hash, sha256, crc32, damaged } =
            decode(WHAT, 1, bytes)?;
        let (encoding, stays_raw) = (Encoding::Raw, None);
        Ok(Self { nonce, encoding, size_bytes, stored_bytes, stored_hash, sha256, crc32, damaged, stays_raw })
    }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
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
    /// Local, site only: what is recompressed.
    pub cold: ColdCounts,
}

/// What is recompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ColdCounts {
    /// Blobs.
    pub blobs: i64,
    /// The sizes of their originals.
    pub original_bytes: i64,
    /// Bytes of their copies.
    pub stored_bytes: i64,
}

/// What stands in a count row since its first version, and alone in one where nothing is recompressed.
type FirstCounts = [i64; 9];

impl Value for Counts {
    fn to_value(&self) -> Vec<u8> {
        let Self { tenants, users, albums, photos, photo_bytes, blobs, stored_bytes, doomed, pins, cold } = *self;
        let first: FirstCounts = [tenants, users, albums, photos, photo_bytes, blobs, stored_bytes, doomed, pins];
        if cold == ColdCounts::default() { encode(1, &first) } else { encode(2, &(first, cold)) }
    }

    fn from_value(bytes: &[u8]) -> Result<Self, MetadataError> {
        const WHAT: &str = "a count row";
        let (first, cold) = match postcard::take_from_bytes::<u64>(bytes) {
            Ok((1, _)) => (decode::<FirstCounts>(WHAT, 1, bytes)?, ColdCounts::default()),
            _ => decode(WHAT, 2, bytes)?,
        };
        let [tenants, users, albums, photos, photo_bytes, blobs, stored_bytes, doomed, pins] = first;
        Ok(Self { tenants, users, albums, photos, photo_bytes, blobs, stored_bytes, doomed, pins, cold })
    }
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
        self.cold.blobs += sign * other.cold.blobs;
        self.cold.original_bytes += sign * other.cold.original_bytes;
        self.cold.stored_bytes += sign * other.cold.stored_bytes;
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

    #[test]
    fn rows_without_recompressed_copies_are_those_of_the_first_version() {
        let raw = StoredBlob {
            nonce: BlobNonce::from_random([7; 12]),
            encoding: Encoding::Raw,
            size_bytes: 1_000,
            stored_bytes: 1_000,
            stored_hash: None,
            sha256: Sha256::from_bytes([9; 32]),
            crc32: 5,
            damaged: false,
            stays_raw: None,
        };
        let codec = Codec { version: [0, 5, 8], flags: 3 };
        let tried = StoredBlob { stays_raw: Some(StaysRaw { codec, why: StaysRawWhy::NoGain }), ..raw };
        let cold = StoredBlob { encoding: Encoding::Lepton(codec), stored_bytes: 800, stored_hash: Some(BlobHash::of(b"x")), ..raw };
        for (row, version) in [(raw, 1), (tried, 2), (cold, 2)] {
            assert_eq!((row.to_value()[0], StoredBlob::from_value(&row.to_value())), (version, Ok(row)));
        }
        let none = Counts { blobs: 3, pins: -1, ..Counts::default() };
        let some = Counts { cold: ColdCounts { blobs: 1, original_bytes: 1_000, stored_bytes: 800 }, ..none };
        for (counts, version) in [(none, 1), (some, 2)] {
            assert_eq!((counts.to_value()[0], Counts::from_value(&counts.to_value())), (version, Ok(counts)));
        }
        let newer = [&[3], &cold.to_value()[1..]].concat();
        assert_eq!(StoredBlob::from_value(&newer), Err(MetadataError::Newer { what: "a blob row", found: 3, known: 2 }));
        let unknown = [&[1][..], &raw.to_value()[1..13], &[1], &raw.to_value()[14..]].concat();
        assert!(matches!(StoredBlob::from_value(&unknown), Err(MetadataError::Damaged { .. })), "there was no second encoding then");
    }
}
