//! Recompressing photos that have lain for a while.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ByteSize;
use super::error::Findings;

/// What is done about recompressed photos.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColdMode {
    /// None is made; those that there are stay, and are served.
    #[default]
    Off,
    /// They are made where they are due.
    On,
    /// All that there are become again what they were.
    Undo,
}

/// `[cold]`: JPEG originals that are recompressed without loss once they have lain for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColdConfig {
    /// What is done. Off where nobody said: what it saves costs time at every download, and an older version of this program does not open a store
    /// that has such photos.
    pub mode: ColdMode,
    /// How long a photo lies before it is due, from when it last came.
    #[serde(with = "humantime_serde")]
    pub after: Duration,
    /// Tenants, by name or id, whose photos are left as they are, also where others have the same.
    pub keep_raw_tenants: Vec<String>,
    /// Photos that are worked on at once, each on a processor, and only while nothing else goes on.
    pub concurrency: u32,
    /// Pause after all photos were gone through.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
    /// Memory for recompressed photos that are being downloaded, with what their clients have not taken yet; more wait, ten seconds at most. A single one
    /// always has it.
    pub decode_memory_bytes: ByteSize,
}

impl Default for ColdConfig {
    fn default() -> Self {
        Self {
            mode: ColdMode::Off,
            after: Duration::from_secs(30 * 24 * 60 * 60),
            keep_raw_tenants: vec![],
            concurrency: 1,
            every: Duration::from_secs(60 * 60),
            decode_memory_bytes: ByteSize::mib(512),
        }
    }
}

impl ColdConfig {
    /// Off, and little memory.
    pub fn for_testing() -> Self {
        Self { decode_memory_bytes: ByteSize::mib(64), ..Self::default() }
    }

    pub(super) fn check(&self, findings: &mut Findings) {
        findings.within("cold.concurrency", u64::from(self.concurrency), 1..=64);
        findings.time_within("cold.every", self.every, Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 60 * 60));
        findings.time_within("cold.after", self.after, Duration::ZERO..=Duration::from_secs(100 * 365 * 24 * 60 * 60));
        findings.size_within("cold.decode_memory_bytes", self.decode_memory_bytes, ByteSize::mib(16)..=ByteSize::gib(1_024));
        findings.within("cold.keep_raw_tenants", self.keep_raw_tenants.len() as u64, 0..=10_000);
    }
}
