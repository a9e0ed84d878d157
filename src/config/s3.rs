//! S3 and what speaks like it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ByteSize;
use super::error::Findings;

/// `[s3]`: how the service of `storage.blobs` is used where that is `s3://…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Config {
    /// The file with access key and secret, in the form of AWS's `credentials`, profile `default`; empty: the usual chain of AWS's tools
    /// (environment, web identity, container, instance).
    pub credentials_file: PathBuf,
    /// What the service checks uploads by.
    pub checksum: S3Checksum,
    /// The storage class of photos; empty: the bucket's own.
    pub storage_class: String,
    /// Encryption by the service: `AES256`, `aws:kms`; empty: the bucket's own.
    pub encryption: String,
    /// The key for `aws:kms`; empty: the account's own.
    pub kms_key: String,
    /// The longest that a call may take, repetitions and all; one that carries bytes has a second more for each MiB.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// Where uploads are received until they are put; empty: `spool` under `storage.data`. One server's alone.
    pub spool_dir: PathBuf,
    /// What uploads may take there, all together; more are told to come again.
    pub spool_bytes: ByteSize,
    /// Whether uploads that the service does not take now are kept in `spool_dir`, and put there once it answers: the answer then says
    /// `"durability": "spooled"`, for they are as safe as that disk until then.
    pub spooled: bool,
    /// What such uploads may take there, all together; more are told to come again.
    pub spooled_bytes: ByteSize,
}

/// What an upload is checked by at the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum S3Checksum {
    /// CRC-64/NVME, which costs next to nothing.
    #[default]
    Crc64nvme,
    /// SHA-256, for services that do not know the other.
    Sha256,
    /// None, for services that know neither.
    None,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            credentials_file: PathBuf::new(),
            checksum: S3Checksum::default(),
            storage_class: String::new(),
            encryption: String::new(),
            kms_key: String::new(),
            deadline: Duration::from_secs(10),
            spool_dir: PathBuf::new(),
            spool_bytes: ByteSize::gib(4),
            spooled: false,
            spooled_bytes: ByteSize::gib(16),
        }
    }
}

impl S3Config {
    /// A small spool.
    pub fn for_testing() -> Self {
        Self { spool_bytes: ByteSize::mib(256), ..Self::default() }
    }

    /// The spool's directory.
    pub fn spool_directory(&self, data: &Path) -> PathBuf {
        if self.spool_dir.as_os_str().is_empty() { data.join("spool") } else { self.spool_dir.clone() }
    }

    pub(super) fn check(&self, findings: &mut Findings) {
        findings.time_within("s3.deadline", self.deadline, Duration::from_millis(100)..=Duration::from_secs(10 * 60));
        findings.size_within("s3.spool_bytes", self.spool_bytes, ByteSize::mib(1)..=ByteSize::gib(64 << 10));
        findings.size_within("s3.spooled_bytes", self.spooled_bytes, ByteSize::mib(1)..=ByteSize::gib(64 << 10));
        if !["", "AES256", "aws:kms"].contains(&self.encryption.as_str()) {
            findings.add("s3.encryption", "there are \"AES256\", \"aws:kms\" and \"\"".to_owned());
        }
        if !self.kms_key.is_empty() && self.encryption != "aws:kms" {
            findings.add("s3.kms_key", "a key goes with s3.encryption = \"aws:kms\"".to_owned());
        }
    }
}
