//! How a filer is used.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::Findings;

/// `[nfs]`: how the filer of `storage.blobs` is used where that is `nfs://…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NfsConfig {
    /// The longest that a call is waited for; what carries bytes has a second more for each 4 MiB, what lists directories six times as long.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
}

impl Default for NfsConfig {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10) }
    }
}

impl NfsConfig {
    /// Short, as long as a test waits.
    pub fn for_testing() -> Self {
        Self { deadline: Duration::from_secs(2) }
    }

    pub(super) fn check(&self, findings: &mut Findings) {
        findings.time_within("nfs.deadline", self.deadline, Duration::from_millis(100)..=Duration::from_secs(300));
    }
}
