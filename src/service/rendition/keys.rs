//! Every tenant's live signing keys, remembered for a moment: a rendition's URL is tried against all of them. With them what the tenant says
//! of its URLs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::TenantId;
use crate::service::rendition_url::{Presets, SigningKey};

use super::TenantUrls;

/// How long a key that was taken away may still be good for, and one that was made elsewhere not yet; likewise settings.
const REMEMBER: Duration = Duration::from_secs(1);

/// All tenants that have keys.
pub(super) type Keys = Arc<[LiveTenant]>;

/// A tenant as its URLs see it.
#[derive(Debug)]
pub(super) struct LiveTenant {
    pub(super) id: TenantId,
    keys: Vec<SigningKey>,
    pub(super) presets: Presets,
    pub(super) max_age_seconds: u32,
}

/// Every key, and whose it is.
pub(super) fn candidates(keys: &Keys) -> impl Iterator<Item = (&LiveTenant, &SigningKey)> {
    keys.iter().flat_map(|tenant| tenant.keys.iter().map(move |key| (tenant, key)))
}

/// The keys as they were lately, and whose turn it is to read them again.
#[derive(Debug, Default)]
pub(super) struct TenantKeys {
    known: Mutex<Option<(Duration, Keys)>>,
    turn: tokio::sync::Mutex<()>,
}

impl TenantKeys {
    /// All keys as they were at most [`REMEMBER`] before `asked`, or since, where they are remembered. All times are monotonic.
    pub(super) fn recent(&self, asked: Duration) -> Option<Keys> {
        let known = self.known().clone();
        known.filter(|(read, _)| asked.saturating_sub(*read) < REMEMBER).map(|(_, keys)| keys)
    }

    /// The same; where none are remembered, `read` gives them, with the time at which it began. One reads at a time, and those who asked
    /// before it began take what it found: whatever is asked with, all tenants are read no more than once in [`REMEMBER`].
    pub(super) async fn recent_or_read<E>(
        &self,
        asked: Duration,
        read: impl Future<Output = Result<(Duration, Keys), E>>,
    ) -> Result<Keys, E> {
        let _turn = self.turn.lock().await;
        if let Some(keys) = self.recent(asked) {
            return Ok(keys);
        }
        let (began, keys) = read.await?;
        *self.known() = Some((began, keys.clone()));
        Ok(keys)
    }

    /// Has the next who asks read again: a key was made, or a setting changed. One that reads meanwhile may have missed it, so this waits for its end.
    pub(super) async fn forget(&self) {
        let _turn = self.turn.lock().await;
        *self.known() = None;
    }

    fn known(&self) -> MutexGuard<'_, Option<(Duration, Keys)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys of these tenants.
pub(super) fn live(tenants: Vec<TenantUrls>) -> Keys {
    let live = tenants.into_iter().map(|tenant| LiveTenant {
        id: tenant.id,
        presets: Presets::of(&tenant.settings),
        max_age_seconds: tenant.settings.max_age_seconds,
        keys: tenant.signing_keys.into_iter().map(|key| SigningKey::new(key.key, key.salt)).collect(),
    });
    live.collect()
}
