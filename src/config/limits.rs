//! What a request may ask for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ByteSize;
use super::error::Findings;

/// Room in JSON for one hash of a list: 64 digits, quotes, comma, space.
const JSON_BYTES_PER_HASH: u64 = 68;

/// `[limits]`: past each of these a request gets a clear error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// Size of one photo.
    pub max_upload_bytes: ByteSize,
    /// Size of a JSON body.
    pub max_json_bytes: ByteSize,
    /// Memory for all JSON bodies at once, beside the first 16 KiB of each, and as much for answers, of which one user's take a quarter; more are
    /// told to come again.
    pub json_memory_bytes: ByteSize,
    /// Uploads at once; more are told to come again.
    pub max_concurrent_uploads: u32,
    /// Of these at most so many of one user's; 0: a quarter.
    pub max_concurrent_uploads_per_user: u32,
    /// Downloads of originals at once, each with a file open; more are told to come again.
    pub max_concurrent_downloads: u32,
    /// Of these at most so many of one user's; 0: a quarter.
    pub max_concurrent_downloads_per_user: u32,
    /// An upload that comes more slowly than this many bytes a second is broken off; 0: never.
    pub min_upload_bytes_per_second: ByteSize,
    /// Width times height of a photo.
    pub max_pixels: u64,
    /// Width or height of a photo.
    pub max_side: u32,
    /// Scans of a progressive JPEG: small files with very many keep a decoder busy for half a minute.
    pub max_scans: u32,
    /// Frames of an animation.
    pub max_frames: u32,
    /// Size of a photo's embedded metadata (EXIF, ICC, XMP).
    pub max_embedded_bytes: ByteSize,
    /// Memory that decoding one photo may take; drawing a picture of it takes up to as much again (of AVIF 100 bytes a pixel). Each kind of decoders
    /// (uploads, renditions, AVIF and animations, previews) shares out so much for every four of its processes.
    pub max_decoded_bytes: ByteSize,
    /// Whether photos are decoded by processes of their own, which have neither files nor network, so that a photo that breaks into its decoder gets
    /// nowhere. Without them decoders run in the server.
    pub isolate_decoders: bool,
    /// How long decoding one photo may take in such a process; then it is ended, and the photo counts as too large.
    #[serde(with = "humantime_serde")]
    pub max_decode_time: Duration,
    /// Memory for the originals that are read whole, one half for uploads and one for renditions; more wait their turn.
    pub decode_memory_bytes: ByteSize,
    /// Items of a page, where the client names no number.
    pub default_page: u32,
    /// Items of a page that a client may ask for.
    pub max_page: u32,
    /// Hashes in one question for missing blobs.
    pub max_missing_hashes: u32,
    /// Photos linked by one request.
    pub max_link_photos: u32,
    /// Length of a name (album, photo, user, tenant, token) in bytes of UTF-8.
    pub max_name_bytes: u32,
    /// Length of a caption or description in bytes of UTF-8.
    pub max_caption_bytes: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_upload_bytes: ByteSize::mib(256),
            max_json_bytes: ByteSize::mib(2),
            json_memory_bytes: ByteSize::mib(64),
            max_concurrent_uploads: 256,
            max_concurrent_uploads_per_user: 0,
            max_concurrent_downloads: 10_000,
            max_concurrent_downloads_per_user: 0,
            min_upload_bytes_per_second: ByteSize::kib(1),
            max_pixels: 100_000_000,
            max_side: 65_500,
            max_scans: 500,
            max_frames: 1_000,
            max_embedded_bytes: ByteSize::mib(16),
            max_decoded_bytes: ByteSize::mib(512),
            isolate_decoders: true,
            max_decode_time: Duration::from_secs(20),
            decode_memory_bytes: ByteSize::gib(1),
            default_page: 100,
            max_page: 1_000,
            max_missing_hashes: 1_000,
            max_link_photos: 1_000,
            max_name_bytes: 255,
            max_caption_bytes: 4_096,
        }
    }
}

impl LimitsConfig {
    /// Small enough that a test reaches them.
    pub fn for_testing() -> Self {
        Self {
            max_upload_bytes: ByteSize::mib(16),
            max_json_bytes: ByteSize::kib(64),
            json_memory_bytes: ByteSize::kib(96),
            max_concurrent_uploads: 64,
            max_concurrent_downloads: 64,
            max_pixels: 25_000_000,
            max_decoded_bytes: ByteSize::mib(128),
            // A test is not the program that such a process would be.
            isolate_decoders: false,
            decode_memory_bytes: ByteSize::mib(256),
            default_page: 10,
            max_page: 50,
            max_missing_hashes: 100,
            max_link_photos: 100,
            ..Self::default()
        }
    }

