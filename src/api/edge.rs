use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::TenantRenditions;
use crate::model::{BlobHash, HashPrefix, TenantId};

/// All tenants as an edge has to know them, and what its settings must agree with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeTenants {
    /// All of them.
    pub tenants: Vec<EdgeTenant>,
    /// What renditions at this site are a function of, beside blob and recipe.
    pub basis: EdgeBasis,
}

/// A tenant with its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeTenant {
    /// Which.
    #[schema(value_type = uuid::Uuid)]
    pub id: TenantId,
    /// What its URLs are signed with: any of these.
    pub signing_keys: Vec<EdgeSigningKey>,
    /// What holds for its rendition URLs.
    pub renditions: TenantRenditions,
}

/// A key, as it signs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeSigningKey {
    /// Base64.
    pub key: String,
    /// Base64.
    pub salt: String,
}

impl fmt::Debug for EdgeSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EdgeSigningKey(secret)")
    }
}

/// Settings that a rendition is a function of: where two servers differ, one URL has two pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeBasis {
    /// `renditions.default_quality`
    pub default_quality: u8,
    /// `renditions.max_side`
    pub max_side: u32,
    /// `renditions.previews`
    pub previews: bool,
    /// `limits.max_embedded_bytes`
    pub max_embedded_bytes: u64,
}

/// What an edge has to know of a blob: all of it follows from the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeBlob {
    /// Width of the photo in pixels, as shown.
    pub width: u32,
    /// Height of the photo in pixels, as shown.
    pub height: u32,
    /// Length in bytes.
    pub size_bytes: u64,
}

/// Asks which blobs nobody has any more, by the beginnings of their hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnownedRequest {
    /// At most 1,000, each the first 32 hex digits.
    #[schema(value_type = Vec<String>)]
    pub prefixes: Vec<HashPrefix>,
}

/// The beginnings of those.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unowned {
    /// Some of those that were asked of.
    #[schema(value_type = Vec<String>)]
    pub prefixes: Vec<HashPrefix>,
}

/// What an edge has to forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeFeed {
    /// Where to go on: to be sent as `after`.
    pub next: String,
    /// What has happened, in order.
    pub events: Vec<EdgeEvent>,
    /// Whether something happened that is not told any more: nothing of before holds.
    pub missed: bool,
}

/// One thing to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EdgeEvent {
    /// A user of the tenant has lost this blob: the tenant may not have it any more.
    Lost {
        /// Of which tenant.
        #[schema(value_type = uuid::Uuid)]
        tenant: TenantId,
        /// Which blob.
        #[schema(value_type = String)]
        hash: BlobHash,
    },
    /// Tenants, their keys or settings have changed.
    Tenants,
    /// Of a later version of the site: to forget everything is right in every case.
    #[serde(other)]
    Other,
}
