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
    /// The second place that has every blob, where there is one.
    #[serde(default)]
    pub mirror: Option<MirrorStatus>,
}

/// How a mirror stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MirrorStatus {
    /// Where it is.
    pub url: String,
    /// `away`: it is not open, see `error`. `filling`: it does not have every blob yet. `comparing`: its listing is held against metadata. `verifying`: every copy in both
    /// stores is read. `whole`: it has every blob but for what is `missed`.
    pub phase: String,
    /// While it is filled or verified: blobs that were gone through since the start, and how many there were then.
    pub blobs: u64,
    /// See `blobs`.
    pub total_blobs: u64,
    /// The bytes of these.
    pub bytes: u64,
    /// See `bytes`.
    pub total_bytes: u64,
    /// Copies that it could not take; they are copied as soon as it can.
    pub missed: u64,
    /// Copies in either store that were found damaged or gone, and wait to be looked at.
    pub to_repair: u64,
    /// Since the start: copies that were damaged or gone, and were repaired.
    pub repaired: u64,
    /// Copies that the mirror had lost, and were copied.
    pub copied: u64,
    /// Blobs of which no good copy was found.
    pub lost: u64,
    /// Attempts that failed; they are made again.
    pub failed: u64,
    /// Too many copies are bad at once: none is repaired until the hour is over.
    pub braked: bool,
    /// What keeps it from going on.
    pub error: Option<String>,
}