    /// How many uploads one user may have under way.
    pub fn uploads_per_user(&self) -> u32 {
        share(self.max_concurrent_uploads, self.max_concurrent_uploads_per_user)
    }

    /// How many downloads one user may have under way.
    pub fn downloads_per_user(&self) -> u32 {
        share(self.max_concurrent_downloads, self.max_concurrent_downloads_per_user)
    }

    pub(super) fn check(&self, findings: &mut Findings) {
        findings.size_within("limits.max_upload_bytes", self.max_upload_bytes, ByteSize::kib(1)..=ByteSize::gib(4));
        findings.size_within("limits.max_json_bytes", self.max_json_bytes, ByteSize::kib(4)..=ByteSize::mib(64));
        findings.size_within(
            "limits.json_memory_bytes",
            self.json_memory_bytes,
            self.max_json_bytes..=ByteSize::gib(64).max(self.max_json_bytes),
        );
        findings.within("limits.max_concurrent_uploads", u64::from(self.max_concurrent_uploads), 1..=100_000);
        findings.within(
            "limits.max_concurrent_uploads_per_user",
            u64::from(self.max_concurrent_uploads_per_user),
            0..=u64::from(self.max_concurrent_uploads),
        );
        findings.within("limits.max_concurrent_downloads", u64::from(self.max_concurrent_downloads), 1..=1_000_000);
        findings.within(
            "limits.max_concurrent_downloads_per_user",
            u64::from(self.max_concurrent_downloads_per_user),
            0..=u64::from(self.max_concurrent_downloads),
        );
        findings.size_within("limits.min_upload_bytes_per_second", self.min_upload_bytes_per_second, ByteSize::bytes(0)..=ByteSize::mib(1));
        findings.within("limits.max_pixels", self.max_pixels, 1..=4_000_000_000);
        findings.within("limits.max_side", u64::from(self.max_side), 1..=65_535);
        findings.within("limits.max_scans", u64::from(self.max_scans), 1..=100_000);
        findings.within("limits.max_frames", u64::from(self.max_frames), 1..=100_000);
        findings.size_within(
            "limits.max_embedded_bytes",
            self.max_embedded_bytes,
            ByteSize::kib(64)..=self.max_upload_bytes.max(ByteSize::kib(64)),
        );
        findings.size_within("limits.max_decoded_bytes", self.max_decoded_bytes, ByteSize::mib(1)..=ByteSize::gib(64));
        findings.some_time("limits.max_decode_time", self.max_decode_time);
        findings.within("limits.default_page", u64::from(self.default_page), 1..=u64::from(self.max_page).max(1));
        findings.within("limits.max_page", u64::from(self.max_page), 1..=10_000);
        findings.within("limits.max_missing_hashes", u64::from(self.max_missing_hashes), 1..=100_000);
        findings.within("limits.max_link_photos", u64::from(self.max_link_photos), 1..=10_000);
        findings.within("limits.max_name_bytes", u64::from(self.max_name_bytes), 16..=1_024);
        findings.within("limits.max_caption_bytes", u64::from(self.max_caption_bytes), 16..=65_536);
        if self.decode_memory_bytes.as_u64() / 2 < self.max_upload_bytes.as_u64() {
            findings.add(
                "limits.decode_memory_bytes",
                format!("{} holds not even two photos of limits.max_upload_bytes ({})", self.decode_memory_bytes, self.max_upload_bytes),
            );
        }
        let needed = ByteSize::bytes(u64::from(self.max_missing_hashes) * JSON_BYTES_PER_HASH + 64);
        if self.max_json_bytes < needed {
            findings.add(
                "limits.max_json_bytes",
                format!(
                    "{} is less than the {needed} that limits.max_missing_hashes ({}) takes",
                    self.max_json_bytes, self.max_missing_hashes
                ),
            );
        }
    }
}

/// Of so many at once those of one user: as many as are named, or a quarter.
fn share(all: u32, named: u32) -> u32 {
    if named == 0 { (all / 4).max(1) } else { named }
}
