use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Asks for all blobs to be moved to another store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveRequest {
    /// Where to: a URL as of `storage.blobs`.
    pub to: String,
    /// The most that is copied in a second, in bytes; absent or 0: as much as goes.
    #[serde(default)]
    pub max_bytes_per_second: u64,
    /// Leaves damaged blobs behind, which cannot be copied.
    #[serde(default)]
    pub despite_damage: bool,
}

/// Where the blobs are, and how far a move has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MoveStatus {
    /// `settled`: in one store. `copying`, `verifying`, `switching`: they are moved. `stopped`: a move has ended before its end, see `error`; asking for
    /// it again goes on. `switched`: the new store is relied on, the former one still gets everything.
    pub phase: String,
    /// The store that is relied on.
    pub home: String,
    /// The other one: where they go, or where they were.
    pub other: Option<String>,
    /// Blobs that were looked at in this run, and how many there were when it began.
    pub blobs: u64,
    /// See `blobs`.
    pub total_blobs: u64,
    /// The bytes of these.
    pub bytes: u64,
    /// See `bytes`.
    pub total_bytes: u64,
    /// Bytes that had to be copied.
    pub copied_bytes: u64,
    /// Seconds until all are copied, at the rate so far.
    pub eta_seconds: Option<u64>,
    /// Blobs that are damaged, and cannot be moved.
    pub damaged: u64,
    /// What keeps it from going on, or ended it.
    pub error: Option<String>,
}
