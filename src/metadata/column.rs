//! Every column family, and nothing but: which key, which value, what for. `storage-layout.md` says the same to people, and a test
//! holds the two together through [`COLUMNS`].

use super::MetadataError;
use super::key::{Commit, Key};
use super::record::{AuditRecord, Counts, Doom, Heads, JournalRow, Settled, SnapshotRow, StoredBlob, StoredEntry, Value};
use crate::model::erasure::Erasure;
use crate::model::row::Births;
use crate::model::set_hash::{Bucket, SetHash};
use crate::model::vector::Head;
use crate::model::{
    AlbumId, BlobHash, BlobKey, Hlc, Kind, Origin, Owner, PerceptualHash, PhotoId, RowKey, Seq, SnapshotId, Stamp, TenantId, TokenId,
    WallMs,
};

/// A column family as a type.
pub trait Column {
    /// Which.
    const ID: ColumnId;
    /// How its keys are built.
    type Key: Key;
    /// What stands under a key.
    type Value: Value;

    /// Reads a stored key.
    ///
    /// # Errors
    /// [`MetadataError::Damaged`].
    fn key(bytes: &[u8]) -> Result<Self::Key, MetadataError> {
        Self::Key::from_key(bytes).ok_or_else(|| MetadataError::damaged(format!("a key of {} is malformed", Self::ID.name())))
    }
}

/// What the documentation says of a column.
#[derive(Debug)]
pub struct ColumnInfo {
    /// The type.
    pub id: ColumnId,
    /// The column family's name.
    pub name: &'static str,
    /// The parts of the key with their lengths in bytes.
    pub key: &'static str,
    /// The value.
    pub value: &'static str,
    /// What for.
    pub purpose: &'static str,
    /// Whether it can be computed again from `rows` alone.
    pub derived: bool,
}

