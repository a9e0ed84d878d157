use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Asks for a check of the site's metadata and blobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// Reads and hashes every blob, not only looks that it is there with its size.
    #[serde(default)]
    pub read_data: bool,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckReport {
    /// Rows of metadata that were looked at.
    pub rows: u64,
    /// Blobs that metadata names.
    pub blobs: u64,
    /// Bytes of them that were read and hashed.
    pub bytes_read: u64,
    /// Objects on the backend that nothing names and nothing is writing. Harmless: a collection takes them.
    pub orphans: u64,
    /// Keys that wait for their deletion. Harmless.
    pub doomed: u64,
    /// Everything that is wrong; at most 1,000 are listed.
    pub findings: Vec<Finding>,
    /// How many there are, listed or not. 0: nothing is wrong.
    pub problems: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// Stable, for programs: `blob_missing`, `blob_damaged`, `blob_wrong_size`, `backend_foreign`, `marker_missing`, `marker_unreadable`,
    /// `marker_foreign`; or of a row of metadata its column and one of `missing`, `extra`, `differs`, `malformed`, `erased`, `broken`:
    /// `entries_broken`.
    pub code: String,
    /// The blob, row or path that it is about.
    pub subject: String,
    /// For people.
    pub detail: String,
}
