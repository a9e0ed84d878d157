//! Where data lies.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::BlobsUrl;
use super::error::Findings;

/// `[storage]`: the places of metadata and blobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageConfig {
    /// The data directory, on a local disk: metadata, the admin's first token, and the blobs where no other place is named.
    /// A relative one is seen from the working directory.
    pub data: PathBuf,
    /// Where the blobs lie.
    pub blobs: BlobsUrl,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self { data: "./data".into(), blobs: BlobsUrl::UnderData }
    }
}

impl StorageConfig {
    /// Everything under `data`, a test's own directory.
    pub fn for_testing(data: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    pub(super) fn check(&self, findings: &mut Findings) {
        if self.data.as_os_str().is_empty() {
            findings.add("storage.data", "no directory is named".to_owned());
        }
        match &self.blobs {
            BlobsUrl::UnderData => {}
            BlobsUrl::File(directory) | BlobsUrl::Nfs(directory) if *directory == self.data => {
                findings.add("storage.blobs", "blobs need a directory of their own, apart from storage.data".to_owned());
            }
            BlobsUrl::File(_) | BlobsUrl::Nfs(_) | BlobsUrl::S3(_) => {}
        }
    }
}