macro_rules! columns {
    ($($name:ident $text:literal ($kind:ident): $key:ty => $value:ty, $key_text:literal => $value_text:literal, $purpose:literal;)*) => {
        /// The number of a column in memory; on disk it has its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ColumnId {
            $(#[doc = $purpose] $name,)*
        }

        impl ColumnId {
            /// The column family's name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }

        $(
            #[doc = $purpose]
            #[derive(Debug)]
            pub struct $name;

            impl Column for $name {
                const ID: ColumnId = ColumnId::$name;
                type Key = $key;
                type Value = $value;
            }
        )*

        /// All columns.
        pub const COLUMNS: &[ColumnInfo] = &[
            $(ColumnInfo {
                id: ColumnId::$name,
                name: $text,
                key: $key_text,
                value: $value_text,
                purpose: $purpose,
                derived: stringify!($kind).eq_ignore_ascii_case("derived"),
            },)*
        ];
    };
}

columns! {
    Rows "rows" (replicated): RowKey => Births,
        "tenant 16 · user 16 · kind 1 · id 16" => "births: stamp → fixed fields, place, trash mark, registers",
        "What sites share: tenants, users, albums, photos, tokens. One user's rows lie together.";
    Erased "erased" (replicated): Erasure => WallMs,
        "tenant 16 · user 16, then for a single row kind 1 · id 16" => "time",
        "The erasure ledger: only grows, is asked at every apply.";
    Entries "entries" (replicated): (Origin, Seq) => StoredEntry,
        "origin 16 · sequence 8" => "local commit, the entry as it was hashed and is sent",
        "The change log, hash-chained per origin.";
    Vector "vector" (replicated): Origin => Head,
        "origin 16" => "last sequence, its chain hash",
        "How far each origin's log was applied.";
    Journal "journal" (local): Commit => JournalRow,
        "commit 8" => "origin and sequence, or that only rows of this site changed",
        "Which commit was what: feed and replay go through it.";
    Blobs "blobs" (local): BlobHash => StoredBlob,
        "hash 32" => "nonce, encoding, sizes, physical hash, SHA-256, CRC-32, damaged, why it stays raw",
        "Blobs that are present here, and the one copy of each that counts.";
    Refs "refs" (local): (BlobHash, Owner, PhotoId) => Commit,
        "hash 32 · tenant 16 · user 16 · photo 16" => "the commit it was born in",
        "Live references. The trash keeps them.";
    Held "held" (local): (BlobHash, Owner, PhotoId, Commit) => Commit,
        "hash 32 · tenant 16 · user 16 · photo 16 · born 8" => "the commit it died in",
        "Dead references that a snapshot or the restore window may need.";
    Died "died" (local): (Commit, BlobHash, Owner, PhotoId, Commit) => (),
        "died 8 · hash 32 · tenant 16 · user 16 · photo 16 · born 8" => "empty",
        "Index of `held` by its end, for the edge of the window.";
    HeldByOwner "held_by_owner" (local): (Owner, PhotoId, BlobHash, Commit) => Commit,
        "tenant 16 · user 16 · photo 16 · hash 32 · born 8" => "the commit it died in",
        "Index of `held` by owner: an erasure takes these along.";
    Pins "pins" (local): (BlobHash, Owner) => WallMs,
        "hash 32 · tenant 16 · user 16" => "expiry",
        "Promises that a blob need not be sent.";
    Candidates "candidates" (local): (WallMs, BlobHash) => (),
        "due 8 · hash 32" => "empty",
        "Hints: look whether the blob is still needed.";
    Doomed "doomed" (local): BlobKey => Doom,
        "hash 32 · nonce 12" => "since when, whether a row named it",
        "The delete queue: copies that no commit will ever name again.";
    Snapshots "snapshots" (local): (Commit, SnapshotId) => SnapshotRow,
        "commit 8 · id 16" => "name, time",
        "Snapshots: each sees the references with born ≤ commit < died.";
    AlbumPhotos "album_photos" (derived): (Owner, AlbumId, Hlc, PhotoId) => (),
        "tenant 16 · user 16 · album 16 · created 8 · photo 16" => "empty",
        "Photos of an album as they are shown, oldest first.";
    AlbumHashes "album_hashes" (derived): (Owner, AlbumId, BlobHash, PhotoId) => (),
        "tenant 16 · user 16 · album 16 · hash 32 · photo 16" => "empty",
        "Whether an album holds these bytes already.";
    Similar "similar" (derived): (Owner, u8, PerceptualHash, PhotoId) => (),
        "tenant 16 · user 16 · band 1 · turned hash 8 · photo 16" => "empty",
        "Photos as they are shown, by each quarter of their perceptual hash: near duplicates.";
    OtherIds "other_ids" (derived): (Owner, PhotoId, PhotoId) => (),
        "tenant 16 · user 16 · shown id 16 · row's id 16" => "empty",
        "Photos that are shown under another id than their row's.";
    Names "names" (derived): (Kind, TenantId, [u8; 32], Stamp, uuid::Uuid) => (),
        "kind 1 · tenant 16 · BLAKE3 of the name 32 · since 32 · id 16" => "empty",
        "Who bears a name: the oldest birth holds it.";
    TokenSecrets "token_secrets" (derived): ([u8; 32], RowKey) => (),
        "secret's hash 32 · tenant 16 · user 16 · kind 1 · id 16" => "empty",
        "Tokens by the hash of their secret.";
    Stubs "stubs" (derived): (Origin, Seq, RowKey) => (),
        "origin 16 · sequence 8 · tenant 16 · user 16 · kind 1 · id 16" => "empty",
        "Births that were edited or deleted before they arrived: swept once the vector covers them.";
    CountsOf "counts" (derived): Scope => Counts,
        "scope 1, then tenant 16 (1), tenant 16 · user 16 (2), tenant 16 · user 16 · album 16 (3)" => "tenants, users, albums, photos, bytes; for the site blobs, copies' bytes, doomed, pins, what is recompressed",
        "How many, of the site, a tenant, an owner, an album.";
    Sums "sums" (derived): SumOf => SetHash,
        "root: 0; bucket: 1 · bucket 2; owner: 2 · bucket 2 · tenant 16 · user 16" => "sum of row hashes modulo 2^256, count",
        "Set hashes: what sites compare, and drill down by.";
    Audit "audit" (local): (Commit, u16) => AuditRecord,
        "commit 8 · number 2" => "time, actor, action, subject, detail",
        "What administrators did.";
    TokenUses "token_uses" (local): TokenId => WallMs,
        "token 16" => "time, to the minute",
        "When tokens were last used at this site.";
    Site "site" (local): () => Settled,
        "empty" => "site id, key of the set hashes",
        "What this store is.";
    HeadsOf "heads" (local): () => Heads,
        "empty" => "last commit, time, last own entry",
        "How far this store has come.";
    Format "format" (local): () => super::format::FormatVersion,
        "empty" => "number",
        "The version of everything above.";
}

/// Of what rows are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The site.
    Site,
    /// A tenant.
    Tenant(TenantId),
    /// An owner.
    Owner(Owner),
    /// An album of an owner.
    Album(Owner, AlbumId),
}

