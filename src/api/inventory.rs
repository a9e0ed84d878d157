use serde::{Deserialize, Serialize};

/// What the metadata and the backend say of one thing together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InventoryState {
    /// A row names it, and it is there with its size.
    Named,
    /// It waits for its deletion.
    Doomed,
    /// No row names it. Harmless: a collection takes it.
    Extra,
    /// A row names it, and it is not there.
    Missing,
    /// A row names it, and it is not what it should be: marked so, of another size, or of other bytes.
    Damaged,
    /// Something that Halidom did not put there.
    Foreign,
}

/// One thing of an inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryLine {
    /// What it is.
    pub state: InventoryState,
    /// Its key, unless it is foreign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The hash that its original has, unless it is foreign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Its length on the backend in bytes; what it should be where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Where it lies under the backend's root, if it is foreign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What is wrong with it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How many things of each state an inventory found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventorySummary {
    /// [`InventoryState::Named`].
    pub named: u64,
    /// [`InventoryState::Doomed`].
    pub doomed: u64,
    /// [`InventoryState::Extra`].
    pub extra: u64,
    /// [`InventoryState::Missing`].
    pub missing: u64,
    /// [`InventoryState::Damaged`].
    pub damaged: u64,
    /// [`InventoryState::Foreign`].
    pub foreign: u64,
    /// Bytes of all copies that are there.
    pub stored_bytes: u64,
    /// Bytes that were read and hashed.
    pub bytes_read: u64,
}
