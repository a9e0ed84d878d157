//! Every tenant's live signing keys, remembered for a moment: a rendition's URL is tried against all of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::metadata::{MetadataError, Read};
use crate::model::TenantId;
use crate::service::rendition_url::SigningKey;

/// How long a key that was taken away may still be good for.
const REMEMBER: Duration = Duration::from_secs(1);
/// Tenants read at once.
const PAGE: usize = 1_000;

/// Whose key it is, and the key.
pub(super) type Keys = Arc<[(TenantId, SigningKey)]>;

/// The keys as they were lately.
#[derive(Debug, Default)]
pub(super) struct TenantKeys(Mutex<Option<(Duration, Keys)>>);

impl TenantKeys {
    /// All keys as they were at most [`REMEMBER`] ago, where they are remembered. `now` is monotonic.
    pub(super) fn recent(&self, now: Duration) -> Option<Keys> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.filter(|(at, _)| now.saturating_sub(*at) < REMEMBER).map(|(_, keys)| keys)
    }

    /// Remembers all keys as they were at `now`.
    pub(super) fn remember(&self, now: Duration, keys: Keys) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, keys));
    }
}

/// All keys that there are.
pub(super) fn read(metadata: &impl Read) -> Result<Keys, MetadataError> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let page = metadata.list_tenants(after, PAGE)?;
        for tenant in page.items {
            keys.extend(tenant.signing_keys.into_iter().map(|key| (tenant.id, SigningKey::new(key.key, key.salt))));
        }
        after = page.next;
        if after.is_none() {
            return Ok(Keys::from(keys));
        }
    }
}