impl Scope {
    /// The prefix of all owners of a tenant.
    pub fn owners_of(tenant: TenantId) -> Vec<u8> {
        [&[2][..], tenant.as_bytes()].concat()
    }

    /// The prefix of all albums of an owner.
    pub fn albums_of(owner: Owner) -> Vec<u8> {
        (3u8, owner).to_key()
    }

    /// The prefix of all tenants.
    pub fn tenants() -> Vec<u8> {
        vec![1]
    }
}

impl Key for Scope {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Site => out.push(0),
            Self::Tenant(tenant) => (1u8, *tenant).put(out),
            Self::Owner(owner) => (2u8, *owner).put(out),
            Self::Album(owner, album) => (3u8, *owner, *album).put(out),
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(match u8::take(bytes)? {
            0 => Self::Site,
            1 => Self::Tenant(TenantId::take(bytes)?),
            2 => Self::Owner(Owner::take(bytes)?),
            3 => Self::Album(Owner::take(bytes)?, AlbumId::take(bytes)?),
            _ => return None,
        })
    }
}

/// Of what rows' hashes are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SumOf {
    /// All rows.
    Root,
    /// The rows of all owners in a bucket.
    Bucket(Bucket),
    /// An owner's rows.
    Owner(Bucket, Owner),
}

impl SumOf {
    /// The prefix of all owners in a bucket.
    pub fn owners_in(bucket: Bucket) -> Vec<u8> {
        (2u8, bucket.0).to_key()
    }
}

impl Key for SumOf {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Root => out.push(0),
            Self::Bucket(bucket) => (1u8, bucket.0).put(out),
            Self::Owner(bucket, owner) => (2u8, bucket.0, *owner).put(out),
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(match u8::take(bytes)? {
            0 => Self::Root,
            1 => Self::Bucket(Bucket(u16::take(bytes)?)),
            2 => Self::Owner(Bucket(u16::take(bytes)?), Owner::take(bytes)?),
            _ => return None,
        })
    }
}

/// An owner's erasure is a prefix of the erasures of the owner's rows.
impl Key for Erasure {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Owner(owner) => owner.put(out),
            Self::Row(row) => row.put(out),
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        if bytes.len() >= RowKey::LENGTH { RowKey::take(bytes).map(Self::Row) } else { Owner::take(bytes).map(Self::Owner) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_each_column_is_described() {
        let names: BTreeSet<_> = COLUMNS.iter().map(|column| column.name).collect();
        assert_eq!(names.len(), COLUMNS.len());
        for column in COLUMNS {
            assert_eq!(column.id.name(), column.name);
            assert!(!column.key.is_empty() && !column.value.is_empty() && column.purpose.ends_with('.'), "{}", column.name);
        }
    }

    #[test]
    fn keys_of_several_shapes_read_back_and_keep_their_prefixes() {
        let owner = Owner::DEFAULT;
        for scope in [Scope::Site, Scope::Tenant(owner.tenant), Scope::Owner(owner), Scope::Album(owner, AlbumId::ROOT)] {
            assert_eq!(Scope::from_key(&scope.to_key()), Some(scope));
        }
        assert!(Scope::Owner(owner).to_key().starts_with(&Scope::owners_of(owner.tenant)));
        assert!(Scope::Album(owner, AlbumId::ROOT).to_key().starts_with(&Scope::albums_of(owner)));
        let bucket = Bucket::of(&owner);
        for sum in [SumOf::Root, SumOf::Bucket(bucket), SumOf::Owner(bucket, owner)] {
            assert_eq!(SumOf::from_key(&sum.to_key()), Some(sum));
        }
        let row = RowKey::user(owner);
        for erasure in [Erasure::Owner(owner), Erasure::Row(row)] {
            assert_eq!(Erasure::from_key(&erasure.to_key()), Some(erasure));
            assert!(erasure.to_key().starts_with(&owner.to_bytes()));
        }
    }
}
