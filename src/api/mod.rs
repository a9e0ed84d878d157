//! Wire types shared by server and client: what `/v1` takes and answers as JSON, each once.
//!
//! Imports only `model`. Times are RFC 3339 text; ids and hashes are their text forms. Readers ignore fields that they do not know.

mod admin;
mod album;
mod check;
mod edge;
mod iiif;
mod import;
mod inventory;
mod me;
mod moving;
mod page;
mod photo;
mod problem;
mod sending;
mod similar;
mod tenant_renditions;
mod urls;

pub use admin::{
    AuditRecord, ColdStats, CreateTenant, CreateToken, CreateUser, CreatedToken, PatchSigningKey, PatchUser, Scope, SigningKey,
    SigningKeys, SpooledStats, Stats, Tenant, Token, User,
};
pub use album::{Album, CreateAlbum, PatchAlbum};
pub use check::{CheckReport, CheckRequest, Finding};
pub use edge::{EdgeBasis, EdgeBlob, EdgeEvent, EdgeFeed, EdgeSigningKey, EdgeTenant, EdgeTenants, Unowned, UnownedRequest};
pub use iiif::{IiifImageInfo, IiifSize, IiifTiles};
pub use import::{CreateImport, Import, ImportCounts, ImportLayout, ImportRefusal, ImportState};
pub use inventory::{InventoryLine, InventoryPart, InventoryState, InventorySummary};
pub use me::Me;
pub use moving::{MirrorStatus, MoveRequest, MoveStatus};
pub use page::Page;
pub use photo::{Camera, Durability, Gps, PatchPhoto, Photo, PhotoUrls};
pub use problem::Problem;
pub use sending::{LinkPhoto, LinkRequest, Linked, Missing, MissingRequest};
pub use similar::{SimilarPhoto, SimilarPhotos};
pub use tenant_renditions::{PatchTenant, PatchTenantRenditions, TenantDetails, TenantRenditions};
pub use urls::{SignUrl, SignedUrl};

/// The header that carries a BLAKE3 hash of the body (64 hex digits): no registered digest algorithm, so it has its own name.
pub const X_BLAKE3: &str = "x-blake3";
/// The header by which an administrator acts for a user: `{tenant id}/{user id}`.
pub const ACT_FOR: &str = "halidom-act-for";
