//! What a tenant says of its rendition URLs: presets, whether they may say anything else, and how long caches keep renditions.

use std::collections::BTreeMap;

use crate::model::TenantId;
use crate::model::tenant::{RenditionSettings, TenantEdit, TenantView};

use super::caller::Caller;
use super::rendition::RenditionService;
use super::rendition_url::{MAX_PRESETS, Presets, RenditionFormat, SideTooLarge};
use super::signing_keys::{edited_tenant, require_tenant};
use super::{ServiceError, Services, audit};

/// What to set; the rest stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RenditionsEdit {
    /// Presets that are made or get other options, and, without options, those that go.
    pub presets: BTreeMap<String, Option<String>>,
    /// Whether URLs may name presets only.
    pub presets_only: Option<bool>,
    /// For how long caches may show a rendition, in seconds.
    pub max_age_seconds: Option<u32>,
}

impl RenditionsEdit {
    /// Refuses what no tenant can have.
    fn check(&self) -> Result<(), ServiceError> {
        for (name, options) in &self.presets {
            if let Some(options) = options {
                Presets::check(name, options)?;
            }
        }
        if self.max_age_seconds.is_some_and(|age| age > RenditionSettings::LONGEST_AGE_SECONDS) {
            let detail = format!("0 to {} seconds, a year", RenditionSettings::LONGEST_AGE_SECONDS);
            return Err(ServiceError::Invalid { field: "renditions.max_age_seconds", detail });
        }
        Ok(())
    }

    /// Refuses sizes that no rendition of this site can have.
    fn check_sizes(&self, renditions: &RenditionService) -> Result<(), ServiceError> {
        for (name, options) in self.presets.iter().filter_map(|(name, options)| Some((name, options.as_ref()?))) {
            let detail = |error: SideTooLarge| format!("the preset {name:?}: {error}");
            let settled = renditions.settle(&Presets::recipe(options)?, RenditionFormat::Jpeg);
            settled.map_err(|error| ServiceError::Invalid { field: "renditions.presets", detail: detail(error) })?;
        }
        Ok(())
    }

    /// The presets that a tenant has afterwards.
    fn presets(&self, settings: &RenditionSettings) -> Result<BTreeMap<String, String>, ServiceError> {
        let mut presets = settings.presets.clone();
        for (name, options) in &self.presets {
            match options {
                Some(options) => drop(presets.insert(name.clone(), options.clone())),
                None => drop(presets.remove(name)),
            }
        }
        if presets.len() > MAX_PRESETS {
            let detail = format!("a tenant has at most {MAX_PRESETS} presets");
            return Err(ServiceError::Invalid { field: "renditions.presets", detail });
        }
        Ok(presets)
    }
}

impl Services {
    /// Changes what a tenant says of its rendition URLs. It holds for every request that comes to this site after the answer.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`; `Invalid` for a preset whose name, options or size cannot be, for too many, and for an age past a year; `Conflict` where a newer
    /// version wrote the presets.
    pub async fn edit_tenant_renditions(&self, caller: &Caller, id: TenantId, edit: RenditionsEdit) -> Result<TenantView, ServiceError> {
        caller.require_tenant(id)?;
        edit.check()?;
        edit.check_sizes(&self.renditions)?;
        let caller = caller.clone();
        let edited = self.metadata.write("tenant.renditions", move |tx| -> Result<_, ServiceError> {
            let tenant = require_tenant(tx, id)?;
            let presets = edit.presets(&tenant.renditions)?;
            let edit = TenantEdit {
                presets: (presets != tenant.renditions.presets).then_some(presets),
                presets_only: edit.presets_only,
                max_age_seconds: edit.max_age_seconds,
                ..TenantEdit::default()
            };
            let stamp = tx.stamp();
            tx.apply_all(edited_tenant(&tenant, stamp, &edit)?)?;
            audit::note(tx, &caller, "tenant.renditions", id)?;
            require_tenant(tx, id)
        });
        let edited = edited.await?;
        self.renditions.keys_changed().await;
        Ok(edited)
    }
}
