//! The metadata store.

use serde::{Deserialize, Serialize};

use super::ByteSize;
use super::error::Findings;

/// `[metadata]`: memory of the database, and the writer's groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataConfig {
    /// Memory for blocks read.
    pub block_cache_bytes: ByteSize,
    /// Memory of one write buffer (memtable).
    pub write_buffer_bytes: ByteSize,
    /// Memory of all write buffers of all columns.
    pub write_buffers_total_bytes: ByteSize,
    /// Table files open at once.
    pub max_open_files: u32,
    /// Requests that one synced commit may gather.
    pub group_limit: u32,
    /// Requests that may wait for the writer; more are told to come again.
    pub queue_limit: u32,
    /// Threads that scan, and as many others that look up single rows.
    pub read_threads: u32,
}

impl Default for MetadataConfig {
    fn default() -> Self {
        Self {
            block_cache_bytes: ByteSize::mib(256),
            write_buffer_bytes: ByteSize::mib(32),
            write_buffers_total_bytes: ByteSize::mib(256),
            max_open_files: 1_024,
            group_limit: 512,
            queue_limit: 4_096,
            read_threads: 8,
        }
    }
}

impl MetadataConfig {
    /// Little memory, small groups.
    pub fn for_testing() -> Self {
        Self {
            block_cache_bytes: ByteSize::mib(8),
            write_buffer_bytes: ByteSize::mib(1),
            write_buffers_total_bytes: ByteSize::mib(16),
            max_open_files: 128,
            group_limit: 16,
            queue_limit: 256,
            read_threads: 2,
        }
    }

    pub(super) fn check(&self, findings: &mut Findings) {
        findings.size_within("metadata.block_cache_bytes", self.block_cache_bytes, ByteSize::mib(1)..=ByteSize::gib(4_096));
        findings.size_within("metadata.write_buffer_bytes", self.write_buffer_bytes, ByteSize::kib(64)..=ByteSize::gib(4));
        findings.within("metadata.max_open_files", u64::from(self.max_open_files), 64..=1_000_000);
        findings.within("metadata.group_limit", u64::from(self.group_limit), 1..=65_536);
        findings.within("metadata.read_threads", u64::from(self.read_threads), 1..=1_024);
        findings.within("metadata.queue_limit", u64::from(self.queue_limit), u64::from(self.group_limit)..=1_000_000);
        if self.write_buffers_total_bytes < self.write_buffer_bytes {
            findings.add(
                "metadata.write_buffers_total_bytes",
                format!("{} is less than metadata.write_buffer_bytes ({})", self.write_buffers_total_bytes, self.write_buffer_bytes),
            );
        }
    }
}
