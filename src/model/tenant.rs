//! Tenants: the banners that share a platform.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::change::{self, Seen};
use super::row::{Births, Delta, Field, Fixed, Live};
use super::value;
use super::{DecodeError, RowKey, SigningKeyId, Stamp, TenantId, codec};

// The stored format: a number is never given another meaning.
// Registers.
const NAME: Field = Field(1);
const SIGNING_KEYS: Field = Field(2);
const PRESETS: Field = Field(3);
const PRESETS_ONLY: Field = Field(4);
const MAX_AGE_SECONDS: Field = Field(5);

/// The newest format of a list of signing keys.
const SIGNING_KEYS_VERSION: u64 = 1;
/// The newest format of presets.
const PRESETS_VERSION: u64 = 1;

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
    try_read_keys(bytes).unwrap_or_default()
}

fn try_read_keys(bytes: &[u8]) -> Result<Vec<SigningKey>, DecodeError> {
    codec::decode("signing keys", SIGNING_KEYS_VERSION, bytes)
}

fn try_read_presets(bytes: &[u8]) -> Result<BTreeMap<String, String>, DecodeError> {
    codec::decode("presets", PRESETS_VERSION, bytes)
}

/// That a newer version wrote a register, where one did. What is merely damaged may be written over.
fn newer<T>(live: &Live, field: Field, read: impl FnOnce(&[u8]) -> Result<T, DecodeError>) -> Option<DecodeError> {
    value::register(live, field).and_then(|bytes| read(bytes).err()).filter(|error| matches!(error, DecodeError::Newer { .. }))
}

/// What a tenant says of its rendition URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenditionSettings {
    /// Options by the name under which URLs ask for them.
    pub presets: BTreeMap<String, String>,
    /// Whether URLs may say nothing but names of presets.
    pub presets_only: bool,
    /// For how long caches may show a rendition without asking, in seconds.
    pub max_age_seconds: u32,
}

impl RenditionSettings {
    /// A year: the longest age that caches care for.
    pub const LONGEST_AGE_SECONDS: u32 = 31_536_000;

    fn of(live: &Live) -> Self {
        let presets = value::register(live, PRESETS).map_or(Ok(BTreeMap::new()), try_read_presets);
        let age = value::register(live, MAX_AGE_SECONDS).and_then(value::read_number::<u32>);
        Self {
            // A value of a newer version still forbids; and where presets cannot be read nothing is shown as if there were none.
            presets_only: presets.is_err() || value::register(live, PRESETS_ONLY).is_some_and(|bytes| !bytes.is_empty()),
            presets: presets.unwrap_or_default(),
            max_age_seconds: age.map_or(Self::LONGEST_AGE_SECONDS, |age| age.min(Self::LONGEST_AGE_SECONDS)),
        }
    }
}

impl Default for RenditionSettings {
    /// No presets, and a year.
    fn default() -> Self {
        Self { presets: BTreeMap::new(), presets_only: false, max_age_seconds: Self::LONGEST_AGE_SECONDS }
    }
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
    /// What holds for its rendition URLs.
    pub renditions: RenditionSettings,
    /// The oldest birth.
    pub created: Stamp,
    /// The births that an edit by who saw this names.
    pub births: Vec<Seen>,
    /// What a newer version wrote, that this one cannot read and so must not write over.
    newer: Newer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Newer {
    signing_keys: Option<DecodeError>,
    presets: Option<DecodeError>,
}

/// What an edit sets; `None` leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantEdit {
    /// The name.
    pub name: Option<String>,
    /// All signing keys: one left out no longer verifies.
    pub signing_keys: Option<Vec<SigningKey>>,
    /// All presets: one left out is gone.
    pub presets: Option<BTreeMap<String, String>>,
    /// Whether URLs may name presets only.
    pub presets_only: Option<bool>,
    /// For how long caches may show a rendition, in seconds.
    pub max_age_seconds: Option<u32>,
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
        renditions: RenditionSettings::of(&group.live),
        created: group.created,
        births: group.seen,
        newer: Newer {
            signing_keys: newer(&group.live, SIGNING_KEYS, try_read_keys),
            presets: newer(&group.live, PRESETS, try_read_presets),
        },
    })
}

impl TenantView {
    /// Sets what the edit names, each on its own: another site's edit of something else stays.
    ///
    /// # Errors
    /// `Newer` for what a newer version wrote: this one cannot tell what it would take away.
    pub fn edit(&self, at: Stamp, edit: &TenantEdit) -> Result<Vec<Delta>, DecodeError> {
        let unread = [
            self.newer.signing_keys.as_ref().filter(|_| edit.signing_keys.is_some()),
            self.newer.presets.as_ref().filter(|_| edit.presets.is_some()),
        ];
        if let Some(error) = unread.into_iter().flatten().next() {
            return Err(error.clone());
        }
        let name = edit.name.as_ref().map(|name| (NAME, name.clone().into_bytes()));
        let keys = edit.signing_keys.as_ref().map(|keys| (SIGNING_KEYS, write_keys(keys)));
        let presets = edit.presets.as_ref().map(|presets| (PRESETS, codec::encode(PRESETS_VERSION, presets)));
        let presets_only = edit.presets_only.map(|only| (PRESETS_ONLY, value::write_number(only.into())));
        let max_age = edit.max_age_seconds.map(|age| (MAX_AGE_SECONDS, value::write_number(age.into())));
        Ok(change::edit(self.key, &self.births, at, [name, keys, presets, presets_only, max_age].into_iter().flatten()))
    }

    /// Deletes it for good.
    pub fn purge(&self) -> Vec<Delta> {
        change::purge(self.key, &self.births)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Hlc, Origin, Seq};

    fn at(time: u64) -> Stamp {
        Stamp { hlc: Hlc(time << 16), origin: Origin([1; 16]), seq: Seq(time) }
    }

    #[test]
    fn what_a_newer_version_said_is_neither_written_over_nor_taken_for_nothing() {
        let row = RowKey::tenant(TenantId::DEFAULT);
        let made = NewTenant { name: "mypix".to_owned(), signing_keys: vec![] }.create(TenantId::DEFAULT, at(1));
        let said = |field, bytes: &[u8]| {
            let mut births = Births::default();
            births.join(made.birth, &made.row, false);
            let seen = view(&row, &births).unwrap().births;
            for delta in change::edit(row, &seen, at(2), [(field, bytes.to_vec())]) {
                births.join(delta.birth, &delta.row, false);
            }
            view(&row, &births).unwrap()
        };
        let presets = TenantEdit { presets: Some(BTreeMap::new()), ..TenantEdit::default() };
        let keys = TenantEdit { signing_keys: Some(vec![]), ..TenantEdit::default() };
        let beside = TenantEdit { max_age_seconds: Some(5), name: Some("dixons".to_owned()), ..TenantEdit::default() };
        for (field, of_field, of_other) in [(PRESETS, &presets, &keys), (SIGNING_KEYS, &keys, &presets)] {
            let shown = said(field, &[2, 0]);
            let refused = shown.edit(at(3), of_field).unwrap_err();
            assert!(matches!(refused, DecodeError::Newer { found: 2, known: 1, .. }), "{refused:?}");
            assert!(shown.edit(at(3), of_other).is_ok() && shown.edit(at(3), &beside).is_ok());
            assert_eq!(shown.renditions.presets_only, field == PRESETS, "nothing is shown as if there were no presets");
        }
        // What is damaged may be put right.
        assert!(said(PRESETS, &[1, 0xFF]).edit(at(3), &presets).is_ok());
    }
}
