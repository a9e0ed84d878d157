//! A second place that has every photo, too.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::Findings;
use super::{BlobsUrl, ByteSize};

/// What an upload has to be durable on before it is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MirrorNeeds {
    /// `storage.blobs`. What the mirror could not take is made up for.
    First,
    /// Both: the loss of either loses nothing that was acknowledged. While the mirror is away uploads are refused.
    #[default]
    Both,
}

/// `[mirror]`: a second place for photos, in which those that are damaged or gone in the first are found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorConfig {
    /// Where: a URL as of `storage.blobs`; empty: there is none. `[nfs]` and `[s3]` say how it is used.
    pub url: String,
    /// What an upload has to be durable on.
    pub needs: MirrorNeeds,
    /// The most that is read or copied in a second to fill the mirror, or to verify both; 0: as much as goes.
    pub max_bytes_per_second: ByteSize,
    /// How often every copy in both places is read; 0: never.
    #[serde(with = "humantime_serde")]
    pub verify_every: Duration,
    /// The most copies that are repaired in an hour. More at once are no photos that went bad one by one: a disk dies, or somebody made a mistake.
    pub heal_per_hour: u32,
}

impl Default for MirrorConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            needs: MirrorNeeds::default(),
            max_bytes_per_second: ByteSize::mib(100),
            verify_every: Duration::from_secs(30 * 24 * 60 * 60),
            heal_per_hour: 1_000,
        }
    }
}

impl MirrorConfig {
    /// None.
    pub fn for_testing() -> Self {
        Self::default()
    }

    /// The place, where there is one.
    pub fn place(&self) -> Option<BlobsUrl> {
        self.url.parse().ok()
    }

    pub(super) fn check(&self, findings: &mut Findings, first: &BlobsUrl) {
        match self.url.parse::<BlobsUrl>() {
            _ if self.url.is_empty() => {}
            Ok(BlobsUrl::UnderData) => findings.add("mirror.url", "a mirror needs a place of its own".to_owned()),
            Ok(url) if url == *first => findings.add("mirror.url", "the photos are there already: a mirror is another place".to_owned()),
            Ok(_) => {}
            Err(reason) => findings.add("mirror.url", reason),
        }
        if !self.verify_every.is_zero() {
            findings.time_within(
                "mirror.verify_every",
                self.verify_every,
                Duration::from_secs(1)..=Duration::from_secs(3650 * 24 * 60 * 60),
            );
        }
        findings.within("mirror.heal_per_hour", u64::from(self.heal_per_hour), 0..=1_000_000);
    }
}
