use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the metadata and the backend say of one thing together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InventoryState {
    /// A row names it, and it is there with its size.
    Named,
    /// It is there, in a backend of which nothing else is known.
    Stored,
    /// It waits for its deletion.
    Doomed,
    /// No row names it. Harmless: a collection takes it.
    Extra,
    /// A row names it, and it is not there.
    Missing,
    /// It is not what it should be: of other bytes than its name says; or a row names it, and it is marked so, or of another size.
    Damaged,
    /// Something that Halidom did not put there.
    Foreign,
}

/// One thing of an inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InventorySummary {
    /// [`InventoryState::Named`].
    pub named: u64,
    /// [`InventoryState::Stored`].
    pub stored: u64,
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

/// A line of the answer to `GET /v1/admin/inventory`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum InventoryPart {
    /// One thing.
    Thing(InventoryLine),
    /// The last line. Without it the lines before are not all.
    End {
        /// What they were.
        summary: InventorySummary,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_no_thing_and_no_thing_is_the_end() {
        let line =
            InventoryLine { state: InventoryState::Foreign, key: None, hash: None, size_bytes: None, path: Some("x".into()), detail: None };
        for part in [InventoryPart::Thing(line), InventoryPart::End { summary: InventorySummary::default() }] {
            let text = serde_json::to_string(&part).unwrap();
            assert_eq!(serde_json::from_str::<InventoryPart>(&text).unwrap(), part, "{text}");
        }
        assert!(serde_json::from_str::<InventoryPart>("{}").is_err());
        assert!(serde_json::from_str::<InventoryPart>(r#"{"named": 1}"#).is_err());
    }
}
