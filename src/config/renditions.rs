//! Renditions.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ByteSize;
use super::error::Findings;

/// `[renditions]`: what rendering may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenditionsConfig {
    /// Memory for finished renditions.
    pub cache_bytes: ByteSize,
    /// Disk for finished renditions, and at most a tenth of its file system; 0: none.
    pub disk_bytes: ByteSize,
    /// Where they lie there; empty: `renditions-cache` under `storage.data`. One server's alone.
    pub disk_dir: PathBuf,
    /// Renders at once; 0: one a core.
    pub concurrency: u32,
    /// Renders that may wait; more are told to come again. Of one photo a sixteenth, but at least 4.
    pub queue_limit: u32,
    /// How long a request waits for its rendition, queue and all.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// Width or height of a rendition.
    pub max_side: u32,
    /// Whether small renditions of large photos are made from a preview, which is kept beside the photo (up to some 400 kB) and made in the background
    /// after the upload, or when it is first needed.
    pub previews: bool,
    /// Whether a client that says that it takes AVIF gets it where the URL names no format: the next best until it is made.
    pub avif_by_accept: bool,
    /// Quality (1 to 100) where a URL names none.
    pub default_quality: u8,
    /// Whether answers say by `Server-Timing` where a rendition came from and what it took. Renditions are shared by all tenants: whoever may
    /// ask for one then learns whether somebody else has had it made.
    pub server_timing: bool,
}

impl Default for RenditionsConfig {
    fn default() -> Self {
        Self {
            cache_bytes: ByteSize::mib(256),
            disk_bytes: ByteSize::gib(4),
            disk_dir: PathBuf::new(),
            concurrency: 0,
            queue_limit: 256,
            deadline: Duration::from_secs(15),
            max_side: 8_192,
            previews: true,
            avif_by_accept: true,
            default_quality: 80,
            server_timing: false,
        }
    }
}

impl RenditionsConfig {
    /// A small cache, nothing of it on disk, one render at a time, and nothing made that nobody asked for.
    pub fn for_testing() -> Self {
        let disk_bytes = ByteSize::bytes(0);
        let (concurrency, queue_limit, max_side) = (1, 16, 2_048);
        Self { cache_bytes: ByteSize::mib(4), disk_bytes, concurrency, queue_limit, max_side, previews: false, ..Self::default() }
    }

    /// The directory of the renditions on disk, for this data directory.
    pub fn disk_directory(&self, data: &Path) -> PathBuf {
        if self.disk_dir.as_os_str().is_empty() { data.join("renditions-cache") } else { self.disk_dir.clone() }
    }

    pub(super) fn check(&self, findings: &mut Findings) {
        findings.size_within("renditions.cache_bytes", self.cache_bytes, ByteSize::bytes(0)..=ByteSize::gib(4_096));
        findings.size_within("renditions.disk_bytes", self.disk_bytes, ByteSize::bytes(0)..=ByteSize::gib(16_384));
        findings.within("renditions.concurrency", u64::from(self.concurrency), 0..=1_024);
        findings.within("renditions.queue_limit", u64::from(self.queue_limit), 1..=100_000);
        findings.within("renditions.max_side", u64::from(self.max_side), 16..=65_535);
        findings.within("renditions.default_quality", u64::from(self.default_quality), 1..=100);
        findings.some_time("renditions.deadline", self.deadline);
    }
}
