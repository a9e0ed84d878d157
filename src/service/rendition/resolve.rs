//! From a signed URL to what may be rendered for whoever has it.

use std::sync::Arc;

use super::keys::{self, Keys};
use super::{Accepted, Freshness, RenditionRequest, RenditionService};
use crate::model::WallMs;
use crate::service::ServiceError;
use crate::service::rendition_url::RenditionUrl;

impl RenditionService {
    /// Reads a rendition's path, checks its signature against every live key, and that its tenant has the blob. `accepted` are the
    /// formats where the URL names none.
    ///
    /// # Errors
    /// `BadSignature`, also for an expired URL; `Invalid` for options that are not understood; `NotFound` for a blob that no user of
    /// the tenant has, whether another tenant has it or not.
    pub async fn resolve(self: &Arc<Self>, path: &str, accepted: Accepted) -> Result<RenditionRequest, ServiceError> {
        let keys = self.live_keys().await?;
        let (tenant, url) = RenditionUrl::open(path, keys::candidates(&keys), |tenant| &tenant.presets)?;
        let now = WallMs(self.runtime.clock.unix_ms());
        if url.is_expired(now) {
            return Err(ServiceError::BadSignature("the URL has expired"));
        }
        let settle = |format| url.recipe.settle(format, self.renditions.quality, self.renditions.max_side);
        let (recipe, meanwhile) = match accepted.meanwhile {
            // What is to move would stand still in AVIF.
            Some(meanwhile) if url.recipe.format.is_none() && self.renditions.avif_by_accept && !url.recipe.animated => {
                (settle(accepted.best)?, Some(settle(meanwhile)?))
            }
            Some(meanwhile) => (settle(meanwhile)?, None),
            None => (settle(accepted.best)?, None),
        };
        let freshness = Freshness { immutable: !url.by_preset, ..Freshness::of(tenant.max_age_seconds, url.expires, now) };
        let (hash, tenant) = (url.hash, tenant.id);
        if !self.catalogue.tenant_owns(tenant, hash).await? {
            return Err(ServiceError::NotFound("image"));
        }
        let key = |recipe| self.renditions.key(hash, recipe);
        let expires = url.expires.map(|seconds| WallMs(seconds.saturating_mul(1_000)));
        let is_negotiated = url.recipe.format.is_none();
        Ok(RenditionRequest { key: key(recipe), meanwhile: meanwhile.map(key), freshness, expires, is_negotiated })
    }

    /// All signing keys, as they were at most a second ago; one that this site made is among them at once.
    pub(super) async fn live_keys(self: &Arc<Self>) -> Result<Keys, ServiceError> {
        let asked = self.runtime.clock.monotonic();
        if let Some(keys) = self.renditions.keys.recent(asked) {
            return Ok(keys);
        }
        let services = self.clone();
        // In a task of its own: a client that leaves must not have the next one read anew what was all but read.
        let reading = crate::runtime::spawn_joined(async move {
            let read = async {
                let began = services.runtime.clock.monotonic();
                Ok((began, keys::live(services.catalogue.tenants().await?)))
            };
            services.renditions.keys.recent_or_read(asked, read).await
        });
        reading.await?
    }
}
