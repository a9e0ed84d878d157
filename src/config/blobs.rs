//! The blob store's threads and times.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ByteSize;
use super::error::Findings;

/// `[blobs]`: how blobs are read, checked and promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobsConfig {
    /// Threads for the backend's files, apart from all others, so that a dead filer cannot take those; half as many more check copies.
    pub io_threads: u32,
    /// Whether all 65,536 directories for copies are made at the start where they are missing (on ext4 256 MiB, some seconds), so that
    /// no upload waits for one. Where the file system has little room each is made when it is first needed.
    pub directories_ahead: bool,
    /// Memory in which uploads of up to 8 MiB are held whole until they are written, past the page cache; those for which there is no room
    /// are streamed to disk. 0: all above 256 KiB are streamed.
    pub hold_memory_bytes: ByteSize,
    /// How long a copy whose bytes were checked is served without checking them again.
    #[serde(with = "humantime_serde")]
    pub verify_remember: Duration,
    /// How many checked copies are remembered.
    pub verify_remember_copies: u32,
    /// How long a copy stays that a row named and another replaced: longer than copying the blobs to a backup takes.
    #[serde(with = "humantime_serde")]
    pub delete_grace: Duration,
    /// How long a blob that a client was told not to send is kept for its album.
    #[serde(with = "humantime_serde")]
    pub pin_term: Duration,
}

impl Default for BlobsConfig {
    fn default() -> Self {
        Self {
            io_threads: 16,
            directories_ahead: true,
            hold_memory_bytes: ByteSize::mib(128),
            verify_remember: Duration::from_secs(10 * 60),
            verify_remember_copies: 100_000,
            delete_grace: Duration::from_secs(24 * 60 * 60),
            pin_term: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl BlobsConfig {
    /// Few threads, a short memory, no directories that are not needed.
    pub fn for_testing() -> Self {
        Self {
            io_threads: 4,
            directories_ahead: false,
            hold_memory_bytes: ByteSize::mib(16),
            delete_grace: Duration::from_secs(60),
            verify_remember_copies: 1_000,
            ..Self::default()
        }
    }

    pub(super) fn check(&self, findings: &mut Findings) {
        findings.within("blobs.io_threads", u64::from(self.io_threads), 1..=1_024);
        findings.size_within("blobs.hold_memory_bytes", self.hold_memory_bytes, ByteSize::bytes(0)..=ByteSize::gib(64));
        findings.within("blobs.verify_remember_copies", u64::from(self.verify_remember_copies), 1..=100_000_000);
        // A promise must outlive the upload of the rest of an album.
        findings.time_within("blobs.pin_term", self.pin_term, Duration::from_secs(60)..=Duration::from_secs(90 * 24 * 60 * 60));
        findings.time_within("blobs.delete_grace", self.delete_grace, Duration::from_secs(60)..=Duration::from_secs(365 * 24 * 60 * 60));
        findings.time_within("blobs.verify_remember", self.verify_remember, Duration::ZERO..=Duration::from_secs(7 * 24 * 60 * 60));
    }
}
