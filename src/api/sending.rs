use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Photo;
use crate::model::{BlobHash, PhotoId};

/// Asks which blobs have to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MissingRequest {
    /// At most 1,000 hashes.
    #[schema(value_type = Vec<String>)]
    pub hashes: Vec<BlobHash>,
}

/// Which blobs this user must send. The rest are the user's own and kept (pinned) for a day, so that they can be linked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Missing {
    /// In the order of the request.
    #[schema(value_type = Vec<String>)]
    pub missing: Vec<BlobHash>,
}

/// Makes photos of blobs that this user owns, in one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkRequest {
    /// At most 1,000.
    pub photos: Vec<LinkPhoto>,
}

/// One photo to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkPhoto {
    /// The client's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub id: Option<PhotoId>,
    /// Of which blob.
    #[schema(value_type = String)]
    pub hash: BlobHash,
    /// The file name.
    pub name: String,
}

/// What came of a [`LinkRequest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Linked {
    /// The photos, in the order of the request without those that are missing; `duplicate` says which stood in the album already.
    pub items: Vec<Photo>,
    /// Blobs whose bytes must be sent after all.
    #[schema(value_type = Vec<String>)]
    pub missing: Vec<BlobHash>,
}
