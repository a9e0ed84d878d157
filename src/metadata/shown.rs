//! What reads answer beside the model's own views.

use super::record::{ColdCounts, Encoding, StaysRaw, StoredBlob};
use crate::model::{BlobHash, BlobKey, Hlc, PhotoId, Sha256};

/// Where a photo stands in its album's list: by creation, then id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct PhotoPosition {
    /// When the photo was created.
    pub created: Hlc,
    /// Under which id it is shown.
    pub photo: PhotoId,
}

/// A blob that is present at this site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRow {
    /// The one copy that counts.
    pub key: BlobKey,
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
    /// The copy does not hold these bytes: nothing may rely on it.
    pub damaged: bool,
    /// Where it was tried to recompress it in vain.
    pub stays_raw: Option<StaysRaw>,
}

impl BlobRow {
    pub(super) fn new(hash: BlobHash, stored: StoredBlob) -> Self {
        let StoredBlob { nonce, encoding, size_bytes, stored_bytes, stored_hash, sha256, crc32, damaged, stays_raw } = stored;
        Self { key: BlobKey { hash, nonce }, encoding, size_bytes, stored_bytes, stored_hash, sha256, crc32, damaged, stays_raw }
    }
}

/// An album, with what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlbumTotals {
    /// Photos that are shown.
    pub photos: u64,
    /// The sizes of their originals.
    pub bytes: u64,
}

/// The site as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SiteStats {
    /// Tenants.
    pub tenants: u64,
    /// Users.
    pub users: u64,
    /// Albums that are not in the trash.
    pub albums: u64,
    /// Photos that are shown.
    pub photos: u64,
    /// The sizes of these photos' originals, each counted: what users see.
    pub logical_bytes: u64,
    /// Blobs present.
    pub blobs: u64,
    /// Bytes of the copies that are named: what the backend holds for them.
    pub stored_bytes: u64,
    /// Copies queued for deletion.
    pub doomed: u64,
    /// Pins, expired ones too until they are swept.
    pub pins: u64,
    /// What is recompressed.
    pub cold: ColdStats,
}

/// What is recompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ColdStats {
    /// Blobs.
    pub blobs: u64,
    /// The sizes of their originals.
    pub original_bytes: u64,
    /// Bytes of their copies.
    pub stored_bytes: u64,
}

impl From<ColdCounts> for ColdStats {
    fn from(counts: ColdCounts) -> Self {
        let figure = |figure: i64| u64::try_from(figure).unwrap_or(0);
        Self { blobs: figure(counts.blobs), original_bytes: figure(counts.original_bytes), stored_bytes: figure(counts.stored_bytes) }
    }
}
