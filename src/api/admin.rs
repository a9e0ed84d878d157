use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{SigningKeyId, TenantId, TokenId, UserId};

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything, at every tenant.
    Admin,
    /// Users and tokens of one tenant.
    Tenant,
    /// One user's albums and photos.
    User,
    /// Reading them only.
    Read,
    /// What an edge asks of its site: every tenant's signing keys, and every photo.
    Edge,
}

/// A banner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: TenantId,
    /// Its name, unique at the site.
    pub name: String,
    /// When it was made (RFC 3339).
    pub created_at: String,
}

/// Makes a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    /// Not empty, of at most 255 bytes of UTF-8 (`limits.max_name_bytes`).
    pub name: String,
}

/// What signs rendition URLs, in hexadecimal digits: what imgproxy's client libraries call key and salt.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SigningKey {
    /// Its name: no secret.
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    pub id: SigningKeyId,
    /// Whether it signs the URLs that the site makes. All keys sign URLs that are accepted.
    pub signs: bool,
    /// Of the HMAC-SHA256.
    pub key: String,
    /// What stands before the path.
    pub salt: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(secret)")
    }
}

/// A tenant's signing keys. Any of them signs URLs that are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SigningKeys {
    /// The keys.
    pub items: Vec<SigningKey>,
}

/// Edits a signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchSigningKey {
    /// `true`: it signs the URLs that the site makes from now on, in place of the one that does.
    pub signs: bool,
}

/// A user of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: UserId,
    /// Its tenant.
    #[schema(value_type = uuid::Uuid)]
    pub tenant: TenantId,
    /// Its name, unique within the tenant.
    pub name: String,
    /// No token of a disabled user is accepted.
    pub disabled: bool,
    /// When it was made (RFC 3339).
    pub created_at: String,
}

/// Makes a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// Not empty, of at most 255 bytes of UTF-8 (`limits.max_name_bytes`).
    pub name: String,
    /// Absent: the tenant of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub tenant: Option<TenantId>,
}

/// Edits a user; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchUser {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Refuses or accepts the user's tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its public name.
    #[schema(value_type = uuid::Uuid)]
    pub id: TokenId,
    /// The tenant it speaks for.
    #[schema(value_type = uuid::Uuid)]
    pub tenant: TenantId,
    /// The user it speaks for.
    #[schema(value_type = uuid::Uuid)]
    pub user: UserId,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When it ceases (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// When it was last used at this site, to the minute (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<String>,
}

/// Makes a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// For which user; absent: the one the request speaks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub user: Option<UserId>,
    /// Of which tenant; absent: the tenant of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub tenant: Option<TenantId>,
    /// Absent: `user` and `read`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<Scope>>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Seconds until it ceases; absent: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

/// A token that was just made: the one time that its secret is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// Its public name.
    #[schema(value_type = uuid::Uuid)]
    pub id: TokenId,
    /// What goes into `Authorization: Bearer`.
    pub token: String,
    /// When it ceases (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// What the site holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Photos of all users, those in the trash not counted.
    pub photos: u64,
    /// Albums of all users.
    pub albums: u64,
    /// Users of all tenants.
    pub users: u64,
    /// Blobs: distinct originals.
    pub blobs: u64,
    /// Bytes of all photos' originals, each photo counted.
    pub logical_bytes: u64,
    /// Bytes of the blobs, each counted once.
    pub stored_bytes: u64,
    /// Keys that wait for their deletion.
    pub doomed: u64,
    /// What is recompressed.
    #[serde(default)]
    pub cold: ColdStats,
    /// What waits on the server's local disk until the object store takes it.
    #[serde(default)]
    pub spooled: SpooledStats,
}

/// Copies of blobs on a local disk that wait to be put to the object store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpooledStats {
    /// Copies.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Blobs that were recompressed without loss, and what that saves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ColdStats {
    /// Blobs.
    pub blobs: u64,
    /// Bytes of their originals.
    pub original_bytes: u64,
    /// Bytes of their copies.
    pub stored_bytes: u64,
}

/// What an administrator did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    /// When (RFC 3339).
    pub at: String,
    /// With which token.
    pub token: String,
    /// What: `user.create`, `token.revoke`, …
    pub action: String,
    /// To what.
    pub subject: String,
    /// The request's id in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
