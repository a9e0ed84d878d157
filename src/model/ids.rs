//! Ids: one newtype of a UUID (RFC 9562) for each thing that has one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Bytes of randomness that a UUIDv7 takes.
pub const RANDOM_LENGTH: usize = 10;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A UUIDv7 of this time and randomness, so that ids sort by creation.
            pub fn new(unix_ms: u64, random: [u8; RANDOM_LENGTH]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
            }

            /// Takes any UUID: a client may bring its own.
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID.
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }

            /// The 16 bytes, big-endian.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The inverse of `as_bytes`.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id!(
    /// One installation: its metadata and its blob backend.
    SiteId
);
uuid_id!(
    /// A banner of the retail group.
    TenantId
);
uuid_id!(
    /// A customer of a tenant.
    UserId
);
uuid_id!(
    /// An album of a user.
    AlbumId
);
uuid_id!(
    /// An entry in an album. Scoped by its owner: two users may bring the same UUID.
    PhotoId
);
uuid_id!(
    /// A token's public name (its secret is stored hashed).
    TokenId
);
uuid_id!(
    /// An import of a tree of photos.
    ImportId
);
uuid_id!(
    /// A snapshot.
    SnapshotId
);

impl TenantId {
    /// The tenant that every new site comes with, the same at every site.
    pub const DEFAULT: Self = Self::from_bytes(fixed(1));
}

impl UserId {
    /// The user of the default tenant whom the admin token acts for where none is named, the same at every site.
    pub const DEFAULT: Self = Self::from_bytes(fixed(2));
    /// Stands in the owner's place of rows that belong to a whole tenant.
    pub const NONE: Self = Self::from_bytes([0; 16]);
}

impl AlbumId {
    /// Where albums themselves are placed.
    pub const ROOT: Self = Self::from_bytes([0; 16]);

    /// The id that a client gives the album it makes for a name that it did not find: a function of user and name alone, so that two
    /// uploads that make it at the same time, also at two sites, make one.
    pub fn from_name(tenant: TenantId, user: UserId, name: &str) -> Self {
        Self(derive("halidom 2026-11 album id of a name", &[tenant.as_bytes(), user.as_bytes(), name.as_bytes()]))
    }
}

impl PhotoId {
    /// The id that an `Idempotency-Key` gives a photo: a function of user and key alone, so that a retry at another site merges.
    pub fn from_idempotency_key(tenant: TenantId, user: UserId, key: &str) -> Self {
        Self(derive("halidom 2026-11 photo id of an idempotency key", &[tenant.as_bytes(), user.as_bytes(), key.as_bytes()]))
    }

    /// The id under which a second group of bytes of one client id is shown (`metadata.md`, section 2).
    pub fn of_other_bytes(self, hash: &super::BlobHash) -> Self {
        Self(derive("halidom 2026-11 photo id of other bytes", &[self.as_bytes(), hash.as_bytes()]))
    }
}

/// A UUIDv8 that no generator draws, with `last` as its last byte.
const fn fixed(last: u8) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[6] = 0x80;
    bytes[8] = 0x80;
    bytes[15] = last;
    bytes
}

/// A UUIDv8 from BLAKE3 in key derivation mode over length-prefixed parts.
fn derive(context: &str, parts: &[&[u8]]) -> Uuid {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_creation() {
        let (a, b) = (PhotoId::new(1_000, [0xff; 10]), PhotoId::new(1_001, [0; 10]));
        assert!(a < b);
        assert_eq!(a.as_uuid().get_version_num(), 7);
    }

    #[test]
    fn an_idempotency_key_gives_one_id_a_user() {
        let id = |user, key| PhotoId::from_idempotency_key(TenantId::DEFAULT, user, key);
        assert_eq!(id(UserId::DEFAULT, "k"), id(UserId::DEFAULT, "k"));
        assert_ne!(id(UserId::DEFAULT, "k"), id(UserId::NONE, "k"));
        assert_ne!(id(UserId::DEFAULT, "k"), id(UserId::DEFAULT, "l"));
        assert_eq!(id(UserId::DEFAULT, "k").as_uuid().get_version_num(), 8);
    }

    #[test]
    fn a_name_gives_one_album_id_a_user() {
        let id = |user, name| AlbumId::from_name(TenantId::DEFAULT, user, name);
        assert_eq!(id(UserId::DEFAULT, "Ski"), id(UserId::DEFAULT, "Ski"));
        assert_ne!(id(UserId::DEFAULT, "Ski"), id(UserId::NONE, "Ski"));
        assert_ne!(id(UserId::DEFAULT, "Ski"), id(UserId::DEFAULT, "ski"));
        assert_eq!(id(UserId::DEFAULT, "Ski").as_uuid().get_version_num(), 8);
    }
}
