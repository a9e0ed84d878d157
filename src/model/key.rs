//! The identity of a replicated row.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AlbumId, PhotoId, TenantId, TokenId, UserId};

/// What a row is of. The numbers are stored; one that this version does not know is kept and merged all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kind(pub u8);

impl Kind {
    /// A banner; its owner is [`UserId::NONE`] and its id its tenant's.
    pub const TENANT: Self = Self(1);
    /// A user; owned by itself, so that an erasure of the owner takes it along.
    pub const USER: Self = Self(2);
    /// An album.
    pub const ALBUM: Self = Self(3);
    /// A photo.
    pub const PHOTO: Self = Self(4);
    /// A bearer token.
    pub const TOKEN: Self = Self(5);
}

/// Whose: a user within a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// The banner.
    pub tenant: TenantId,
    /// The user, or [`UserId::NONE`] for what belongs to the whole tenant.
    pub user: UserId,
}

impl Owner {
    /// Whom the admin token acts for where none is named.
    pub const DEFAULT: Self = Self { tenant: TenantId::DEFAULT, user: UserId::DEFAULT };

    /// Tenant, then user: the prefix of all of an owner's keys.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut out = [0; 32];
        out[..16].copy_from_slice(self.tenant.as_bytes());
        out[16..].copy_from_slice(self.user.as_bytes());
        out
    }

    /// The inverse of [`Owner::to_bytes`]; `None` for any other length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 32] = bytes.try_into().ok()?;
        let (tenant, user) = bytes.split_at(16);
        Some(Self { tenant: TenantId::from_bytes(tenant.try_into().ok()?), user: UserId::from_bytes(user.try_into().ok()?) })
    }
}

/// The key of a row: owner, kind, id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RowKey {
    /// Whose row it is.
    pub owner: Owner,
    /// What it is of.
    pub kind: Kind,
    /// Which one.
    pub id: Uuid,
}

impl RowKey {
    /// Length in bytes of [`RowKey::to_bytes`].
    pub const LENGTH: usize = 32 + 1 + 16;

    /// A tenant's row.
    pub fn tenant(tenant: TenantId) -> Self {
        Self { owner: Owner { tenant, user: UserId::NONE }, kind: Kind::TENANT, id: *tenant.as_uuid() }
    }

    /// A user's row.
    pub fn user(owner: Owner) -> Self {
        Self { owner, kind: Kind::USER, id: *owner.user.as_uuid() }
    }

    /// An album's row.
    pub fn album(owner: Owner, album: AlbumId) -> Self {
        Self { owner, kind: Kind::ALBUM, id: *album.as_uuid() }
    }

    /// A photo's row.
    pub fn photo(owner: Owner, photo: PhotoId) -> Self {
        Self { owner, kind: Kind::PHOTO, id: *photo.as_uuid() }
    }

    /// A token's row.
    pub fn token(owner: Owner, token: TokenId) -> Self {
        Self { owner, kind: Kind::TOKEN, id: *token.as_uuid() }
    }

    /// Tenant, user, kind, id, big-endian, so that one user's rows lie together.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut out = [0; Self::LENGTH];
        out[..32].copy_from_slice(&self.owner.to_bytes());
        out[32] = self.kind.0;
        out[33..].copy_from_slice(self.id.as_bytes());
        out
    }

    /// The inverse of [`RowKey::to_bytes`]; `None` for any other length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LENGTH] = bytes.try_into().ok()?;
        Some(Self { owner: Owner::from_bytes(&bytes[..32])?, kind: Kind(bytes[32]), id: Uuid::from_bytes(bytes[33..].try_into().ok()?) })
    }
}
