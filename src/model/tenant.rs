//! Tenants: the banners that share a platform.

use serde::{Deserialize, Serialize};

use super::change::{self, Seen};
use super::row::{Births, Delta, Field, Fixed};
use super::value;
use super::{RowKey, SigningKeyId, Stamp, TenantId, codec};

// The stored format: a number is never given another meaning.
// Registers.
const NAME: Field = Field(1);
const SIGNING_KEYS: Field = Field(2);

/// The newest format of a list of signing keys.
const SIGNING_KEYS_VERSION: u64 = 1;

/// What signs rendition URLs: HMAC-SHA256 with `key` over `salt` and path.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// Secret.
    #[serde(with = "serde_bytes")]
    pub key: Vec<u8>,
    /// Stands before the path.
    #[serde(with = "serde_bytes")]
    pub salt: Vec<u8>,
}

impl SigningKey {
    /// Its name.
    pub fn id(&self) -> SigningKeyId {
        let mut hasher = blake3::Hasher::new_derive_key("halidom 2026-11 id of a signing key");
        hasher.update(&(self.key.len() as u64).to_be_bytes());
        hasher.update(&self.key);
        hasher.update(&self.salt);
        let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
        SigningKeyId::from_bytes([a, b, c, d, e, f, g, h])
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(secret)")
    }
}

fn write_keys(keys: &[SigningKey]) -> Vec<u8> {
    codec::encode(SIGNING_KEYS_VERSION, &keys)
}

fn read_keys(bytes: &[u8]) -> Vec<SigningKey> {
    codec::decode("signing keys", SIGNING_KEYS_VERSION, bytes).unwrap_or_default()
}

/// A new tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTenant {
    /// Its name, unique within the platform.
    pub name: String,
    /// The first signs, all verify.
    pub signing_keys: Vec<SigningKey>,
}

impl NewTenant {
    /// The delta that creates it. `at` becomes its birth.
    pub fn create(&self, id: TenantId, at: Stamp) -> Delta {
        let registers = [(NAME, self.name.clone().into_bytes()), (SIGNING_KEYS, write_keys(&self.signing_keys))];
        change::create(RowKey::tenant(id), at, Fixed::new(), None, registers)
    }
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantView {
    /// Which.
    pub id: TenantId,
    /// The row behind it.
    pub key: RowKey,
    /// Its name.
    pub name: String,
    /// The first signs, all verify. Where two sites made the same tenant apart, the keys of both verify.
    pub signing_keys: Vec<SigningKey>,
    /// The oldest birth.
    pub created: Stamp,
    /// The births that an edit by who saw this names.
    pub births: Vec<Seen>,
}

/// What an edit sets; `None` leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantEdit {
    /// The name.
    pub name: Option<String>,
    /// All signing keys: one left out no longer verifies.
    pub signing_keys: Option<Vec<SigningKey>>,
}

/// The tenant of a row.
pub fn view(key: &RowKey, births: &Births) -> Option<TenantView> {
    let group = change::only_group(births)?;
    let mut signing_keys = value::register(&group.live, SIGNING_KEYS).map(read_keys).unwrap_or_default();
    // The default tenant is born at each site, before the two meet: URLs that either signed go on to verify.
    let created = births.live().filter(|(_, live)| live.fixed.is_some());
    for key in created.filter_map(|(_, live)| value::register(live, SIGNING_KEYS)).flat_map(read_keys) {
        if !signing_keys.contains(&key) {
            signing_keys.push(key);
        }
    }
    Some(TenantView {
        id: TenantId::from_uuid(key.id),
        key: *key,
        name: value::register_text(&group.live, NAME).unwrap_or_default(),
        signing_keys,
        created: group.created,
        births: group.seen,
    })
}

impl TenantView {
    /// Sets name and signing keys.
    pub fn edit(&self, at: Stamp, edit: &TenantEdit) -> Vec<Delta> {
        let name = edit.name.as_ref().map(|name| (NAME, name.clone().into_bytes()));
        let keys = edit.signing_keys.as_ref().map(|keys| (SIGNING_KEYS, write_keys(keys)));
        change::edit(self.key, &self.births, at, name.into_iter().chain(keys))
    }

    /// Deletes it for good.
    pub fn purge(&self) -> Vec<Delta> {
        change::purge(self.key, &self.births)
    }
}
