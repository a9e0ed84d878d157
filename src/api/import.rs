//! `/v1/admin/imports`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{ImportId, TenantId, UserId};

/// Begins to take in a tree of photos that lies on the server's disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateImport {
    /// The directory: an absolute path at the server, in a directory that `import.directories` names.
    pub path: String,
    /// Who laid it out; absent: as it looks. With a manifest it is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<ImportLayout>,
    /// A list of the photos with album, user and name, CSV or JSON lines: a path relative to the directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// In which tenant; absent: the caller's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub tenant: Option<TenantId>,
    /// For whom, whatever the tree says; absent: for the users that the tree names, and where it names none,
    /// for the caller, if that is the tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub user: Option<UserId>,
    /// Makes users that the tree names and the tenant has not. Otherwise their photos are refused.
    #[serde(default)]
    pub create_users: bool,
    /// Nobody writes to the tree any more: files may get a second name in the store (a hard link) instead of being copied, and are made read-only.
    #[serde(default)]
    pub link: bool,
    /// A name for the tree, by which photos that came from it are known again; absent: its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Who laid a tree out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportLayout {
    /// An album is a folder.
    Folders,
    /// Google Takeout's export of Google Photos.
    Takeout,
    /// Immich's library or upload folder.
    Immich,
    /// As the manifest says.
    Manifest,
}

/// How an import stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    /// Under way. Goes on after a restart of the server.
    Running,
    /// All files were looked at.
    Done,
    /// Somebody stopped it. Begun again, it goes on.
    Stopped,
    /// It could not go on; `error` says why. Begun again, it goes on.
    Failed,
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Import {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: ImportId,
    /// The directory.
    pub path: String,
    /// What it is taken for, once it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<ImportLayout>,
    /// How it stands.
    pub state: ImportState,
    /// What came of its files so far; begins anew after a restart of the server.
    pub counts: ImportCounts,
    /// The first files that were refused, and why; `counts.refused` counts all.
    pub refusals: Vec<ImportRefusal>,
    /// Why it could not go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it was begun (RFC 3339).
    pub started_at: String,
    /// When it ended (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// What came of an import's files. `imported`, `duplicates`, `existing`, `refused`, `unknown` count each file once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportCounts {
    /// A photo was made.
    pub imported: u64,
    /// Of these, the bytes were kept at this site already.
    pub deduplicated: u64,
    /// The same bytes stood in the album already; of Google's folders of years: anywhere with this user.
    pub duplicates: u64,
    /// They came in with an earlier import of this tree.
    pub existing: u64,
    /// They were refused.
    pub refused: u64,
    /// They are no photos, nor named as such (films, texts), or their owner had thrown them away.
    pub unknown: u64,
    /// Files that say something of photos.
    pub sidecars: u64,
    /// Links, pipes, devices, hidden files and what systems leave in folders.
    pub passed_over: u64,
    /// Bytes of the photos that were made.
    pub bytes: u64,
    /// Photos that share their blocks with the file that they came from (a reflink).
    pub cloned: u64,
    /// Photos that are the file that they came from (a hard link).
    pub linked: u64,
}

/// A file that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportRefusal {
    /// The file, relative to the directory.
    pub path: String,
    /// A stable word.
    pub code: String,
    /// For people.
    pub detail: String,
}
